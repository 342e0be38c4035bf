"""Exercises of the chapter on training and playing."""

import math

import torch

from genie_mini.chapters.checks import exercise, expect, expect_entries
from genie_mini.data.platformer import PlatformerVideos
from genie_mini.genie import Genie
from genie_mini.models.dynamics import DynamicsConfig
from genie_mini.models.latent_action import LatentActionConfig
from genie_mini.models.quantizer import QuantizerConfig
from genie_mini.models.st_transformer import STTransformerConfig
from genie_mini.models.tokenizer import TokenizerConfig
from genie_mini.presets import GenieConfig
from genie_mini.rollout import Rollout
from genie_mini.training.config import TrainingConfig
from genie_mini.training.learning_rate import learning_rate
from genie_mini.training.phases import build_phases
from genie_mini.world import record


def _genie():
    """A random Genie for 32x32 pixels, so small that a game with it takes no time."""
    torch.manual_seed(0)
    stack = STTransformerConfig(num_blocks=1, width=16, num_heads=2)
    return Genie(
        GenieConfig(
            TokenizerConfig((32, 32), 8, stack, stack, QuantizerConfig(32)),
            LatentActionConfig((32, 32), 8, stack, stack),
            DynamicsConfig((4, 4), 32, stack),
        )
    )


def _cosine(step, steps, peak, warmup_steps):
    return peak * (
        0.02 + 0.98 * (1 + math.cos(math.pi * (step - warmup_steps) / (steps - warmup_steps))) / 2
    )


@exercise(
    lambda step, steps, peak, warmup_steps: peak,
    lambda step, steps, peak, warmup_steps: (
        peak * step / warmup_steps
        if step < warmup_steps
        else _cosine(step, steps, peak, warmup_steps)
    ),
    lambda step, steps, peak, warmup_steps: (
        peak * min(1, (step + 1) / warmup_steps) * (1 + math.cos(math.pi * step / steps)) / 2
    ),
    lambda step, steps, peak, warmup_steps: (
        peak * (step + 1) / warmup_steps
        if step < warmup_steps
        else peak * (1 - 0.98 * (step - warmup_steps) / (steps - warmup_steps))
    ),
)
def check_schedule(answer) -> None:
    """A function (step, steps, peak, warmup_steps) that gives the learning rate of a step."""
    for steps, peak, warmup_steps in ((100, 1.0, 20), (1000, 3e-4, 50), (12, 2.0, 6)):
        for step in sorted(
            {
                0,
                1,
                warmup_steps - 1,
                warmup_steps,
                warmup_steps + 1,
                (steps + warmup_steps) // 2,
                steps - 1,
            }
        ):
            given = answer(step, steps, peak, warmup_steps)
            expected = learning_rate(step, 0, steps, peak, warmup_steps)
            where = "the warm-up" if step < warmup_steps else "the cosine"
            expect(
                math.isclose(given, expected, rel_tol=1e-4),
                f"in step {step} of {steps} (peak {peak:g}, {warmup_steps} steps of "
                f"warm-up), in {where}, "
                f"the rate should be {expected:.4g} and is {given:.4g}",
            )


@exercise(
    lambda frames, steps: frames * steps,
    lambda frames, steps: frames * (steps + 1),
    lambda frames, steps: 1 + frames * steps,
    lambda frames, steps: 1 + frames * (steps + 2),
)
def check_passes(answer) -> None:
    """A function (frames, steps) that gives the number of runs of the dynamics model's transformer
    in a game.
    """
    genie, prompt = (
        _genie(),
        torch.rand(1, 1, 32, 32, 3, generator=torch.Generator().manual_seed(0)),
    )
    runs = []
    genie.dynamics.transformer.register_forward_pre_hook(lambda module, inputs: runs.append(1))
    for frames, steps in ((0, 8), (1, 1), (1, 8), (3, 4), (20, 2)):
        runs.clear()
        rollout = Rollout(genie, prompt)
        for _ in range(frames):
            rollout.step(torch.tensor([0]), maskgit_steps=steps)
        given = answer(frames, steps)
        expect(
            given == len(runs),
            f"a game of {frames} frames with {steps} steps took {len(runs)} passes, not {given}",
        )


@exercise(
    lambda gradients, longest: [
        gradient * min(1.0, longest / float(gradient.norm())) for gradient in gradients
    ],
    lambda gradients, longest: [gradient.clamp(-longest, longest) for gradient in gradients],
    lambda gradients, longest: [
        gradient * longest / float(torch.cat([g.flatten() for g in gradients]).norm())
        for gradient in gradients
    ],
    lambda gradients, longest: [
        gradient * min(1.0, longest / sum(float(g.norm()) for g in gradients))
        for gradient in gradients
    ],
)
def check_clip(answer) -> None:
    """A function (gradients, longest) that shortens a list of tensors so that together they are at
    most so long.
    """
    generator = torch.Generator().manual_seed(0)
    for scale, longest in ((10.0, 1.0), (1.0, 0.5), (0.01, 1.0), (3.0, 2.0)):
        gradients = [
            scale * torch.randn(shape, generator=generator) for shape in ((3, 4), (5,), (2, 2, 2))
        ]
        before = [gradient.clone() for gradient in gradients]
        given = answer(gradients, longest)
        expect(len(given) == 3, f"three tensors came in and {len(given)} went out")
        length = torch.cat([gradient.flatten() for gradient in before]).norm()
        for one, old in zip(given, before, strict=True):
            expected = old * min(1.0, longest / float(length))
            expect(
                one.shape == old.shape and torch.allclose(one, expected, atol=1e-5),
                f"tensors that are {float(length):.3g} long together should come out "
                + (
                    f"{longest:g} long, all shortened alike"
                    if length > longest
                    else f"as they are: the limit is {longest:g}"
                ),
            )


def _by_backward(loss, network):
    loss.backward(retain_graph=True)
    return {
        name
        for name, parameter in network.named_parameters()
        if parameter.grad is not None and parameter.grad.any()
    }


def _gradients(loss, network):
    """Each parameter's name and its gradient, None where no path leads there."""
    names, parameters = zip(*network.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True)
    return dict(zip(names, found, strict=True))


@exercise(
    lambda loss, network: {name for name, _ in network.named_parameters()},
    lambda loss, network: {
        name for name, found in _gradients(loss, network).items() if found is not None
    },
    lambda loss, network: set(),
    _by_backward,
)
def check_who_learns(answer) -> None:
    """A function (loss, network) that gives the names of the network's parameters for which the
    loss has a gradient other than zero.
    """
    genie = _genie()
    config = TrainingConfig(
        tokenizer_steps=4,
        latent_action_steps=4,
        dynamics_steps=4,
        batch_size=1,
        num_frames=4,
    )
    videos = PlatformerVideos(32)
    frames = videos.batch(1, 4, [0])
    alone, together = build_phases(genie, videos, config)
    with torch.enable_grad():
        (tokenizer,) = alone.losses(frames, 0)[0]
        latent, dynamics = together.losses(frames, 0)[0]
        own = {
            "tokenizer": tokenizer,
            "latent_action_model": latent,
            "dynamics": dynamics,
        }
        for name, loss in own.items():
            for part in own:
                network = getattr(genie, part)
                given = answer(loss, network)
                expected = {
                    parameter
                    for parameter, found in _gradients(loss, network).items()
                    if found is not None and found.any()
                }
                expect(
                    set(given) == expected,
                    f"the loss of {name} moves {len(expected)} tensors of {part}, but "
                    f"you found {len(set(given))}",
                )
                left = [parameter for parameter in genie.parameters() if parameter.grad is not None]
                expect(not left, "your function leaves gradients behind in the network")


def _game(
    genie,
    prompt,
    actions,
    steps,
    generator,
    *,
    commit=True,
    decoder_remembers=True,
    encode_again=False,
):
    """A game with one thing left out, or pixels tokenised again for every frame."""
    tokens = genie.tokenizer.encode(prompt[None, None])
    past = genie.dynamics.prefill(tokens, torch.empty(1, 0, dtype=torch.int64))
    _, decoder_past = genie.tokenizer.decode_next(tokens, None)
    frames = []
    for action in torch.tensor(actions)[:, None]:
        tokens = genie.dynamics.sample(past, action, maskgit_steps=steps, generator=generator)[
            :, None
        ]
        frame, present = genie.tokenizer.decode_next(
            tokens, decoder_past if decoder_remembers else None
        )
        decoder_past = decoder_past.append(present, 15)
        if encode_again:
            tokens = genie.tokenizer.encode(frame)
        if commit:
            past = genie.dynamics.append(past, tokens, action[:, None])
        frames.append(frame[0, 0])
    return torch.stack(frames)


@exercise(
    lambda *game: _game(*game, commit=False),
    lambda *game: _game(*game, decoder_remembers=False),
    lambda *game: _game(*game, encode_again=True),
    lambda genie, prompt, actions, steps, generator: _game(
        genie, prompt, [0] * len(actions), steps, generator
    ),
)
def check_play(answer) -> None:
    """A function (genie, prompt, actions, steps, generator) that gives the frames of a game,
    (actions, height, width, 3).
    """
    genie = _genie().eval()
    prompt = torch.from_numpy(record(1, 1, size=32, seed=3)[0])[0, 0]
    for actions, steps in (
        ([3], 8),
        ([1, 5, 2, 7], 4),
        ([0, 1, 2, 3, 4, 5, 6, 7] * 3, 2),
    ):
        rollout = Rollout(genie, prompt[None, None], seed=1)
        expected = torch.stack(
            [rollout.step(torch.tensor([action]), maskgit_steps=steps)[0] for action in actions]
        )
        with torch.no_grad():
            given = answer(genie, prompt, actions, steps, torch.Generator().manual_seed(1))
        expect(
            given.shape == expected.shape,
            f"the shape is {tuple(given.shape)}, not {tuple(expected.shape)}",
        )
        wrong = [
            t for t in range(len(actions)) if not torch.allclose(given[t], expected[t], atol=1e-4)
        ]
        expect(
            not wrong,
            f"in a game of {len(actions)} frames, frame "
            f"{wrong[0] + 1 if wrong else 0} is not the one PlaySession shows",
        )


_CHANGES = {
    "a": (2, 2),
    "b": (None, 1),
    "c": (None, None),
    "d": (8, 8),
    "e": (None, 8),
    "f": (4, 4),
}


def _changed_game(change=None):
    """Play twelve frames, with one thing changed in the game: their tokens (12, N) and pictures.

    The weights are random and large, so that whatever changes in the past shows in the next frame.
    """
    genie = _genie()
    for network in (genie.dynamics, genie.tokenizer):
        for weight in network.parameters():
            weight.data += 0.3 * torch.randn_like(weight)
    prompt = torch.from_numpy(record(1, 1, size=32, seed=3)[0])
    rollout = Rollout(genie, prompt, seed=1)
    if change == "c":
        for weight in (
            *genie.tokenizer.encoder.parameters(),
            *genie.latent_action_model.parameters(),
        ):
            weight.data.zero_()
    tokens, pictures = [], []
    for number in range(1, 13):
        before, action = rollout._cache, torch.tensor([number % 8])
        if change == "b":
            rollout._decoder_cache = rollout._decoder_cache.last(0)
        rollout.step(action, maskgit_steps=2)
        tokens.append(rollout.tokens[0])
        pictures.append(rollout.frames[0])
        if change == "a":
            rollout._cache = before
        elif change == "d":
            rollout._cache = rollout._cache.last(7)
        elif change == "e":
            rollout._decoder_cache = rollout._decoder_cache.last(7)
        elif change == "f" and number == 3:
            again = genie.tokenizer.encode(rollout.frames[:, None])
            rollout._cache = genie.dynamics.append(before, again, action[:, None])
    return torch.stack(tokens), torch.stack(pictures)


def _first_apart(one, other):
    """The first frame, from 1, in which two games differ, or None."""
    apart = (one - other).abs().flatten(1).amax(dim=1) > 1e-4
    return int(apart.int().argmax()) + 1 if apart.any() else None


@exercise(
    dict.fromkeys("abcdef", (1, 1)),
    _CHANGES | {"a": (1, 1)},
    _CHANGES | {"b": (2, 1)},
    _CHANGES | {"c": (1, 1)},
    _CHANGES | {"d": (7, 7)},
    _CHANGES | {"e": (8, 8)},
    _CHANGES | {"f": (4, 3)},
    {change: apart for change, apart in _CHANGES.items() if change != "f"},
)
def check_changes(answer) -> None:
    """A dictionary from the changes a to f to the first frame whose tokens, and the first whose
    picture, is another than in the game without the change.
    """
    expect_entries(answer, "from letters to pairs", _CHANGES, "change")
    whole = _changed_game()
    for change in _CHANGES:
        changed = _changed_game(change)
        given = answer[change]
        expect(len(given) == 2, f"give two for change {change}: tokens and pictures")
        for what, first, one, other in zip(
            ("tokens", "pictures"), given, whole, changed, strict=True
        ):
            apart = _first_apart(one, other)
            expect(
                first == apart,
                f"with change {change} the {what} do not differ first in frame {first}"
                if first
                else f"with change {change} the {what} do differ",
            )

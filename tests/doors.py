"""Every public door of the rooms that hold the networks, and strategies of values that a door must
refuse. The test asks each a few times; `tools/fuzz.py` goes on for as long as it is let.
"""

import copy
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny import tiny_genie

from genie_mini import device
from genie_mini.errors import GenieError
from genie_mini.evaluation import action_names, metrics, player_detector, scores
from genie_mini.evaluation.action_map import action_map, fit_action_map, visible_actions
from genie_mini.evaluation.cycle_consistency import cycle_scores
from genie_mini.export.engine import choose_engine
from genie_mini.export.runtime import ExportedGenie, describe
from genie_mini.export.write import export
from genie_mini.genie import Genie, in_windows
from genie_mini.models.maskgit import fill_in, mask_schedule
from genie_mini.models.quantizer import QuantizerConfig
from genie_mini.models.st_transformer import STTransformerConfig
from genie_mini.presets import FRAME_RATES, GenieConfig
from genie_mini.rollout import PlaySession, Rollout
from genie_mini.world import record


@dataclass
class Door:
    """A function of one value, the others that it needs being right, and values for it.

    Attributes:
        call: what people call.
        values: what is given to it.
        may_work: whether some of these values are right after all, as a file is whose damage nobody
            could see; the others must be refused.
    """

    call: Callable[[Any], Any]
    values: st.SearchStrategy
    may_work: bool = False


def find_escape(door: Door, examples: int, seed: int | None = None) -> tuple[Any, Exception] | None:
    """The simplest value found at which a door does anything but refuse it with a GenieError, and
    what came of it; None if there is none among so many.

    Args:
        door: the door.
        examples: values to try.
        seed: of the values; None tries the same ones always.
    """
    tried: list[Any] = []

    @settings(
        max_examples=examples,
        derandomize=seed is None,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(door.values)
    def is_refused(value):
        tried[:] = [value]
        try:
            door.call(value)
        except GenieError:
            return
        assert door.may_work, "it was taken"

    try:
        (is_refused if seed is None else hypothesis.seed(seed)(is_refused))()
    except Exception as error:  # whatever it is, it is not a GenieError
        return tried[0] if tried else None, error
    return None


# Nothing that any door takes.
STRANGERS = st.sampled_from(
    [object(), ..., 1j, b"bytes", {"a": 1}, {1, 2}, [[1], [2, 3]], Decimal("NaN"), np.array("x")]
    + [np.datetime64("NaT"), range(3), torch.float32, GenieConfig, lambda: None, "\0", "a" * 5000]
)
NO_NUMBERS = st.one_of(
    STRANGERS,
    st.sampled_from([None, True, False, "1", "", [], (), [1], np.bool_(True), torch.ones(2)]),
    st.sampled_from([float("nan"), float("inf"), -float("inf"), torch.tensor(True)]),
)
HUGE = st.sampled_from([10**400, 10**5000])
NO_FUNCTIONS = st.one_of(
    st.sampled_from([0, True, "print", [], object(), torch.zeros(1), float("nan")])
)


def no_integers(low: int, high: int | None = None) -> st.SearchStrategy:
    """What is no integer in [low, high]."""
    whole = st.integers(low, low + 10 if high is None else high).map(float)
    outside = st.integers(max_value=low - 1)
    if high is not None:
        outside = st.one_of(outside, st.integers(min_value=high + 1), HUGE)
    return st.one_of(NO_NUMBERS, outside, whole, st.floats(), whole.map(str))


def no_numbers(low: float, high: float) -> st.SearchStrategy:
    """What is no real number in [low, high]."""
    above = st.floats(min_value=high, exclude_min=True)
    return st.one_of(NO_NUMBERS, HUGE, st.floats(max_value=low, exclude_max=True), above)


def no_words(*words: str) -> st.SearchStrategy:
    """What is none of these words."""
    other = st.text().filter(lambda word: word not in words)
    return st.one_of(STRANGERS, NO_NUMBERS, other, st.sampled_from(words).map(str.upper))


NO_TEMPERATURES = st.one_of(
    NO_NUMBERS,
    st.floats(max_value=0, exclude_max=True),
    st.floats(0, 1e-6, exclude_min=True, exclude_max=True),
)
NO_SHARES = no_numbers(0, 1)
NO_MIN_P = NO_SHARES.filter(lambda value: value is not None)  # None: as the config says
NO_SEEDS = no_integers(0, 2**63 - 1)
NO_PATHS = st.one_of(
    STRANGERS.filter(lambda value: not isinstance(value, str)),
    st.sampled_from([None, 3, "", "\0", "x" * 300, "\ud800"]),
)


@st.composite
def no_frames(draw, good: torch.Tensor, arrays: bool = False):
    """Frames (..., height, width, 3), float32 in [0, 1], made into something else; NumPy's arrays
    stay out of it where a door takes `arrays`.
    """
    place = tuple(draw(st.integers(0, length - 1)) for length in good.shape)
    wrong = st.one_of(
        st.sampled_from([float("nan"), float("inf"), -float("inf"), 255.0, -1.0]),
        st.floats(1, exclude_min=True, width=32),
        st.floats(max_value=0, exclude_max=True, width=32),
    )

    def with_wrong(frames):
        frames = frames.clone()
        frames[place] = draw(wrong)
        return frames

    changes: list[Callable] = [
        *(with_wrong, with_wrong, with_wrong),
        lambda frames: frames * 255 + 1,
        lambda frames: frames * 2 - 1.001,
        lambda frames: frames.double(),
        lambda frames: frames.half(),
        lambda frames: frames.bfloat16(),
        lambda frames: (frames * 255).byte(),
        lambda frames: frames.round().long(),
        lambda frames: frames > 0.5,
        lambda frames: frames.to(torch.complex64),
        lambda frames: frames.tolist(),
        lambda frames: frames.double().numpy(),
        lambda frames: frames[None, None],
        lambda frames: frames.movedim(-1, -3),
        lambda frames: frames[..., :2],
        lambda frames: frames[..., :-1, :],
        lambda frames: frames[..., :0, :],
        lambda frames: frames[:0],
        lambda frames: frames.flatten(),
        lambda frames: frames.to_sparse(),
        lambda frames: frames.to("meta"),
    ]
    if not arrays:
        changes.append(lambda frames: frames.numpy())
    strangers = st.one_of(STRANGERS, NO_NUMBERS).map(lambda value: lambda frames: value)
    return draw(st.one_of(st.sampled_from(changes), strangers))(good)


@st.composite
def no_indices(draw, good: torch.Tensor, limit: int):
    """Tokens or actions, int64 in [0, limit), made into something else."""
    place = tuple(draw(st.integers(0, length - 1)) for length in good.shape)
    outside = st.one_of(st.integers(-(2**63), -1), st.integers(limit, 2**63 - 1))

    def with_wrong(indices):
        indices = indices.clone()
        indices[place] = draw(outside)
        return indices

    changes: list[Callable] = [
        *(with_wrong, with_wrong),
        lambda indices: indices.float(),
        lambda indices: indices.int(),
        lambda indices: indices.byte(),
        lambda indices: indices.short(),
        lambda indices: indices > 0,
        lambda indices: indices.numpy(),
        lambda indices: indices.tolist(),
        lambda indices: indices[None],
        lambda indices: indices[..., :0],
        lambda indices: indices[:0],
        lambda indices: torch.cat([indices, indices], dim=-1),
        lambda indices: indices.float().to_sparse(),
        lambda indices: indices.to("meta"),
    ]
    strangers = st.one_of(STRANGERS, NO_NUMBERS).map(lambda value: lambda indices: value)
    return draw(st.one_of(st.sampled_from(changes), strangers))(good)


JSON = st.recursive(
    st.one_of(
        st.sampled_from([None, True, False, 0, -1, 1, 3, 7, 2**31, 2**63, 10**40, 0.5, -0.5]),
        st.sampled_from([float("nan"), float("inf"), "", "recent", "sparse", "x"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner)),
    max_leaves=5,
)


@st.composite
def damaged_json(draw, content: Any) -> bytes:
    """JSON of which one value is another, or gone, or one too many, or of which an end is cut."""
    content = copy.deepcopy(content)
    node = content
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = draw(st.sampled_from(keys))
        if not (isinstance(node[key], dict | list) and node[key]) or draw(st.booleans()):
            break
        node = node[key]
    match draw(st.sampled_from(["another", "another", "another", "gone", "one too many", "cut"])):
        case "another":
            node[key] = draw(JSON)
        case "gone":
            del node[key]
        case "one too many" if isinstance(node, dict):
            node[draw(st.text())] = draw(JSON)
        case _:
            written = json.dumps(content).encode()
            return written[: draw(st.integers(0, len(written) - 1))]
    return json.dumps(content).encode()


@st.composite
def damaged_bytes(draw, content: bytes) -> bytes:
    """A file of which some bytes are others, or of which an end is cut or added."""
    at = draw(st.one_of(st.integers(0, min(200, len(content))), st.integers(0, len(content))))
    if draw(st.booleans()):
        return content[:at] + draw(st.binary(max_size=20))
    others = draw(st.binary(min_size=1, max_size=20))
    return content[:at] + others + content[at + len(others) :]


def config_doors(config: GenieConfig) -> dict[str, Door]:
    """Each field of each configuration."""
    limits = {
        "num_blocks": (1, 1000),
        "width": (1, 2**15),
        "num_heads": (1, 1024),
        "patch_size": (1, 512),
        "num_codes": (1, 2**16),
        "code_width": (1, 2**12),
        "reset_after": (1, 2**31),
        "num_actions": (1, 2**12),
        "context": (1, 2**12),
        "stem_channels": (1, 4096),
    }
    shares = ("soft_share", "scheduled_sampling", "commitment", "change_weight", "stability_weight")
    found = {}
    for part in (
        config.tokenizer.encoder,
        config.tokenizer.quantizer,
        config.tokenizer,
        config.latent_action,
        config.dynamics,
        config,
    ):
        for field in fields(part):
            good = getattr(part, field.name)
            if field.name in limits:
                values = no_integers(*limits[field.name])
            elif field.name in shares or field.name.endswith("entropy_weight"):
                values = no_numbers(0, 1e6)
            elif field.name == "min_p":
                values = NO_SHARES
            elif field.name == "frames_per_second":
                values = no_numbers(*FRAME_RATES)
            elif isinstance(good, bool):
                words = st.sampled_from(
                    [None, 0, 1, "True", [], np.bool_(True), torch.tensor(True)]
                )
                values = st.one_of(STRANGERS, words)
            elif isinstance(good, tuple):
                one = no_numbers(0, 1e6)
                values = st.one_of(STRANGERS, NO_NUMBERS, st.tuples(one, one), st.tuples(one))
            elif field.name == "neighborhood":
                values = st.one_of(STRANGERS, NO_NUMBERS).filter(lambda value: value is not None)
            elif field.name == "head_width":
                values = no_integers(4, 1024).filter(lambda value: value is not None)
            elif field.name == "codebook":
                values = no_words("learnt", "patches")
            elif isinstance(good, str):
                values = no_words("recent", "sparse", "retrieval")
            else:
                values = st.one_of(STRANGERS, NO_NUMBERS, st.just(asdict(good)))
            name = f"{type(part).__name__}.{field.name}"
            found[name] = Door(partial(_replaced, part, field.name), values)
    return found | {
        "GenieConfig, parts that disagree": Door(
            lambda change: _replaced(
                config, change[0], replace(getattr(config, change[0]), **change[1])
            ),
            st.sampled_from(
                [
                    ("tokenizer", {"patch_size": 4}),
                    ("tokenizer", {"image_size": (64, 32)}),
                    ("tokenizer", {"quantizer": QuantizerConfig(31)}),
                    ("latent_action", {"image_size": (32, 64)}),
                    (
                        "latent_action",
                        {"quantizer": replace(config.tokenizer.quantizer, num_codes=9)},
                    ),
                    ("dynamics", {"grid": (4, 5)}),
                    ("dynamics", {"grid": (2, 8)}),
                    ("dynamics", {"num_codes": 33}),
                    ("dynamics", {"num_actions": 7}),
                ]
            ),
        ),
        "STTransformerConfig, what does not divide": Door(
            lambda sizes: STTransformerConfig(*sizes),
            st.sampled_from([(1, 30, 4), (1, 12, 2), (1, 16, 2, 6), (1000, 2**15, 1024, 1024)]),
        ),
        "LatentActionConfig, what does not divide": Door(
            lambda sizes: replace(config.latent_action, image_size=sizes[0], patch_size=sizes[1]),
            st.sampled_from([((30, 32), 8), ((32, 30), 4), ((33, 33), 3), ((32, 32), 1)]),
        ),
        "LatentActionConfig.neighborhood, no such displacements": Door(
            lambda steps: replace(config.latent_action, neighborhood=steps),
            st.sampled_from(
                [(), ((1, 0),), ((0, 0), (0, 33)), ((0, 0), (1, 2, 3)), ((0, 0), 1), "zero"]
            ),
        ),
        "TokenizerConfig, what does not divide": Door(
            lambda sizes: replace(config.tokenizer, image_size=sizes[0], patch_size=sizes[1]),
            st.sampled_from([((30, 32), 8), ((32, 30), 4), ((4096, 4096), 1), ((4, 4), 8)]),
        ),
        "DynamicsConfig.mask_rate, the wrong way round": Door(
            lambda rates: replace(config.dynamics, mask_rate=rates),
            st.sampled_from([(0.5, 0.4), (0.0, 0.0), (-0.1, 0.5), (0.5, 1.1), (0.5,)]),
        ),
    }


def _replaced(part, name, value):
    return replace(part, **{name: value})


def network_doors(genie: Genie) -> dict[str, Door]:
    """The three networks and MaskGIT."""
    clips = torch.rand(2, 3, 32, 32, 3, generator=torch.Generator().manual_seed(0))
    tokenizer, actions_model, dynamics = (
        genie.tokenizer,
        genie.latent_action_model,
        genie.dynamics,
    )
    tokens, actions = tokenizer.encode(clips), actions_model.infer(clips)
    cache, decoded = dynamics.prefill(tokens, actions), tokenizer.decode_next(tokens, None)[1]
    other = tiny_genie(1).with_lookback("sparse").dynamics.prefill(tokens, actions)
    caches = st.sampled_from(
        [None, 3, "cache", [], dynamics.prefill(tokens[:1], actions[:1]), other]
    )
    frames, wrong_tokens, wrong_actions = (
        no_frames(clips),
        no_indices(tokens, 33),
        no_indices(actions, 8),
    )
    few = actions[:, 0]
    masked = torch.full((1, 16), 32)

    def filled(**options):
        schedule = options.pop("schedule", [8, 0])
        given = options.pop("tokens", masked)
        return fill_in(lambda some: torch.zeros(1, 16, 32), given, 32, schedule, **options)

    found = {
        "tokenizer.encode": Door(tokenizer.encode, frames),
        "tokenizer.forward": Door(tokenizer, frames),
        "tokenizer.decode": Door(tokenizer.decode, no_indices(tokens, 32)),
        "tokenizer.decode_next": Door(
            lambda value: tokenizer.decode_next(value, decoded), no_indices(tokens, 32)
        ),
        "tokenizer.decode_next, cache": Door(
            lambda value: tokenizer.decode_next(tokens[:1], value),
            st.sampled_from([3, "cache", [], cache, decoded, other]),
        ),
        "latent_action_model.infer": Door(actions_model.infer, frames),
        "latent_action_model.infer, one frame": Door(actions_model.infer, st.just(clips[:, :1])),
        "latent_action_model.forward": Door(actions_model, frames),
        "latent_action_model.forward, progress": Door(
            lambda value: actions_model(clips, value), NO_SHARES
        ),
        "latent_action_model.settle": Door(actions_model.settle, frames),
        "latent_action_model.spread_codes": Door(actions_model.spread_codes, frames),
        "latent_action_model.predict": Door(
            lambda value: actions_model.predict(value, torch.zeros(2, 3, dtype=torch.int64)), frames
        ),
        "latent_action_model.predict, actions": Door(
            lambda value: actions_model.predict(clips[:, 1:], value), wrong_actions
        ),
        "quantizer.lookup": Door(
            tokenizer.quantizer.lookup,
            st.sampled_from([None, 3, [1], tokens.float(), tokens.int(), tokens + 32, tokens - 40]),
        ),
        "dynamics.forward": Door(lambda value: dynamics(value, actions), wrong_tokens),
        "dynamics.forward, actions": Door(lambda value: dynamics(tokens, value), wrong_actions),
        "dynamics.loss": Door(lambda value: dynamics.loss(value, actions), no_indices(tokens, 32)),
        "dynamics.loss, one frame": Door(
            lambda value: dynamics.loss(value, actions[:, :0]), st.just(tokens[:, :1])
        ),
        "dynamics.loss, actions": Door(lambda value: dynamics.loss(tokens, value), wrong_actions),
        "dynamics.loss, guess depth": Door(
            lambda value: dynamics.loss(tokens, actions, value), no_integers(1)
        ),
        "dynamics.prefill": Door(lambda value: dynamics.prefill(value, actions), wrong_tokens),
        "dynamics.prefill, actions": Door(
            lambda value: dynamics.prefill(tokens, value), wrong_actions
        ),
        "dynamics.append": Door(
            lambda value: dynamics.append(cache, value, actions), no_indices(tokens[:, 1:], 33)
        ),
        "dynamics.append, actions": Door(
            lambda value: dynamics.append(cache, tokens[:, 1:], value), wrong_actions
        ),
        "dynamics.append, cache": Door(
            lambda value: dynamics.append(value, tokens[:, 1:], actions), caches
        ),
        "dynamics.sample": Door(lambda value: dynamics.sample(cache, value), no_indices(few, 8)),
        "dynamics.sample, cache": Door(lambda value: dynamics.sample(value, few), caches),
        "dynamics.sample, generator": Door(
            lambda value: dynamics.sample(cache, few, maskgit_steps=1, generator=value),
            NO_FUNCTIONS,
        ),
        "fill_in": Door(
            lambda value: filled(tokens=value),
            no_indices(masked, 2**40).filter(
                lambda value: (
                    not isinstance(value, torch.Tensor)
                    or value.dtype != torch.int64
                    or value.ndim != 2
                    or not value.numel()
                )
            ),
        ),
        "fill_in, schedule": Door(
            lambda value: filled(schedule=value),
            st.sampled_from([None, 3, [], [8], [0, -1, 0], [17, 0], [8.0, 0], ["8", 0], [True, 0]]),
        ),
        "fill_in, min_p": Door(lambda value: filled(min_p=value), NO_SHARES),
        "mask_schedule": Door(lambda value: mask_schedule(16, value), no_integers(1, 16)),
        "mask_schedule, tokens": Door(lambda value: mask_schedule(value, 1), no_integers(1, 2**14)),
    }
    for name, play in {
        "dynamics.sample": partial(dynamics.sample, cache, few),
        "Rollout.step": partial(Rollout(genie, clips).step, few),
        "PlaySession.step": partial(PlaySession(genie, clips[0]).step, 3),
    }.items():
        found |= {
            f"{name}, temperature": Door(
                lambda value, play=play: play(temperature=value), NO_TEMPERATURES
            ),
            f"{name}, min_p": Door(lambda value, play=play: play(min_p=value), NO_MIN_P),
            f"{name}, maskgit_steps": Door(
                lambda value, play=play: play(maskgit_steps=value), no_integers(1, 16)
            ),
            f"{name}, on_step": Door(
                lambda value, play=play: play(maskgit_steps=1, on_step=value), NO_FUNCTIONS
            ),
        }
    return found


def genie_doors(genie: Genie, folder: Path) -> dict[str, Door]:
    """A Genie as a whole: made, loaded, saved, played."""
    clips = torch.rand(2, 3, 32, 32, 3, generator=torch.Generator().manual_seed(0))
    prompts, genies = no_frames(clips[0], arrays=True), st.one_of(STRANGERS, NO_NUMBERS)
    saved = folder / "saved"
    genie.save(saved)

    def loaded(file, content):
        kept = (saved / file).read_bytes() if (saved / file).exists() else None
        (saved / file).write_bytes(content)
        try:
            if file in ("scores.json", action_names.NAMES):
                return action_names.read_action_names(saved)
            return Genie.from_pretrained(saved)
        finally:
            (saved / file).unlink() if kept is None else (saved / file).write_bytes(kept)

    found = {
        "Genie": Door(Genie, st.one_of(genies, st.just(asdict(genie.config)))),
        "Genie.from_preset": Door(
            Genie.from_preset, no_words("pocket", "mini", "coinrun", "paper")
        ),
        "Genie.from_pretrained": Door(Genie.from_pretrained, NO_PATHS),
        "Genie.save": Door(genie.save, NO_PATHS),
        "Genie.save, dtype": Door(
            lambda value: genie.save(folder / "other", value),
            st.sampled_from([None, "float32", torch.int64, torch.bool, torch.complex64, 3, float]),
        ),
        "Genie.with_lookback": Door(genie.with_lookback, no_words("recent", "sparse", "retrieval")),
        "Genie.play": Door(genie.play, prompts),
        "Genie.play, seed": Door(lambda value: genie.play(clips[0], value), NO_SEEDS),
        "Rollout": Door(lambda value: Rollout(genie, value), no_frames(clips)),
        "Rollout, genie": Door(lambda value: Rollout(value, clips), genies),
        "Rollout, seed": Door(lambda value: Rollout(genie, clips, value), NO_SEEDS),
        "Rollout.again": Door(Rollout(genie, clips).again, NO_SEEDS),
        "Rollout.step": Door(Rollout(genie, clips).step, no_indices(torch.tensor([1, 2]), 8)),
        "PlaySession.step": Door(PlaySession(genie, clips[0]).step, no_integers(0, 7)),
        "in_windows": Door(
            lambda value: in_windows(genie.tokenizer.encode, value), no_frames(clips)
        ),
        "in_windows, function": Door(lambda value: in_windows(value, clips), NO_FUNCTIONS),
        "choose_device": Door(device.choose_device, no_words("auto", "cpu", "cuda", "mps")),
        "choose_precision": Door(
            lambda value: device.choose_precision(value, torch.device("cpu")),
            no_words("auto", "fp32", "bf16"),
        ),
        "threads": Door(lambda value: device.threads(value).__enter__(), no_integers(1, 1024)),
    }
    for file in ("tokenizer.safetensors", "dynamics.safetensors"):
        content = (saved / file).read_bytes()
        found[file] = Door(partial(loaded, file), damaged_bytes(content), may_work=True)
    for file, content in {
        "config.json": json.loads((saved / "config.json").read_text()),
        "scores.json": {"latent_to_real": ["left"] * 8},
        action_names.NAMES: {"by_hand": ["left"] * 8, "by_labels": ["jump"] * 8},
        "shared.json": {"with": "mini", "parts": {"dynamics": "0"}},
    }.items():
        written = damaged_bytes(json.dumps(content).encode())
        damaged = st.one_of(damaged_json(content), written, st.just(b"[" * 100_000))
        found[file] = Door(partial(loaded, file), damaged, may_work=True)
    return found


def score_doors(genie: Genie, folder: Path) -> dict[str, Door]:
    """Evaluation and export."""
    clips, truth = record(2, 10, size=32, seed=1)
    clips = torch.from_numpy(clips)
    latent = genie.latent_action_model.infer(clips)
    frames, genies = no_frames(clips), st.one_of(STRANGERS, NO_NUMBERS)
    numbers, names = np.array([0, 1, 2]), np.arange(8)
    wrong_numbers = st.sampled_from(
        [None, 3.5, "left", [0.5, 1, 2], [0, 1, 8], [0, -1, 2], [0, 1], [[0], [1]], [True] * 3, []]
    )
    wrong_names = st.sampled_from(
        [None, "left", list(range(7)), [8] * 8, [-1] * 8, [0.0] * 8, ["left"] * 8, [[0] * 8], {}]
    )
    no_names = st.one_of(
        genies.filter(lambda value: not isinstance(value, str) or len(value) > 24),
        st.text(st.characters(categories=["L"]), min_size=25),
        st.text(st.characters(categories=["Cc", "Cs"]), min_size=1).map("a{}a".format),
    )
    # "psnr" and "in_batches" take any shape and, for noise, any range.
    no_floats = st.one_of(
        STRANGERS,
        NO_NUMBERS,
        st.sampled_from([clips.double(), clips.numpy(), clips.byte(), clips[:0], clips[:, :7]]),
        st.sampled_from(
            [clips * float("nan"), clips * float("inf"), clips * 255, clips.to("meta")]
        ),
    )
    return {
        "psnr": Door(lambda value: metrics.psnr(value, clips), no_floats),
        "psnr, truth": Door(lambda value: metrics.psnr(clips, value), no_floats),
        "in_batches": Door(lambda value: metrics.in_batches(genie.tokenizer.encode, value), frames),
        "in_batches, size": Door(
            lambda value: metrics.in_batches(torch.abs, clips, size=value), no_integers(1)
        ),
        "in_batches, lengths": Door(
            lambda value: metrics.in_batches(torch.add, *value),
            st.sampled_from([(), (clips, clips[:1]), (clips, 3), (torch.tensor(1),)]),
        ),
        "in_batches, function": Door(lambda value: metrics.in_batches(value, clips), NO_FUNCTIONS),
        "wilson": Door(lambda value: metrics.wilson(value, 10), no_integers(0, 10)),
        "wilson, trials": Door(lambda value: metrics.wilson(3, value), no_integers(3)),
        "wilson, deviations": Door(lambda value: metrics.wilson(3, 10, value), no_numbers(0, 100)),
        # any number of axes before the last three will do
        **{
            find.__name__: Door(find, frames.filter(lambda value: getattr(value, "ndim", 0) <= 5))
            for find in (
                player_detector.player_errors,
                player_detector.count_players,
                player_detector.player_present,
                player_detector.find_player,
            )
        },
        "visible_actions": Door(visible_actions, genies),
        "action_map": Door(lambda value: action_map(genie, value, truth), no_indices(latent, 8)),
        "action_map, few clips": Door(
            lambda value: action_map(genie, value, truth), st.just(latent)
        ),
        "action_map, truth": Door(lambda value: action_map(genie, latent, value), genies),
        "action_map, genie": Door(lambda value: action_map(value, latent, truth), genies),
        "fit_action_map": Door(lambda value: fit_action_map(value, numbers, 3), wrong_numbers),
        "fit_action_map, real": Door(
            lambda value: fit_action_map(numbers, value, 3), wrong_numbers
        ),
        "fit_action_map, num_latent": Door(
            lambda value: fit_action_map(numbers, numbers, value), no_integers(3, 2**12)
        ),
        "check_action_names": Door(
            lambda value: action_names.check_action_names(value, 3),
            st.sampled_from([3, "abc", ["a", "b"], [1, 2, 3], ["a", "b", None], {"a": 1}, b"abc"]),
        ),
        "read_action_names": Door(action_names.read_action_names, NO_PATHS),
        "read_measured_names": Door(action_names.read_measured_names, NO_PATHS),
        "save_name_by_hand": Door(
            lambda value: action_names.save_name_by_hand(value, 0, "left", 8), NO_PATHS
        ),
        "save_name_by_hand, action": Door(
            lambda value: action_names.save_name_by_hand(folder, value, "left", 8),
            no_integers(0, 7),
        ),
        "save_name_by_hand, name": Door(
            lambda value: action_names.save_name_by_hand(folder, 0, value, 8), no_names
        ),
        "save_names_by_labels": Door(
            lambda value: action_names.save_names_by_labels(folder, value, 8),
            st.one_of(genies, no_names.map(lambda name: [name] * 8)),
        ),
        "tokenizer_scores": Door(lambda value: scores.tokenizer_scores(genie, value), frames),
        "tokenizer_scores, genie": Door(
            lambda value: scores.tokenizer_scores(value, clips), genies
        ),
        "prediction_scores": Door(
            lambda value: scores.prediction_scores(genie, value, latent), frames
        ),
        "prediction_scores, latent": Door(
            lambda value: scores.prediction_scores(genie, clips, value), no_indices(latent, 8)
        ),
        "cache_difference": Door(lambda value: scores.cache_difference(genie, value), frames),
        "speed_scores": Door(lambda value: scores.speed_scores(genie, value), frames),
        "infer_long": Door(lambda value: scores.infer_long(genie, value), frames),
        "rollout_scores, num_levels": Door(
            lambda value: scores.rollout_scores(genie, value), no_integers(1, 10_000)
        ),
        "rollout_scores, length": Door(
            lambda value: scores.rollout_scores(genie, 1, value), no_integers(1, 10_000)
        ),
        "cycle_scores": Door(lambda value: cycle_scores(genie, value), wrong_names),
        "cycle_scores, num_levels": Door(
            lambda value: cycle_scores(genie, names, value), no_integers(1, 10_000)
        ),
        "evaluate": Door(scores.evaluate, genies),
        "evaluate, num_clips": Door(
            lambda value: scores.evaluate(genie, value), no_integers(1, 10_000)
        ),
        "save_scores": Door(
            lambda value: scores.save_scores(folder / "scores.json", [], value),
            st.sampled_from([None, "left", [8], [-1], [0.0], ["left"], [[0]], {}]),
        ),
        "export": Door(lambda value: export(value, folder), genies),
        "export, folder": Door(lambda value: export(genie, value), NO_PATHS),
        "export, variants": Door(
            lambda value: export(genie, folder, value),
            st.sampled_from([None, 3, "fp32", "fp64", [], ["fp64"], [["fp32"]], {"fp32": 1, 2: 3}]),
        ),
        "export, action_names": Door(
            lambda value: export(genie, folder, ["fp32"], value),
            st.sampled_from([3, "12345678", ["left"], [1] * 8, [None] * 8, {"left": 1}]),
        ),
        "choose_engine": Door(choose_engine, st.one_of(genies, st.just(folder))),
        "choose_engine, name": Door(
            lambda value: choose_engine(genie, value), no_words("auto", "torch", "onnxruntime")
        ),
        "choose_engine, cache": Door(
            lambda value: choose_engine(genie, "onnxruntime", value),
            NO_PATHS.filter(lambda value: value is not None),
        ),
        "describe": Door(lambda value: describe(value, None), genies),
        "ExportedGenie": Door(lambda value: ExportedGenie(value, folder, "fp32"), genies),
        "ExportedGenie, folder": Door(lambda value: ExportedGenie(genie, value, "fp32"), NO_PATHS),
        "ExportedGenie, an empty folder": Door(
            lambda value: ExportedGenie(genie, value, "fp32"), st.just(folder)
        ),
        "ExportedGenie, variant": Door(
            lambda value: ExportedGenie(genie, folder, value), no_words("fp32", "fp16", "int8")
        ),
    }


def all_doors(folder: Path) -> dict[str, dict[str, Door]]:
    """Every door by its room and its name, after a comma the argument that is wrong; files of
    theirs come into the folder.
    """
    genie = tiny_genie()
    return {
        "configurations": config_doors(genie.config),
        "networks": network_doors(genie),
        "a Genie": genie_doors(genie, folder),
        "scores and export": score_doors(genie, folder),
    }

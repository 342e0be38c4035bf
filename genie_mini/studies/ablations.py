"""Inside the memory of a Genie: what each of its three memories is worth, what leaks past the
window, and where it looks.

Three memories, three mechanisms (paper, Section 2): spatial attention holds what is where, causal
temporal attention how things change, the added action embedding what the player wants. Each can be
switched off while the weights stay as they are.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from genie_mini.errors import GenieError
from genie_mini.evaluation.metrics import in_batches, psnr
from genie_mini.genie import Genie, in_windows
from genie_mini.models.dynamics import DynamicsModel
from genie_mini.models.kv_cache import KVCache
from genie_mini.models.maskgit import PLAY_MASKGIT_STEPS
from genie_mini.models.st_transformer import Attention
from genie_mini.world.recording import record

WINDOWS = (16, 8, 4, 2, 1)  # frames, the drawn one included


@contextmanager
def spatial_off(dynamics: DynamicsModel) -> Iterator[None]:
    """Let each token see itself alone within its frame."""
    blocks = dynamics.transformer.blocks
    oneself = torch.eye(
        dynamics.transformer.num_tokens, dtype=torch.bool, device=dynamics.position.device
    )
    for block in blocks:
        block.spatial.attend = partial(  # type: ignore[method-assign]
            Attention.attend, block.spatial, mask=oneself
        )
    try:
        yield
    finally:
        for block in blocks:
            del block.spatial.attend


@contextmanager
def actions_off(dynamics: DynamicsModel) -> Iterator[None]:
    """Let no action say anything: all embeddings are zero."""
    weight = dynamics.embed_action.weight
    kept = weight.detach().clone()
    weight.data.zero_()
    try:
        yield
    finally:
        weight.data.copy_(kept)


@torch.no_grad()
def draw_next(
    dynamics: DynamicsModel, tokens: Tensor, actions: Tensor, window: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Draw the frame after a video from its last `window - 1` frames, all that the dynamics model
    gets to see.

    Args:
        tokens: (batch, T, N). actions: (batch, T), the last one leads to the drawn frame.

    Returns:
        Logits (batch, N, num_codes) with everything masked, and the tokens (batch, N) drawn in 8
        MaskGIT steps; both on the CPU.
    """
    tokens, actions = tokens.to(dynamics.position.device), actions.to(dynamics.position.device)
    seen = max(1, window - 1)
    cache = dynamics.prefill(tokens[:, -seen:], actions[:, -seen:-1])
    if window == 1:
        cache = KVCache.empty_like(cache.preallocate(0))
    hidden = torch.full_like(tokens[:, 0], dynamics.mask_token)
    logits = dynamics.predict_logits(hidden, actions[:, -1], cache.preallocate(1))
    generator = torch.Generator().manual_seed(seed)
    maskgit_steps = min(PLAY_MASKGIT_STEPS, tokens.shape[2])
    drawn = dynamics.sample(cache, actions[:, -1], maskgit_steps=maskgit_steps, generator=generator)
    return logits.cpu(), drawn.cpu()


@dataclass(frozen=True)
class _Clips:
    """What every variant is asked: held-out clips, the latent action inferred for each transition,
    and for the last one a random latent action `wanted` beside it.
    """

    frames: Tensor
    tokens: Tensor
    actions: Tensor
    wanted: Tensor
    on_ground: Tensor
    decoder_cache: KVCache


def _clips(genie: Genie, cases: int, seed: int) -> _Clips:
    recorded, truth = record(
        cases, 16, size=genie.config.tokenizer.image_size[0], seed=[seed, 17], held_out=True
    )
    on_ground = torch.from_numpy(truth.on_ground[:, -2])
    if not on_ground.any():
        raise GenieError(
            f"in none of {cases} clips does the player end on the ground, where actions are told "
            "apart: ask for more clips"
        )
    frames = torch.from_numpy(recorded)
    tokens = in_batches(genie.tokenizer.encode, frames)
    return _Clips(
        frames=frames,
        tokens=tokens,
        actions=in_batches(genie.latent_action_model.infer, frames),
        wanted=torch.randint(
            genie.config.dynamics.num_actions,
            (cases,),
            generator=torch.Generator().manual_seed(seed),
        ),
        on_ground=on_ground,
        decoder_cache=genie.tokenizer.decode_next(tokens[:, :-1], None)[1],
    )


def _measure(genie: Genie, clips: _Clips, seed: int, window: int = 16, shuffled: bool = False):
    """Draw the last frame, once with the inferred action and once with the wanted one."""

    def draw(actions):
        played = actions.roll(1, dims=0) if shuffled else actions  # those of the clip before
        logits, tokens = draw_next(genie.dynamics, clips.tokens[:, :-1], played, window, seed)
        frames, _ = genie.tokenizer.decode_next(tokens[:, None], clips.decoder_cache)
        return logits, frames.cpu()

    logits, drawn = draw(clips.actions)
    _, answered = draw(torch.cat([clips.actions[:, :-1], clips.wanted[:, None]], dim=1))
    inferred = in_batches(
        genie.latent_action_model.infer, torch.cat([clips.frames[:, :-1], answered], dim=1)
    )[:, -1]
    share = (inferred == clips.wanted)[clips.on_ground].float().mean().item()
    return {
        "loss": F.cross_entropy(logits.flatten(0, 1), clips.tokens[:, -1].flatten()).item(),
        "psnr": psnr(drawn[:, 0], clips.frames[:, -1]),
        "cycle": share,
        "cycle_error": (share * (1 - share) / int(clips.on_ground.sum())) ** 0.5,
    }


def ablations(genie: Genie, cases: int = 256, seed: int = 0) -> list[dict]:
    """Switch off one memory at a time and draw frame 16 of held-out clips, as many as `cases`.

    Returns:
        A row for each variant: `loss`, cross-entropy in nats a token with all of the frame masked;
        `psnr` in dB of the drawn frame, the inferred action played; `cycle`, how often a random
        latent action is inferred back from the frame drawn with it, asked where the player stands
        on the ground, with the standard error of this share. The tokenizer keeps its memory in
        all of them: its tokens, as its decoder, draw on earlier frames.

    Raises:
        GenieError: in none of the clips does the player end on the ground.
    """
    clips = _clips(genie, cases, seed)
    rows = []
    for window in WINDOWS:
        name = f"temporal: window of {window}" if window < 16 else "all on"
        rows.append({"memory": name, **_measure(genie, clips, seed, window)})
    for name, switch in (("spatial: off", spatial_off), ("action: embedding zero", actions_off)):
        with switch(genie.dynamics):
            rows.append({"memory": name, **_measure(genie, clips, seed)})
    another = _measure(genie, clips, seed, shuffled=True)
    return [*rows, {"memory": "action: another clip's", **another}]


@torch.no_grad()
def influence(
    genie: Genie, ages: Sequence[int] = range(1, 41), cases: int = 8, seed: int = 0
) -> list[dict]:
    """Replace one single old frame and see how the next frame's logits move, with the rolling cache
    and with an exact window.

    A rolling cache keeps keys and values that were computed when still older frames were in the
    window, so what these said travels on, a window further with each block. An exact window is
    computed anew from its own frames alone.

    Returns:
        A row for each age, measured on as many held-out clips as `cases`: mean absolute change of
        the logits, `rolling` and `exact`, and the share of belief that moves (total variation),
        `rolling_belief` and `exact_belief`.
    """
    context, dynamics = genie.config.dynamics.context, genie.dynamics
    length = max(ages) + context
    recorded, _ = record(
        cases,
        length + 1,
        size=genie.config.tokenizer.image_size[0],
        seed=[seed, 19],
        held_out=True,
    )
    frames = torch.from_numpy(recorded)
    tokens, actions = (
        in_windows(genie.tokenizer.encode, frames),
        in_windows(genie.latent_action_model.infer, frames),
    )
    tokens[:, -1] = dynamics.mask_token

    def last(tokens, start):
        # uncached, but attending as the cache does
        return dynamics(tokens[:, start:], actions[:, start:])[:, -1]

    starts = {"rolling": 0, "exact": length + 1 - context}
    before = {name: last(tokens, start) for name, start in starts.items()}
    rows = []
    for age in ages:
        row: dict = {"age": age}
        changed = tokens.clone()
        changed[:, -1 - age] = tokens[:, -1 - age].roll(1, dims=0)  # another clip's frame
        for name, start in starts.items():
            after = last(changed, start)
            row[name] = (after - before[name]).abs().mean().item()
            row[f"{name}_belief"] = (
                0.5 * (after.softmax(-1) - before[name].softmax(-1)).abs().sum(-1).mean().item()
            )
        rows.append(row)
    return rows

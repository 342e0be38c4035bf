"""Where the heads of the dynamics model look."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from genie_mini.evaluation.metrics import in_batches
from genie_mini.genie import Genie
from genie_mini.models.st_transformer import Attention
from genie_mini.world.recording import record
from genie_mini.world.rendering import PLAYER_SCREEN_X
from genie_mini.world.sprites import SCREEN, TILE


@contextmanager
def watched(attention: Attention) -> Iterator[list[Tensor]]:
    """Collect what an attention layer attends to: a list of weights, (sequences, heads, queries,
    keys), one entry a pass.
    """
    weights = []

    def attend(query, key, value, mask=None, causal=False):
        scores = query @ key.transpose(-1, -2) / attention.head_width**0.5
        if causal:
            mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        weights.append(
            (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).softmax(dim=-1)
        )
        return Attention.attend(attention, query, key, value, mask, causal)

    attention.attend = attend  # type: ignore[method-assign]
    try:
        yield weights
    finally:
        del attention.attend


@torch.no_grad()
def attention_maps(genie: Genie, num_clips: int = 64, seed: int = 0) -> dict[str, np.ndarray]:
    """Where the dynamics model looks while it draws frame 16 of held-out clips, all its tokens
    hidden.

    Returns:
        `temporal` (blocks, heads, 16): mean weight on the frame of each age, from 0, the drawn
        frame itself, to 15.
        `spatial` (blocks, heads, rows, columns): mean weight on each place of the frame.
        `player` (blocks, heads): mean weight on the places that the player covered in the frame
        before. `player_even`: the same if all places were attended to alike.
    """
    dynamics, grid = genie.dynamics, genie.config.tokenizer.grid
    recorded, truth = record(
        num_clips, 16, size=genie.config.tokenizer.image_size[0], seed=[seed, 23], held_out=True
    )
    frames = torch.from_numpy(recorded)
    tokens = in_batches(genie.tokenizer.encode, frames).to(genie.device)
    actions = in_batches(genie.latent_action_model.infer, frames).to(genie.device)
    cache = dynamics.prefill(tokens[:, :-1], actions[:, :-1])
    temporal, spatial = [], []
    for block in dynamics.transformer.blocks:
        with watched(block.temporal) as in_time, watched(block.spatial) as in_space:
            dynamics.predict_logits(
                torch.full_like(tokens[:, 0], dynamics.mask_token),
                actions[:, -1],
                cache.preallocate(1),
            )
        temporal.append(in_time[0].mean(dim=(0, 2)).flip(-1).cpu())
        spatial.append(in_space[0].mean(dim=2).cpu())  # (clips, heads, places looked at)
    looks = torch.stack(spatial)
    covered = player_places(truth.positions[:, -2, 1], grid)
    return {
        "temporal": torch.stack(temporal).numpy(),
        "spatial": looks.mean(dim=1).unflatten(-1, grid).numpy(),
        "player": (looks * covered[None, :, None]).sum(-1).mean(dim=1).numpy(),
        "player_even": covered.mean(dim=-1).mean().numpy(),
    }


def player_places(heights: np.ndarray, grid: tuple[int, int]) -> Tensor:
    """Which of a frame's places the player covers, 1 or 0, (clips, N), from his y in pixels of the
    64x64 screen, (clips,).
    """
    rows, columns = (torch.arange(size) * (SCREEN / size) for size in grid)
    y = torch.as_tensor(heights)[:, None]
    in_row = (rows < y + TILE) & (rows + SCREEN / grid[0] > y)
    in_column = (columns < PLAYER_SCREEN_X + TILE) & (columns + SCREEN / grid[1] > PLAYER_SCREEN_X)
    return (in_row[:, :, None] & in_column).flatten(1).float()


def attention_rows(genie: Genie, cases: int = 64, seed: int = 0) -> list[dict]:
    """`attention_maps` as rows for a table, one for each block and head: weight by age, on the
    player, and on him by chance.
    """
    maps = attention_maps(genie, cases, seed)
    return [
        {
            "block": block,
            "head": head,
            "player": float(maps["player"][block, head]),
            "player_even": float(maps["player_even"]),
            **{f"age {age}": float(weight) for age, weight in enumerate(weights)},
        }
        for block, heads in enumerate(maps["temporal"])
        for head, weights in enumerate(heads)
    ]

"""What a window costs, in bytes and in time."""

import time

import numpy as np
import torch

from genie_mini.genie import Genie
from genie_mini.models.lookback import LOOKBACKS
from genie_mini.models.maskgit import PLAY_MASKGIT_STEPS
from genie_mini.rollout import Rollout


def budget_rows(genie: Genie, num_frames: int = 24) -> list[dict]:
    """What a window costs, for each way of looking back with the weights of this Genie.

    Tokens and bits of the window; bytes of its frames as pixels, as tokens, and as the keys and
    values that attention reads and that play keeps; and the median time of a frame at play once all
    memories are full, in milliseconds, the ways taking turns so that a busy machine slows them all
    alike.
    """
    tokenizer, dynamics = genie.config.tokenizer, genie.config.dynamics
    transformer = genie.dynamics.transformer.config
    bits = int(np.ceil(np.log2(dynamics.num_codes)))
    frame_bytes = (
        2
        * 4
        * transformer.num_blocks
        * tokenizer.num_tokens
        * transformer.num_heads
        * transformer.features_per_head
    )
    generator = torch.Generator().manual_seed(0)
    prompt = torch.rand(1, 1, *tokenizer.image_size, 3, generator=generator)
    rollouts = {name: Rollout(genie.with_lookback(name), prompt) for name in LOOKBACKS}
    seconds: dict[str, list[float]] = {name: [] for name in LOOKBACKS}
    fill = max(rollout.genie.dynamics.lookback.reach for rollout in rollouts.values())
    for step in range(fill + num_frames):
        for name, rollout in rollouts.items():
            began = time.perf_counter()
            rollout.step(
                torch.tensor([step % dynamics.num_actions]),
                maskgit_steps=min(PLAY_MASKGIT_STEPS, tokenizer.num_tokens),
            )
            if step >= fill:
                seconds[name].append(time.perf_counter() - began)
    return [
        {
            "lookback": name,
            "window_frames": dynamics.context,
            "reach_frames": rollout.genie.dynamics.lookback.reach,
            "tokens_per_frame": tokenizer.num_tokens,
            "bits_per_token": bits,
            "window_tokens": dynamics.context * tokenizer.num_tokens,
            "window_pixel_bytes": dynamics.context
            * tokenizer.image_size[0]
            * tokenizer.image_size[1]
            * 3,
            "window_token_bytes": dynamics.context * tokenizer.num_tokens * bits / 8,
            "read_bytes": (dynamics.context - 1) * frame_bytes,
            "kept_bytes": rollout.genie.dynamics.lookback.reach * frame_bytes,
            "frame_milliseconds": 1000 * float(np.median(seconds[name])),
            "cost": float(np.median(seconds[name]) / np.median(seconds["recent"])),
        }
        for name, rollout in rollouts.items()
    ]

"""How the sampler's schedule, temperature and min-p decide whether the player survives a roll-out
of 64 frames. About an hour with AVX2, since a frame takes a tenth of a second:

    python benchmarks/schedules.py

After step s of S, N (1 - s / S)^p tokens stay masked; the package has p = 2. Beside "just one"
stands its 95% interval over levels. The levels are not those of `genie-mini evaluate`, so
that a choice made here is scored there on levels that it never saw.
"""

import math

import torch

from genie_mini import Genie
from genie_mini.evaluation.intervals import mean_interval
from genie_mini.evaluation.metrics import psnr
from genie_mini.evaluation.player_detector import count_players
from genie_mini.evaluation.scores import infer_long
from genie_mini.rollout import Rollout
from genie_mini.world import record

LEVELS, LENGTH = 64, 64


def power(p):
    """The schedule of a power."""

    def schedule(num_tokens, maskgit_steps):
        left = range(maskgit_steps - 1, -1, -1)
        return [max(int(num_tokens * (steps / maskgit_steps) ** p + 1e-9), steps) for steps in left]

    return schedule


def cosine(num_tokens, maskgit_steps):
    """MaskGIT's own."""
    left = range(maskgit_steps - 1, -1, -1)
    return [
        max(int(num_tokens * math.cos(math.pi / 2 * (1 - steps / maskgit_steps))), steps)
        for steps in left
    ]


def main():
    """Print the table."""
    genie = Genie.from_pretrained("mini").eval()
    frames = torch.from_numpy(record(LEVELS, LENGTH + 1, seed=113, held_out=True)[0])
    latent = infer_long(genie, frames)
    heads = ("present", "just one", "from", "to", "frame 64", "t = 1", "t = 4", "t = 16")
    print(f"{'sampler':16}" + "".join(f"{head:>9}" for head in heads))
    square = power(2)
    trials = [
        ("cosine", cosine, {}),
        *((f"power {p:g}", power(p), {}) for p in (1.5, 2, 2.5, 3, 4)),
        ("power 2, T .5", square, {"temperature": 0.5}),
        *((f"power 2, min-p {p:g}", square, {"min_p": p}) for p in (0.05, 0.1, 0.3, 0.5)),
    ]
    for name, schedule, options in trials:
        genie.dynamics.mask_schedule = schedule
        rollout = Rollout(genie, frames[:, :1])
        drawn = torch.stack([rollout.step(latent[:, t], **options) for t in range(LENGTH)], dim=1)
        players = count_players(drawn)
        present, one, last = (
            test.float().mean().item() for test in (players > 0, players == 1, players[:, -1] > 0)
        )
        of_levels = (players == 1).double().mean(dim=1).numpy()
        interval = mean_interval(of_levels)
        quality = [psnr(drawn[:, t - 1], frames[:, t]) for t in (1, 4, 16)]
        shares = (present, one, *interval, last)
        print(
            f"{name:16}"
            + "".join(f"{share:9.3f}" for share in shares)
            + "".join(f"{value:9.2f}" for value in quality),
            flush=True,
        )


if __name__ == "__main__":
    main()

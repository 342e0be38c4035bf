"""Training runs of a second: their settings, clips that follow from their key, and what to compare
of them.
"""

import csv

import torch

from genie_mini.training.config import TrainingConfig

CONFIG = TrainingConfig(
    tokenizer_steps=4,
    latent_action_steps=4,
    latent_action_pretraining_steps=2,
    dynamics_steps=4,
    batch_size=2,
    num_frames=4,
    short_frames=2,
    warmup_steps=2,
    tokenizer_lr=3e-3,
    latent_action_lr=3e-3,
    dynamics_lr=3e-3,
    checkpoint_seconds=1e9,
)
STEPS = 4 + 6  # of both phases


class Noise:
    """Clips that follow from their key; something may happen before the clips of a given step are
    dealt.
    """

    def __init__(self, at=None, event=None, size=16):
        self.at, self.event, self.size, self.keys = at, event, size, []

    def batch(self, num_clips, num_frames, key):
        if len(self.keys) == self.at:
            self.event()
        self.keys.append(list(key))
        generator = torch.Generator().manual_seed(hash(tuple(key)) % 2**31)
        clips = torch.rand(num_clips, num_frames, self.size, self.size, 3, generator=generator)
        clips[:, :, : self.size // 2] = clips[:, :1, : self.size // 2]
        return clips


def logs(folder):
    """All logged figures but the seconds, by file."""
    result = {}
    for name in ("tokenizer", "world"):
        with (folder / f"{name}.csv").open(newline="") as file:
            result[name] = [
                {key: row[key] for key in row if key != "seconds"} for row in csv.DictReader(file)
            ]
    return result


def weights(genie, part=None):
    genie = genie if part is None else getattr(genie, part)
    return {name: tensor.clone() for name, tensor in genie.state_dict().items()}


def same(first, second):
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


class Killed(Exception):
    pass


def kill():
    raise Killed

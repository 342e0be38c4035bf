"""How much of an action can be seen at all: a network that is told the true ones.

A latent action model learns without labels what a supervised one learns with them. So the
supervised one's score, on the same frames, is the bound that a latent one is measured by: an
action that changes nothing on the screen is nobody's fault.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from genie_mini.evaluation.metrics import in_batches

_BEFORE = 3  # frames of the past beside the one in which the action is taken: speed, acceleration


@dataclass(frozen=True)
class Told:
    """What is told of the true actions.

    Attributes:
        accuracy: share of transitions whose action is named right.
        bits: mutual information with the true action, bits a transition.
        entropy: of the true actions, bits: the most that can be told.
    """

    accuracy: float
    bits: float
    entropy: float


def told_by_codes(latent: np.ndarray, real: np.ndarray, num_latent: int, num_real: int) -> Told:
    """What latent actions tell of the true ones, each named by the action it most often stood for
    in these same transitions.

    Args:
        latent, real: integers of the same shape.
        num_latent, num_real: how many of each there can be.
    """
    counts = np.zeros((num_latent, num_real))
    np.add.at(counts, (latent.ravel(), real.ravel()), 1)
    joint = counts / counts.sum()
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    there = joint > 0
    bits = (joint[there] * np.log2(joint[there] / independent[there])).sum()
    return Told(float(joint.max(axis=1).sum()), float(bits), entropy_bits(real, num_real))


def entropy_bits(real: np.ndarray, num_real: int) -> float:
    """Entropy of actions as often as they were taken, bits."""
    shares = np.bincount(real.ravel(), minlength=num_real) / real.size
    return float(-(shares[shares > 0] * np.log2(shares[shares > 0])).sum())


class InverseDynamics(nn.Module):
    """From a few frames and the next one to the action between the last two.

    Args:
        num_actions: how many there are.
        channels: of the first convolution; each of the next two has twice as many.
    """

    def __init__(self, num_actions: int, channels: int = 32):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3 * (_BEFORE + 2), channels, 5, stride=2, padding=2),
            nn.GELU(),
            nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Conv2d(2 * channels, 4 * channels, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Dropout(0.1),
            nn.Flatten(),
            nn.LazyLinear(num_actions),
        )

    def forward(self, frames: Tensor) -> Tensor:
        """(batch, _BEFORE + 2, height, width, 3) in [0, 1] -> logits (batch, num_actions)."""
        changes = frames[:, 1:] - frames[:, :-1]
        pixels = torch.cat([frames[:, -1:], changes], dim=1)
        return self.layers(pixels.permute(0, 1, 4, 2, 3).flatten(1, 2))


Labelled = Callable[[int, list[int]], tuple[Tensor, Tensor]]
"""From a number of clips and a key: clips of `CLIP_FRAMES` frames, and the action (clips,) between
the last two."""

CLIP_FRAMES = _BEFORE + 2


def supervised_bound(
    train: Labelled,
    held_out: Labelled,
    num_actions: int,
    *,
    steps: int = 3000,
    batch_size: int = 32,
    num_tests: int = 4096,
    seed: int = 0,
    progress: bool = True,
) -> Told:
    """Train `InverseDynamics` with all labels and score it on held-out clips.

    Its `bits` are the entropy of the actions less its cross-entropy: what its doubts tell counts
    too.
    """
    torch.manual_seed(seed)
    network = InverseDynamics(num_actions)
    network(train(1, [seed])[0])
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-2)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)
    for step in tqdm(range(steps), desc="with labels", disable=not progress):
        frames, actions = train(batch_size, [seed, step])
        loss = F.cross_entropy(network(frames), actions)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
    network.eval()
    frames, actions = held_out(num_tests, [seed, steps])
    with torch.no_grad():
        logits = in_batches(network, frames, size=256)
    told = F.cross_entropy(logits, actions).item() / np.log(2)
    entropy = entropy_bits(actions.numpy(), num_actions)
    accuracy = (logits.argmax(dim=-1) == actions).float().mean().item()
    return Told(accuracy, entropy - told, entropy)

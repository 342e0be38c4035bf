"""How much of an action can be seen at all: a network that is told the true ones.

A latent action model learns without labels what a supervised one learns with them. So the
supervised one's score, on the same frames, is the bound that a latent one is measured by: an
action that changes nothing on the screen is nobody's fault.
"""

import copy
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from genie_mini.evaluation.metrics import in_batches

FRAMES_BEFORE = 3  # frames of the past beside the one in which the action is taken: acceleration
WINDOW = FRAMES_BEFORE + 2  # frames that the network sees
_LOOKS = 12  # times that a training is looked at, to keep its best network


class InverseDynamics(nn.Module):
    """From a few frames and the next one to the action between the last two.

    What matters may be one small figure anywhere or the whole scene: the last layer sees the
    largest response over all places, the mean one, and a coarse map of them.

    Args:
        num_actions: how many there are.
        channels: of the first convolution; the last two have four times as many.
    """

    def __init__(self, num_actions: int, channels: int = 32):
        super().__init__()
        self.layers = nn.Sequential(
            *_convolution(3 * WINDOW, channels, 5, stride=2),
            *_convolution(channels, 2 * channels, 3, stride=2),
            *_convolution(2 * channels, 4 * channels, 3, stride=2),
            *_convolution(4 * channels, 4 * channels, 3, stride=1),
        )
        self.dropout = nn.Dropout(0.1)
        self.to_action = nn.Linear(4 * channels * (1 + 1 + 4 * 4), num_actions)

    def forward(self, frames: Tensor) -> Tensor:
        """(batch, WINDOW, height, width, 3) in [0, 1] -> logits (batch, num_actions)."""
        changes = frames[:, 1:] - frames[:, :-1]
        pixels = torch.cat([frames[:, -1:], changes], dim=1)
        pixels = pixels.permute(0, 1, 4, 2, 3).flatten(1, 2)
        seen = self.layers(pixels.contiguous(memory_format=torch.channels_last))
        coarse = F.adaptive_avg_pool2d(seen, 4).flatten(1)
        parts = [seen.amax(dim=(2, 3)), seen.mean(dim=(2, 3)), coarse]
        return self.to_action(self.dropout(torch.cat(parts, dim=1)))


def _convolution(inputs, outputs, size, stride):
    convolution = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.GELU()


Labelled = Callable[[np.ndarray], tuple[Tensor, Tensor]]
"""From the numbers of some transitions, (clips,), to the clips of `WINDOW` frames that end with
them, (clips, WINDOW, height, width, 3), and their actions, (clips,) int64."""


def train_inverse_dynamics(
    labelled: Labelled,
    train: np.ndarray,
    validation: np.ndarray,
    num_actions: int,
    *,
    steps: int = 2500,
    batch_size: int = 64,
    seed: int = 0,
    progress: bool = True,
) -> InverseDynamics:
    """Train a network with all labels, and keep it as it was when it told most of the validation
    transitions.

    Args:
        labelled: gives the clips.
        train: numbers of the transitions to learn from.
        validation: of others, best from other films, that say when to stop.
        num_actions: how many there are.
        steps, batch_size: of the training; the rate rises and falls over all of it.
        seed: of weights and batches.
        progress: show how far it is.

    Returns:
        The network in evaluation mode.
    """
    with torch.random.fork_rng(devices=[]):  # elsewhere chance goes on as if nothing had been
        torch.manual_seed(seed)
        network = InverseDynamics(num_actions)
        _learn(network, labelled, train, validation, steps, batch_size, seed, progress)
    return network.eval()


def _learn(network, labelled, train, validation, steps, batch_size, seed, progress):
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=1e-2)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    frames, actions = labelled(validation)
    lowest, best = float("inf"), copy.deepcopy(network.state_dict())
    for step in tqdm(range(1, steps + 1), desc="with labels", disable=not progress):
        network.train()
        batch, told = labelled(rng.choice(train, size=batch_size))
        loss = F.cross_entropy(network(batch), told)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
        if step == steps or step % max(1, steps // _LOOKS) == 0:
            doubt = F.cross_entropy(name_actions(network, frames), actions).item()
            if doubt < lowest:
                lowest, best = doubt, copy.deepcopy(network.state_dict())
    network.load_state_dict(best)


@torch.no_grad()
def name_actions(network: InverseDynamics, frames: Tensor) -> Tensor:
    """Logits of the actions that ended these clips: (clips, WINDOW, height, width, 3) -> (clips,
    num_actions).
    """
    network.eval()
    return in_batches(network, frames, size=256)

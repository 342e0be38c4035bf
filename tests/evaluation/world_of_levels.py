"""A world with known answers: one corner of the picture shows a grey level, and an action from 0 to
7 adds to it. A Genie that knows the rule, and roll-outs of it.
"""

from copy import copy
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import torch

from genie_mini.data.cache import NO_ACTION, Film, fill_cache
from genie_mini.models.quantizer import QuantizerConfig
from genie_mini.models.st_transformer import STTransformerConfig
from genie_mini.models.tokenizer import TokenizerConfig

LEVELS = 16
NUM_ACTIONS = 8
_SHADE = 10  # of 255 a level: the picture never changes so much that it would count as a cut


@dataclass
class Levels:
    """Films of the world; see `data.cache.FilmSource`. A name for each film may be given."""

    lengths: tuple[int, ...] = (90,) * 20
    names: tuple[str, ...] = ()
    told: bool = True
    image_size: tuple[int, int] = (16, 16)
    frames_per_second: float = 10.0

    @property
    def identity(self):
        return {"kind": "levels", "lengths": list(self.lengths), "told": self.told}

    def films(self):
        rng = np.random.default_rng(0)
        for number, length in enumerate(self.lengths):
            actions = rng.integers(NUM_ACTIONS, size=length)
            levels = (rng.integers(LEVELS) + np.cumsum([0, *actions[:-1]])) % LEVELS
            frames = np.zeros((length, 16, 16, 3), dtype=np.uint8)
            frames[:, :4, :4] = (_SHADE * levels)[:, None, None, None]
            actions[-1] = NO_ACTION
            if not self.told:
                actions[:] = NO_ACTION
            name = self.names[number] if self.names else f"film {number}"
            yield Film(name, zip(frames, actions.tolist(), strict=True))


def level_of(frames):
    """(..., height, width, 3) -> (...) int64."""
    return (frames[..., 0, 0, 0] * 255 / _SHADE).round().long()


def frames_of(levels):
    """The inverse of `level_of`."""
    frames = torch.zeros(*levels.shape, 16, 16, 3)
    frames[..., :4, :4, :] = (levels * _SHADE / 255)[..., None, None, None]
    return frames


_STACK = STTransformerConfig(num_blocks=1, width=16, num_heads=2)


class Exact:
    """Stands in for a tokenizer that loses nothing: the first of 16 tokens is the level."""

    config = TokenizerConfig((16, 16), 4, _STACK, _STACK, QuantizerConfig(32))

    def encode(self, frames):
        tokens = torch.zeros(*frames.shape[:2], 16, dtype=torch.int64)
        tokens[..., 0] = level_of(frames)
        return tokens

    def decode(self, tokens):
        return frames_of(tokens[..., 0])


class Knowing:
    """Stands in for a latent action model that sees the true action, under another number."""

    def __init__(self, order=tuple(range(NUM_ACTIONS))):
        self.order = torch.tensor(order)

    def infer(self, frames):
        levels = level_of(frames)
        return self.order[((levels[:, 1:] - levels[:, :-1]) % LEVELS).clamp(max=NUM_ACTIONS - 1)]


class Blind:
    """Stands in for one that says anything."""

    order = torch.arange(NUM_ACTIONS)

    def infer(self, frames):
        generator = torch.Generator().manual_seed(int(level_of(frames).sum()))
        return torch.randint(NUM_ACTIONS, (len(frames), frames.shape[1] - 1), generator=generator)


class Again:
    """What begins again from its present; nothing is drawn at random here."""

    def again(self, seed):
        return copy(self)


class Oracle(Again):
    """Stands in for `Rollout`, and knows the rule."""

    def __init__(self, genie, prompt, seed=0):
        self.order, self.frames = genie.latent_action_model.order, prompt[:, -1]

    def step(self, latent):
        real = self.order.argsort()[latent]
        self.frames = frames_of((level_of(self.frames) + real) % LEVELS)
        return self.frames


class Still(Again):
    """Stands in for `Rollout`, and never moves."""

    def __init__(self, genie, prompt, seed=0):
        self.frames = prompt[:, -1]

    def step(self, latent):
        return self.frames


def stand_in(latent_action_model):
    """A Genie with these eyes and an exact tokenizer."""
    sizes = SimpleNamespace(
        tokenizer=Exact.config, dynamics=SimpleNamespace(num_actions=NUM_ACTIONS)
    )
    return SimpleNamespace(
        config=sizes,
        tokenizer=Exact(),
        latent_action_model=latent_action_model,
        eval=lambda: None,
    )


def cache_of(tmp_path, **films):
    """The folder of a cache of such films."""
    return fill_cache(Levels(**films), tmp_path, progress=False)

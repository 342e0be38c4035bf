"""Playing: from a prompt to the next frame, and the next (paper, Section 2.2 and Figure 8).

The past is kept as keys and values. A step then costs the steps of MaskGIT on one frame, one more
pass to keep the finished frame, and one pass of the tokenizer's decoder, however long the game has
been going on.
"""

import contextlib
import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from genie_mini.contract import (
    check_frames,
    check_indices,
    check_integer,
    check_parts,
    check_seed,
)
from genie_mini.models.detail import Detail
from genie_mini.models.maskgit import PLAY_MASKGIT_STEPS


class Rollout:
    """Several worlds advancing together. `frames` (batch, height, width, 3) and `tokens` (batch, N)
    are their present, `attended` the ages of the frames that the first of them had before its eyes
    when it drew its present, the oldest first.

    Args:
        genie: a `Genie`.
        prompt: (batch, T, height, width, 3) float in [0, 1]. The actions between prompt frames are
            inferred.
        seed: of everything that sampling draws.
    """

    def __init__(self, genie, prompt: Tensor, seed: int = 0):
        # Play needs no latent action model: its codes have rows in the dynamics model.
        check_parts(genie, "config", "tokenizer", "dynamics")
        prompt = check_frames(prompt, genie.config.tokenizer.image_size, genie.device)
        # in training mode, batch statistics would take the place of the learnt ones
        self.genie = genie.eval()
        self._window = genie.config.dynamics.context - 1
        self._generator = torch.Generator().manual_seed(check_seed(seed))
        prompt = prompt[:, -max(1, self._window) :]  # the present is seen even with no past
        tokens = genie.tokenizer.encode(prompt)
        actions = torch.empty(len(prompt), 0, dtype=torch.int64, device=genie.device)
        if prompt.shape[1] > 1:
            actions = genie.latent_action_model.infer(prompt)
        self._cache = genie.dynamics.prefill(tokens, actions)
        decoded, present = genie.tokenizer.decode_next(tokens, None)
        self._decoder_cache = present.last(self._window)
        # a tokenizer that keeps no detail is taken to have lost none
        seen = prompt if genie.config.tokenizer.keeps_detail else decoded
        self._detail = Detail(seen[:, -1], decoded[:, -1])
        self.tokens, self.frames = tokens[:, -1], seen[:, -1]
        self.attended: list[int] = []

    def again(self, seed: int) -> "Rollout":
        """Another roll-out from the present of this one, which goes on as it would have: the same
        as a new one of the same past, without its computing.
        """
        other = copy.copy(self)  # what is cached is never changed, only replaced
        other._generator = torch.Generator().manual_seed(check_seed(seed))
        return other

    def step(
        self,
        actions: Tensor,
        maskgit_steps: int = PLAY_MASKGIT_STEPS,
        temperature: float = 1.0,
        on_step: Callable[[Tensor], None] | None = None,
        min_p: float | None = None,
    ) -> Tensor:
        """Take one latent action in every world, (batch,) int64, and return the next frames (batch,
        height, width, 3).

        Args:
            actions: latent actions, from 0.
            maskgit_steps: of each frame; more are slower and more careful.
            temperature: 0 always draws the likeliest token.
            on_step: called with the tokens after each of them; see `DynamicsModel.sample`.
            min_p: from 0 to 1; only tokens at least so many times as probable as the likeliest one
                are drawn. None: as the weights' config says.
        """
        dynamics, tokenizer = self.genie.dynamics, self.genie.tokenizer
        actions = check_indices(
            "latent actions, one for every world,",
            actions,
            (len(self.tokens),),
            dynamics.num_actions,
            self.genie.device,
        )
        self.attended = self._cache.ages
        self.tokens = dynamics.sample(
            self._cache,
            actions,
            maskgit_steps=maskgit_steps,
            temperature=temperature,
            generator=self._generator,
            on_step=on_step,
            min_p=min_p,
        )
        self._cache = dynamics.append(self._cache, self.tokens[:, None], actions[:, None])
        decoded, present = tokenizer.decode_next(self.tokens[:, None], self._decoder_cache)
        self._decoder_cache = self._decoder_cache.append(present, self._window)
        self.frames = self._detail.put_back(decoded[:, 0])
        return self.frames


class PlaySession:
    """One world being played. `frame` (height, width, 3) is what it shows, `tokens` (N,) what the
    models see of it.

    Args:
        genie: a `Genie`.
        prompt: (height, width, 3) or (T, height, width, 3) float in [0, 1].
        seed: of everything that sampling draws.
    """

    def __init__(self, genie, prompt: Tensor, seed: int = 0):
        if isinstance(prompt, np.ndarray):
            # of what torch has no type for, the check of frames speaks
            with contextlib.suppress(TypeError, ValueError):
                prompt = torch.from_numpy(np.ascontiguousarray(prompt))
        if isinstance(prompt, Tensor):
            prompt = prompt[None, None] if prompt.ndim == 3 else prompt[None]
        self._rollout = Rollout(genie, prompt, seed)

    @property
    def frame(self) -> Tensor:
        """What the world shows, (height, width, 3) float in [0, 1]."""
        return self._rollout.frames[0]

    @property
    def tokens(self) -> Tensor:
        """The present frame's tokens, (N,) int64."""
        return self._rollout.tokens[0]

    @property
    def attended(self) -> list[int]:
        """The ages of the frames that the present one was drawn after, the oldest first."""
        return self._rollout.attended

    def step(
        self,
        action: int,
        maskgit_steps: int = PLAY_MASKGIT_STEPS,
        temperature: float = 1.0,
        on_step: Callable[[Tensor], None] | None = None,
        min_p: float | None = None,
    ) -> Tensor:
        """Take one latent action and return the next frame, (height, width, 3); see
        `Rollout.step`.
        """
        last = self._rollout.genie.config.dynamics.num_actions - 1
        told = f"latent actions are the integers from 0 to {last}"
        action = check_integer("action", action, 0, last, told)
        self._rollout.step(torch.tensor([action]), maskgit_steps, temperature, on_step, min_p)
        return self.frame

"""What a tokenizer loses of a picture, put back where the world still looks as it did there.

A codebook holds what many films have in common. The grain of one film's floor is not among it, so a
dream would begin with a jump, from the prompt to what its tokens can say of it. But the prompt is
there, and with it all that its tokens lost. The paper has nothing like it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

_NOTHING = 1e-8  # a squared error that nobody sees


@dataclass(frozen=True)
class Detail:
    """A picture beside what its tokens keep of it.

    Attributes:
        picture: (..., height, width, 3) in [0, 1]. drawn: the same, as the tokenizer draws it.
    """

    picture: Tensor
    drawn: Tensor

    def put_back(self, frames: Tensor) -> Tensor:
        """Add what was lost to drawn frames, (..., height, width, 3), wherever they look as the
        picture was drawn.

        A pixel which changed by less than what was lost there has probably not changed; of one that
        changed by more, nothing more is known than is drawn.
        """
        lost = self.picture - self.drawn
        error = lost.square().mean(dim=-1, keepdim=True)
        change = (frames - self.drawn).square().mean(dim=-1, keepdim=True)
        share = error / (error + change + _NOTHING)
        return torch.clamp(frames + share * lost, 0, 1)

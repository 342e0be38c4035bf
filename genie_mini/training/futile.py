"""Actions that can do nothing, as when one walks against a wall.

The latent action of such a moment is inferred from what was seen, and nothing was: it is that of
standing still. So in training every action moves something, and a dynamics model that has learnt
from it walks into the wall, which a person who plays tries soon. Here some moments of standing
still are told under other actions. Where an action can do something it is hardly ever told so, and
the model goes on believing it; where it can do nothing, that is all the model ever sees of it.
"""

import torch
from torch import Tensor

from genie_mini.ranks import uniform


def idle_action(tokens: Tensor, actions: Tensor, num_actions: int) -> int:
    """The latent action under which the fewest tokens change: that of doing nothing, if any is.

    Args:
        tokens: (batch, T, N) int64, of clips.
        actions: (batch, T - 1) int64, theirs.
        num_actions: latent actions.
    """
    changed = (tokens[:, 1:] != tokens[:, :-1]).float().mean(dim=-1)
    chosen = torch.nn.functional.one_hot(actions, num_actions).float()
    share = (changed[..., None] * chosen).sum(dim=(0, 1)) / chosen.sum(dim=(0, 1))
    return int(share.nan_to_num(torch.inf).argmin())


def with_futile_actions(actions: Tensor, idle: int, share: float, num_actions: int) -> Tensor:
    """Latent actions, (batch, T - 1) int64, of which this share of the idle ones are drawn anew
    from all `num_actions`.
    """
    chosen, drawn = uniform(*actions.shape), uniform(*actions.shape)
    drawn = (drawn * num_actions).long().clamp(max=num_actions - 1).to(actions.device)
    futile = (actions == idle) & (chosen < share).to(actions.device)
    return torch.where(futile, drawn, actions)

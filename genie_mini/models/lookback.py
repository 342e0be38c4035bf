"""Which earlier frames a frame attends to: memory beyond the last fifteen frames, in about the
same time a frame.

The paper's model sees the last 16 frames (Section 2.1) and names that as a limit (Section 5). What
temporal attention costs is set by how many frames are attended to, not by which. So a frame may
choose: the most recent ones, as in the paper; ones that lie ever further apart; or, beside recent
ones, those old ones that seem to matter now. Only the first is Genie's; the others are this book's
own.

Each choice is made from what play knows before it draws the frame: the time, and the tokens of the
frames so far. Training makes the same choices for all frames of a clip (`Lookback.attention_mask`),
so that what was trained is what is played.
"""

import torch
from torch import Tensor

RUN = 4  # attended frames after which the sparse window doubles its stride
# Frames that retrieval chooses from: twice as many as a training clip has. Rotary embeddings tell a
# frame's age, so ages that were not trained on are at least of the same kind.
LONGEST_REACH = 127


class Lookback:
    """The last frames, as in the paper; the base of the others.

    Args:
        context: frames that a frame attends to at most, its own included.
    """

    def __init__(self, context: int):
        self.slots = context - 1

    @property
    def reach(self) -> int:
        """The age of the oldest frame that may be chosen, so also how many frames play must
        keep.
        """
        return self.slots

    @property
    def gapless(self) -> int:
        """So many earlier frames are all attended to; with more, choices begin."""
        return self.slots

    def choose(self, tokens: Tensor, first: int) -> Tensor:
        """Choose the earlier frames that the next frame attends to.

        Args:
            tokens: (batch, frames, N) int64, the frames so far, no more than `reach` of them.
            first: time index of the first of them.

        Returns:
            (batch, frames) bool, at most `slots` of them true, in each video equally many.
        """
        return torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)

    def attention_mask(self, tokens: Tensor) -> Tensor | None:
        """The choices of all frames of a video, tokens (batch, T, N), as training needs them.

        Returns:
            (batch, T, T) bool; entry [b, t, i] says whether frame t attends to frame i, one before
            it. None if all do.
        """
        batch, num_frames, _ = tokens.shape
        if num_frames <= self.gapless + 1:
            return None
        attention_mask = torch.zeros(
            batch, num_frames, num_frames, dtype=torch.bool, device=tokens.device
        )
        for t in range(1, num_frames):
            first = max(0, t - self.reach)
            attention_mask[:, t, first:t] = self.choose(tokens[:, first:t], first)
        return attention_mask


class SparseLookback(Lookback):
    """Ever further apart: every frame of the last 4, every 2nd of the 8 before, every 4th of the 16
    before, and so on.

    A frame is kept while its time index is a multiple of the stride at its age, so one that was
    dropped is never wanted again.
    """

    @property
    def reach(self) -> int:
        """See `Lookback.reach`. With 15 slots it is 52 frames, 4 + 8 + 16 + 3 * 8."""
        return sum(2 ** (slot // RUN) for slot in range(self.slots))

    @property
    def gapless(self) -> int:
        """Those of the first run."""
        return min(self.slots, RUN)

    def choose(self, tokens: Tensor, first: int) -> Tensor:
        """By age alone; see `Lookback.choose`."""
        times = first + torch.arange(tokens.shape[1], device=tokens.device)
        ages = first + tokens.shape[1] - times
        # ages 1 to 4: 1; 5 to 12: 2; 13 to 28: 4; ...
        strides = 2 ** torch.log2((ages - 1) / RUN + 1).long()
        return (times % strides == 0).expand(len(tokens), -1)


class RetrievalLookback(Lookback):
    """Half of the window for the last frames, the rest for a stretch of old ones, which begins next
    to what is seen now.

    An old frame matters if the frame before or after it looked like the present one and it did not
    itself: it shows what comes into view when the way is walked back. How alike two frames are is
    the share of places with the same token. With the frame that matters most come those that lie
    behind it, seen from its neighbour: one frame of a thing is remembered badly, several are not.
    """

    @property
    def reach(self) -> int:
        """See `Lookback.reach`. In training it is all frames of a clip."""
        return max(LONGEST_REACH, self.slots)

    def choose(self, tokens: Tensor, first: int) -> Tensor:
        """Recent ones and a stretch; see `Lookback.choose`."""
        batch, num_frames, _ = tokens.shape
        length = min((self.slots + 1) // 2, self.slots - 1)  # the last frame is always seen
        num_old = max(0, num_frames - (self.slots - length))
        chosen = torch.ones(batch, num_frames, dtype=torch.bool, device=tokens.device)
        if num_old > length:
            alike = (tokens == tokens[:, -1:]).float().mean(dim=-1)
            before = torch.cat([alike.new_zeros(batch, 1), alike[:, : num_old - 1]], dim=1)
            after = alike[:, 1 : num_old + 1]
            relevance = torch.maximum(before, after) - alike[:, :num_old]
            # Among equals the more recent; a place weighs 1 / N, far more than all of time.
            relevance = relevance + torch.arange(num_old, device=tokens.device) * (
                0.1 / tokens.shape[2] / num_frames
            )
            best = relevance.argmax(dim=1, keepdim=True)
            led_away = (after >= before).gather(1, best)  # so what lies behind is older
            start = torch.where(led_away, best - length + 1, best).clamp(0, num_old - length)
            stretch = start + torch.arange(length, device=tokens.device)
            chosen[:, :num_old] = False
            chosen.scatter_(1, stretch, True)
        return chosen


LOOKBACKS = {"recent": Lookback, "sparse": SparseLookback, "retrieval": RetrievalLookback}


def reaches(context: int) -> dict[str, int]:
    """The look-backs that a model of this context can play with, each with its `Lookback.reach`."""
    return {
        name: kind(context).reach
        for name, kind in LOOKBACKS.items()
        if context > 1 or name == "recent"
    }

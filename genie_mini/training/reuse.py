"""Clips that are used more than once: what the other networks say of them is inferred only once."""

from collections.abc import Callable, Iterator

from torch import Tensor

# Uses of one batch lie this many new batches apart, so that the network has moved on in between.
_APART = 16


class ClipReuse:
    """Which batch of clips each step takes, and the labels of those that come back.

    From the step `first` on every `uses`-th step takes a new batch, and those in between take
    earlier ones again. Which ones follows from the step alone, so a run that was stopped goes on
    with the same; labels that it has lost it infers anew.

    Args:
        uses: in how many steps each batch is taken, 1 or more.
        first: the first step of which this holds; those before take a new batch each.
    """

    def __init__(self, uses: int = 1, first: int = 0):
        self.uses, self.first = uses, first
        self._labels: dict[int, tuple[Tensor, Tensor]] = {}

    def number(self, step: int) -> int:
        """The number of the batch that a step takes; a larger one is new later."""
        if step < self.first:
            return step
        block, again = divmod(step - self.first, self.uses)
        return self.first + block + (self.uses - 1 - again) * _APART

    def new_steps(self, first: int, stop: int) -> Iterator[int]:
        """The steps from `first` up to `stop` that take a batch which none since `first` has taken:
        those of a run, begun at `first`, that need its clips.
        """
        taken = set()
        for step in range(first, stop):
            number = self.number(step)
            if number not in taken:
                taken.add(number)
                yield step

    def knows(self, step: int) -> bool:
        """Whether the labels of a step's batch are there, so that its clips are not needed."""
        return self.number(step) in self._labels

    def labels(
        self, step: int, infer: Callable[[], tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, Tensor]:
        """Tokens and latent actions of a step's batch: those known, or what `infer` says."""
        if self.uses == 1 or step < self.first:
            return infer()
        number, oldest = self.number(step), self.first + (step - self.first) // self.uses
        labels = self._labels.get(number) or infer()
        kept = {other: those for other, those in self._labels.items() if other >= oldest}
        self._labels = kept | {number: labels}
        return labels

    def forget(self) -> None:
        """Drop all labels."""
        self._labels.clear()

"""Clips that lie ready when they are asked for: other processes film or read them meanwhile."""

import signal
from collections.abc import Generator, Iterable

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from genie_mini.data.videos import Videos

Wish = tuple[int, int, list[int]]  # what `Videos.batch` is asked for: clips, frames, key


class _Batches(Dataset):
    """The batches of videos, by what is wished for."""

    def __init__(self, videos: Videos):
        self._videos = videos

    def __getitem__(self, wish: Wish) -> Tensor:
        return self._videos.batch(*wish)


def deal(videos: Videos, wishes: Iterable[Wish], workers: int) -> Generator[Tensor, None, None]:
    """The batches that are wished for, in this order; the same with any number of workers. These
    begin when the first batch is asked for; close the generator, and they end.

    Args:
        videos: where they come from.
        wishes: of each batch the clips, the frames of a clip, and the key.
        workers: processes that make the next ones ahead; with 0, each is made when its turn comes.
    """
    if not workers:
        for wish in wishes:
            yield videos.batch(*wish)
        return
    yield from DataLoader(
        _Batches(videos),
        sampler=wishes,
        batch_size=None,
        num_workers=workers,
        multiprocessing_context="fork",  # they share the films, and compute on the CPU alone
        worker_init_fn=_begin_work,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # leave that of the training alone
    )


def _begin_work(_worker: int) -> None:
    """Ctrl-C is the training's to answer, which asks for no more batches then."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

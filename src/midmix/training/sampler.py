"""Rows drawn so that every class is equally likely, the same on one process and on many."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import Sampler

from midmix.errors import InputError
from midmix.methods.orders import draw_by_class


class ClassBalancedSampler(Sampler[int]):
    """Draws each row's class with equal chance, then a row of it: `P(row i) = 1 / (C · n_class(i))`, with replacement.

    Class-balanced sampling (Kang et al. 2020, Decoupling, arXiv 1910.09217, with q = 0), over the C classes
    that have rows. There is one sequence of draws for all processes, of which process r of n takes the places r, r + n,
    r + 2n, …: no two of them share a draw, and n processes with batches of B see in each step the rows that one
    process with batches of n·B sees. The sequence is a function of seed and epoch alone, so a run is resumed by
    `set_epoch(epoch, start=rows already taken)`. A pass that is taken to its end leads to the next epoch by itself.

    Hand it to a `DataLoader` as `sampler=`. A library that shards data loaders by itself (Accelerate's
    `prepare`, Lightning) shards this sampler's rows once more: give `processes=1` there.

    Args:
        labels: `[N]`, the class of each row, whole numbers from 0.
        num_samples: draws an epoch, over all processes; N where None. Rounded up so that every process has as many.
        seed: of the draws.
        rank: this process's number; that of `torch.distributed` where None.
        processes: how many there are; as `torch.distributed` says where None.

    Raises:
        InputError: for labels that are none or negative, and numbers out of range.

    Example:
        >>> labels = torch.tensor([0] * 90 + [1] * 10)
        >>> sampler = ClassBalancedSampler(labels, num_samples=1000)
        >>> drawn = labels[torch.tensor(list(sampler))]
        >>> bool(450 < drawn.sum() < 550)
        True
        >>> loader = torch.utils.data.DataLoader(labels, batch_size=20, sampler=ClassBalancedSampler(labels))
        >>> for epoch in range(3):  # each with draws of its own
        ...     for batch in loader:
        ...         pass
    """

    def __init__(
        self,
        labels: Tensor | Sequence[int],
        num_samples: int | None = None,
        *,
        seed: int = 0,
        rank: int | None = None,
        processes: int | None = None,
    ) -> None:
        classes = torch.as_tensor(labels).cpu()
        if classes.dim() != 1 or not len(classes) or classes.is_floating_point() or bool((classes < 0).any()):
            raise InputError("labels: one whole number from 0 is needed for each row, and at least one row")
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        if processes is None:
            processes = torch.distributed.get_world_size() if distributed else 1
        if rank is None:
            rank = torch.distributed.get_rank() if distributed and processes > 1 else 0
        if not 0 <= rank < processes:
            raise InputError(f"rank: {rank} of {processes} processes; ranks go from 0 to {processes - 1}")
        draws = len(classes) if num_samples is None else num_samples
        if draws < 1:
            raise InputError(f"num_samples: {draws}; at least one draw an epoch is needed")
        self.seed, self.rank, self.processes = seed, rank, processes
        self.draws = math.ceil(draws / processes)  # of this process, an epoch
        self.epoch = self.start = 0
        self._labels = classes.long()
        self._shares = (torch.bincount(self._labels) > 0).double()

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Takes up the sequence of this epoch, after the `start` draws that this process has used already."""
        if not 0 <= start <= self.draws:
            raise InputError(f"start: {start}; this process has {self.draws} draws an epoch")
        self.epoch, self.start = epoch, start

    def __len__(self) -> int:
        return self.draws - self.start

    def __iter__(self) -> Iterator[int]:
        epoch, start = self.epoch, self.start
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        every = draw_by_class(self._labels, self._shares, self.draws * self.processes, generator)
        yield from every[self.rank + start * self.processes :: self.processes].tolist()
        if (self.epoch, self.start) == (epoch, start):  # else `set_epoch` has said what comes next
            self.set_epoch(epoch + 1)

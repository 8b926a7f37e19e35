"""Counts that forget: the memory behind running accuracies and class priors."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def over_processes(counts: Tensor) -> Tensor:
    """The sum of `counts` over all processes of `torch.distributed`, or `counts` where there is one only."""
    if not _alone():
        counts = counts.clone()
        torch.distributed.all_reduce(counts)
    return counts


def batch_counts(counts: Tensor, rows: int) -> tuple[Tensor, int | Tensor]:
    """A batch's counts and how many rows they are of, over all processes; a number of rows where there is one only."""
    if _alone():
        return counts, rows
    found = over_processes(torch.cat([counts.flatten(), counts.new_tensor([rows])]))
    return found[:-1].reshape(counts.shape), found[-1]


def _alone() -> bool:
    return not (torch.distributed.is_available() and torch.distributed.is_initialized())


class DecayedCounts(nn.Module):
    """A table of counts in a buffer, in which n new samples shrink the old ones by `exp(-n / window)`.

    Args:
        shape: of the table.
        window: memory in samples; `math.inf` never forgets.
    """

    counts: Tensor

    def __init__(self, *shape: int, window: float) -> None:
        super().__init__()
        self.window = window
        self.register_buffer("counts", torch.zeros(shape))

    def add(self, counts: Tensor, samples: int | Tensor) -> None:
        """Adds `counts`, without a gradient, which stand for `samples` new samples (over all processes)."""
        # Both in float64, so that a number and a tensor give the same float32.
        if isinstance(samples, int):
            self.counts.mul_(math.exp(-samples / self.window))
        else:
            self.counts.mul_((samples.double() / -self.window).exp().to(self.counts))
        self.counts.add_(counts)

    def extra_repr(self) -> str:
        window = "" if math.isinf(self.window) else f", window={self.window:g}"
        return f"{tuple(self.counts.shape)}{window}"

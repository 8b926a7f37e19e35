"""Training rows with weights, as a set: what an estimator learns from, whatever the order they came in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from midmix.data.content import content_keys

BRIEF = (
    65_536  # rows; weights that sum to more do not make an epoch over fewer distinct rows longer than this
)


@dataclass(frozen=True)
class WeightedRows:
    """Distinct rows of a table, in an order of their own, and how much each counts.

    Equal rows with equal labels become one, with the sum of their weights, and the order follows from the rows'
    contents alone. So a row of weight 2 *is* the row twice, a row of weight 0 is no row, and the order in which rows
    came makes no difference: not nearly, but to the bit.

    Attributes:
        index: `[D]` int64, where each of them stands in the table.
        weight: `[D]` float64, above 0.
        rows: how many the table has; an epoch is not cut below that.
    """

    index: Tensor
    weight: Tensor
    rows: int = 0

    @classmethod
    def of(
        cls, features: NDArray[np.float32], labels: NDArray[np.int64], weight: NDArray[np.float64]
    ) -> WeightedRows:
        """The distinct rows of `features [N, F]` with `labels [N]`; `weight [N]` is above 0.

        Example:
            >>> x = np.array([[1, 2], [3, 4], [1, 2]], dtype=np.float32)
            >>> rows = WeightedRows.of(x, np.array([0, 1, 0]), np.array([1.0, 1.0, 1.0]))
            >>> sorted(rows.weight.tolist())
            [1.0, 2.0]
        """
        keys = content_keys(features)
        order = np.lexsort((labels, keys))  # as `content_order` has it
        keys = keys[order]
        first = np.ones(len(order), dtype=bool)
        alike = 1 + np.flatnonzero(keys[1:] == keys[:-1])
        for some in np.array_split(alike, len(alike) // 10_000 + 1):  # equal keys may still be different rows
            here, before = order[some], order[some - 1]
            same = (features[here] == features[before]).all(1) & (labels[here] == labels[before])
            first[some] = ~same
        starts = np.flatnonzero(first)
        return cls(
            torch.from_numpy(order[starts]),
            torch.from_numpy(np.add.reduceat(weight[order], starts)),
            len(features),
        )

    def __len__(self) -> int:
        return len(self.index)

    def select(self, places: Tensor) -> WeightedRows:
        """Those of them at these places."""
        return WeightedRows(self.index[places], self.weight[places])

    @property
    def epoch(self) -> int:
        """Rows of an epoch: the sum of the weights, but no fewer than there are distinct rows.

        And, since weights can be of any scale, no more than the larger of the table's rows and 65,536.
        """
        return int(min(max(round(float(self.weight.sum())), len(self)), max(len(self), self.rows, BRIEF)))

    @cached_property
    def repeated(self) -> Tensor | None:
        """Each row as often as its weight says, `[epoch]`; None where weights are not whole or sum to too much."""
        if self.epoch == len(self) and bool((self.weight == self.weight[0]).all()):
            return self.index
        times = self.weight.round()
        if bool((times != self.weight).any()) or int(times.sum()) != self.epoch:
            return None
        return self.index.repeat_interleave(times.long())

    def draw(self, generator: torch.Generator) -> Tensor:
        """One epoch's rows, in random order: `[epoch]` int64, indices into the table.

        Row i comes `n_i = epoch · weight_i / Σ weight` times, which is rounded up or down at random by systematic
        sampling (Madow 1949). Equal weights: each distinct row once. Whole weights: each as often as its weight says,
        exactly, up to `BRIEF`.

        Example:
            >>> rows = WeightedRows(torch.tensor([5, 7]), torch.tensor([3.0, 1.0]))
            >>> sorted(rows.draw(torch.Generator().manual_seed(0)).tolist())
            [5, 5, 5, 7]
        """
        chosen = self.repeated
        if chosen is None:
            ends = self.weight.cumsum(0)
            start = torch.rand((), generator=generator, dtype=torch.float64)
            points = (start + torch.arange(self.epoch)) * (ends[-1] / self.epoch)
            chosen = self.index[torch.searchsorted(ends, points, right=True).clamp_max(len(self) - 1)]
        return chosen[torch.randperm(len(chosen), generator=generator)]

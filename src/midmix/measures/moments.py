"""Counts, means and scatter per class, in float64, from batches in any order and from any number of parts.

Parts are joined by the pairwise update of Chan, Golub & LeVeque (1979): no difference of large sums, so
nearly collapsed features keep their digits.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from midmix.measures._rows import unit

_ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class UnitMoments:
    """Of the rows at unit length: `counts [C]`, `mean [C, D]`, `spread [C] = Σ_a ‖u_a - ū_c‖²`."""

    counts: Tensor
    mean: Tensor
    spread: Tensor

    @classmethod
    def empty(cls, num_classes: int, width: int, device: torch.device) -> UnitMoments:
        zeros = torch.zeros(num_classes, width, dtype=torch.float64, device=device)
        return cls(torch.zeros(num_classes, dtype=torch.long, device=device), zeros, zeros[:, 0].clone())

    @classmethod
    def of(cls, features: Tensor, labels: Tensor, num_classes: int) -> UnitMoments:
        found = cls.empty(num_classes, features.shape[1], features.device)
        for some, theirs in _chunks(features, labels):
            u = unit(some)
            counts, mean = _means(u, theirs, num_classes)
            spread = torch.zeros_like(found.spread).index_add_(0, theirs, (u - mean[theirs]).square().sum(1))
            found = found.merged(cls(counts, mean, spread))
        return found

    def merged(self, other: UnitMoments) -> UnitMoments:
        counts, mean, delta, weight = _joined(self, other)
        return UnitMoments(counts, mean, self.spread + other.spread + weight * delta.square().sum(1))

    def centres(self) -> Tensor:
        """`μ_c [C, D]`, the mean of class c's unit rows, itself normalised; zero where the rows cancel out."""
        return normalize(self.mean, dim=1)


@dataclass(frozen=True)
class RawMoments:
    """Of the rows as they are: `counts [C]`, `mean [C, D]`, `scatter [D, D] = Σ_c Σ_a (z_a - z̄_c)(z_a - z̄_c)ᵀ`."""

    counts: Tensor
    mean: Tensor
    scatter: Tensor

    @classmethod
    def empty(cls, num_classes: int, width: int, device: torch.device) -> RawMoments:
        mean = torch.zeros(num_classes, width, dtype=torch.float64, device=device)
        scatter = torch.zeros(width, width, dtype=torch.float64, device=device)
        return cls(torch.zeros(num_classes, dtype=torch.long, device=device), mean, scatter)

    @classmethod
    def of(cls, features: Tensor, labels: Tensor, num_classes: int) -> RawMoments:
        found = cls.empty(num_classes, features.shape[1], features.device)
        for some, theirs in _chunks(features, labels):
            z = some.detach().double()
            counts, mean = _means(z, theirs, num_classes)
            residual = z - mean[theirs]
            found = found.merged(cls(counts, mean, residual.T @ residual))
        return found

    def merged(self, other: RawMoments) -> RawMoments:
        counts, mean, delta, weight = _joined(self, other)
        moved = delta[weight > 0] * weight[weight > 0, None].sqrt()
        return RawMoments(counts, mean, self.scatter + other.scatter + moved.T @ moved)


def _chunks(features: Tensor, labels: Tensor) -> zip[tuple[Tensor, Tensor]]:
    return zip(torch.split(features, _ROWS_AT_ONCE), torch.split(labels, _ROWS_AT_ONCE), strict=True)


def _means(rows: Tensor, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    counts = torch.bincount(labels, minlength=num_classes)
    sums = rows.new_zeros(num_classes, rows.shape[1]).index_add_(0, labels, rows)
    return counts, sums / counts.clamp_min(1)[:, None]


def _joined(
    a: UnitMoments | RawMoments, b: UnitMoments | RawMoments
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Counts and means of both, the step between their means, and its weight `n_a n_b / (n_a + n_b)`."""
    counts = a.counts + b.counts
    share = b.counts / counts.clamp_min(1).double()
    delta = b.mean - a.mean
    return counts, a.mean + share[:, None] * delta, delta, a.counts * share

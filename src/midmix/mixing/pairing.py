"""Who is mixed with whom: for every row of a batch, the row that is its partner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from midmix.mixing.random import index_below, permutation, uniform


class Pairing(Protocol):
    """Draws `partner [B]`, an index into the batch for each of its rows, from `labels [B]` alone.

    A row that has no partner to its rule is its own partner, and is then left exactly as it was.
    """

    def __call__(
        self, labels: Tensor, num_classes: int, generator: torch.Generator | None = None
    ) -> Tensor: ...


@dataclass(frozen=True)
class SelfPairs:
    """Every row is its own partner: nothing is mixed (`mixes` says so to a plan).

    Example:
        >>> SelfPairs()(torch.tensor([0, 1, 1]), num_classes=2)
        tensor([0, 1, 2])
    """

    mixes: ClassVar[bool] = False

    def __call__(self, labels: Tensor, num_classes: int, generator: torch.Generator | None = None) -> Tensor:
        return torch.arange(len(labels), device=labels.device)


@dataclass(frozen=True)
class RandomPairs:
    """A random permutation of the batch, classes ignored (mixup, Zhang et al. 2018).

    Example:
        >>> partner = RandomPairs()(torch.tensor([0, 1, 1]), num_classes=2)
        >>> sorted(partner.tolist())
        [0, 1, 2]
    """

    def __call__(self, labels: Tensor, num_classes: int, generator: torch.Generator | None = None) -> Tensor:
        return permutation(len(labels), labels.device, generator)


@dataclass(frozen=True)
class InterClassPairs:
    """A row of another class, each such row with equal chance (AM-mixup, arXiv 2401.14696).

    So other classes are drawn by their count in the batch: `P(class k) = n_k / (B - n_own)`.

    Example:
        >>> InterClassPairs()(torch.tensor([0, 1, 0]), num_classes=2)[0]
        tensor(1)
    """

    def __call__(self, labels: Tensor, num_classes: int, generator: torch.Generator | None = None) -> Tensor:
        rows = len(labels)
        order, counts, starts = rows_by_class(labels, num_classes)
        own = counts[labels]
        draw = index_below(rows - own, uniform(rows, labels.device, generator))
        # Rows sorted by class, the own class's block stepped over.
        place = torch.where(draw < starts[labels], draw, draw + own)
        alone = own == rows
        return torch.where(alone, SelfPairs()(labels, num_classes), order[place.clamp_max(rows - 1)])


@dataclass(frozen=True)
class ClassBalancedPairs:
    """A row of another class, each other class *of the batch* with equal chance, then each of its rows.

    `P(class k) = 1 / (classes in the batch - 1)`: rare classes are partners as often as frequent ones.

    Example:
        >>> ClassBalancedPairs()(torch.tensor([0, 1, 0]), num_classes=5)[2]
        tensor(1)
    """

    def __call__(self, labels: Tensor, num_classes: int, generator: torch.Generator | None = None) -> Tensor:
        rows = len(labels)
        order, counts, starts = rows_by_class(labels, num_classes)
        present = counts > 0
        others = present.sum() - 1
        rank = present.cumsum(0) - 1
        draw = index_below(others.expand(rows), uniform(rows, labels.device, generator))
        draw = draw + (draw >= rank[labels])  # the own class stepped over
        classes = torch.argsort(~present, stable=True)  # those of the batch first, in order
        other = classes[draw.clamp_max(num_classes - 1)]
        place = starts[other] + index_below(counts[other], uniform(rows, labels.device, generator))
        alone = torch.arange(rows, device=labels.device)
        return torch.where(others > 0, order[place.clamp_max(rows - 1)], alone)


def rows_by_class(labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rows sorted by class `[B]`; how many each class has `[C]`; where its block starts `[C]`."""
    order = torch.argsort(labels, stable=True)
    counts = labels.new_zeros(num_classes).scatter_add_(0, labels, torch.ones_like(labels))
    return order, counts, counts.cumsum(0) - counts

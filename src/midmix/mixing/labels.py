"""Whose label a mixed row gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from midmix.mixing.context import Targets
from midmix.mixing.plan import Plan


class Labels(Protocol):
    """Makes a plan of `labels [B]`, `partner [B]` and `weight [B]`, row i's own share of the content."""

    def __call__(self, labels: Tensor, partner: Tensor, weight: Tensor) -> Plan: ...


class Side(Protocol):
    """Targets of mixed rows, from the labels of either side `[R]` and the first one's share `[R]`."""

    def targets(self, own: Tensor, other: Tensor, weight: Tensor) -> Targets: ...


@dataclass(frozen=True)
class TwoSided:
    """Both labels, weighted as the content is: `λ · ℓ(c_i) + (1-λ) · ℓ(c_j)` (mixup, Zhang et al. 2018).

    Example:
        >>> plan = TwoSided()(torch.tensor([3, 5]), torch.tensor([1, 0]), torch.tensor([0.75, 0.75]))
        >>> [(labels.tolist(), weight.tolist()) for labels, weight in plan.targets]
        [([3, 5], [0.75, 0.75]), ([5, 3], [0.25, 0.25])]
    """

    def targets(self, own: Tensor, other: Tensor, weight: Tensor) -> Targets:
        return (own, weight), (other, 1 - weight)

    def __call__(self, labels: Tensor, partner: Tensor, weight: Tensor) -> Plan:
        return _one_row_each(self, labels, partner, weight)


@dataclass(frozen=True)
class OneSided:
    """The label of the larger share alone: `c_i` if `λ ≥ 0.5`, else `c_j` (AM-mixup, arXiv 2401.14696).

    A hard class, so that any per-sample loss takes it.

    Example:
        >>> plan = OneSided()(torch.tensor([3, 5]), torch.tensor([1, 0]), torch.tensor([0.5, 0.4]))
        >>> plan.targets[0][0]
        tensor([3, 3])
    """

    def targets(self, own: Tensor, other: Tensor, weight: Tensor) -> Targets:
        return ((torch.where(weight >= 0.5, own, other), torch.ones_like(weight)),)

    def __call__(self, labels: Tensor, partner: Tensor, weight: Tensor) -> Plan:
        return _one_row_each(self, labels, partner, weight)


@dataclass(frozen=True)
class BothOwners:
    """Each pair twice: `z_ij` as row i's own and its mirror `z_ji` as row j's, so 2B rows of B.

    One owner alone pushes the boundary over the partners; the mirror pushes back. The labels of each
    mixed row are those that `side` gives.

    Example:
        >>> plan = BothOwners()(torch.tensor([3, 5]), torch.tensor([1, 0]), torch.tensor([0.8, 0.8]))
        >>> plan.owner.tolist(), plan.partner.tolist(), plan.targets[0][0].tolist()
        ([0, 1, 1, 0], [1, 0, 0, 1], [3, 5, 5, 3])
    """

    side: Side = OneSided()

    def __call__(self, labels: Tensor, partner: Tensor, weight: Tensor) -> Plan:
        rows = torch.arange(len(labels), device=labels.device)
        owner, other = torch.cat([rows, partner]), torch.cat([partner, rows])
        shares = torch.cat([weight, weight])
        targets = self.side.targets(labels[owner], labels[other], shares)
        return Plan(labels, other, shares, targets, owner=owner)


def _one_row_each(side: Side, labels: Tensor, partner: Tensor, weight: Tensor) -> Plan:
    return Plan(labels, partner, weight, side.targets(labels, labels[partner], weight))

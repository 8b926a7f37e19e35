"""Classifiers that take the place of the network's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from midmix.errors import unknown
from midmix.methods.values import real, whole
from midmix.models.heads import CosineLinear as CosineLinear
from midmix.registry import Registry

STARTS = ("random", "means")


class Head(Protocol):
    """Makes a classifier of features `[B, D]`."""

    def make(self, features: int, num_classes: int) -> nn.Module:
        """`[B, features]` to logits `[B, num_classes]`; draws its weights from torch's default generator."""
        ...


HEADS: Registry[Callable[..., Head]] = Registry("head", "midmix.heads")
"""What makes a head, by name."""


@HEADS.register(name="cosine")
@dataclass(frozen=True)
class Cosine:
    """A head of cosines times a scale.

    Args:
        scale: s of `CosineLinear`, above 0.
        start: first weights: "random", or "means" for the mean directions of each class's features, so that the first
            answers are those of the nearest class mean; for an encoder that is pretrained (Shi et al. 2024, arXiv
            2309.10019). A class without rows keeps random ones.

    Raises:
        InputError: for a scale that is not a finite number above 0, or another start.

    Example:
        >>> import torch
        >>> Cosine(scale=8.0).make(4, 3)(torch.ones(2, 4)).shape
        torch.Size([2, 3])
    """

    scale: float = 16.0
    start: str = "random"

    def __post_init__(self) -> None:
        real("cosine:scale", self.scale, above=0)
        if self.start not in STARTS:
            raise unknown("start of cosine", self.start, STARTS)

    @property
    def start_from(self) -> Callable[[nn.Module, Labelled], None] | None:
        """What sets a head's first weights by the training rows' features; None where they are random."""
        return _start_from_means if self.start == "means" else None

    def make(self, features: int, num_classes: int) -> nn.Module:
        return CosineLinear(features, num_classes, self.scale)


class Labelled(Protocol):
    """Features `[N, D]` with their labels `[N]`."""

    features: Tensor
    labels: Tensor


@torch.no_grad()
def _start_from_means(head: nn.Module, rows: Labelled) -> None:
    assert isinstance(head, CosineLinear)
    directions = nn.functional.normalize(rows.features.double())
    for label in torch.unique(rows.labels).tolist():
        head.weight[label] = directions[rows.labels == label].mean(0).to(head.weight)


class ExpertHeads(nn.Module):
    """Several classifiers of the same features, each with a hidden layer: `mean_e V_e relu(U_e z + u_e) + v_e`.

    Args:
        features: D, and the width of the hidden layers.
        num_classes: C.
        count: of experts.

    Example:
        >>> head = ExpertHeads(4, 3, count=2)
        >>> head(torch.ones(5, 4)).shape, head.each(torch.ones(5, 4)).shape
        (torch.Size([5, 3]), torch.Size([2, 5, 3]))
    """

    def __init__(self, features: int, num_classes: int, count: int) -> None:
        super().__init__()
        self.in_features, self.out_features = features, num_classes
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(features, features), nn.ReLU(), nn.Linear(features, num_classes))
            for _ in range(count)
        )

    def each(self, features: Tensor) -> Tensor:
        """`[B, D]` to the logits of each expert, `[E, B, C]`."""
        return torch.stack([expert(features) for expert in self.experts])

    def forward(self, features: Tensor) -> Tensor:
        """`[B, D]` to `[B, C]`: the mean of the experts' logits."""
        return self.each(features).mean(0)


@HEADS.register(name="experts")
@dataclass(frozen=True)
class Experts:
    """Several experts on shared features, whose logits are averaged (Wang et al. 2021, arXiv 2010.01809).

    By itself their mean is trained, as one classifier; write `+ride` beside it, so that each is trained for itself and
    they are kept apart. In the paper experts share a network's first stages and have the later ones for themselves;
    here they share the encoder.

    Args:
        count: of experts, 2 or more.

    Raises:
        InputError: for fewer than two.

    Example:
        >>> Experts(count=3).make(4, 3).each(torch.ones(2, 4)).shape
        torch.Size([3, 2, 3])
    """

    count: int = 3

    def __post_init__(self) -> None:
        whole("experts:count", self.count, least=2)

    def make(self, features: int, num_classes: int) -> ExpertHeads:
        return ExpertHeads(features, num_classes, self.count)

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

RANDOM, MEANS, NAMES = STARTS = ("random", "means", "names")


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
        start: first weights: "random"; "means" for the mean directions of each class's features, so that the first
            answers are those of the nearest class mean, for an encoder that is pretrained; or "names" for what its text
            side makes of the classes' names (both: Shi et al. 2024, arXiv 2309.10019). A class without rows keeps
            random ones by means, and not by names.

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
    def start_from(self) -> Callable[[nn.Module, Known], None] | None:
        """What sets a head's first weights by what is known of the classes; None where they are random."""
        return {RANDOM: None, MEANS: _start_from_means, NAMES: _start_from_names}[self.start]

    @property
    def needs_names(self) -> bool:
        """Whether an encoder must know the classes' names."""
        return self.start == NAMES

    def make(self, features: int, num_classes: int) -> nn.Module:
        return CosineLinear(features, num_classes, self.scale)


class Known(Protocol):
    """What is known of the classes before a head is trained, as features that enter it."""

    def rows(self) -> tuple[Tensor, Tensor]:
        """The training rows' features `[N, D]`, and their labels `[N]`."""
        ...

    def names(self) -> Tensor:
        """The classes' names as features `[C, D]`."""
        ...


@torch.no_grad()
def _start_from_means(head: nn.Module, known: Known) -> None:
    assert isinstance(head, CosineLinear)
    features, labels = known.rows()
    directions = nn.functional.normalize(features.double())
    for label in torch.unique(labels).tolist():
        head.weight[label] = directions[labels == label].mean(0).to(head.weight)


@torch.no_grad()
def _start_from_names(head: nn.Module, known: Known) -> None:
    assert isinstance(head, CosineLinear)
    head.weight.copy_(nn.functional.normalize(known.names().double()))


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

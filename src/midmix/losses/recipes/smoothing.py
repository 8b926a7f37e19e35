"""Losses that leave the other classes a share of each label."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from midmix.errors import InputError, unknown
from midmix.losses.checks import check_positive
from midmix.losses.compose import ComposedLoss
from midmix.losses.registry import LOSSES
from midmix.mixing.context import LossContext


def smoothed(logits: Tensor, labels: Tensor, others: Tensor) -> Tensor:
    """`-(1 - ε_r) log p_y - ε_r / (C - 1) · Σ_{k≠y} log p_k` `[R]`, of `others [R]`, the ε of each row."""
    log_p = torch.log_softmax(logits, 1)
    own = log_p.gather(1, labels[:, None]).squeeze(1)
    rest = (log_p.sum(1) - own) / max(logits.shape[1] - 1, 1)
    return -(1 - others) * own - others * rest


@dataclass(frozen=True)
class Smoothed:
    """Cross-entropy against `(1 - ε) e_y + ε / C`."""

    epsilon: float

    def __post_init__(self) -> None:
        if not 0 <= self.epsilon < 1:
            raise InputError(f"epsilon: {self.epsilon} is a share of the label, at least 0 and below 1")

    def __call__(self, logits: Tensor, labels: Tensor, context: LossContext) -> Tensor:
        classes = logits.shape[1]
        return smoothed(logits, labels, logits.new_full(labels.shape, self.epsilon * (classes - 1) / classes))


@LOSSES.register
def label_smoothing(epsilon: float = 0.1) -> ComposedLoss:
    """Label smoothing (Szegedy et al. 2016, arXiv 1512.00567): a share of each label for all.

    `ℓ = (1 - ε) · CE(z, y) + ε / C · Σ_k CE(z, k)`, as `torch.nn.CrossEntropyLoss(label_smoothing=ε)`.

    Args:
        epsilon: ε, in `[0, 1)`.

    Shapes: `logits [R, C]`, `labels [R]` → `[R]`, in nats.

    Raises:
        InputError: for an ε that cannot be.

    Example:
        >>> label_smoothing(0.5)(torch.tensor([[0.0, 1.0]]), torch.tensor([1]))  # 3/4 · 0.3133 + 1/4 · 1.3133
        tensor([0.5633])
    """
    return ComposedLoss(base=Smoothed(epsilon))


SHAPES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "concave": lambda share, power: torch.sin(share * math.pi / 2),
    "linear": lambda share, power: share,
    "convex": lambda share, power: 1 - torch.cos(share * math.pi / 2),
    "power": lambda share, power: share**power,
}
"""How ε rises from the rarest class, at 0, to the most frequent one, at 1."""


@dataclass(frozen=True)
class SmoothedByClass:
    """Cross-entropy against `1 - ε_y` at the label and `ε_y / (C - 1)` elsewhere."""

    head: float
    tail: float
    shape: str
    power: float
    needs = frozenset({"counts"})

    def __post_init__(self) -> None:
        if not 0 <= self.tail <= self.head < 1:
            raise InputError(f"head: {self.head}, tail: {self.tail}; needed is 0 <= tail <= head < 1")
        if self.shape not in SHAPES:
            raise unknown("shape of label_aware_smoothing", self.shape, SHAPES)
        check_positive("power", self.power)

    def __call__(self, logits: Tensor, labels: Tensor, context: LossContext) -> Tensor:
        counts = context.target_counts
        span = counts.max() - counts.min()
        # Of classes all equally frequent none is rare.
        share = torch.where(span > 0, (counts - counts.min()) / span.clamp_min(1e-12), 1.0)
        epsilon = self.tail + (self.head - self.tail) * SHAPES[self.shape](share, self.power)
        return smoothed(logits, labels, epsilon[labels])


@LOSSES.register
def label_aware_smoothing(
    head: float = 0.3, tail: float = 0.0, shape: str = "concave", power: float = 2.0
) -> ComposedLoss:
    """Label-aware smoothing (Zhong et al. 2021, arXiv 2104.00466): frequent classes are smoothed more.

    `ℓ = -(1 - ε_y) log p_y - ε_y / (C - 1) · Σ_{k≠y} log p_k`, with `ε_c = tail + (head - tail) · f(t_c)` and
    `t_c = (n_c - min n) / (max n - min n)`. The authors' code spreads ε over all C classes, the label too: its ε is
    `C / (C - 1)` times this one.

    Args:
        head: ε of the most frequent class, below 1.
        tail: ε of the rarest class, 0 or more.
        shape: f; concave `sin(πt/2)`, linear `t`, convex `1 - cos(πt/2)`, or power `t^power`.
        power: of the shape of that name.

    Shapes: `logits [R, C]`, `labels [R]`, `counts [C]` → `[R]`, in nats.

    Raises:
        InputError: for values that cannot be; at a call without counts.

    Example:
        >>> loss = label_aware_smoothing(head=0.25)
        >>> loss(torch.tensor([[0.0, 1.0]] * 2), torch.tensor([0, 1]), counts=torch.tensor([90, 10]))
        tensor([1.0633, 0.3133])
    """
    return ComposedLoss(base=SmoothedByClass(head, tail, shape, power))

"""Losses with a margin for each class."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from midmix.errors import InputError
from midmix.losses.checks import check_not_negative, check_positive
from midmix.losses.compose import ComposedLoss
from midmix.losses.registry import LOSSES
from midmix.mixing.context import LossContext
from midmix.mixing.random import normal


def check_scale(scale: float) -> None:
    """Sees that logits stay logits.

    Raises:
        InputError: for a scale of 0 or below, or an infinite one.
    """
    check_positive("scale", scale, "; 1 for a linear head, 30 for cosines")


@dataclass(frozen=True)
class SubtractMargin:
    """`s · (z_k - [k = y] · m · (min n / n_y)^(1/4))`: the true class has to win by a margin, the rarer the wider."""

    max_margin: float
    scale: float
    needs = frozenset({"counts"})

    def __post_init__(self) -> None:
        check_scale(self.scale)
        check_not_negative("max_margin", self.max_margin)

    def __call__(self, logits: Tensor, labels: Tensor, context: LossContext) -> Tensor:
        counts = context.target_counts.clamp_min(1)
        margin = self.max_margin * (counts.min() / counts) ** 0.25
        return self.scale * logits.scatter_add(1, labels[:, None], -margin[labels][:, None])


@LOSSES.register
def ldam(max_margin: float = 0.5, scale: float = 1.0) -> ComposedLoss:
    """Label-distribution-aware margin loss (Cao et al. 2019, arXiv 1906.07413).

    `ℓ = CE(s · (z - Δ_y e_y), y)` with `Δ_c = m · (min_k n_k / n_c)^(1/4)`. The paper's logits are cosines, with
    `scale=30`: write `+cosine` beside it for such a head; for a plain linear head leave the scale at 1.

    Args:
        max_margin: m, the margin of the rarest class, in units of the logits, 0 or more.
        scale: s, above 0.

    Shapes: `logits [R, C]`, `labels [R]`, `counts [C]` → `[R]`, in nats.

    Raises:
        InputError: for values that cannot be; at a call without counts.

    Example:
        >>> import torch
        >>> ldam()(torch.zeros(1, 2), torch.tensor([1]), counts=torch.tensor([160, 10]))  # log(1 + e^0.5)
        tensor([0.9741])
    """
    return ComposedLoss(adjust=[SubtractMargin(max_margin, scale)])


@dataclass(frozen=True)
class SubtractCloud:
    """`s · (z_k - a · |ε_rk| · d_k / max d - m [k = y])`, `d_k = log max n - log n_k`, ε drawn for every logit."""

    noise: float
    margin: float
    scale: float
    needs = frozenset({"counts"})

    def __post_init__(self) -> None:
        check_scale(self.scale)
        if not (0 <= self.noise < float("inf") and 0 <= self.margin < float("inf")):
            raise InputError(f"noise: {self.noise} and margin: {self.margin} must be 0 or more, and finite")

    def draw(self, logits: Tensor, context: LossContext) -> Tensor:
        """Gaussian noise of deviation 1/3, between -1 and 1, `[R, C]`."""
        return (normal(logits.numel(), logits.device, context.generator) / 3).clamp(-1, 1).view_as(logits)

    def __call__(self, logits: Tensor, labels: Tensor, context: LossContext) -> Tensor:
        rarity = -context.target_counts.clamp_min(1).log()
        rarity = rarity - rarity.min()
        # Of classes all equally frequent none has a cloud.
        cloud = self.draw(logits, context).to(logits).abs() * rarity / rarity.max().clamp_min(1e-12)
        shifted = logits - self.noise * cloud
        own = logits.new_full((len(labels), 1), -self.margin)
        return self.scale * shifted.scatter_add(1, labels[:, None], own)


@LOSSES.register
def gcl(noise: float = 0.5, margin: float = 0.0, scale: float = 1.0) -> ComposedLoss:
    """Gaussian clouded logits (Li et al. 2022, arXiv 2305.11733): random shifts, the rarer the class the larger.

    `ℓ = CE(s · (z_k - a |ε_rk| d_k / max d - m [k = y]), y)` with `d_k = log max n - log n_k` and
    `ε ~ N(0, 1/9)`, cut at ±1. As in the authors' code, and unlike a margin, the cloud falls on every logit of a row.
    Their logits are cosines, with `scale=30`: write `+cosine` beside it for such a head; for a plain linear head leave
    the scale at 1.

    Args:
        noise: a, in units of the logits, 0 or more.
        margin: m, a margin of every class beside the cloud, 0 or more.
        scale: s, above 0.

    Shapes: `logits [R, C]`, `labels [R]`, `counts [C]` → `[R]`, in nats; a draw for each logit.

    Raises:
        InputError: for values that cannot be; at a call without counts.

    Example:
        >>> import torch
        >>> loss = gcl(noise=0.0, margin=0.5)
        >>> loss(torch.zeros(1, 2), torch.tensor([1]), counts=torch.tensor([160, 10]))  # log(1 + e^0.5)
        tensor([0.9741])
    """
    return ComposedLoss(adjust=[SubtractCloud(noise, margin, scale)])

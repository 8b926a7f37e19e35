"""Losses that push rare classes down less where another class is the label."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from midmix.errors import InputError
from midmix.losses.compose import ComposedLoss
from midmix.losses.registry import LOSSES
from midmix.mixing.context import LossContext
from midmix.mixing.random import uniform


@dataclass(frozen=True)
class Seesaw:
    """`z_k + log(M_yk · C_yk)` off the label: rarer classes are punished less, likelier ones more."""

    mitigation: float
    compensation: float
    floor: float = 0.01
    needs = frozenset({"counts"})

    def __post_init__(self) -> None:
        if not (0 <= self.mitigation < float("inf") and 0 <= self.compensation < float("inf")):
            raise InputError(
                f"mitigation: {self.mitigation} and compensation: {self.compensation} must be 0 or more, and finite"
            )

    def __call__(self, logits: Tensor, labels: Tensor, context: LossContext) -> Tensor:
        log_counts = context.target_counts.clamp_min(1).log()
        mitigation = self.mitigation * (log_counts - log_counts[labels][:, None]).clamp_max(0)
        log_p = torch.log_softmax(logits.detach(), 1)
        own = log_p.gather(1, labels[:, None]).clamp_min(math.log(self.floor))
        factor = mitigation + self.compensation * (log_p - own).clamp_min(0)
        return logits + factor.scatter(1, labels[:, None], 0.0)


@LOSSES.register
def seesaw(mitigation: float = 0.8, compensation: float = 2.0) -> ComposedLoss:
    """Seesaw loss (Wang et al. 2021, arXiv 2008.10032).

    `ℓ = -log( e^{z_y} / (e^{z_y} + Σ_{k≠y} M_yk C_yk e^{z_k}) )` with `M_yk = min(1, (n_k / n_y)^p)`, so that rare
    classes are punished less by frequent ones' rows, and `C_yk = max(1, (σ_k / σ_y)^q)`, σ the softmax, not
    differentiated and in the divisor at least 0.01, so that mistakes are punished more. The paper counts n as training
    goes; here they are the counts of the targets really fed.

    Args:
        mitigation: p, 0 or more.
        compensation: q, 0 or more.

    Shapes: `logits [R, C]`, `labels [R]`, `counts [C]` → `[R]`, in nats.

    Raises:
        InputError: for negative values; at a call without counts.

    Example:
        >>> seesaw(mitigation=1.0)(torch.zeros(2, 2), torch.tensor([0, 1]), counts=torch.tensor([90, 30]))
        tensor([0.2877, 0.6931])
    """
    return ComposedLoss(adjust=[Seesaw(mitigation, compensation)])


@dataclass(frozen=True)
class IgnoreRare:
    """Leaves classes below a share of the rows out of other classes' denominators, each with a probability."""

    threshold: float
    probability: float
    needs = frozenset({"counts"})

    def __post_init__(self) -> None:
        if not (0 <= self.threshold <= 1 and 0 <= self.probability <= 1):
            raise InputError(
                f"threshold: {self.threshold} and probability: {self.probability} must be between 0 and 1"
            )

    def draw(self, logits: Tensor, context: LossContext) -> Tensor:
        """Numbers in `[0, 1)`, `[R, C]`."""
        return uniform(logits.numel(), logits.device, context.generator).view_as(logits)

    def __call__(self, logits: Tensor, labels: Tensor, context: LossContext) -> Tensor:
        counts = context.target_counts
        rare = counts / counts.sum().clamp_min(1) < self.threshold
        out = (self.draw(logits, context) < self.probability) & rare
        # The smallest float's logarithm, not -∞: what stands beside this may ask for every class's logit.
        least = math.log(torch.finfo(logits.dtype).tiny)
        return logits + least * out.scatter(1, labels[:, None], False)


@LOSSES.register
def equalization(threshold: float = 0.01, probability: float = 0.9) -> ComposedLoss:
    """Softmax equalization loss (Tan et al. 2020, arXiv 2003.05176): rare classes are not pushed down.

    `ℓ = -log( e^{z_y} / Σ_k w_k e^{z_k} )` with `w_k = 1 - β_rk [f_k < λ] [k ≠ y]`, where f is the share of the targets
    and β_rk is 1 with probability γ, drawn for each logit.

    Args:
        threshold: λ, the share below which a class is rare, in `[0, 1]`. Set it by the data: with ten classes of a
            hundred to one, 0.01 leaves out two or three.
        probability: γ, in `[0, 1]`.

    Shapes: `logits [R, C]`, `labels [R]`, `counts [C]` → `[R]`, in nats.

    Raises:
        InputError: for values that cannot be; at a call without counts.

    Example:
        >>> loss = equalization(threshold=0.2, probability=1.0)
        >>> loss(torch.zeros(2, 2), torch.tensor([0, 1]), counts=torch.tensor([90, 10])).abs()
        tensor([0.0000, 0.6931])
    """
    return ComposedLoss(adjust=[IgnoreRare(threshold, probability)])

"""Losses that estimate log-density ratios over a batch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from midmix.errors import InputError
from midmix.losses.compose import ComposedLoss
from midmix.losses.recipes.prior import AddLogPrior
from midmix.losses.registry import LOSSES
from midmix.mixing.context import LossContext


@dataclass(frozen=True)
class DensityRatio:
    """`-Σ_c π_c (E_{r of c} z_c - S_c - λ S_c²)`, `S_c = log mean_r e^{z_rc} / (C π_c)`: bounds log-density ratios."""

    weight: float
    regularizer: float
    needs = frozenset({"prior"})

    def __post_init__(self) -> None:
        if not (0 <= self.weight < float("inf") and 0 <= self.regularizer < float("inf")):
            raise InputError(
                f"weight: {self.weight} and regularizer: {self.regularizer} must be 0 or more, and finite"
            )

    def __call__(self, context: LossContext) -> Tensor:
        context.need("prior", self)
        rows, classes = context.logits.shape
        if not rows:
            return context.logits.sum()
        shares = context.soft_targets()
        of_class = (shares * context.logits).sum(0) / shares.sum(0).clamp_min(1e-8)
        spread = context.logits.logsumexp(0) - context.log_prior - math.log(classes * rows)
        estimate = of_class - spread - self.regularizer * spread**2
        return -self.weight * (context.log_prior.exp() * estimate).sum()


@LOSSES.register
def lade(weight: float = 0.1, regularizer: float = 0.1) -> ComposedLoss:
    """Label distribution disentangling (Hong et al. 2021, arXiv 2012.00321).

    Balanced softmax, and over the batch `-α Σ_c π_c (ẑ_c - S_c - λ S_c²)`: ẑ_c is class c's logit averaged over its
    rows (over shares of rows under mixing), `S_c = log( mean_r e^{z_rc} / (C π_c) )`. Logits are then log-density
    ratios by themselves. As in the authors' code, a class without rows in the batch still has its S_c.

    Args:
        weight: α, 0 or more; 0 for balanced softmax.
        regularizer: λ, 0 or more, of the bound's normalisation.

    Shapes: `logits [R, C]`, `labels [R]`, `prior [C]` → scalar; called on rows it gives their balanced softmax `[R]`.

    Raises:
        InputError: for negative values; at a call without a prior.

    Example:
        >>> import torch
        >>> from midmix.losses import LossContext
        >>> y = torch.tensor([0, 1])
        >>> context = LossContext(torch.zeros(2, 2), ((y, torch.ones(2)),), prior=torch.ones(2))
        >>> lade().mean(context)  # log 2: logits of an even batch are right already
        tensor(0.6931)
    """
    return ComposedLoss(adjust=[AddLogPrior()], terms=[DensityRatio(weight, regularizer)])

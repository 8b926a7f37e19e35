"""Losses over a batch that ask for rows in the right order, one class against the rest at a time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from midmix.losses.checks import LEFT_OUT, check_not_negative, check_positive
from midmix.losses.compose import ComposedLoss
from midmix.losses.registry import LOSSES
from midmix.mixing.context import LossContext


@dataclass(frozen=True)
class SquaredAUC:
    """`mean_c V⁺_c + V⁻_c + max(0, m + μ⁻_c - μ⁺_c)²` of the probabilities of class c, on its rows and on others."""

    weight: float
    margin: float

    def __post_init__(self) -> None:
        check_not_negative("weight", self.weight, LEFT_OUT)
        check_positive("margin", self.margin)

    def __call__(self, context: LossContext) -> Tensor:
        scores, own = context.logits.softmax(1), context.soft_targets()
        sides = torch.stack([own, 1 - own])
        mass = sides.sum(1)
        tiny = torch.finfo(scores.dtype).eps
        both = (mass > tiny).all(0)  # classes that have rows on both sides
        mass = mass.clamp_min(tiny)
        means = (sides * scores).sum(1) / mass
        spread = ((sides * (scores - means[:, None]).square()).sum(1) / mass).sum(0)
        gap = (self.margin + means[1] - means[0]).clamp_min(0).square()
        found = torch.where(both, spread + gap, 0.0)
        return self.weight * found.sum() / both.sum().clamp_min(1)


@LOSSES.register
def auc_margin(weight: float = 1.0, margin: float = 1.0) -> ComposedLoss:
    """Cross-entropy and the AUC-margin surrogate of each class against the rest (Yuan et al. 2021, arXiv 2012.03173).

    `+ w · mean_c V⁺_c + V⁻_c + max(0, m + μ⁻_c - μ⁺_c)²`: mean and variance of `softmax(z)_c` over class c's rows (⁺,
    shares of rows under mixing) and over the others (⁻), for the classes that have both in the batch. It is the paper's
    min-max loss with its a, b and α ≥ 0 at their best for the batch, so that no second optimizer is asked for. The
    paper has two classes and starts from a network trained by cross-entropy; here cross-entropy stays beside it.

    Args:
        weight: w, 0 or more; 0 for cross-entropy.
        margin: m, by which the mean probabilities have to be apart, above 0; probabilities are never more than 1 apart.

    Shapes: `logits [R, C]`, `labels [R]` → scalar; called on rows it gives their cross-entropy `[R]`. Each process
    looks at its own rows.

    Raises:
        InputError: for values that cannot be.

    Example:
        >>> from midmix.losses import LossContext
        >>> y = torch.tensor([0, 1])
        >>> auc_margin().mean(LossContext(torch.zeros(2, 2), ((y, torch.ones(2)),)))  # log 2, and a whole margin
        tensor(1.6931)
    """
    return ComposedLoss(terms=[SquaredAUC(weight, margin)])


@dataclass(frozen=True)
class SmoothAP:
    """`mean_c 1 - AP_c`, with a sigmoid of the difference in place of each comparison of two rows."""

    weight: float
    temperature: float

    def __post_init__(self) -> None:
        check_not_negative("weight", self.weight, LEFT_OUT)
        check_positive("temperature", self.temperature)

    def __call__(self, context: LossContext) -> Tensor:
        logits, shares = context.logits, context.soft_targets()
        log_p = torch.log_softmax(logits, 1)
        # log-odds order rows as probabilities do, and keep their slope where those are near 1
        scores = log_p - (-torch.expm1(log_p.clamp_max(-torch.finfo(logits.dtype).eps))).log()
        mass = shares.sum(0)
        per_class = 1 / mass.clamp_min(torch.finfo(logits.dtype).eps)
        others = 1 - torch.eye(len(logits), device=logits.device, dtype=logits.dtype)
        loss = logits.sum() * 0
        for labels, weight in context.targets:
            of_label = scores[:, labels].T  # [anchor, row], by the anchor's class
            above = torch.sigmoid((of_label - of_label.diagonal()[:, None]) / self.temperature) * others
            positive = shares[:, labels].T
            precision = (positive.diagonal() + (positive * above).sum(1)) / (1 + above.sum(1))
            loss = loss + (weight.to(logits) * per_class[labels] * (1 - precision)).sum()
        return self.weight * loss / (mass > 0).sum().clamp_min(1)


@LOSSES.register
def average_precision(weight: float = 1.0, temperature: float = 1.0) -> ComposedLoss:
    """Cross-entropy and Smooth-AP of each class against the rest (Brown et al. 2020, arXiv 2007.12163).

    `+ w · mean_c (1 - AP_c)` over the batch's classes, `AP_c = mean_{i of c} rank⁺(i) / rank(i)` with ranks
    `1 + Σ_{j≠i} σ((s_jc - s_ic) / T)` among class c's rows (⁺) and among all; s are the log-odds of the softmax. Under
    mixing a row is of each of its classes by its share. The paper ranks by cosines at T = 0.01.

    Args:
        weight: w, 0 or more; 0 for cross-entropy.
        temperature: T, in units of the logits, above 0; towards 0 for the average precision itself.

    Shapes: `logits [R, C]`, `labels [R]` → scalar; called on rows it gives their cross-entropy `[R]`. Memory grows with
    R². Each process looks at its own rows.

    Raises:
        InputError: for values that cannot be.

    Example:
        >>> from midmix.losses import LossContext
        >>> y = torch.tensor([0, 1])
        >>> average_precision().mean(LossContext(torch.zeros(2, 2), ((y, torch.ones(2)),)))  # log 2, and 1 - 1 / 1.5
        tensor(1.0265)
    """
    return ComposedLoss(terms=[SmoothAP(weight, temperature)])

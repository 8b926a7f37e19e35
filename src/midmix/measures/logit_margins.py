"""How far each class's rows are from being called another class."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from midmix.errors import InputError
from midmix.measures.checks import check_logits
from midmix.measures.table import declare

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Margins:
    """Margins by class; NaN for a class without rows. All in units of the logits."""

    count: Tensor
    """`[C]`, rows."""
    mean: Tensor
    """`[C]`, float64; higher is safer, below 0 the class is wrong on average."""
    levels: tuple[float, ...]
    quantiles: Tensor
    """`[C, len(levels)]`, float64."""

    @property
    def balance(self) -> float:
        """Smallest over largest class mean: 1 is balanced, 0 or less means that a class is wrong on average.

        NaN where the largest is not above 0: no class is right on average, and a ratio would say nothing.
        """
        means = self.mean[self.count > 0]
        return float(means.min() / means.max()) if len(means) and means.max() > 0 else math.nan


def margins(logits: Tensor, labels: Tensor, *, levels: tuple[float, ...] = LEVELS) -> Margins:
    """Per class: mean and quantiles of `logit[true] - max of the other logits`, and their balance.

    Source: the multi-class margin of Koltchinskii & Panchenko (Annals of Statistics, 2002); the balance is the
    paper's aim, equal margins on both sides of a boundary (arXiv 2401.14696).

    Args:
        logits: `[N, C]`, C at least 2, any float dtype.
        labels: `[N]`, class indices.
        levels: of the quantiles, in [0, 1]; linear interpolation.

    Raises:
        InputError: shapes or dtypes that do not fit, non-finite logits, labels outside the classes, one class.

    Example:
        >>> logits = torch.tensor([[4.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
        >>> found = margins(logits, torch.tensor([0, 0, 1]))
        >>> found.mean.tolist(), round(found.balance, 4)
        ([3.0, 1.0], 0.3333)
    """
    check_logits(logits, labels)
    labels = labels.to(logits.device).long()
    margin = row_margins(logits, labels)
    count = torch.bincount(labels, minlength=logits.shape[1])
    sums = torch.bincount(labels, weights=margin, minlength=logits.shape[1])
    return Margins(count, sums / count, levels, margin_quantiles(margin, labels, len(count), levels))


def row_margins(logits: Tensor, labels: Tensor) -> Tensor:
    """`[N]`, float64: the true class's logit minus the largest other."""
    if logits.shape[1] < 2:
        raise InputError("logits: a margin needs at least two classes (columns), got one")
    own = logits.detach().gather(1, labels[:, None]).squeeze(1)
    others = logits.detach().scatter(1, labels[:, None], -math.inf).amax(1)
    return own.double() - others.double()


def margin_quantiles(margin: Tensor, labels: Tensor, num_classes: int, levels: tuple[float, ...]) -> Tensor:
    """`[C, len(levels)]`, float64; NaN for a class without rows."""
    at = torch.tensor(levels, dtype=torch.float64, device=margin.device)
    if at.ndim != 1 or not ((at >= 0) & (at <= 1)).all():
        raise InputError(f"levels: expected numbers from 0 to 1, got {levels}")
    found = torch.full((num_classes, len(levels)), math.nan, dtype=torch.float64, device=margin.device)
    for c, theirs in enumerate(torch.split(margin[labels.argsort()], torch.bincount(labels).tolist())):
        if len(theirs):
            found[c] = theirs.quantile(at)
    return found


declare(
    "margin_balance", "margin balance", "higher", lambda o: o.margins.balance, needs=["logits"], table="collapse",
    order=6,
)  # fmt: skip

"""What a classifier that fits itself is, and how its scores become logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from midmix.decisions.prior import LogitPrior
from midmix.errors import InputError
from midmix.methods.stages.stage import linear
from midmix.registry import Registry

Scores = Callable[[Tensor], Tensor]
"""Features `[N, D]` to logits `[N, C]`. An `nn.Linear` where the classifier is one: its run can be kept as a model."""


class Baseline(Protocol):
    """A classifier of fixed features that is fitted by itself: no mix, no loss, no steps.

    One whose logits are log-probabilities says in `balanced` whether classes count alike in its fit, so that they
    answer for a uniform prior, or as they are frequent in the training rows.

    Options that may be `auto` instead of a number stand in a class attribute `auto`.
    """

    @property
    def linear(self) -> bool:
        """Whether what is fitted is an `nn.Linear`."""
        ...

    @property
    def probabilities(self) -> bool:
        """Whether softmax of the logits are probabilities; without them there is no likelihood and no calibration."""
        ...

    def fit(self, features: Tensor, labels: Tensor, num_classes: int, seed: int) -> Scores:
        """Fits features `[N, D]` (float32, standardised) with labels `[N]`."""
        ...


BASELINES: Registry[Callable[..., Baseline]] = Registry(
    "baseline", "midmix.baselines", "midmix.methods.baselines"
)
"""What makes a baseline, by name: ours are in this package."""


def logit_prior(baseline: Baseline, counts: Tensor) -> LogitPrior | None:
    """The prior that softmax of a fitted baseline's logits answers for; None where it is not known.

    Args:
        counts: training rows `[C]`.
    """
    balanced: bool | None = getattr(baseline, "balanced", None)
    if balanced is None or not baseline.probabilities:
        return None
    return LogitPrior.from_counts(torch.ones(len(counts)) if balanced else counts)


def arrays(
    features: Tensor, labels: Tensor, num_classes: int, name: str
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Features, float64, and labels as scikit-learn takes them.

    Raises:
        InputError: where a class has no row.
    """
    missing = (torch.bincount(labels, minlength=num_classes) == 0).nonzero().flatten().tolist()
    if missing:
        raise InputError(f"{name}: class {missing[0]} has no training rows; leave it out, or {name}")
    return features.detach().cpu().double().numpy(), labels.cpu().numpy()


def linear_of(model: Any) -> torch.nn.Linear:
    """A fitted linear classifier of scikit-learn, with a row of weights for each class.

    Of two classes scikit-learn keeps one row, the score of the second; half of it and its negative have the same
    difference, so that decisions and softmax are its own.

    Example:
        >>> from types import SimpleNamespace
        >>> fitted = SimpleNamespace(coef_=np.array([[2.0]]), intercept_=np.array([4.0]))
        >>> linear_of(fitted)(torch.tensor([[1.0]])).tolist()
        [[-3.0, 3.0]]
    """
    weight, bias = np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)
    if len(weight) == 1:
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return linear(torch.from_numpy(weight).float(), torch.from_numpy(bias).float())

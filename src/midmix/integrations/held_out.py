"""What the estimator's thresholds and calibrations are fitted on: each row by a network that was not trained on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold
from torch import Tensor

from midmix.decisions import Aim, Costs, parse_aim
from midmix.errors import InputError
from midmix.numbers import is_whole

Stated = str | Aim | Sequence[Sequence[float]] | NDArray[np.floating]
"""An aim, its text, or a matrix of costs."""


class HeldOut(NamedTuple):
    """Rows that were held out in turn: `evidence [M, C]`, `labels [M]`, and the fold `[M]` of each."""

    evidence: Tensor
    labels: Tensor
    folds: Tensor


def stated_aim(aim: Stated, classes: Sequence[str]) -> Aim:
    """The aim that somebody states.

    Raises:
        InputError: for what is none, and for costs of another number of classes.

    Example:
        >>> stated_aim([[0, 1], [20, 0]], ["no", "yes"])
        Costs(matrix=((0.0, 1.0), (20.0, 0.0)))
    """
    if isinstance(aim, Aim):
        found = aim
    elif isinstance(aim, str):
        found = parse_aim(aim, classes)
    else:
        try:
            found = Costs(tuple(tuple(row) for row in cast(Any, aim)))
        except TypeError:
            raise InputError(
                f"aim: {aim!r:.60}; give a text such as 'balanced', or a matrix of costs"
            ) from None
    if isinstance(found, Costs) and len(found.matrix) != len(classes):
        raise InputError(f"costs: a matrix for {len(found.matrix)} classes, but there are {len(classes)}")
    return found


def cross_fitted(
    estimator: Any,
    features: NDArray[np.float32],
    codes: NDArray[np.int64],
    weight: NDArray[np.float64],
    *,
    folds: int,
    seed: int,
) -> HeldOut:
    """Evidence of every row, by a copy of the estimator that was trained on the other folds.

    Where rows count differently, they are drawn by their weights.

    Args:
        estimator: a `MidmixClassifier`, not fitted.
        features, codes, weight: of the training rows.
        folds: at least 2; fewer are made where a class has fewer rows.
        seed: of the folds.

    Raises:
        InputError: fewer than two folds; a class of one row, which cannot be held out.
    """
    if not is_whole(folds) or folds < 2:
        raise InputError(f"cv: {folds!r}; at least 2 folds are needed")
    rarest = int(np.bincount(codes).min())
    if rarest < 2:
        lone = str(np.bincount(codes).argmin())
        raise InputError(
            f"cv: class number {lone} has one row, and a threshold or a calibration needs rows that are held out; add "
            "rows, or take another aim"
        )
    parts = StratifiedKFold(min(folds, rarest), shuffle=True, random_state=seed).split(features, codes)
    evidence = torch.empty(len(codes), len(np.unique(codes)), dtype=torch.float64)
    fold = torch.empty(len(codes), dtype=torch.int64)
    for number, (rest, out) in enumerate(parts):
        fitted = clone(estimator).fit(features[rest], codes[rest], weight[rest])
        evidence[out] = fitted.rule_.trained.evidence(fitted._answers(features[out]))
        fold[out] = number
    labels = torch.from_numpy(codes)
    if (weight == weight[0]).all():
        return HeldOut(evidence, labels, fold)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.multinomial(torch.from_numpy(weight), len(codes), replacement=True, generator=generator)
    return HeldOut(evidence[drawn], labels[drawn], fold[drawn])

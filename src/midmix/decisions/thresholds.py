"""Thresholds of two classes and offsets of many, chosen on rows that were held out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from midmix.decisions.aim import Aim, Array, ClasswiseAim, Outcomes
from midmix.errors import InputError
from midmix.measures.checks import check_labels

_GAIN = 1e-12
"""A step must gain more than rounding can."""


@dataclass(frozen=True)
class Threshold:
    """Of two classes, decide `positive` where its probability is at least `value`, else the other.

    Example:
        >>> Threshold(0.2).decide(torch.tensor([[0.7, 0.3], [0.9, 0.1]]).log())
        tensor([1, 0])
    """

    value: float
    positive: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.value, int | float) or not math.isfinite(self.value):
            raise InputError(f"threshold: {self.value!r}; a number is needed")
        if self.positive not in (0, 1):
            raise InputError(f"threshold: positive {self.positive!r}; class 0 or 1 is needed")

    def decide(self, log_probabilities: Tensor) -> Tensor:
        """Classes `[N]` of natural log-probabilities `[N, 2]`."""
        if log_probabilities.shape[1] != 2:
            raise InputError(f"threshold: is for two classes, not for {log_probabilities.shape[1]}")
        chosen = log_probabilities[:, self.positive].exp() >= self.value
        return torch.where(chosen, self.positive, 1 - self.positive)


@dataclass(frozen=True)
class Offsets:
    """Decide `argmax_c log p_c + offset_c`; the first of equals.

    Example:
        >>> Offsets((0.0, 2.0, 0.0)).decide(torch.tensor([[0.7, 0.2, 0.1]]).log())
        tensor([1])
    """

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        try:
            values = tuple(float(value) for value in self.values)
        except (TypeError, ValueError):
            raise InputError("offsets: expected a list of numbers, one for each class") from None
        if not values or not all(math.isfinite(value) for value in values):
            raise InputError("offsets: expected finite numbers, one for each class")
        object.__setattr__(self, "values", values)

    def decide(self, log_probabilities: Tensor) -> Tensor:
        """Classes `[N]` of natural log-probabilities `[N, C]`."""
        if log_probabilities.shape[1] != len(self.values):
            raise InputError(f"offsets: {len(self.values)} for {log_probabilities.shape[1]} classes")
        offsets = torch.tensor(self.values, dtype=log_probabilities.dtype, device=log_probabilities.device)
        return (log_probabilities + offsets).argmax(dim=1)


@dataclass(frozen=True)
class ThresholdChoice:
    """What `choose_threshold` found.

    Attributes:
        threshold: the best.
        score: the aim's score there on the rows it was chosen on, so better than on new ones.
        thresholds: candidates `[K]`, rising.
        scores: the aim's score `[K]` at each.
    """

    threshold: Threshold
    score: float
    thresholds: Array
    scores: Array


@dataclass(frozen=True)
class OffsetsChoice:
    """What `choose_offsets` found.

    Attributes:
        offsets: the best.
        score: the aim's score with them on the rows they were chosen on, so better than on new ones.
        scores: its way there: with no offsets, then after each class that gained.
    """

    offsets: Offsets
    score: float
    scores: tuple[float, ...]


def choose_threshold(
    probability: Tensor,
    labels: Tensor,
    aim: Aim,
    *,
    positive: int = 1,
    weight: Sequence[float] | None = None,
    folds: Tensor | None = None,
    thresholds: int | Sequence[float] | Array | None = None,
) -> ThresholdChoice:
    """The threshold of two classes that is best for an aim on held-out rows; the lowest of equals.

    Args:
        probability: `[N]` of class `positive`; or any score, higher for it.
        labels: `[N]`, 0 or 1.
        aim: whose `score` is to be highest. A precision that is demanded must be reached over all rows.
        positive: the class looked for.
        weight: what a row of class 0 and of class 1 counts, `π*_c / share_c` for a stated prior π*; default 1 each.
        folds: `[N]`, where the rows are few: the fold in which each was held out while a model was trained on the
            others. The score is then the mean over the folds, as in scikit-learn's `TunedThresholdClassifierCV`.
        thresholds: candidates. None: all that differ, halfway between neighbouring scores. A number n: n evenly
            spaced from the least score to the highest, those of each fold interpolated, which is scikit-learn's way.

    Raises:
        InputError: no held-out rows; a class without one; scores that are all the same or not finite; a precision that
            no threshold reaches.

    Example:
        >>> from midmix.decisions.aim import FMeasure
        >>> p = torch.tensor([0.125, 0.25, 0.5, 0.75])
        >>> choose_threshold(p, torch.tensor([0, 0, 1, 1]), FMeasure()).threshold
        Threshold(value=0.375, positive=1)
    """
    scores, own = _binary(probability, labels, positive)
    weights = np.ones(2) if weight is None else np.asarray(weight, dtype=np.float64)
    if weights.shape != (2,) or not (np.isfinite(weights) & (weights >= 0)).all():
        raise InputError("weight: expected what a row of class 0 and of class 1 counts, 0 or more")
    parts = _parts(len(own), folds)
    per_fold: list[tuple[Array, Array]] = []
    for part in parts:
        tried = (
            np.linspace(scores[part].min(), scores[part].max(), thresholds)
            if isinstance(thresholds, int)
            else _candidates(scores)
            if thresholds is None
            else np.asarray(thresholds, dtype=np.float64)
        )
        found = _outcomes(scores[part], own[part], tried, positive, weights)
        per_fold.append((tried, aim.score(found, positive)))
    candidates = per_fold[0][0]
    if isinstance(thresholds, int):
        low, high = min(tried[0] for tried, _ in per_fold), max(tried[-1] for tried, _ in per_fold)
        candidates = np.linspace(low, high, thresholds)
    mean = np.mean([np.interp(candidates, tried, score) for tried, score in per_fold], axis=0)
    pooled = _outcomes(scores, own, candidates, positive, weights)
    reached = aim.reached(pooled, positive)
    if not reached.any():
        best = pooled.precision[..., positive].max()
        raise InputError(
            f"aim {aim.text}: no threshold reaches it on the {len(own)} held-out rows; "
            f"the highest precision is {best:.3g}"
        )
    index = int(np.where(reached, mean, -np.inf).argmax())
    return ThresholdChoice(
        Threshold(float(candidates[index]), positive), float(mean[index]), candidates, mean
    )


def choose_offsets(
    log_probabilities: Tensor,
    labels: Tensor,
    aim: ClasswiseAim,
    *,
    weight: Sequence[float] | None = None,
    max_sweeps: int = 50,
) -> OffsetsChoice:
    """Offsets of many classes that are good for an aim on held-out rows, by coordinate ascent.

    One class after another gets the offset that is best while the others' stand; every value at which a decision
    changes is tried, halfway to the next (as Fan & Lin 2007, "A study on threshold selection for multi-label
    classification", do for separate thresholds). No step makes the score worse. It ends where no class gains, which
    need not be the best of all, so it starts twice, with no offsets and with `-log` of the mean probability, and keeps
    the better. The same rows give the same offsets. Where rows are few, give log-probabilities of models that were
    cross-fitted, each row's by a model that was not trained on it.

    Args:
        log_probabilities: `[N, C]`, natural logarithms; -inf at classes that cannot be.
        labels: `[N]`, class indices.
        aim: a mean over classes: accuracy, balanced accuracy, macro F-measure.
        weight: what a row of each class counts `[C]`, `π*_c / share_c` for a stated prior π*; default 1 each.
        max_sweeps: times round all classes, at most.

    Raises:
        InputError: no held-out rows; labels that do not fit; an aim that is no mean over classes.

    Example:
        >>> from midmix.decisions.aim import BalancedAccuracy
        >>> p = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4]])
        >>> choose_offsets(p.log(), torch.tensor([0, 0, 1]), BalancedAccuracy()).score
        1.0
    """
    if not isinstance(aim, ClasswiseAim):
        raise InputError(f"aim {aim.text}: no offsets are chosen for many classes; take balanced or f1")
    if not len(labels):
        raise InputError(f"aim {aim.text}: there are no validation rows to choose offsets on; hold some out")
    check_labels(labels, log_probabilities.shape[1])
    if len(labels) != len(log_probabilities):
        raise InputError(f"offsets: {len(log_probabilities)} rows against {len(labels)} labels")
    log: Array = log_probabilities.detach().double().cpu().numpy()
    if np.isnan(log).any() or (log == np.inf).any() or (log == -np.inf).all(axis=1).any():
        raise InputError("offsets: log-probabilities that are NaN or infinite")
    classes = log.shape[1]
    per_class = np.ones(classes) if weight is None else np.asarray(weight, dtype=np.float64)
    if per_class.shape != (classes,) or not (np.isfinite(per_class) & (per_class >= 0)).all():
        raise InputError("weight: expected what a row of each class counts, 0 or more")
    ascent = _Ascent(log, labels.cpu().numpy(), aim, per_class)
    mean = np.exp(log).mean(axis=0)
    balanced = -np.log(np.where(mean > 0, mean, 1.0))
    found = [ascent.run(start, max_sweeps) for start in (np.zeros(classes), balanced)]
    return max(found, key=lambda choice: choice.score)  # the first of equals


class _Ascent:
    def __init__(self, log: Array, labels: NDArray[np.int64], aim: ClasswiseAim, per_class: Array) -> None:
        self.log, self.labels, self.aim = log, labels, aim
        self.weight = per_class[labels]
        self.rows = _counted(labels, self.weight, log.shape[1])
        self.share = aim.weights(self.rows, None)

    def run(self, start: Array, max_sweeps: int) -> OffsetsChoice:
        offsets, score = start, self.score(start)
        way = [score]
        for _ in range(max_sweeps):
            before = score
            for c in range(len(offsets)):
                moved = offsets.copy()
                moved[c] = self.best(offsets, c)
                after = self.score(moved)
                if after > score + _GAIN:
                    offsets, score = moved, after
                    way.append(score)
            if score == before:
                break
        return OffsetsChoice(Offsets(tuple(offsets.tolist())), score, tuple(way))

    def score(self, offsets: Array) -> float:
        decided = (self.log + offsets).argmax(axis=1)
        hit = decided == self.labels
        outcomes = Outcomes(
            _counted(decided[hit], self.weight[hit], len(offsets)),
            _counted(decided, self.weight, len(offsets)),
            self.rows,
        )
        return float(self.aim.score(outcomes, None))

    def best(self, offsets: Array, c: int) -> float:
        """The offset of class c that is best while the others' stand.

        As it rises, rows leave the class that was theirs, `other`, for c, in the order of their gaps. A row touches the
        values of these two classes alone, so that one sort and running sums give the score after every row.
        """
        rest = self.log + offsets
        rest[:, c] = -np.inf
        other = rest.argmax(axis=1)
        gap = rest[np.arange(len(rest)), other] - self.log[:, c]
        order = np.argsort(gap, kind="stable")
        order = order[np.isfinite(gap[order])]
        if not len(order):
            return float(offsets[c])
        gap, other, own = gap[order], other[order], self.labels[order]
        weight = self.weight[order]
        never = np.setdiff1d(
            np.arange(len(rest)), order
        )  # rows that stay away from c, or at it, whatever its offset
        stays = rest[never].argmax(axis=1)
        forced = np.isneginf(rest[never].max(axis=1))
        stays[forced] = c
        classes = len(offsets)
        decided = _counted(other, weight, classes) + _counted(stays, self.weight[never], classes)
        right = stays == self.labels[never]
        hits = _counted(other, weight * (own == other), classes) + _counted(
            stays[right], self.weight[never][right], classes
        )
        group = np.argsort(other, kind="stable")
        grouped = other[group]
        first = np.searchsorted(grouped, np.arange(classes))
        left = _running(weight[group], grouped, first)
        lost = _running((weight * (own == other))[group], grouped, first)
        after = self._values(hits[grouped] - lost, decided[grouped] - left, grouped)
        start = self._values(hits, decided, np.arange(classes))
        previous = np.empty_like(after)
        previous[1:] = after[:-1]
        heads = first[_counted(grouped, None, classes) > 0]
        previous[heads] = start[grouped[heads]]
        change = np.empty_like(after)
        change[group] = after - previous
        own_c = np.full(len(order) + 1, c)
        gained = np.concatenate(([0.0], np.cumsum(weight * (own == c))))
        taken = np.concatenate(([0.0], np.cumsum(weight)))
        score = self._values(hits[c] + gained, decided[c] + taken, own_c)
        score[1:] += np.cumsum(change)
        edges = np.concatenate(([gap[0] - 2.0], gap, [gap[-1] + 2.0]))
        middle = edges[:-1] + (edges[1:] - edges[:-1]) / 2
        apart = (edges[:-1] < middle) & (middle < edges[1:])
        return float(middle[int(np.where(apart, score, -np.inf).argmax())])

    def _values(self, hits: Array, decided: Array, which: NDArray[np.int64]) -> Array:
        return self.share[which] * self.aim.values(hits, decided, self.rows[which])


def _counted(values: NDArray[np.int64], weight: Array | None, classes: int) -> Array:
    return np.bincount(values, weight, classes).astype(np.float64)


def _running(values: Array, grouped: NDArray[np.int64], first: NDArray[np.int64]) -> Array:
    """Running sums within each group of a sorted array."""
    total = np.cumsum(values)
    before = np.concatenate(([0.0], total))[first]
    return np.asarray(total - before[grouped])


def _binary(probability: Tensor, labels: Tensor, positive: int) -> tuple[Array, NDArray[np.int64]]:
    if not len(labels):
        raise InputError("threshold: there are no validation rows to choose it on; hold some out")
    check_labels(labels, 2)
    if probability.shape != labels.shape:
        raise InputError(
            f"threshold: expected one score a row [N] and as many labels; "
            f"got {list(probability.shape)} and {list(labels.shape)}"
        )
    scores: Array = probability.detach().double().cpu().numpy()
    own: NDArray[np.int64] = labels.cpu().numpy()
    if not np.isfinite(scores).all():
        raise InputError("threshold: scores that are not finite")
    for c in (positive, 1 - positive):
        if not (own == c).any():
            raise InputError(
                f"threshold: none of the {len(own)} held-out rows is of class {c}; hold out more"
            )
    if scores.min() == scores.max():
        raise InputError("threshold: all held-out rows have the same score; there is nothing to choose")
    return scores, own


def _parts(rows: int, folds: Tensor | None) -> list[NDArray[np.int64]]:
    if folds is None:
        return [np.arange(rows)]
    if folds.shape != (rows,):
        raise InputError(f"folds: {list(folds.shape)} for {rows} rows; expected the fold of each row")
    numbers = folds.cpu().numpy()
    return [np.flatnonzero(numbers == fold) for fold in np.unique(numbers)]


def _candidates(scores: Array) -> Array:
    """Halfway between each two scores that follow each other; below the least, above the highest by as much."""
    distinct = np.unique(scores)
    middle = distinct[:-1] + (distinct[1:] - distinct[:-1]) / 2
    middle = np.where(middle > distinct[:-1], middle, distinct[1:])
    first, last = (distinct[1] - distinct[0]) / 2, (distinct[-1] - distinct[-2]) / 2
    return np.concatenate(([distinct[0] - first], middle, [distinct[-1] + last]))


def _outcomes(
    scores: Array, own: NDArray[np.int64], thresholds: Array, positive: int, weights: Array
) -> Outcomes:
    """Outcomes `[K, 2]` of deciding `positive` where the score is at least each threshold."""
    counts = _counted(own, None, 2)
    taken = np.empty((len(thresholds), 2))  # rows of each class that are decided positive
    for c in (0, 1):
        taken[:, c] = counts[c] - np.searchsorted(np.sort(scores[own == c]), thresholds, side="left")
    negative = 1 - positive
    taken, rows = taken * weights, counts * weights
    hits, decided = np.empty_like(taken), np.empty_like(taken)
    hits[:, positive] = taken[:, positive]
    hits[:, negative] = rows[negative] - taken[:, negative]
    decided[:, positive] = taken.sum(axis=1)
    decided[:, negative] = rows.sum() - taken.sum(axis=1)
    return Outcomes(hits, decided, rows)

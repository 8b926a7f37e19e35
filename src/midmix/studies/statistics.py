"""How sure a mean over seeds is, where both the draw of the training and the finite test set count.

Two seeds that are tested on the same rows share the luck of these rows, so an interval over seeds alone is too narrow:
it says what other seeds would give *on this test set*. Here a run's measure is a weighted mean over test rows, seeds
and rows are crossed random effects, and rows are drawn class by class.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from midmix.errors import InputError

Kind = Literal["crossed", "nested", "seeds", "none"]
"""What an interval counts: seeds × the same test rows; test rows of each seed's own; seeds alone; nothing."""


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with what is known of its error.

    Attributes:
        n: seeds.
        mean: over seeds.
        low, high: the interval; NaN with fewer than two seeds, the mean itself where nothing varies.
        p: two-sided p-value of a mean of 0; NaN where there is no interval, or nothing varies.
        standard_error: of the mean.
        seeds_error: the part of it that more seeds make smaller, as of one seed.
        rows_error: the part that only more test rows make smaller.
        kind: what it counts.
    """

    n: int
    mean: float
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan
    standard_error: float = math.nan
    seeds_error: float = math.nan
    rows_error: float = math.nan
    kind: Kind = "none"


def over_seeds(values: np.ndarray, confidence: float = 0.95) -> Interval:
    """Student's interval of the finite values, one a seed: the test set's own error is left out.

    Example:
        >>> found = over_seeds(np.array([0.7, 0.8, 0.9]))
        >>> found.n, round(found.mean, 3), round(found.low, 3), found.kind
        (3, 0.8, 0.552, 'seeds')
    """
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    n = len(values)
    if n < 2:
        return Interval(n, float(values.mean()) if n else math.nan)
    return _interval(float(values.mean()), n, float(values.var(ddof=1)) / n, 0.0, confidence, "seeds")


def crossed(
    values: np.ndarray, weights: np.ndarray, strata: np.ndarray, confidence: float = 0.95
) -> Interval:
    """The interval of `1/S Σ_s Σ_r w_sr y_sr` over S seeds and over the rows of one test set that all seeds share.

    With `y_sr = μ_c + a_s + b_r + e_sr` in class c (a: the training draw, whatever it does to each class; b: the row),

        V = V_A + V_B - V_E,

    where `V_A` is the variance of the seeds' weighted means over S, `V_B = Σ_c R_c s²_c(1/S Σ_s w_sr y_sr)` that of
    the rows' contributions within the R_c rows of a class, and `V_E` what both count, from the interaction's mean
    square. This is the two-way estimator of Cameron, Gelbach & Miller (2011) and, for one class, that of the
    two-way random-effects analysis of variance. V is `V_A` at least. The quantile is Student's with

        (S - 1) · V / V_A

    degrees of freedom: S - 1 where the seeds decide, many where the rows do. Satterthwaite's (1946) square of the
    ratio covers 92 % with three seeds, as `V_A` itself decides how far it is trusted; Cochran's rule, each part with
    its own quantile, covers 98 %; this one lies between (`benchmarks/coverage.py`). The share of the classes
    is taken as fixed.

    A class of one test row tells nothing of its rows' variance and counts as without any.

    Args:
        values: `[S, R]`, a row's outcome in a seed: 1 where it is right, its loss in nats, a difference of two lines.
        weights: `[S, R]`, each seed's sum to 1; the same for all rows of a class within a seed. A group of classes
            that differs between seeds is 0 elsewhere.
        strata: `[R]`, the class of each row.
        confidence: coverage, between 0 and 1.

    Raises:
        InputError: shapes that do not fit.

    Example:
        >>> right = np.array([[1, 1, 0, 1], [1, 1, 0, 0], [1, 1, 0, 1]])
        >>> found = crossed(right, np.full((3, 4), 0.25), np.array([0, 0, 1, 1]))
        >>> round(found.mean, 3), round(over_seeds(right.mean(1)).standard_error, 3), round(found.standard_error, 3)
        (0.667, 0.083, 0.167)
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 2 or weights.shape != values.shape or strata.shape != values.shape[1:]:
        raise InputError(
            f"values, weights, strata: shapes {values.shape}, {weights.shape} and {strata.shape} do not belong "
            "together; give [seeds, rows] twice and [rows]"
        )
    s = len(values)
    by_seed = (weights * values).sum(axis=1)
    if s < 2:
        return Interval(s, float(by_seed.mean()) if s else math.nan)
    order = np.argsort(strata, kind="stable")
    starts = np.flatnonzero(np.diff(strata[order], prepend=strata[order][0] - 1))
    y, w = values[:, order], weights[:, order]
    rows = np.diff(np.append(starts, y.shape[1]))  # [C]
    spread = np.repeat(np.arange(len(starts)), rows)  # [R], a row's class
    several = rows > 1

    a = float(by_seed.var(ddof=1)) / s

    contributions = (w * y).mean(axis=0)
    centred = contributions - (np.add.reduceat(contributions, starts) / rows)[spread]
    squares = np.add.reduceat(centred**2, starts)
    b = float((squares[several] * rows[several] / (rows[several] - 1)).sum())

    share = w[:, starts]  # [S, C], of a row of the class
    active = share > 0
    k = active.sum(axis=0)
    both = several & (k > 1)
    e = 0.0
    if both.any():
        means = np.add.reduceat(y, starts, axis=1) / rows
        counted = active[:, spread]
        by_row = (y * counted).sum(axis=0) / np.maximum(k, 1)[spread]
        grand = (means * active).sum(axis=0) / np.maximum(k, 1)
        rest = (y - means[:, spread] - by_row + grand[spread]) * counted
        interaction = np.add.reduceat((rest**2).sum(axis=0), starts)[both]
        interaction = interaction / ((k[both] - 1) * (rows[both] - 1))
        e = float((interaction * rows[both] * (share[:, both] ** 2).sum(axis=0)).sum()) / s**2

    return _interval(float(by_seed.mean()), s, a, max(b - e, 0.0), confidence, "crossed")


def nested(
    values: Sequence[np.ndarray],
    weights: Sequence[np.ndarray],
    strata: Sequence[np.ndarray],
    *,
    pool: int | None = None,
    numbers: Sequence[np.ndarray] | None = None,
    confidence: float = 0.95,
) -> Interval:
    """The interval of the mean over seeds where each seed has test rows of its own.

    With rows drawn anew for each seed, the seeds' means are independent and their variance counts the rows already:
    `V_A = s²/S`. Repeated splits of one table of `pool` rows draw from these again and again; what the table itself
    has of luck stays, however many splits there are: the variance of a mean over the pool's rows of what is the same in
    each seed, a row's own difficulty b. Where rows are numbered it is measured on the rows that two splits share,

        Σ_c (mean_s w_c R_c)² cov_c / N_c,   N_c = R_c · pool / R,

    with cov_c the covariance of their outcomes in the two seeds, which chance within a seed has no part in; else on
    all that differs between rows, `R / pool · mean_s Σ_c R_c s²_c(w y)`, which is rather too much. It is added.
    (Nadeau & Bengio, 2003, correct for the same with a factor on s².)

    Args:
        values, weights, strata: for each seed what `crossed` takes as a row, of any length.
        pool: rows of the table that the splits are drawn from; None where each seed's rows are new.
        numbers: for each seed which rows of the table these are.
        confidence: coverage, between 0 and 1.
    """
    by_seed = np.array([float((w * y).sum()) for y, w in zip(values, weights, strict=True)])
    s = len(by_seed)
    if s < 2:
        return Interval(s, float(by_seed.mean()) if s else math.nan)
    a, shared = float(by_seed.var(ddof=1)) / s, 0.0
    if pool and numbers is not None:
        shared = max(_shared_variance(values, weights, strata, numbers, pool), 0.0)
    elif pool:
        for y, w, c in zip(values, weights, strata, strict=True):
            shared += _rows_variance(w * y, c) * min(1.0, len(y) / pool) / s
    return _interval(float(by_seed.mean()), s, a, shared, confidence, "nested")


def holm(p: np.ndarray) -> np.ndarray:
    """P-values of one family corrected after Holm (1979): the chance of one false claim or more stays at the level.

    NaN stays NaN and counts for nothing.

    Example:
        >>> holm(np.array([0.01, 0.04, 0.03, np.nan])).round(3).tolist()
        [0.03, 0.06, 0.06, nan]
    """
    p = np.asarray(p, dtype=float)
    found = np.full(p.shape, math.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    found[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1.0)
    return found


def seeds_to_decide(interval: Interval, *, level: float = 0.05, most: int = 1000) -> int | None:
    """The fewest seeds at which a difference as large as the one seen would be told from 0 at this level, the same test
    rows kept; None where no number of seeds up to `most` would do it.

    Normal power of one half: the difference seen is as likely to be cleared as not, so read it as the least to try.

    Example:
        >>> seeds_to_decide(over_seeds(np.array([0.01, 0.03, 0.00])))
        8
    """
    if not (math.isfinite(interval.seeds_error) and interval.mean):
        return None
    rows = interval.rows_error**2
    for n in range(max(interval.n, 2), most + 1):
        seeds = interval.seeds_error**2 / n
        if abs(interval.mean) > _quantile(level, _freedom(n, seeds, rows)) * math.sqrt(seeds + rows):
            return n
    return None


def rows_to_decide(interval: Interval, *, level: float = 0.05, most: float = 1000.0) -> float | None:
    """How many times the test rows would tell the difference from 0 with as many seeds; None where more than `most`."""
    if not (math.isfinite(interval.rows_error) and interval.mean and interval.n > 1):
        return None
    # The seeds' part holds an error of the rows that is not shared; counted as fixed, so this asks rather too much.
    seeds = interval.seeds_error**2 / interval.n
    for times in np.geomspace(1, most, 200):
        rows = interval.rows_error**2 / times
        if abs(interval.mean) > _quantile(level, _freedom(interval.n, seeds, rows)) * math.sqrt(seeds + rows):
            return float(times)
    return None


def _shared_variance(
    values: Sequence[np.ndarray],
    weights: Sequence[np.ndarray],
    strata: Sequence[np.ndarray],
    numbers: Sequence[np.ndarray],
    pool: int,
) -> float:
    """The table's own part of the variance, by class from the rows that splits share."""
    seeds, columns = len(values), 1 + max(int(one.max()) for one in numbers)
    y, there, weight = np.zeros((3, seeds, columns))
    label = np.full(columns, -1)
    for s, (mine, rows) in enumerate(zip(values, numbers, strict=True)):
        y[s, rows], there[s, rows], weight[s, rows], label[rows] = mine, 1.0, weights[s], strata[s]
    pairs = np.triu_indices(seeds, 1)
    tested = float(np.mean([len(one) for one in values]))
    total = 0.0
    for c in np.unique(label[label >= 0]):
        mine, ours = y[:, label == c], there[:, label == c]
        common, sums = (ours @ ours.T)[pairs], mine @ ours.T
        several = common > 1
        if not several.any():
            continue
        products = (mine @ mine.T)[pairs] - sums[pairs] * sums.T[pairs] / np.maximum(common, 1)
        covariance = float(products[several].sum() / (common[several] - 1).sum())
        share = float(weight[:, label == c].sum(axis=1).mean())
        total += share**2 * covariance * tested / (float(ours.sum(axis=1).mean()) * pool)
    return total


def _rows_variance(contributions: np.ndarray, strata: np.ndarray) -> float:
    total = 0.0
    for c in np.unique(strata):
        mine = contributions[strata == c]
        if len(mine) > 1:
            total += len(mine) * float(mine.var(ddof=1))
    return total


def _interval(mean: float, n: int, seeds: float, rows: float, confidence: float, kind: Kind) -> Interval:
    """From the two parts of the mean's variance: what is left of it with more seeds is `rows`."""
    error = math.sqrt(seeds + rows)
    parts = math.sqrt(seeds * n), math.sqrt(rows)
    if error <= 1e-12 * max(1.0, abs(mean)):  # rounding
        return Interval(n, mean, mean, mean, math.nan, 0.0, *parts, kind)

    df = _freedom(n, seeds, rows)
    wide = _quantile(1 - confidence, df) * error
    p = float(2 * special.stdtr(df, -abs(mean) / error))
    return Interval(n, mean, mean - wide, mean + wide, p, error, *parts, kind)


def _freedom(n: int, seeds: float, rows: float) -> float:
    return (n - 1) * (seeds + rows) / max(seeds, 1e-9 * (seeds + rows))


def _quantile(level: float, df: float) -> float:
    return float(special.stdtrit(df, 1 - level / 2))

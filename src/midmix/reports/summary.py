"""Results of single runs → means over seeds, with intervals and paired differences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from midmix.errors import InputError
from midmix.reports.columns import COLUMNS
from midmix.reports.lines import BASELINE, Line, lines_of

EPOCH_CHOICES = ("last", "validation", "test_oracle")
MEASURES = tuple(column.name for column in COLUMNS)
_KEYS = ["method", "criterion", "epoch_choice", "seed", "split_hash"]


def summarise(
    results: pd.DataFrame,
    *,
    measures: Sequence[str] = MEASURES,
    baseline: tuple[str, str] = BASELINE,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Mean, t-interval and paired difference from the baseline, per line, epoch choice and measure.

    With n finite values x over the seeds of a line, the interval is ``mean(x) ± t · s / √n``, ``s`` the sample
    standard deviation and ``t`` the quantile of Student's distribution with n - 1 degrees of freedom. The difference
    is the same for ``d = x - x_baseline``, over the runs that share *seed and split* with a baseline run, so what the
    seeds have in common cancels. The intervals are one by one: nothing corrects for their number.

    Args:
        results: a row per ``method, criterion, seed, epoch_choice`` with ``split_hash`` and the measures, as
            ``compare`` writes them (accuracies as fractions).
        measures: the columns to summarise.
        baseline: ``(method, criterion)`` of the line that the others are compared with.
        confidence: coverage of the intervals, between 0 and 1.

    Returns:
        One row per line, epoch choice and measure: ``method, criterion, line`` (the label shown), ``epoch_choice,
        measure, n, mean, low, high, difference_n, difference, difference_low, difference_high``. Units are those of
        ``results``. Intervals of fewer than two values are NaN, and so is every difference without a partner
        (``difference_n`` is 0): the baseline's own, or all of them where the baseline was not run.

    Raises:
        InputError: a column is missing, or two rows have the same line, seed, split and epoch choice.

    Example:
        >>> runs = pd.DataFrame({
        ...     "method": ["erm", "erm", "mixup", "mixup"], "criterion": "cross_entropy", "seed": [0, 1, 0, 1],
        ...     "split_hash": ["a", "b", "a", "b"], "epoch_choice": "last", "accuracy": [0.5, 0.7, 0.6, 0.8]})
        >>> table = summarise(runs, measures=["accuracy"])
        >>> table[["line", "n", "mean", "difference_n", "difference"]].round(2).to_dict("records")[1]
        {'line': 'mixup', 'n': 2, 'mean': 0.7, 'difference_n': 2, 'difference': 0.1}
    """
    missing = [name for name in [*_KEYS, *measures] if name not in results.columns]
    if missing:
        raise InputError(f"results: columns are missing: {', '.join(missing)}")
    twice = results.duplicated(_KEYS)
    if twice.any():
        row = results.loc[twice, _KEYS].iloc[0]
        raise InputError(
            f"results: two rows for {', '.join(f'{key} {row[key]}' for key in _KEYS)}; keep one of them"
        )

    values = results.set_index(_KEYS)[list(measures)].astype(float)
    rows = []
    for choice in _choices(results):
        by_line = {line: _runs(values, line, choice) for line in lines_of(results)}
        reference = by_line.get(Line(*baseline))
        for line, runs in by_line.items():
            if runs.empty:
                continue
            compared = reference is not None and line != baseline
            paired = runs - reference if compared and reference is not None else runs.iloc[:0]
            for measure in measures:
                n, mean, low, high = t_interval(runs[measure].to_numpy(), confidence)
                difference = t_interval(paired[measure].to_numpy(), confidence)
                rows.append((*line, line.label, choice, measure, n, mean, low, high, *difference))
    names = ["method", "criterion", "line", "epoch_choice", "measure", "n", "mean", "low", "high"]
    return pd.DataFrame(
        rows, columns=[*names, "difference_n", "difference", "difference_low", "difference_high"]
    )


def _choices(results: pd.DataFrame) -> list[str]:
    """The epoch choices present, the headline first."""
    present = [str(choice) for choice in results["epoch_choice"].unique()]
    return [choice for choice in EPOCH_CHOICES if choice in present] + [
        choice for choice in present if choice not in EPOCH_CHOICES
    ]


def _runs(values: pd.DataFrame, line: Line, choice: str) -> pd.DataFrame:
    """The runs of one line and epoch choice, indexed by (seed, split_hash)."""
    index = values.index
    chosen = (
        (index.get_level_values("method") == line.method)
        & (index.get_level_values("criterion") == line.criterion)
        & (index.get_level_values("epoch_choice") == choice)
    )
    return values[chosen].droplevel(["method", "criterion", "epoch_choice"])


def t_interval(values: np.ndarray, confidence: float = 0.95) -> tuple[int, float, float, float]:
    """(n, mean, low, high) of the finite values; Student's t-interval of the mean."""
    values = values[np.isfinite(values)]
    n = len(values)
    if n == 0:
        return 0, np.nan, np.nan, np.nan
    mean = float(values.mean())
    if n == 1:
        return 1, mean, np.nan, np.nan
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n))
    return n, mean, mean - half, mean + half

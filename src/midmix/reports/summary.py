"""Results of single runs → means over seeds, with intervals and paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from midmix.errors import InputError
from midmix.reports.columns import outcome_columns
from midmix.reports.lines import baseline_of, lines_of, with_methods
from midmix.reports.outcomes import RunKey, TestedRuns, interval_of
from midmix.studies.statistics import holm

EPOCH_CHOICES = ("last", "validation", "test_oracle")
_KEYS = ["method", "epoch_choice", "seed", "split_hash"]


def summarise(
    results: pd.DataFrame,
    *,
    measures: Sequence[str] | None = None,
    baseline: str | None = None,
    confidence: float = 0.95,
    tested: TestedRuns | None = None,
) -> pd.DataFrame:
    """Mean, interval and paired difference from the baseline, per line, epoch choice and measure.

    Differences are taken over the runs that share *seed and split* with a run of the baseline, so what the seeds have
    in common cancels. An interval counts seeds and test rows where the runs' outputs are known (``tested``), the
    measure is a mean over rows and the epoch is the last (``midmix.studies.statistics.crossed``, or ``nested`` where
    each seed has test rows of its own); else it is Student's over the seeds alone, which says nothing of other test
    rows. Calibration error and what is no mean over rows has the latter. ``interval`` says which it is.

    ``difference_corrected`` is the p-value of the difference after Holm's correction over the lines of the table, for
    each measure and epoch choice.

    Args:
        results: a row per ``method, seed, epoch_choice`` with ``split_hash`` and the measures, as ``compare`` writes
            them (accuracies as fractions).
        measures: the columns to summarise; those of the headline table by default.
        baseline: the line that the others are compared with; ``erm`` by default, if it is there.
        confidence: coverage of the intervals, between 0 and 1.
        tested: outputs of the runs, as ``tested_runs`` reads them.

    Returns:
        One row per line, epoch choice and measure: ``line, baseline, epoch_choice, measure, n, mean, low, high,
        interval, test_rows`` (0 where unknown), ``same`` (whether all seeds have one value), ``diverged`` (runs that
        have none, as their training broke off), then ``difference_n,
        difference, difference_low, difference_high, difference_p, difference_corrected, difference_interval,
        difference_same`` and the two parts of its error, ``difference_seeds_error`` (of one seed) and
        ``difference_rows_error``. Units are those of ``results``. Intervals of fewer than two values are NaN, and so is
        every difference without a partner (``difference_n`` is 0): the baseline's own, or all of them where it was
        not run.

    Raises:
        InputError: a column is missing, two rows have the same line, seed, split and epoch choice, or no line is
            called like the baseline.

    Example:
        >>> runs = pd.DataFrame({
        ...     "method": ["erm", "erm", "mixup", "mixup"], "seed": [0, 1, 0, 1],
        ...     "split_hash": ["a", "b", "a", "b"], "epoch_choice": "last", "accuracy": [0.5, 0.7, 0.6, 0.8]})
        >>> table = summarise(runs)
        >>> table[["line", "n", "mean", "difference_n", "difference"]].round(2).to_dict("records")[1]
        {'line': 'mixup', 'n': 2, 'mean': 0.7, 'difference_n': 2, 'difference': 0.1}
    """
    results = with_methods(results)
    if measures is None:
        measures = [column.name for column in outcome_columns(results.columns)]
    missing = [name for name in [*_KEYS, *measures] if name not in results.columns]
    if missing:
        raise InputError(f"results: columns are missing: {', '.join(missing)}")
    twice = results.duplicated(_KEYS)
    if twice.any():
        first = results.loc[twice, _KEYS].iloc[0]
        raise InputError(
            f"results: two rows for {', '.join(f'{key} {first[key]}' for key in _KEYS)}; keep one of them"
        )
    baseline = baseline_of(results, baseline)
    lines = lines_of(results, baseline)
    tables = []
    for choice in _choices(results):
        chosen = results[results["epoch_choice"] == choice]
        present = [line for line in lines if (chosen["method"] == line).any()]
        diverged = chosen.get("diverged", pd.Series(False, chosen.index)).astype(bool)
        broken = {line: int(diverged[chosen["method"] == line].sum()) for line in present}
        found = {}
        for measure in measures:
            by_line = {line: values_of(chosen[chosen["method"] == line], measure) for line in present}
            outputs = tested if tested is not None and choice == "last" else {}
            rows = [
                {
                    **_row(line, baseline, choice, measure, by_line, outputs, confidence),
                    "diverged": broken[line],
                }
                for line in present
            ]
            corrected = holm(np.array([row["difference_p"] for row in rows]))
            for row, p in zip(rows, corrected, strict=True):
                found[str(row["line"]), measure] = {**row, "difference_corrected": float(p)}
        tables += [found[line, measure] for line in present for measure in measures]
    return pd.DataFrame(tables)


def _row(
    line: str,
    baseline: str,
    choice: str,
    measure: str,
    by_line: dict[str, dict[RunKey, float]],
    tested: TestedRuns,
    confidence: float,
) -> dict[str, object]:
    values, reference = by_line[line], by_line.get(baseline, {})
    mine, theirs = tested.get(line, {}), tested.get(baseline, {})
    mean, rows = interval_of(values, mine, measure, confidence=confidence)
    paired = {}
    if line != baseline:
        paired = {key: value - reference[key] for key, value in values.items() if key in reference}
    difference, _ = interval_of(paired, mine, measure, theirs, confidence)
    return {
        "line": line,
        "baseline": baseline,
        "epoch_choice": choice,
        "measure": measure,
        "n": mean.n,
        "mean": mean.mean,
        "low": mean.low,
        "high": mean.high,
        "interval": mean.kind,
        "test_rows": rows,
        "same": all_same(values),
        "difference_n": difference.n,
        "difference": difference.mean,
        "difference_low": difference.low,
        "difference_high": difference.high,
        "difference_p": difference.p,
        "difference_interval": difference.kind,
        "difference_same": all_same(paired),
        "difference_seeds_error": difference.seeds_error,
        "difference_rows_error": difference.rows_error,
    }


def all_same(values: Mapping[RunKey, float]) -> bool:
    """Whether two seeds or more all have one value, up to rounding."""
    known = np.array([value for value in values.values() if np.isfinite(value)])
    return len(known) > 1 and bool(np.ptp(known) <= 1e-12)


def values_of(runs: pd.DataFrame, measure: str) -> dict[RunKey, float]:
    """A measure by run, of the rows of a results table that belong to one line and epoch choice."""
    columns = zip(runs["seed"], runs["split_hash"], runs[measure].astype(float), strict=True)
    return {RunKey(int(seed), str(split)): float(value) for seed, split, value in columns}


def _choices(results: pd.DataFrame) -> list[str]:
    """The epoch choices present, the headline first."""
    present = [str(choice) for choice in results["epoch_choice"].unique()]
    return [choice for choice in EPOCH_CHOICES if choice in present] + [
        choice for choice in present if choice not in EPOCH_CHOICES
    ]

"""Measures of collapse for every run, in the shape of results: ``summarise`` takes them as they are."""

from __future__ import annotations

import math

import pandas as pd

from midmix.measures import Outputs, evaluate_all
from midmix.reports.columns import collapse_columns
from midmix.reports.comparison import Comparison
from midmix.reports.subjects import Output

_ROWS = 2000
"""Measures over pairs take this many rows of a larger test split; the interval over seeds covers the rest."""


def measure_output(output: Output) -> dict[str, float]:
    """The measures of collapse of one set of features; NaN for those that need what it lacks."""
    logits = None if output.logits is None or output.logits.shape[1] < 2 else output.logits
    names = [column.name for column in collapse_columns()]
    outputs = Outputs(output.labels, logits, features=output.features, max_rows=_ROWS)
    found = evaluate_all(outputs, names)
    return {name: found.get(name, math.nan) for name in names}


def collapse_measures(comparison: Comparison) -> pd.DataFrame:
    """A row per run that learned features and kept its test outputs: ``line``, the keys of results, every measure."""
    rows = [
        {
            "line": run.line,
            "method": run.line,
            "seed": run.seed,
            "split_hash": str(run.about.get("split_hash", "")),
            "epoch_choice": "last",
            **measure_output(run.output),
        }
        for run in comparison.runs
        if run.output is not None and run.learned
    ]
    # What no output allows is no column: a head's measure where nobody kept the heads.
    return pd.DataFrame(rows).dropna(axis="columns", how="all") if rows else pd.DataFrame()


def collapse_paths(comparison: Comparison) -> pd.DataFrame | None:
    """Mean alignment and class uniformity by epoch, where histories have them."""
    names = ["epoch", "alignment", "class_uniformity"]
    tables = []
    for line in comparison.lines:
        histories = [run.history for run in comparison.runs_of(line) if run.history is not None]
        kept = [history[names].dropna() for history in histories if set(names) <= set(history.columns)]
        if kept:
            tables.append(pd.concat(kept).groupby("epoch").mean().reset_index().assign(line=line))
    return pd.concat(tables, ignore_index=True) if tables else None

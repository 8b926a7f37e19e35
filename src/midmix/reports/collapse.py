"""Measures of collapse for every run, in the shape of results: ``summarise`` takes them as they are."""

from __future__ import annotations

import math

import pandas as pd

from midmix.measures import collapse_report
from midmix.reports.columns import Column
from midmix.reports.comparison import Comparison
from midmix.reports.subjects import Output

COLLAPSE_COLUMNS = (
    Column("alignment", "alignment", "lower", percent=False),
    Column("class_uniformity", "class uniformity", "higher", percent=False),
    Column("neighborhood_uniformity", "nearest class", "higher", percent=False),
    Column("alignment_wi", "alignment (W&I)", "lower", percent=False),
    Column("uniformity_wi", "uniformity (W&I)", "lower", percent=False),
    Column("margin_balance", "margin balance", "higher", percent=False),
    Column("nc1", "NC1", "", percent=False),
    Column("nc2_equinorm", "NC2 norms", "", percent=False),
    Column("nc2_equiangular", "NC2 angles", "", percent=False),
    Column("nc4", "NC4", "", percent=False),
)
"""Neural collapse is a state, not a virtue: its measures have no better way here."""
_ROWS = 2000
"""Measures over pairs take this many rows of a larger test split; the interval over seeds covers the rest."""


def measure_output(output: Output) -> dict[str, float]:
    """The measures of ``COLLAPSE_COLUMNS`` of one set of features; NaN for those that need logits it lacks."""
    logits = None if output.logits is None or output.logits.shape[1] < 2 else output.logits
    totals = collapse_report(output.features, output.labels, logits, max_rows=_ROWS).totals
    return {column.name: totals.get(column.name, math.nan) for column in COLLAPSE_COLUMNS}


def collapse_measures(comparison: Comparison) -> pd.DataFrame:
    """A row per run that kept its test outputs: ``line``, the keys of a results table, every measure."""
    rows = [
        {
            "line": run.line.label,
            "method": run.line.method,
            "criterion": run.line.criterion,
            "seed": run.seed,
            "split_hash": str(run.about.get("split_hash", "")),
            "epoch_choice": "last",
            **measure_output(run.output),
        }
        for run in comparison.runs
        if run.output is not None
    ]
    return pd.DataFrame(rows)


def collapse_paths(comparison: Comparison) -> pd.DataFrame | None:
    """Mean alignment and class uniformity by epoch, where histories have them."""
    names = ["epoch", "alignment", "class_uniformity"]
    tables = []
    for line in comparison.lines:
        histories = [run.history for run in comparison.runs_of(line) if run.history is not None]
        kept = [history[names].dropna() for history in histories if set(names) <= set(history.columns)]
        if kept:
            tables.append(pd.concat(kept).groupby("epoch").mean().reset_index().assign(line=line.label))
    return pd.concat(tables, ignore_index=True) if tables else None

"""Accuracy per class against its number of training rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from midmix.reports.comparison import Comparison, Run
from midmix.reports.drawing import Drawing, panel
from midmix.reports.figures.axes import legend_below, log_counts, percent
from midmix.reports.theme import line_colour, line_marker

_POINTS = 12
"""With more classes than this, the curve runs through means of about this many bins of classes."""


def accuracy_by_count(comparison: Comparison) -> Drawing | None:
    """Who pays for the tail, and who gains: a curve per line; None where no run kept its test outputs."""
    tables = [_per_class(comparison.classes, comparison.runs_of(line)) for line in comparison.lines]
    known = [
        table.assign(line=line.label)
        for line, table in zip(comparison.lines, tables, strict=True)
        if not table.empty
    ]
    if not known:
        return None
    numbers = pd.concat(known, ignore_index=True)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for position, table in enumerate(tables):
            if not table.empty:
                _curve(axes, table, position, comparison.lines[position].label)
        log_counts(axes)
        axes.set_xlabel("training rows of the class (log scale)")
        axes.set_ylabel("accuracy of the class, %")
        percent(axes.yaxis)
        axes.set_ylim(-0.03, 1.03)
        legend_below(figure, axes)

    many = len(comparison.classes) > _POINTS
    return Drawing(
        "accuracy-by-count",
        "Accuracy per class against training count",
        "Last epoch, mean over seeds. Higher is better; a flat curve treats rare and frequent classes alike."
        + (" A dot is a class; the curve runs through means of neighbouring classes." if many else ""),
        [panel("accuracy-by-count", "", 4.4, draw)],
        numbers[["line", "class", "training_rows", "accuracy", "seeds"]],
        legend=True,
    )


def _per_class(classes: list[str], runs: list[Run]) -> pd.DataFrame:
    """Mean accuracy over the runs, a row per class that the test split has."""
    accuracies, counts = [], []
    for run in runs:
        if run.output is None or run.output.logits is None:
            continue
        labels = run.output.labels
        right = run.output.logits.argmax(axis=1) == labels
        rows = np.bincount(labels, minlength=len(classes))
        hits = np.bincount(labels, weights=right, minlength=len(classes))
        accuracies.append(np.divide(hits, rows, out=np.full(len(classes), np.nan), where=rows > 0))
        counts.append(run.counts)
    if not accuracies:
        return pd.DataFrame()
    table = pd.DataFrame(
        {
            "class": classes,
            "training_rows": np.mean(counts, axis=0),
            "accuracy": np.mean(accuracies, axis=0),
            "seeds": len(accuracies),
        }
    )
    return table.dropna().sort_values("training_rows", kind="stable")


def _curve(axes: Axes, table: pd.DataFrame, position: int, label: str) -> None:
    colour, marker = line_colour(position), line_marker(position)
    if len(table) > _POINTS:
        axes.plot(
            table["training_rows"], table["accuracy"], ".", color=colour, alpha=0.35, markersize=3.5, mew=0
        )
        bins = np.arange(len(table)) * _POINTS // len(table)
        table = table.groupby(bins)[["training_rows", "accuracy"]].mean()
    # classes of the same size are one point of the curve: a profile in steps has two
    curve = table.groupby("training_rows")["accuracy"].mean()
    axes.plot(
        curve.index, curve.to_numpy(), color=colour, marker=marker, markersize=5, linewidth=1.6, label=label
    )

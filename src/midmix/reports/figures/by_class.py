"""A value per class, averaged over seeds, drawn against the class's training rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from torch import Tensor

from midmix.reports.figures.axes import log_counts
from midmix.reports.subjects import Classes, Subject
from midmix.reports.theme import line_colour, line_marker

BINS = 12
"""With more classes than this, a curve runs through means of about this many bins of classes."""


def by_class(
    subjects: Sequence[Subject], classes: Classes, name: str, value: Callable[[Tensor, Tensor], np.ndarray]
) -> pd.DataFrame | None:
    """Mean over seeds of ``value(logits, labels) [C]``: a row per line and tested class, ordered by training rows."""
    if classes.counts is None:
        return None
    tables = []
    for subject in subjects:
        values = [value(logits, labels) for logits, labels in subject.with_logits]
        if values:
            table = pd.DataFrame(
                {
                    "line": subject.label,
                    "class": classes.names,
                    "training_rows": classes.counts,
                    name: np.mean(values, axis=0),
                    "seeds": len(values),
                }
            )
            tables.append(table.dropna().sort_values("training_rows", kind="stable"))
    return pd.concat(tables, ignore_index=True) if tables else None


def curves(
    axes: Axes, numbers: pd.DataFrame, subjects: Sequence[Subject], classes: Classes, name: str
) -> None:
    """A curve per line over the classes' rows; over their rank where all classes have as many."""
    if numbers["training_rows"].nunique() > 1:
        log_counts(axes)
        axes.set_xlabel(f"{classes.unit} of the class (log scale)")
    else:
        rank = numbers.groupby("line")[name].rank(method="first")
        numbers = numbers.assign(training_rows=rank).sort_values("training_rows", kind="stable")
        axes.set_xlabel("classes, lowest first (equal rows each)")
    for subject in subjects:
        table = numbers[numbers["line"] == subject.label]
        if not table.empty:
            _curve(axes, table, subject, name)


def _curve(axes: Axes, table: pd.DataFrame, subject: Subject, name: str) -> None:
    """The line's curve; where there are many classes, a faint dot for each beside it."""
    colour, marker = line_colour(subject.position), line_marker(subject.position)
    if len(table) > BINS:
        axes.plot(table["training_rows"], table[name], ".", color=colour, alpha=0.35, markersize=3.5, mew=0)
        table = table.groupby(np.arange(len(table)) * BINS // len(table))[["training_rows", name]].mean()
    # classes of the same size are one point of the curve: a profile in steps has two
    means = table.groupby("training_rows")[name].mean()
    axes.plot(
        means.index,
        means.to_numpy(),
        color=colour,
        marker=marker,
        markersize=5,
        linewidth=1.6,
        label=subject.label,
    )

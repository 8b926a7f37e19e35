"""Mixing rate and accuracy over the epochs."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from midmix.reports.comparison import Comparison, Run
from midmix.reports.drawing import Drawing, panel
from midmix.reports.figures.axes import percent
from midmix.reports.plots import Material, plot
from midmix.reports.theme import line_colour, line_marker

_SERIES = (
    ("ratio", "Mixing rate λ", "λ, the row's own share"),
    ("train_accuracy", "Clean training accuracy", "training accuracy, %"),
    ("test_balanced_accuracy", "Balanced test accuracy", "balanced accuracy, %"),
)


def training_curves(comparison: Comparison) -> Drawing | None:
    """λ, clean training accuracy and balanced test accuracy by epoch; None where no run kept its history."""
    tables = [_over_seeds(comparison.runs_of(line)).assign(line=line) for line in comparison.lines]
    known = [table for table in tables if not table.empty]
    if not known:
        return None
    numbers = pd.concat(known, ignore_index=True)
    panels = []
    for name, title, axis_label in _SERIES:
        shown = numbers[(numbers["measure"] == name) & numbers["mean"].notna()]
        if shown.empty:
            continue

        def draw(
            figure: Figure, shown: pd.DataFrame = shown, name: str = name, label: str = axis_label
        ) -> None:
            axes = figure.subplots()
            for position, line in enumerate(comparison.lines):
                _curve(axes, shown[shown["line"] == line], position, line)
            axes.set_xlabel("epoch")
            axes.set_ylabel(label)
            if name != "ratio":
                percent(axes.yaxis)

        panels.append(
            panel(f"training-{name.replace('_', '-')}", title, 3.1, draw, legend=comparison.subjects)
        )
    return Drawing(
        "training-curves",
        "Over the epochs",
        "Mean over seeds; the band is the 95 % interval of the mean. λ is 1 where nothing is mixed and 0.5 at the "
        "midpoint of two classes: neither way is better by itself. Training accuracy is that of clean, unmixed rows; "
        "what counts is test accuracy, where higher is better.",
        panels,
        numbers[["line", "epoch", "measure", "n", "mean", "low", "high"]],
        legend=True,
    )


def _over_seeds(runs: list[Run]) -> pd.DataFrame:
    """Mean and t-interval over the runs: a row per epoch and measure."""
    names = [name for name, _, _ in _SERIES]
    histories = [run.history.reindex(columns=["epoch", *names]) for run in runs if run.history is not None]
    if not histories:
        return pd.DataFrame()
    long = pd.concat(histories).melt("epoch", names, "measure", "value")
    table = long.groupby(["measure", "epoch"], sort=True)["value"].agg(["count", "mean", "std"]).reset_index()
    n = table["count"].to_numpy()
    half = stats.t.ppf(0.975, np.maximum(n - 1, 1)) * table["std"].to_numpy() / np.sqrt(np.maximum(n, 1))
    return table.assign(n=n, low=table["mean"] - half, high=table["mean"] + half)


def _curve(axes: Axes, table: pd.DataFrame, position: int, label: str) -> None:
    if table.empty:
        return
    colour = line_colour(position)
    epochs = table["epoch"].to_numpy()
    low, high = (table[end].clip(0, 1) for end in ("low", "high"))  # shares: few seeds make wider intervals
    axes.fill_between(epochs, low, high, color=colour, alpha=0.1, linewidth=0)
    axes.plot(
        epochs,
        table["mean"],
        color=colour,
        marker=line_marker(position),
        markevery=[len(epochs) - 1],
        markersize=5,
        linewidth=1.6,
        label=label,
    )


@plot("training-curves", "outcomes", 3)
def _plot(material: Material) -> Drawing | None:
    return None if material.comparison is None else training_curves(material.comparison)

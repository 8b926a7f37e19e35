"""How far every line is ahead of the baseline."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from midmix.reports.columns import outcome_columns
from midmix.reports.drawing import Drawing, panel
from midmix.reports.figures.axes import percent
from midmix.reports.figures.dots import beside_names, forest
from midmix.reports.plots import Material, plot
from midmix.reports.subjects import Subject
from midmix.reports.theme import MUTED

_SHOWN = ("many", "medium", "few")


def differences(subjects: Sequence[Subject], summary: pd.DataFrame, baseline: str) -> Drawing | None:
    """Paired differences with their intervals at the last epoch; None without a baseline to pair with."""
    chosen = summary[(summary["epoch_choice"] == "last") & (summary["difference_n"] > 0)]
    chosen = chosen[chosen["measure"].isin(_SHOWN)]
    bounds = chosen[["difference", "difference_low", "difference_high"]]
    low, high = min(0.0, float(bounds.min().min())), max(0.0, float(bounds.max().max()))
    room = 0.06 * (high - low) or 0.01
    panels = []
    for column in outcome_columns(_SHOWN):
        rows = chosen[chosen["measure"] == column.name]
        if rows.empty:
            continue

        def draw(figure: Figure, rows: pd.DataFrame = rows) -> None:
            intervals = rows.set_index("line")[["difference", "difference_low", "difference_high"]]
            shown = [subject for subject in subjects if subject.label in intervals.index]
            axes = forest(figure, shown, intervals)
            axes.axvline(0, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
            axes.set_xlabel(f"points ahead of {baseline}", loc="right")
            axes.set_xlim(low - room, high + room)
            percent(axes.xaxis)

        height = max(3.2, 0.8 + 0.36 * rows["line"].nunique())  # names of two lines of text do not touch
        title = f"Classes with {column.heading} training rows"
        panels.append(
            panel(f"differences-{column.name}", title, height, draw, margins=beside_names(subjects))
        )
    if not panels:
        return None
    return Drawing(
        "differences",
        f"Ahead of {baseline}, and by how much",
        f"Difference in accuracy from {baseline} on the same seeds and splits, last epoch, with its 95 % "
        "interval. To the right of the dashed line is better; an interval that crosses it decides nothing.",
        panels,
        chosen[["line", "measure", "difference_n", "difference", "difference_low", "difference_high"]],
    )


@plot("differences", "outcomes", 2)
def _plot(material: Material) -> Drawing | None:
    if material.summary is None:
        return None
    return differences(material.subjects, material.summary, str(material.summary["baseline"].iloc[0]))

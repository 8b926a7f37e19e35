"""A measure over the values of a method's options, a panel for each set of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from midmix.reports.columns import Column
from midmix.reports.drawing import Drawing, panel, slug
from midmix.reports.figures.axes import percent
from midmix.reports.subjects import Subject
from midmix.reports.theme import line_colour, line_marker
from midmix.studies.grid import Grid, GridLine


def study_curves(grid: Grid, summary: pd.DataFrame, column: Column) -> Drawing | None:
    """The measure over the option of each family; a family without options is a level. None where all are levels."""
    curves = _curves(grid.lines)
    if not any(option for option, _ in curves.values()):
        return None
    last = summary[(summary["epoch_choice"] == "last") & (summary["measure"] == column.name)]
    options = list(dict.fromkeys(option for option, _ in curves.values() if option))
    numbers: list[dict[str, Any]] = []
    panels = []
    legend = [Subject(place, label, []) for place, label in enumerate(curves)]
    for one in grid.sets:
        rows = last[last["set"] == one.name].set_index("line")
        if rows.empty:
            continue
        for label, (option, lines) in curves.items():
            for line in lines:
                if str(line) in rows.index:
                    row = rows.loc[str(line)]
                    numbers.append(
                        {"set": one.name, "curve": label, "option": option, "value": line.values.get(option, "")}
                        | {name: row[name] for name in ("n", "mean", "low", "high")}
                    )  # fmt: skip

        def draw(figure: Figure, rows: pd.DataFrame = rows) -> None:
            axes = figure.subplots()
            ticks = _ticks(curves)
            for place, (option, lines) in enumerate(curves.values()):
                _curve(axes, rows, option, lines, place, ticks)
            axes.set_xlabel(" or ".join(options))
            axes.set_ylabel(f"{column.heading}{', %' if column.percent else ''}")
            if ticks:
                axes.set_xticks(list(ticks.values()), list(ticks))
            if column.percent:
                percent(axes.yaxis)

        panels.append(panel(f"{column.name}-{slug(one.name)}", one.name, 3.1, draw, legend=legend))
    better = {"higher": "Higher is better. ", "lower": "Lower is better. "}.get(column.better, "")
    return Drawing(
        column.name.replace("_", "-"),
        f"{column.heading} over {' and '.join(options)}",
        f"Mean over seeds; bars and bands are its 95 % interval. {better}A line without options is a level.",
        panels,
        pd.DataFrame(numbers),
        legend=True,
    )


Curves = Mapping[str, tuple[str, Sequence[GridLine]]]
"""Label → the option along x, empty for a level, and the lines."""


def _curves(lines: Sequence[GridLine]) -> Curves:
    """Lines by family and by all options but the first that takes numbers, or the first."""
    found: dict[str, tuple[str, list[GridLine]]] = {}
    for line in lines:
        numeric = [name for name, value in line.values.items() if _is_number(value)]
        option = next(iter(numeric or line.values), "")
        label = line.family
        for name, value in line.values.items():
            if name != option:
                label = label.replace(f"{{{name}}}", str(value))
        found.setdefault(label, (option, []))[1].append(line)
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _ticks(curves: Curves) -> dict[str, float]:
    """Places of values that are words; none where all are numbers."""
    values = [line.values[option] for option, lines in curves.values() if option for line in lines]
    if all(map(_is_number, values)):
        return {}
    return {text: float(place) for place, text in enumerate(dict.fromkeys(map(str, values)))}


def _curve(
    axes: Axes,
    rows: pd.DataFrame,
    option: str,
    lines: Sequence[GridLine],
    place: int,
    ticks: Mapping[str, float],
) -> None:
    known = [line for line in lines if str(line) in rows.index]
    if not known:
        return
    table = rows.loc[[str(line) for line in known]]
    mean, low, high = (table[name].to_numpy(float) for name in ("mean", "low", "high"))
    colour = line_colour(place)
    if not option:
        axes.axhline(mean[0], color=colour, linewidth=1.2, linestyle="--")
        axes.axhspan(low[0], high[0], color=colour, alpha=0.06, linewidth=0)
        return
    values = [line.values[option] for line in known]
    x = np.array([ticks[str(value)] if ticks else float(value) for value in values])
    order = np.argsort(x, kind="stable")
    axes.fill_between(x[order], low[order], high[order], color=colour, alpha=0.1, linewidth=0)
    axes.plot(x[order], mean[order], color=colour, marker=line_marker(place), markersize=5, linewidth=1.6)

"""Heat maps of one hue over a transparent ground, so that light and dark pages both carry them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from midmix.reports.drawing import WIDTH, Panel, panel, shorten, slug
from midmix.reports.figures.axes import name_room
from midmix.reports.subjects import Classes, Subject
from midmix.reports.theme import INK

_NAMED = 12
"""Up to this many classes have their names written out."""
_HUE = (0.16, 0.51, 0.80)
_MAP = LinearSegmentedColormap.from_list("depth", [(*_HUE, 0.0), (*_HUE, 0.9)])


@dataclass(frozen=True)
class HeatMap:
    """What the panels of one figure have in common."""

    name: str
    classes: Classes
    rows: str
    columns: str
    scale: str
    high: float
    """The value of full colour; none at 0."""
    written_from: float = np.inf
    """Cells of at least this value have it written in, where classes have their names."""

    def panel(self, subject: Subject, values: np.ndarray) -> Panel:
        """``values [C, C]`` of one line, in the classes' own order; drawn from most to fewest training rows."""
        order = self.classes.by_count
        values = values[np.ix_(order, order)]
        names = [shorten(self.classes.names[c], 14) for c in order] if len(order) <= _NAMED else []
        room = max(name_room(names), 0.25)
        left, foot = room + 0.4, 0.75 * room + 0.95
        side = WIDTH - left - 0.2

        def draw(figure: Figure) -> None:
            self._draw(figure, values, names)

        name = f"{self.name}-{subject.position}-{slug(subject.label)}"
        return panel(name, subject.label, side + foot + 0.1, draw, margins=(left, 0.2, foot, 0.1))

    def numbers(self, subject: Subject, values: np.ndarray) -> pd.DataFrame:
        """The same as a table, a row a cell."""
        order = self.classes.by_count
        names = np.array(list(self.classes.names), dtype=object)[order]
        row, column = np.indices(values.shape).reshape(2, -1)
        cells = values[np.ix_(order, order)].ravel()
        return pd.DataFrame(
            {"line": subject.label, self.rows: names[row], self.columns: names[column], self.scale: cells}
        )

    def _draw(self, figure: Figure, values: np.ndarray, names: Sequence[str]) -> None:
        axes = figure.subplots()
        axes.imshow(values, cmap=_MAP, vmin=0, vmax=self.high, interpolation="none", aspect="auto")
        axes.set(xlabel=self.columns, ylabel=self.rows)
        axes.grid(visible=False)
        axes.spines[:].set_visible(True)
        if names:
            axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
            axes.set_yticks(range(len(names)), names)
            axes.tick_params(length=0, labelsize=9)
            for row, column in np.argwhere(values >= self.written_from):
                text = f"{values[row, column]:.0f}"
                axes.text(column, row, text, ha="center", va="center", fontsize=9, color=INK)
        box = axes.get_position()
        height = figure.get_figheight()
        bar = figure.add_axes((box.x0, 0.42 / height, box.width, 0.12 / height))
        ramp = np.linspace(0, 1, 64)[None]
        bar.imshow(ramp, cmap=_MAP, aspect="auto", extent=(0, self.high, 0, 1), interpolation="none")
        bar.set(yticks=[], xlabel=self.scale)
        bar.tick_params(labelsize=9)
        bar.grid(visible=False)
        bar.spines[:].set_visible(True)


def ordering_note(classes: Classes) -> str:
    """How a caption says in which order the classes stand."""
    order = (
        "Classes stand in their own order"
        if classes.counts is None
        else f"Classes go from most to fewest {classes.unit}"
    )
    return f"{order}." if len(classes) <= _NAMED else f"{order}, by number; the CSV has their names."

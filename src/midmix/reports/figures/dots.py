"""One measure of every line, a row each: mean and interval, and the seeds where they are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from midmix.reports.drawing import MARGINS, Margins, shorten
from midmix.reports.figures.axes import name_room
from midmix.reports.lines import parts_of
from midmix.reports.subjects import Subject
from midmix.reports.theme import line_colour, line_marker
from midmix.studies.statistics import over_seeds


def dots(figure: Figure, subjects: Sequence[Subject], values: Mapping[str, np.ndarray]) -> Axes:
    """Small marks for a line's ``values``, a large one for their mean with its 95 % interval."""
    found = {label: over_seeds(mine) for label, mine in values.items()}
    intervals = {label: (one.mean, one.low, one.high) for label, one in found.items()}
    axes = forest(figure, subjects, pd.DataFrame.from_dict(intervals, orient="index"))
    for row, subject in enumerate(subjects):
        mine = values[subject.label]
        colour, marker = line_colour(subject.position), line_marker(subject.position)
        axes.plot(
            mine, np.full(len(mine), row + 0.25), marker, color=colour, alpha=0.35, markersize=3.5, mew=0
        )
    return axes


def forest(figure: Figure, subjects: Sequence[Subject], intervals: pd.DataFrame) -> Axes:
    """A mark and a bar for each line's (middle, low, high), indexed by the line's label; names at the left."""
    axes = figure.subplots()
    for row, subject in enumerate(subjects):
        middle, low, high = (float(value) for value in intervals.loc[subject.label].to_numpy())
        colour, marker = line_colour(subject.position), line_marker(subject.position)
        axes.plot([low, high], [row, row], color=colour, linewidth=2)
        axes.plot([middle], [row], marker, color=colour, markersize=8, mew=0)
    axes.set_yticks(range(len(subjects)), [_name(subject.label) for subject in subjects])
    axes.tick_params(axis="y", length=0, labelsize=9)
    axes.set_ylim(len(subjects) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    return axes


def beside_names(subjects: Sequence[Subject]) -> Margins:
    """The margins of a panel whose rows are named at the left."""
    _, right, bottom, top = MARGINS
    parts = [part for subject in subjects for part in _name(subject.label).split("\n")]
    return 0.15 + name_room(parts), right, bottom, top


def _name(label: str) -> str:
    return "\n".join(shorten(part, 24) for part in parts_of(label))

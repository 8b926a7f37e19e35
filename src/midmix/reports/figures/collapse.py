"""Alignment within classes against uniformity between them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from midmix.reports.collapse import collapse_paths
from midmix.reports.drawing import Drawing, panel
from midmix.reports.plots import Material, plot
from midmix.reports.subjects import Subject
from midmix.reports.theme import line_colour, line_marker

NAMES = ["class_uniformity", "alignment"]


def collapse(
    subjects: Sequence[Subject], measured: pd.DataFrame, paths: pd.DataFrame | None = None
) -> Drawing | None:
    """A small point per seed and a large one for their mean; None where nothing was measured.

    Args:
        subjects: the lines, for their colours.
        measured: a row per output with its ``line``, ``alignment``, ``class_uniformity`` and whatever else.
        paths: ``line, epoch, alignment, class_uniformity`` of the epochs measured on the way, drawn as a trace.
    """
    if measured.empty:
        return None

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for subject in subjects:
            mine = measured.loc[measured["line"] == subject.label, NAMES]
            if mine.empty:
                continue
            colour, marker = line_colour(subject.position), line_marker(subject.position)
            if paths is not None:
                axes.plot(
                    *paths.loc[paths["line"] == subject.label, NAMES].to_numpy().T, color=colour, alpha=0.6
                )
            axes.plot(*mine.to_numpy().T, marker, color=colour, alpha=0.35, markersize=4.5, mew=0)
            axes.plot(
                *mine.mean().to_numpy()[:, None],
                marker,
                color=colour,
                markersize=9,
                mew=0,
                label=subject.label,
            )
        axes.set_xlabel("class uniformity: distance between classes")
        axes.set_ylabel("alignment: distance within")
        axes.margins(0.12)

    traced = " The trace is its way there over the epochs." if paths is not None else ""
    return Drawing(
        "collapse",
        "Alignment against uniformity",
        "Distances of test features of length 1: within a class (alignment, lower is tighter) and between class "
        "centres (class uniformity, higher is farther apart). To the right is better. Down is better as long as "
        "classes do not shrink to a point, which throws away what tells their members apart. A small mark is a seed, a "
        "large one the mean." + traced,
        [panel("collapse", "", 3.4, draw, legend=subjects)],
        measured,
        legend=True,
    )


@plot("collapse", "geometry", 1)
def _plot(material: Material) -> Drawing | None:
    if not set(NAMES) <= set(material.measured):
        return None
    paths = None if material.comparison is None else collapse_paths(material.comparison)
    return collapse(material.subjects, material.measured, paths)

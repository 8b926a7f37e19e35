"""What a figure of a report is: panels that stand side by side, a caption, and its numbers."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from midmix.reports.subjects import Subject
from midmix.reports.svg import inline, to_svg
from midmix.reports.theme import drawing, line_colour, line_marker

WIDTH = 4.6
"""Width of a panel in inches: a phone shows one beside the other's end, a desk two or three in a row."""


Margins = tuple[float, float, float, float]
"""Inches left, right, below and above the axes."""
MARGINS: Margins = (0.68, 0.12, 0.52, 0.12)


@dataclass(frozen=True)
class Panel:
    """One picture of a figure; ``title`` is empty where the figure's heading says it all."""

    name: str
    title: str
    figure: Figure
    height: float
    """Inches, without the legend at the foot."""
    margins: Margins


@dataclass(frozen=True)
class Drawing:
    """A figure: its panels, what it says, and the numbers behind it."""

    name: str
    heading: str
    caption: str
    """What is drawn, and which way is better."""
    panels: list[Panel]
    numbers: pd.DataFrame
    legend: bool = False
    """The colours are those of the lines: the page names them once, above the panels; each file has its own legend."""


@dataclass(frozen=True)
class Picture:
    """A panel as the page shows it."""

    file: str
    title: str
    svg: str


@dataclass(frozen=True)
class Published:
    """A figure that has been written to its folder, ready for the page."""

    drawing: Drawing
    pictures: list[Picture]
    table: str


def publish(drawing: Drawing, folder: Path) -> Published:
    """Write the figure's panels as SVG and its numbers as CSV into ``folder``, and render them for the page."""
    pictures = []
    for panel in drawing.panels:
        svg = to_svg(panel.figure)
        file = f"{panel.name}.svg"
        (folder / file).write_text(svg, encoding="utf-8")
        if panel.figure.legends:
            panel.figure.legends[0].remove()
            _place(panel.figure, panel.height, panel.margins, foot=0.0)
            svg = to_svg(panel.figure)
        title = f"{drawing.heading}: {panel.title}" if panel.title else drawing.heading
        pictures.append(Picture(file, panel.title, inline(svg, name=panel.name, title=title)))
    table = f"{drawing.name}.csv"
    drawing.numbers.to_csv(folder / table, index=False, lineterminator="\n")
    return Published(drawing, pictures, table)


def panel(
    name: str,
    title: str,
    height: float,
    draw: Callable[[Figure], None],
    *,
    margins: Margins = MARGINS,
    legend: Sequence[Subject] = (),
) -> Panel:
    """A panel of the report's width; ``draw`` fills the empty figure under the report's settings.

    Args:
        name: of the file, without its ending.
        title: what sets the panel apart from its neighbours.
        height: in inches, without the legend.
        draw: draws on the figure, whose subplots are in place.
        margins: room around the axes. Measuring every text instead would take half of a report's time.
        legend: the lines that a legend at the foot names; one needs no name.
    """
    with drawing():
        figure = Figure(figsize=(WIDTH, height), dpi=72)
        room = _add_legend(figure, legend) if len(legend) > 1 else 0.0
        _place(figure, height, margins, room)
        draw(figure)
    return Panel(name, title, figure, height, margins)


def _place(figure: Figure, height: float, margins: Margins, foot: float) -> None:
    """Axes within their margins, above a foot of this many inches."""
    left, right, bottom, top = margins
    whole = height + foot
    figure.set_size_inches(WIDTH, whole)
    figure.subplots_adjust(left / WIDTH, (foot + bottom) / whole, 1 - right / WIDTH, 1 - top / whole)


def _add_legend(figure: Figure, lines: Sequence[Subject]) -> float:
    """Name the lines at the foot; returns the height in inches that this takes."""
    labels = [shorten(line.label, 44) for line in lines]
    columns = 2 if max(map(len, labels)) <= 24 else 1
    handles = [
        Line2D([], [], color=line_colour(line.position), marker=line_marker(line.position), markersize=5)
        for line in lines
    ]
    figure.legend(handles, labels, loc="lower left", ncols=columns, handlelength=1.8, labelspacing=0.4)
    return 0.21 * math.ceil(len(labels) / columns) + 0.1


def slug(text: str) -> str:
    """A file name and an id from any text.

    Example:
        >>> slug("am-mixup:clean=1 + balanced_softmax"), slug("<b>Größe")
        ('am-mixup-clean-1-balanced-softmax', 'b-grosse')
    """
    plain = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "x"


def shorten(text: str, length: int = 24) -> str:
    """A long name's beginning with an ellipsis; figures have no room for more.

    Example:
        >>> shorten("a name", 24), shorten("abcdefghij", 6)
        ('a name', 'abcde…')
    """
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"

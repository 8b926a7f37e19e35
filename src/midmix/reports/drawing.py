"""What a figure of a report is: panels that stand side by side, a caption, and its numbers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from midmix.reports.svg import inline, to_svg
from midmix.reports.theme import drawing

WIDTH = 4.6
"""Width of a panel in inches: a phone shows one beside the other's end, a desk two or three in a row."""


@dataclass(frozen=True)
class Panel:
    """One picture of a figure; ``title`` is empty where the figure's heading says it all."""

    name: str
    title: str
    figure: Figure


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
            svg = _without_legend(panel.figure)
        title = f"{drawing.heading}: {panel.title}" if panel.title else drawing.heading
        pictures.append(Picture(file, panel.title, inline(svg, name=panel.name, title=title)))
    table = f"{drawing.name}.csv"
    drawing.numbers.to_csv(folder / table, index=False, lineterminator="\n")
    return Published(drawing, pictures, table)


def _without_legend(figure: Figure) -> str:
    """The same picture, lower by the legend at its foot."""
    (legend,) = figure.legends
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height - legend.get_window_extent().height / figure.dpi)
    legend.set_visible(False)
    return to_svg(figure)


def panel(name: str, title: str, height: float, draw: Callable[[Figure], None]) -> Panel:
    """A panel of the report's width; ``draw`` fills the empty figure under the report's settings."""
    with drawing():
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        draw(figure)
    return Panel(name, title, figure)


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

"""Tables of the measures of collapse, for the terminal."""

from __future__ import annotations

import math
from typing import TypeVar

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from midmix.measures import MEASURES, CollapseReport

MOST_CLASSES = 30
Row = TypeVar("Row")


def collapse_tables(report: CollapseReport, title: str) -> RenderableType:
    """Every measure of collapse with the direction that is better, and the main ones by class."""
    totals = Table(title=escape(title), title_justify="left")
    for name in ("measure", "value", "standard error", "better"):
        totals.add_column(name, justify="left" if name in ("measure", "better") else "right")
    for name, value in report.totals.items():
        error = report.standard_errors.get(name)
        totals.add_row(
            name,
            _number(value),
            "exact" if error is None else _number(error),
            MEASURES.find(name).better or "a state",
        )
    names = (
        "class",
        "count",
        "alignment",
        "class_uniformity",
        "nearest_class",
        "nearest_distance",
        "margin_mean",
    )
    columns = [name for name in names if name in report.per_class]
    classes = Table(caption="Rows by class, most first", caption_justify="left")
    for name in columns:
        classes.add_column(name, justify="left" if name in ("class", "nearest_class") else "right")
    rows = list(zip(*(report.per_class[name] for name in columns), strict=True))
    rows.sort(key=lambda row: -row[columns.index("count")])
    for row in ends(rows):
        classes.add_row(*(_number(cell) if isinstance(cell, float) else escape(str(cell)) for cell in row))
    return Group(totals, classes)


def ends(rows: list[Row]) -> list[Row]:
    """All rows, or where they are too many to be read the first and the last of them."""
    half = MOST_CLASSES // 2
    return rows if len(rows) <= MOST_CLASSES else [*rows[:half], *rows[-half:]]


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4g}"

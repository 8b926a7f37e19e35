"""Tables of one model's measures, for the terminal."""

from __future__ import annotations

import math
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from midmix.measures import MEASURES, Classification, CollapseReport

MOST_CLASSES = 30


def measured(found: Classification, record: dict[str, Any], title: str) -> RenderableType:
    """Accuracy in total and by shot, calibration, and accuracy by class beside its training rows."""
    totals = Table(title=escape(title), title_justify="left")
    cells = {
        "accuracy %": _percent(found.accuracy),
        "balanced %": _percent(found.balanced_accuracy),
        "macro F1 %": _percent(found.macro_f1),
        "many %": _percent(found.many),
        "medium %": _percent(found.medium),
        "few %": _percent(found.few),
        "NLL (nats)": f"{found.nll:.3f}" if record["probabilities"] else "–",
        "ECE %": _percent(found.ece if record["probabilities"] else math.nan),
    }
    for name in cells:
        totals.add_column(name, justify="right")
    totals.add_row(*cells.values())
    classes = Table(caption=f"many, medium, few: {found.groups.rule}", caption_justify="left")
    for name in ("class", "training rows", "accuracy %"):
        classes.add_column(name, justify="left" if name == "class" else "right")
    rows = sorted(
        zip(record["classes"], record["class_counts"], found.per_class.tolist(), strict=True),
        key=lambda row: -row[1],
    )
    for name, count, accuracy in _ends(rows):
        classes.add_row(escape(name), f"{count:,}", _percent(accuracy))
    return Group(totals, classes)


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.1f}"


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
    for row in _ends(rows):
        classes.add_row(*(_number(cell) if isinstance(cell, float) else escape(str(cell)) for cell in row))
    return Group(totals, classes)


def _ends(rows: list[Any]) -> list[Any]:
    """All rows, or where they are too many to be read the first and the last of them."""
    half = MOST_CLASSES // 2
    return rows if len(rows) <= MOST_CLASSES else [*rows[:half], *rows[-half:]]


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4g}"

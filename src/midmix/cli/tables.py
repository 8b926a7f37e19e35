"""Tables of one model's measures, for the terminal."""

from __future__ import annotations

import math
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from midmix.measures import Classification

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
        "NLL (nats)": f"{found.nll:.3f}",
        "ECE %": _percent(found.ece),
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
    shown = rows if len(rows) <= MOST_CLASSES else [*rows[: MOST_CLASSES // 2], *rows[-MOST_CLASSES // 2 :]]
    for name, count, accuracy in shown:
        classes.add_row(escape(name), f"{count:,}", _percent(accuracy))
    return Group(totals, classes)


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.1f}"

"""Tables of what one model's decisions and probabilities are worth, for the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from midmix.cli.tables import ends
from midmix.decisions import DecisionRule
from midmix.measures import MEASURES
from midmix.training import Predictions
from midmix.training.judged import OF_PROBABILITIES, OF_RANKING, Judgement, Measured, judge


def measured(
    predictions: Predictions,
    record: dict[str, Any],
    title: str,
    rule: DecisionRule | None = None,
    beside: Mapping[str, Predictions] = MappingProxyType({}),
) -> RenderableType:
    """The tables of `judge`'s answer; `title` is that of the first."""
    return judged_tables(judge(predictions, record, rule, beside), title)


def judged_tables(found: Judgement, title: str) -> RenderableType:
    """Decisions, probabilities, ranking and accuracy by class."""
    parts: list[RenderableType] = [_decisions(title, found)]
    if found.probabilities:
        parts.append(_table("probabilities", OF_PROBABILITIES, found.probabilities))
    if found.ranking:
        parts.append(_table("ranking", OF_RANKING, found.ranking))
    return Group(*parts, _classes(found))


def _table(first: str, names: Sequence[str], rows: Measured) -> Table:
    table = Table()
    table.add_column(first, no_wrap=True)
    measures = [MEASURES.find(name) for name in names]
    for one in measures:
        percent = one.unit == "percent"
        table.add_column(f"{one.heading}{' %' if percent else ''}", justify="right")
    for name, values in rows.items():
        cells = [_text(values[one.name], percent=one.unit == "percent") for one in measures]
        table.add_row(name, *cells)
    return table


def _decisions(title: str, found: Judgement) -> Table:
    """A row a measure and a column a way of deciding, so that a terminal of 80 columns holds them all."""
    positive = found.positive
    caption = None if positive is None else f"precision, recall and F1 of {escape(positive)}"
    table = Table(title=escape(title), title_justify="left", caption=caption, caption_justify="left")
    table.add_column("decided by", no_wrap=True)
    for way in found.decisions:
        table.add_column(way, justify="right")
    for one in map(MEASURES.find, next(iter(found.decisions.values()))):
        percent = one.unit == "percent"
        cells = [_text(values[one.name], percent=percent) for values in found.decisions.values()]
        table.add_row(f"{one.heading}{' %' if percent else ''}", *cells)
    return table


def _classes(found: Judgement) -> Table:
    rule = "" if found.shot_rule is None else f"; many, medium, few: {found.shot_rule}"
    table = Table(caption=f"accuracy as decided by: {found.decided_by}{rule}", caption_justify="left")
    for name in ("class", "training rows", "accuracy %"):
        table.add_column(name, justify="left" if name == "class" else "right")
    for name, count, accuracy in ends(found.classes):
        table.add_row(escape(name), f"{count:,}", _text(accuracy, percent=True))
    return table


def _text(value: float, *, percent: bool) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.1f}" if percent else f"{value:.3f}"

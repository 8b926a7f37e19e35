"""The columns that tables show: measures as people read them."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

from midmix.measures import MEASURES, measures_of

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Column:
    """A measure as the results hold it and as people read it."""

    name: str
    heading: str
    better: str
    """``"higher"`` or ``"lower"``; empty where neither is."""
    percent: bool
    """Stored as a fraction from 0 to 1, shown in percent."""

    @classmethod
    def of(cls, measure: str, name: str | None = None, heading: str | None = None) -> Self:
        """The column of a measure; under another name or heading where results call it otherwise."""
        found = MEASURES.find(measure)
        return cls(name or found.name, heading or found.heading, found.better, found.unit == "percent")

    def text(self, value: float) -> str:
        """The value as shown, without a unit; an en dash where there is none.

        Example:
            >>> accuracy, nll = Column.of("accuracy"), Column.of("nll")
            >>> accuracy.text(0.7791), nll.text(1.2345), accuracy.text(float("nan"))
            ('77.9', '1.234', '–')
        """
        if not math.isfinite(value):
            return "–"
        text = f"{100 * value:.1f}" if self.percent else f"{value:.3f}"
        return text.replace("-", MINUS)

    def signed(self, value: float) -> str:
        """The value as a difference: always with its sign, with a real minus."""
        text = self.text(abs(value))
        negative = value < 0 and text.strip("0.") != ""  # what rounds to zero has no minus
        return (MINUS if negative else "+") + text if math.isfinite(value) else text


def outcome_columns(names: Collection[str]) -> tuple[Column, ...]:
    """The columns of the headline table that a table of results with these columns has.

    For two classes there is no many, medium and few: the measures of two classes stand in their place.

    Example:
        >>> [column.heading for column in outcome_columns(["seed", "few", "accuracy"])]
        ['overall', 'few']
    """
    two = [one for one in measures_of("two classes") if one.name in names]
    shown = [one for one in measures_of("outcomes") if one.name in names]
    if two:
        shown = [*(one for one in shown if one.name not in ("many", "medium", "few")), *two]
    return tuple(Column.of(one.name) for one in sorted(shown, key=lambda one: one.order))


def collapse_columns(names: Collection[str] | None = None) -> tuple[Column, ...]:
    """The columns of the measures of collapse, or those of them that are among these names."""
    found = [one.name for one in measures_of("collapse")]
    return tuple(Column.of(name) for name in found if names is None or name in names)

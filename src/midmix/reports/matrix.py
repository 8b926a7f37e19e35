"""The table of any two lines: what the page shows of all pairs in one measure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from midmix.reports.columns import Column
from midmix.reports.lines import parts_of
from midmix.reports.pairs import Pairs


@dataclass(frozen=True)
class Entry:
    """The line of the row less the line of the column, as text; all empty on the diagonal."""

    difference: str = ""
    half: str = ""
    """Half the interval's width; `"n = 1"` where one run gives no interval."""
    verdict: str = ""
    """`"better"` or `"worse"` where it holds after Holm's correction over all pairs."""
    mark: str = ""


@dataclass(frozen=True)
class Matrix:
    """All pairs of lines in one measure, a row and a column a line."""

    column: Column
    pairs: int
    rows: list[tuple[list[str], list[Entry]]]
    """A line's name in parts, and an entry a line."""

    @property
    def marks(self) -> list[str]:
        """The marks of all entries."""
        return [entry.mark for _, entries in self.rows for entry in entries]


def matrix_of(pairs: Pairs) -> Matrix:
    """The table of these pairs, lines in the order of the report."""
    rows = [
        (parts_of(first), [_entry(pairs, first, second) for second in pairs.lines]) for first in pairs.lines
    ]
    return Matrix(pairs.column, pairs.count, rows)


def _entry(pairs: Pairs, first: str, second: str) -> Entry:
    if first == second:
        return Entry()
    found, column = pairs.differences[first, second], pairs.column
    if found.interval.n == 0:
        return Entry("–")
    half = column.text(found.half) if math.isfinite(found.half) else "n = 1"
    return Entry(column.signed(found.interval.mean), half, pairs.verdict(first, second), found.mark)

"""A line of a comparison: one method with one criterion, the unit that is averaged over seeds."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd


class Line(NamedTuple):
    """One method with one criterion."""

    method: str
    criterion: str

    @property
    def label(self) -> str:
        """The line's name as shown; plain cross-entropy goes without saying.

        Example:
            >>> Line("mixup", "cross_entropy").label, Line("erm", "balanced_softmax").label
            ('mixup', 'erm + balanced_softmax')
        """
        return self.method if self.criterion == "cross_entropy" else f"{self.method} + {self.criterion}"


BASELINE = Line("erm", "cross_entropy")
"""What every other line is compared with."""


def lines_of(results: pd.DataFrame) -> list[Line]:
    """The lines of a results table, the baseline first, the others in their order of appearance."""
    pairs = results[["method", "criterion"]].drop_duplicates()
    lines = [Line(str(method), str(criterion)) for method, criterion in pairs.itertuples(index=False)]
    return sorted(lines, key=lambda line: line != BASELINE)

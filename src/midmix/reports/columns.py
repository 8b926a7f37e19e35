"""The columns of a results table that a report shows: heading, unit and which way is better."""

from __future__ import annotations

import math
from dataclasses import dataclass

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

    def text(self, value: float) -> str:
        """The value as shown, without a unit; an en dash where there is none.

        Example:
            >>> COLUMNS[0].text(0.7791), COLUMNS[5].text(1.2345), COLUMNS[0].text(float("nan"))
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


COLUMNS = (
    Column("accuracy", "overall", "higher", percent=True),
    Column("balanced_accuracy", "balanced", "higher", percent=True),
    Column("many", "many", "higher", percent=True),
    Column("medium", "medium", "higher", percent=True),
    Column("few", "few", "higher", percent=True),
    Column("nll", "NLL", "lower", percent=False),
    Column("ece", "ECE", "lower", percent=False),
)
"""What the headline table shows, in its order."""

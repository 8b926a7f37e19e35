"""The lines of a comparison: a method in one text, the unit that is averaged over seeds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from midmix.errors import unknown

BASELINE = "erm"
"""What every other line is compared with where nothing else is asked for."""
_PARTS = re.compile(r"\+(?=[A-Za-z_])")


def method_of(record: Mapping[str, Any]) -> str:
    """The method of a run's record. Older ones hold its loss apart, as `criterion`; cross-entropy goes without saying.

    Example:
        >>> method_of({"method": "mixup", "criterion": "cross_entropy"})
        'mixup'
        >>> method_of({"method": "erm", "criterion": "balanced_softmax"}), method_of({"method": "erm+ldam"})
        ('erm+balanced_softmax', 'erm+ldam')
    """
    method, criterion = str(record["method"]), record.get("criterion", "cross_entropy")
    return method if criterion == "cross_entropy" else f"{method}+{criterion}"


def with_methods(results: pd.DataFrame) -> pd.DataFrame:
    """A results table whose column `method` says all, from one of any age; the table given stays as it is."""
    if "criterion" not in results or "method" not in results:
        return results
    pairs = results[["method", "criterion"]].to_dict("records")
    return results.assign(method=[method_of(pair) for pair in pairs]).drop(columns="criterion")  # type: ignore[arg-type]


def lines_of(results: pd.DataFrame, baseline: str = BASELINE) -> list[str]:
    """The lines of a results table, the baseline first, the others in their order of appearance."""
    return sorted(map(str, results["method"].unique()), key=lambda line: line != baseline)


def baseline_of(results: pd.DataFrame, asked: str | None) -> str:
    """The line that the others are compared with: the one asked for, else `erm`, be it in the table or not.

    Raises:
        InputError: the line asked for is not in the table; with the nearest ones.
    """
    if asked is None:
        return BASELINE
    asked = asked.strip()
    if asked not in (known := lines_of(results)):
        raise unknown("baseline", asked, known)
    return asked


def parts_of(line: str) -> list[str]:
    """A line's name in the parts that a narrow column writes below one another.

    Example:
        >>> parts_of("balanced-am-mixup:beta=1e+0+balanced_softmax")
        ['balanced-am-mixup:beta=1e+0', '+ balanced_softmax']
    """
    first, *others = _PARTS.split(line)
    return [first, *(f"+ {part}" for part in others)]

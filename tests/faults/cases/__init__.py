"""What is tried: a file for each kind of bad input."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults.attempts import Case
from tests.faults.cases import arguments, calls, models, rooms, sources, surroundings


def all_of_them() -> Iterator[Case]:
    """Every bad input."""
    for module in (arguments, sources, models, surroundings, calls, rooms):
        yield from module.cases()

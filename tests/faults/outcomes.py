"""What became of a fault, and how many became of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum


class Kind(Enum):
    """What a fault ended in. Only the first two are as they should be."""

    FINE = "as it should be"
    LINE = "clear line"
    TRACEBACK = "traceback"
    SILENT = "silent wrong"
    HANG = "hang"
    ORPHAN = "orphan"
    LOSS = "loss"

    @property
    def good(self) -> bool:
        return self in (Kind.FINE, Kind.LINE)


@dataclass(frozen=True)
class Outcome:
    """What became of one fault."""

    group: str
    name: str
    kind: Kind
    what: str = ""

    def __str__(self) -> str:
        return f"{self.group} / {self.name}: {self.kind.value}: {self.what}"


@dataclass
class Tally:
    """Outcomes by group."""

    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def bad(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if not outcome.kind.good]

    def table(self) -> str:
        """Markdown: a row a group, and one for all of them."""
        groups = [*dict.fromkeys(outcome.group for outcome in self.outcomes), "all"]
        lines = [
            f"| group | tried | {' | '.join(kind.value for kind in Kind)} |",
            f"|---|{'---:|' * (len(Kind) + 1)}",
        ]
        for group in groups:
            counts = Counter(one.kind for one in self.outcomes if group in (one.group, "all"))
            cells = " | ".join(str(counts[kind]) for kind in Kind)
            lines.append(f"| {group} | {counts.total()} | {cells} |")
        return "\n".join(lines)

"""What the rules of health have found in the runs of a comparison, for the terminal and the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from midmix.reports.commands import Command, flags_of, source_of, train_command
from midmix.reports.comparison import Comparison, Run
from midmix.reports.lines import method_of
from midmix.training.health import RULES


@dataclass(frozen=True)
class Sign:
    """One rule that found something.

    Attributes:
        heading: as people read it.
        lines: the lines concerned, with how many of their runs.
        seen: what was seen in the first of these runs.
        remedy: what to do.
        command: the first of these runs once more, with the settings that the rule asks for; empty where it asks for
            none.
    """

    heading: str
    lines: tuple[str, ...]
    seen: str
    remedy: str
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class Health:
    """The signs of failure, one a rule, and how many runs were looked at."""

    signs: list[Sign]
    examined: int

    @property
    def rules(self) -> list[tuple[str, str]]:
        """Heading and words of every rule."""
        found = [RULES.find(name) for name in RULES.names()]
        return [(rule.heading, rule.states) for rule in found]


def health_of(comparison: Comparison) -> Health:
    """What stands in the records of the runs; those of old, which nobody looked at, are passed over."""
    runs = [run for run in comparison.runs if run.about.get("health") is not None]
    found: dict[str, list[tuple[Run, dict[str, Any]]]] = {}
    for run in runs:
        for finding in run.about["health"]:
            found.setdefault(str(finding["rule"]), []).append((run, finding))
    signs = []
    for entries in found.values():
        lines = dict(Counter(run.line for run, _ in entries))
        of = {line: sum(run.line == line for run in runs) for line in lines}
        worst, first = entries[0]
        signs.append(
            Sign(
                str(first["heading"]),
                tuple(f"{name} ({count} of {_runs(of[name])})" for name, count in lines.items()),
                f"{worst.line}, seed {worst.seed}: {first['seen']}",
                str(first["remedy"]),
                tuple(repeated(worst.about, first)),
            )
        )
    return Health(signs, len(runs))


def repeated(about: Mapping[str, Any], finding: Mapping[str, Any]) -> list[str]:
    """The command that does a run once more with the settings that a finding asks for; empty where it asks for none.

    Args:
        about: the run's record.
        finding: one of its `health`.

    Example:
        >>> about = {"method": "erm", "seed": 3, "source": "digits", "splits": "drawn", "settings": {"epochs": 6}}
        >>> from midmix.reports.commands import paste
        >>> paste(repeated(about, {"change": {"epochs": 12}}))
        'midmix train digits --method erm --epochs 12 --seed 3 --out again'
    """
    change = finding.get("change")
    if not change or about.get("groups"):  # `midmix train` knows no groups of classes
        return []
    changed = {**about, "settings": {**about.get("settings", {}), **change}}
    flags = [*flags_of(changed), "--seed", str(about["seed"]), "--out", "again"]
    return train_command(source_of(about), method_of(dict(about)), flags)


def terminal_health(signs: Sequence[Sign]) -> RenderableType:
    """The signs for ``rich``; nothing where there is none.

    Example:
        >>> from rich.console import Console
        >>> console = Console(width=80, force_terminal=False)
        >>> with console.capture() as capture:
        ...     console.print(terminal_health([Sign("λ stuck near 1", ("am-mixup (1 of 3 runs)",), "…", "train")]))
        >>> capture.get().splitlines()[1]
        'λ stuck near 1: am-mixup (1 of 3 runs)'
    """
    parts: list[RenderableType] = [Text("Health of the runs", style="bold")] if signs else []
    for sign in signs:
        parts.append(Text(f"{sign.heading}: ", style="yellow").append(", ".join(sign.lines), style="default"))
        parts.append(Padding(Text(f"{sign.seen}. To do: {sign.remedy}."), (0, 0, 0, 2)))
        if sign.command:
            parts.append(Command(sign.command))
    return Group(*parts)


def _runs(count: int) -> str:
    return f"{count} run{'' if count == 1 else 's'}"

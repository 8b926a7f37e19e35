"""The verdict of a comparison: which line for which aim, how sure, at what price, and what is not decided."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import pandas as pd
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from midmix.reports.cells import LEAST_ROWS, LEVEL
from midmix.reports.columns import Column, outcome_columns
from midmix.reports.commands import Command, train_command
from midmix.reports.lines import baseline_of
from midmix.reports.outcomes import TestedRuns
from midmix.reports.pairs import Difference, Pairs, pairs_of
from midmix.studies.statistics import holm, rows_to_decide, seeds_to_decide

AIMS = {
    "accuracy": "Overall accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "few": "Rare classes",
    "average_precision": "Average precision",
    "nll": "Likelihood",
}
"""Measure → what one aims at with it, in the order of the page."""
TunedCommands = Mapping[str, tuple[str, Sequence[str]]]
_NONE: TunedCommands = MappingProxyType({})
_MOST_TIMES = 100.0
"""More test rows than this many times those there are is no advice."""


@dataclass(frozen=True)
class Finding:
    """What the comparison says of one aim.

    Attributes:
        aim: as people call it.
        line: the best mean.
        value: that mean with its unit.
        wins: whether the line is ahead of every other after the correction.
        text: how sure that is, or what is not decided and what would decide it.
        costs: where a winner falls behind elsewhere; empty where nobody wins.
        rivals: the lines that the best mean is not told from.
        seeds: at which it would be, if the differences stay as they are; None where no number of seeds is known to.
    """

    aim: str
    line: str
    value: str
    wins: bool
    text: str
    costs: str
    rivals: tuple[str, ...]
    seeds: int | None = None


@dataclass(frozen=True)
class Next:
    """A command to go on with, and why this one."""

    why: str
    command: list[str]


@dataclass(frozen=True)
class Verdict:
    """What a comparison says, aim by aim.

    Attributes:
        findings: one an aim; none where there is one line only.
        pairs: of lines, each counted once.
        next: commands to go on with.
    """

    findings: list[Finding]
    pairs: int
    next: list[Next]

    @property
    def note(self) -> str:
        """How to read it, in a sentence."""
        if not self.findings:
            return "One line was run, so there is nothing to choose between."
        if self.pairs == 1:
            return "Last epoch, ± half the 95 % interval."
        return (
            "Last epoch, ± half the 95 % interval, p after Holm's correction over the lines. A line wins only where it "
            "is ahead of every other; what else is said of two lines holds after the correction over all "
            f"{self.pairs} pairs."
        )


def verdict_of(
    results: pd.DataFrame,
    *,
    tested: TestedRuns | None = None,
    baseline: str | None = None,
    source: str = "SOURCE",
    flags: Sequence[str] = (),
    tuned: TunedCommands = _NONE,
) -> Verdict:
    """Which line for which aim: overall accuracy, balanced accuracy, rare classes, likelihood, and for two classes
    average precision; those of them that the results have.

    A line wins an aim where it is ahead of *every* other line after Holm's correction over the lines. The
    second best decides, not the baseline: where two lines lead together, nobody wins.

    Args:
        results: as `summarise` takes them.
        tested: outputs of the runs, as `tested_runs` reads them; intervals count the seeds alone without them.
        baseline: the line that goes without saying where nobody wins; `erm` by default.
        source: what `midmix train` is to read.
        flags: its further arguments, see `midmix.reports.commands.flags_of`.
        tuned: method and flags of the lines that were tuned, see `midmix.reports.commands.tuned_commands`.

    Raises:
        InputError: no line is called like the baseline.

    Example:
        >>> runs = pd.DataFrame({"method": ["erm"] * 3 + ["mixup"] * 3, "seed": [0, 1, 2] * 2,
        ...     "split_hash": ["a", "b", "c"] * 2, "epoch_choice": "last",
        ...     "accuracy": [0.50, 0.52, 0.51, 0.60, 0.63, 0.61]})
        >>> found = verdict_of(runs, source="digits")
        >>> found.findings[0].line, found.findings[0].wins
        ('mixup', True)
        >>> from midmix.reports.commands import paste
        >>> print(paste(found.next[0].command))
        midmix train digits --method mixup
    """
    baseline = baseline_of(results, baseline)
    columns = [column for column in outcome_columns(results.columns) if column.name in AIMS]
    every = pairs_of(results, columns, tested=tested, baseline=baseline)
    return verdict_from(every, baseline=baseline, source=source, flags=flags, tuned=tuned)


def verdict_from(
    every: Sequence[Pairs],
    *,
    baseline: str,
    source: str = "SOURCE",
    flags: Sequence[str] = (),
    tuned: TunedCommands = _NONE,
) -> Verdict:
    """The verdict of pairs that are known already; measures that are no aim are passed over."""

    def command(line: str) -> list[str]:
        return train_command(source, *tuned.get(line, (line, flags)))

    return verdict_with(every, AIMS, lambda findings, lines: _next(findings, lines, baseline, command))


def verdict_with(
    every: Sequence[Pairs],
    aims: Mapping[str, str],
    steps: Callable[[Sequence[Finding], Sequence[str]], list[Next]],
) -> Verdict:
    """The verdict for any aims.

    Args:
        every: pairs of lines; measures that are no aim are passed over.
        aims: measure → what one aims at with it, in their order.
        steps: commands to go on with, of the findings and the lines.
    """
    found = [pairs for pairs in every if pairs.column.name in aims and pairs.lines]
    found.sort(key=lambda pairs: list(aims).index(pairs.column.name))
    findings = [_finding(pairs, found, aims) for pairs in found if len(pairs.lines) > 1]
    lines = list(dict.fromkeys(line for pairs in found for line in pairs.lines))
    count = max((pairs.count for pairs in found), default=0)
    return Verdict(findings, count, steps(findings, lines))


def terminal_verdict(
    results: pd.DataFrame,
    *,
    tested: TestedRuns | None = None,
    baseline: str | None = None,
    source: str = "SOURCE",
    flags: Sequence[str] = (),
    tuned: TunedCommands = _NONE,
) -> RenderableType:
    """The verdict for ``rich``, with the next command at its end; arguments as for `verdict_of`.

    Example:
        >>> runs = pd.DataFrame({"method": ["erm", "mixup"], "seed": 0, "split_hash": "a", "epoch_choice": "last",
        ...     "accuracy": [0.5, 0.7]})
        >>> from rich.console import Console
        >>> console = Console(width=80, force_terminal=False)
        >>> with console.capture() as capture:
        ...     console.print(terminal_verdict(runs, source="digits"))
        >>> "one seed" in capture.get() and "midmix train digits --method erm" in capture.get()
        True
    """
    return in_terminal(
        verdict_of(results, tested=tested, baseline=baseline, source=source, flags=flags, tuned=tuned)
    )


def in_terminal(found: Verdict) -> RenderableType:
    """A verdict for ``rich``, with the next command at its end."""
    parts: list[RenderableType] = [Text("Verdict", style="bold")]
    for finding in found.findings:
        head = Text(f"{finding.aim}: ")
        head.append(
            finding.line if finding.wins else "no winner", style="bold green" if finding.wins else "bold"
        )
        if finding.wins:
            head.append(f", {finding.value}")
        parts.append(head)
        parts.append(Padding(Text(" ".join(filter(None, (finding.text, finding.costs)))), (0, 0, 0, 2)))
    parts.append(Text(found.note, style="dim"))
    for step in found.next:
        parts += [Text(f"\n{step.why}"), Command(step.command)]
    return Group(*parts)


def _finding(pairs: Pairs, every: Sequence[Pairs], aims: Mapping[str, str]) -> Finding:
    line, second, *_ = pairs.ranked()
    pairs_of_best = _of_best(pairs)
    rivals = tuple(other for other in pairs.ranked()[1:] if not pairs_of_best.ahead(line, other))
    aim, value = aims[pairs.column.name], _value(pairs, line)
    if rivals:
        text = _undecided(pairs, pairs_of_best, line, rivals)
        return Finding(aim, line, value, False, text, "", rivals, _seeds(pairs_of_best, line, rivals))
    lead = pairs_of_best.differences[line, second]
    others = len(pairs.lines) - 1
    ahead = f"Ahead of {second}" if others == 1 else f"Ahead of all {others} others; of the second, {second},"
    text = f"{ahead} by {_amount(lead, pairs.column)}.{_few_rows(lead)}"
    return Finding(aim, line, value, True, text, _costs(line, pairs, every, aims), ())


def _of_best(pairs: Pairs) -> Pairs:
    """The pairs of the best mean with each other line, corrected after Holm over these lines alone.

    That is enough for the claim that it is ahead of *every* other, although it was picked by what came out: the claim
    is false only if some line is as good, and the test against that one alone fails it (an intersection-union test;
    Gutmann & Maymin, 1987). Any other claim about a pair takes the correction over all pairs.
    """
    best, *others = pairs.ranked()
    leads = [pairs.differences[best, other] for other in others]
    corrected = holm(np.array([lead.interval.p for lead in leads]))
    found = {
        (best, other): replace(lead, corrected=float(p))
        for other, lead, p in zip(others, leads, corrected, strict=True)
    }
    left = int(np.isfinite(corrected).sum() - (corrected < LEVEL).sum())
    return replace(pairs, differences=found, level=LEVEL / max(left, 1))


def _undecided(every: Pairs, pairs: Pairs, line: str, rivals: tuple[str, ...]) -> str:
    leads = [pairs.differences[line, rival] for rival in rivals]
    nearest = leads[0]
    parts = [f"{line} has the best mean, {_value(pairs, line)}, but is not told from {_names(rivals)}."]
    if all(lead.interval.n < 2 for lead in leads):
        shared = "No seed is shared" if nearest.interval.n == 0 else "There is one seed"
        return f"{parts[0]} {shared}, so no interval: run three or more."
    if nearest.interval.mean == 0:
        return f"{parts[0]} To {rivals[0]} there is no difference at all."
    if len(rivals) > 1:
        parts.append(f"Of the nearest, {rivals[0]}, it is ahead by {_amount(nearest, pairs.column)}.")
    else:
        parts.append(f"It is ahead by {_amount(nearest, pairs.column)}.")
    beaten = [other for other in every.ranked()[1:] if every.ahead(line, other)]
    if beaten:
        parts.append(f"It does lead {_names(beaten)}.")
    parts.append(_would_decide(pairs, line, rivals))
    return " ".join(filter(None, parts)) + _few_rows(nearest)


def _would_decide(pairs: Pairs, line: str, rivals: Sequence[str]) -> str:
    """What would tell the best mean from all its rivals, if the differences stay as they are."""
    leads = [pairs.differences[line, rival] for rival in rivals]
    if any(not math.isfinite(lead.interval.p) for lead in leads):
        if any(lead.same for lead in leads):
            return "A difference that is the same in every seed tells nothing of its spread; more seeds may."
        return "More seeds in common would give every difference an interval."
    now = max(lead.interval.n for lead in leads)
    seeds = _seeds(pairs, line, rivals)
    counted = all(lead.interval.kind in ("crossed", "nested") for lead in leads)
    times = [rows_to_decide(lead.interval, level=pairs.level, most=_MOST_TIMES) for lead in leads]
    ways = []
    if seeds is not None:
        ways.append(f"about {seeds} seeds (now {now})")
    if counted and all(n is not None for n in times):
        rows = min(lead.test_rows for lead in leads)
        needed = math.ceil(max(n or 0.0 for n in times) * rows)
        ways.append(f"about {_rounded(needed):,} test rows (now {rows:,})")
    stays = "If the difference stays as it is" if len(rivals) == 1 else "If the differences stay as they are"
    if ways:
        return f"{stays}, {' or '.join(ways)} would decide it."
    most = "neither 1,000 seeds nor 100 times the test rows alone" if counted else "not even 1,000 seeds"
    return f"{stays}, {most} would decide it."


def _seeds(pairs: Pairs, line: str, rivals: Sequence[str]) -> int | None:
    """The fewest seeds that would tell a line from all its rivals; None where none would, or nothing tells."""
    leads = [pairs.differences[line, rival].interval for rival in rivals]
    if not all(math.isfinite(lead.p) for lead in leads):
        return None
    found = [seeds_to_decide(lead, level=pairs.level) for lead in leads]
    return None if any(n is None for n in found) else max(n or 0 for n in found)


def _costs(line: str, pairs: Pairs, every: Sequence[Pairs], aims: Mapping[str, str]) -> str:
    """The worst loss that holds on each other aim."""
    found = []
    for other in every:
        if other is pairs or line not in other.means:
            continue
        better = [rival for rival in other.ranked() if rival != line and other.ahead(rival, line)]
        if better:
            loss = other.differences[line, better[0]]
            found.append(
                f"{aims[other.column.name].lower()} {_signed(loss, other.column)} against {better[0]}"
            )
    if found:
        return f"It costs: {'; '.join(found)}."
    return "On the other aims no loss holds." if len(every) > 1 else ""


def _next(
    findings: Sequence[Finding], lines: Sequence[str], baseline: str, command: Callable[[str], list[str]]
) -> list[Next]:
    """A command for each winner; where there is none, one for a line that nothing is shown to beat."""
    won: dict[str, list[str]] = {}
    for finding in findings:
        if finding.wins:
            won.setdefault(finding.line, []).append(finding.aim.lower())
    steps = [Next(f"Train {line} (best for {_names(aims)}):", command(line)) for line, aims in won.items()]
    if steps:
        return steps
    if findings:
        preferred = next((f for f in findings if f.aim == AIMS["balanced_accuracy"]), findings[0])
        line = baseline if baseline in preferred.rivals else preferred.line
        why = f"No line is shown to beat {line} in {preferred.aim.lower()}; to train it:"
        return [Next(why, command(line))]
    return [Next(f"Train {line}:", command(line)) for line in lines[:1]]


def _value(pairs: Pairs, line: str) -> str:
    column = pairs.column
    text = column.text(pairs.means[line])
    return f"{text} %" if column.percent else f"{column.heading} {text}"


def _amount(lead: Difference, column: Column) -> str:
    """The size of a lead, its interval and p-value, whichever way is better."""
    size = -lead.interval.mean if column.better == "lower" else lead.interval.mean
    if not math.isfinite(lead.interval.p):
        return f"{column.text(size)}{_unit(column)} (no interval)"
    return f"{column.text(size)} ±{column.text(lead.half)}{_unit(column)} (p {_p(lead.corrected)})"


def _unit(column: Column) -> str:
    return " points" if column.percent else f" in {column.heading}"


def _signed(lead: Difference, column: Column) -> str:
    return f"{column.signed(lead.interval.mean)} ±{column.text(lead.half)}{_unit(column)}"


def _p(value: float) -> str:
    """
    Example:
        >>> _p(0.00012), _p(0.0123), _p(0.4), _p(1.0)
        ('< .001', '= .012', '= .40', '= 1')
    """
    if value >= 0.995:
        return "= 1"
    if value < 0.001:
        return "< .001"
    return f"= {value:.3f}".replace("0.", ".") if value < 0.1 else f"= {value:.2f}".replace("0.", ".")


def _names(names: Sequence[str], most: int = 4) -> str:
    """
    Example:
        >>> _names(["a"]), _names(["a", "b", "c"]), _names(list("abcdef"))
        ('a', 'a, b and c', 'a, b, c and 3 more')
    """
    shown = list(names) if len(names) <= most else [*names[: most - 1], f"{len(names) - most + 1} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _few_rows(lead: Difference) -> str:
    if 0 < lead.test_rows < LEAST_ROWS:
        return f" It stands on {lead.test_rows} test rows only."
    return ""


def _rounded(rows: int) -> int:
    """Two figures are enough for advice.

    Example:
        >>> _rounded(719), _rounded(12_345)
        (720, 13000)
    """
    step = int(10 ** max(len(str(rows)) - 2, 0))
    return math.ceil(rows / step) * step

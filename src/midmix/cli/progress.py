"""How far a command's runs are, on any terminal or none, and what an interruption leaves of them."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from midmix.cli.console import aside, note
from midmix.studies import Progress
from midmix.studies.periodic import every
from midmix.training import StepInfo

MINUTE = 60.0
"""Seconds between two lines where there is no terminal."""
LEAST_NAME, LEAST_BAR, MOST_BAR = 4, 4, 24
_SEED = "-seed"


@dataclass
class Work:
    """How much of something is done, from 0 to 1, and since when.

    Attributes:
        began: by the clock.
        first: how much of it had been done then.
        done: how much of it is done now.
    """

    began: float
    first: float = 0.0
    done: float = 0.0

    def left(self, now: float) -> float:
        """Seconds until all is done, at the pace so far; NaN where nothing tells.

        Example:
            >>> Work(began=0.0, first=0.5, done=0.75).left(now=60.0)
            60.0
        """
        gained = self.done - self.first
        return (now - self.began) * (1 - self.done) / gained if gained > 0 else math.nan


@dataclass
class Standing:
    """Where all runs stand, put together of what is told of each.

    Example:
        >>> clock = iter([0.0, 30.0])
        >>> standing = Standing(clock=lambda: next(clock))
        >>> standing.tell(Progress("erm-seed0", done=0, total=4))
        >>> standing.tell(Progress("erm-seed0", done=1, total=4, ended=True))
        >>> standing.sentence(now=30.0)
        '1 of 4 runs · 0:30 so far, about 1:30 left'
    """

    clock: Callable[[], float] = time.monotonic
    done: int = 0
    total: int = 0
    kept: int = 0
    began: float = 0.0
    moments: dict[str, StepInfo | None] = field(default_factory=dict)
    works: dict[str, Work] = field(default_factory=dict)

    def tell(self, told: Progress) -> None:
        """Takes in what is told of one run."""
        now = self.clock()
        if told.total != self.total or told.done < self.done:  # another round of runs, as after a search
            self.total, self.began, self.kept = told.total, now, told.done - told.ended
            self.moments, self.works = {}, {}
        self.done = told.done
        if told.ended:
            self.moments.pop(told.run, None)
            self.works.pop(told.run, None)
            return
        self.moments[told.run] = moment = told.moment
        share = 0.0 if moment is None else _share(moment)
        known = self.works.get(told.run)
        if known is None or share < known.done:  # begun, or begun anew
            self.works[told.run] = Work(now, share, share)
        else:
            known.done = share

    @property
    def everything(self) -> Work:
        """All the runs that are to be done by this command, as one work."""
        due = max(self.total - self.kept, 1)
        done = self.done - self.kept + sum(work.done for work in self.works.values())
        return Work(self.began, 0.0, min(done / due, 1.0))

    def sentence(self, now: float) -> str:
        """All of it in a line, for a log."""
        work = self.everything
        left = work.left(now)
        about = "" if math.isnan(left) else f", about {duration(left)} left"
        runs = [
            name if moment is None else f"{name} epoch {moment.epoch} of {moment.epochs}"
            for name, moment in list(self.moments.items())[:3]
        ]
        more = f" and {len(self.moments) - 3} more" if len(self.moments) > 3 else ""
        under_way = f" · now {', '.join(runs)}{more}" if runs else ""
        return f"{self.done} of {self.total} runs · {duration(now - self.began)} so far{about}{under_way}"

    def table(self, width: int, height: int, now: float) -> RenderableType:
        """A line for all runs and one for each that is under way: name, bar, count, time, and facts where they fit.

        Args:
            width, height: of the terminal. Counts and times stay whole at any width; bars shrink, names are shortened.
            now: by the clock.
        """
        if not self.total:
            return Text("")
        lines = [_Line("all", self.everything, f"{self.done}/{self.total}", now)]
        for name, work in list(self.works.items())[: max(height - 3, 1)]:
            moment = self.moments[name]
            count = "" if moment is None else f"{moment.epoch}/{moment.epochs}"
            lines.append(_Line(name, work, count, now, "" if moment is None else _facts(moment)))
        return _table(lines, width)


class _Line:
    def __init__(self, name: str, work: Work, count: str, now: float, facts: str = "") -> None:
        left = work.left(now)
        self.name, self.done, self.count, self.facts = name, work.done, count, facts
        self.time = duration(now - work.began) + ("" if math.isnan(left) else f", {duration(left)} left")


def _table(lines: list[_Line], width: int) -> Table:
    count, times, name, facts = (
        max(len(getattr(line, column)) for line in lines) for column in ("count", "time", "name", "facts")
    )
    room = width - 1 - count - times - 3  # for names and bars, with the spaces between the columns
    bar = max(LEAST_BAR, min(MOST_BAR, room // 3))
    name = max(LEAST_NAME, min(name, room - bar))
    with_facts = facts and name + bar + 1 + facts <= room
    grid = Table.grid(padding=(0, 1, 0, 0), pad_edge=False)
    for size, justify in ((name, "left"), (bar, "left"), (count, "right"), (times, "left")):
        grid.add_column(width=size, no_wrap=True, justify=justify)  # type: ignore[arg-type]
    if with_facts:
        grid.add_column(no_wrap=True)
    for line in lines:
        cells: list[RenderableType] = [
            Text(shortened(line.name, name)),
            ProgressBar(total=1.0, completed=line.done, width=bar),
            Text(line.count),
            Text(line.time),
        ]
        grid.add_row(*cells, *([Text(line.facts, style="dim")] if with_facts else []))
    return grid


def shortened(name: str, width: int) -> str:
    """A run's name in so many characters; its seed stays, if there is room for it.

    Example:
        >>> shortened("balanced-am-mixup+ldam-seed12", 16), shortened("erm", 16)
        ('balanced…-seed12', 'erm')
    """
    if len(name) <= width:
        return name
    at = name.rfind(_SEED)
    end = name[at:] if at >= 0 and len(name) - at + 4 <= width else ""
    return f"{name[: max(width - 1 - len(end), 0)]}…{end}"


def duration(seconds: float) -> str:
    """Minutes and seconds, with hours where there are any.

    Example:
        >>> duration(83.4), duration(3600)
        ('1:23', '1:00:00')
    """
    whole = max(int(seconds), 0)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def _share(moment: StepInfo) -> float:
    return ((moment.epoch - 1) * moment.steps + moment.step) / (moment.epochs * moment.steps)


def _facts(moment: StepInfo) -> str:
    accuracy = "" if math.isnan(moment.train_accuracy) else f" · clean accuracy {moment.train_accuracy:.1%}"
    return f"{moment.rate:,.0f} rows/s · λ {moment.ratio:.3f}{accuracy}"


@contextmanager
def progress_of_runs(out: Path, *, console: Console = aside) -> Iterator[Callable[[Progress], None]]:
    """Shows the runs' progress while they last: lines that are drawn anew on a terminal, else a line a minute.

    Args:
        out: where they are written to.
        console: where progress is shown.

    Raises:
        KeyboardInterrupt: on Ctrl-C, with a sentence that says what is kept.
    """
    standing, lock = Standing(), threading.Lock()

    def watch(told: Progress) -> None:
        with lock:
            standing.tell(told)

    def draw() -> RenderableType:
        with lock:
            return Group(standing.table(console.width, console.height, time.monotonic()))

    def say() -> None:
        with lock:
            text = standing.sentence(time.monotonic())
        if standing.total:
            note(text)

    try:
        if console.is_terminal:
            with Live(get_renderable=draw, console=console, transient=True, refresh_per_second=5):
                yield watch
        else:
            with every(MINUTE, say, name="midmix progress"):
                yield watch
    except KeyboardInterrupt:
        raise KeyboardInterrupt(kept(out, standing.done, standing.total)) from None


def part_done(found: pd.DataFrame, methods: Sequence[str], seeds: int, part: tuple[int, int] | None) -> bool:
    """Whether there are runs that other parts have yet to finish, which is then said.

    Args:
        found: a row a finished run, or more.
        methods: all that are run, each with so many seeds.
        part: which was done; None for all.
    """
    if part is None:
        return False
    ours = found[found["method"].isin(methods) & (found["seed"] < seeds)]
    done, total = len(ours[["method", "seed"]].drop_duplicates()), len(methods) * seeds
    if done == total:
        return False
    note(
        f"part {part[0]}/{part[1]} is done; of all, {done} of {total} runs are finished. "
        "The part that ends last writes tables and report, as does the same command without --part"
    )
    return True


def kept(out: Path, done: int, total: int) -> str:
    """What an interruption leaves in a folder, as one sentence.

    Args:
        out: the folder.
        done, total: finished runs, and all of them; with `total` of 1 the folder is the run's own.
    """
    begun = len({path.parent for path in out.rglob("checkpoints/step-*.pt")})
    checkpoint = f"{begun} checkpoint{'s' * (begun > 1)} of what was under way"
    if total <= 1:
        found = ["the run up to its last checkpoint"] if begun else []
    else:
        found = [f"{done} of {total} runs are finished"] * (done > 0) + [checkpoint] * (begun > 0)
    if not found:
        return f"interrupted before a checkpoint was due: nothing is kept yet in {out}"
    return f"interrupted: kept in {out}: {' and '.join(found)}"

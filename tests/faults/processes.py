"""Real processes that are killed, signalled, started twice or short of something, and what they leave."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pandas as pd
from tests.faults import attempts
from tests.faults.outcomes import Kind, Outcome
from tests.faults.stock import write_table

from midmix.cli.app import run

SECONDS = 600.0
"""After which a command hangs: on a busy machine the start of Python alone takes many."""
LINE = ("compare", "t.csv", "--methods", "erm,am-mixup", "--seeds", "2", "--network", "mlp-4", "--epochs", "150",
        "--evaluate-every", "50", "--out", "out")  # fmt: skip
Fault = Callable[[Path, random.Random], Outcome]


class Command:
    """A command in a session of its own, forked from this process, which has imported everything."""

    def __init__(
        self, arguments: tuple[str, ...], folder: Path, limits: tuple[tuple[int, int], ...] = ()
    ) -> None:
        def call() -> int:
            os.environ.update(OMP_NUM_THREADS="1", COLUMNS="200")
            return run(list(arguments))

        self.pid, self._pipe = attempts.fork(call, folder, limits)
        self.returncode: int | None = None
        self._printed = b""

    def poll(self) -> int | None:
        """The exit code; None while it goes on."""
        self._printed += attempts.read(self._pipe)
        if self.returncode is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if found else None
        return self.returncode

    def finish(self, seconds: float) -> str | None:
        """All that it printed, once it has ended; None where it does not in time, and is killed."""
        end = time.monotonic() + seconds
        while self.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        hangs = self.returncode is None
        if hangs:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            _, status = os.waitpid(self.pid, 0)
            self.returncode = os.waitstatus_to_exitcode(status)
        self._printed += attempts.read(self._pipe)
        os.close(self._pipe)
        return None if hangs else self._printed.decode("utf-8", "backslashreplace")


def members(group: int) -> list[int]:
    """Processes of a session that are still there, and have not merely not been collected."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[3]) == group and fields[0] not in "ZX":
                found.append(int(path.parent.name))
    return found


def faults(scale: int = 1) -> Iterator[tuple[str, str, Fault]]:
    """Group, name and what does it: each kind so many times over."""
    for number in range(scale):
        for jobs in (1, 2):
            for what in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                yield (
                    "launcher ended",
                    f"{what.name}, {jobs} jobs, {number}",
                    _ended(what, jobs, whole_group=False),
                )
                yield (
                    "group ended",
                    f"{what.name}, {jobs} jobs, {number}",
                    _ended(what, jobs, whole_group=True),
                )
        yield "worker killed", str(number), _worker_killed
        yield "two launchers", f"of one comparison, {number}", _two_launchers
        yield "two launchers", f"of two comparisons, {number}", _two_comparisons
    for kilobytes in (0, 1, 4, 16, 64, 256)[: 2 + 4 * scale]:
        for jobs in (1, 2):
            yield (
                "full disk",
                f"{kilobytes} KiB, {jobs} jobs",
                _short_of(resource.RLIMIT_FSIZE, kilobytes << 10, jobs),
            )
    for files in (8, 16, 32)[: 1 + scale]:
        yield "few files", f"{files}", _short_of(resource.RLIMIT_NOFILE, files, 1)


def attempt(group: str, name: str, fault: Fault, folder: Path, draw: random.Random) -> Outcome:
    """Tries one in a new folder with the table; whatever it started is ended."""
    folder.mkdir(parents=True)
    write_table(folder)
    found = fault(folder, draw)
    return Outcome(group, name, found.kind, found.what)


def _outcome(kind: Kind, what: str = "") -> Outcome:
    return Outcome("", "", kind, " ".join(what.split())[-300:])


def _finish(process: Command, code: int | None = 0) -> Outcome | None:
    """Waits for a command; what is wrong with how it ended, if anything: any exit code is right where None."""
    said = process.finish(SECONDS)
    if said is None:
        return _outcome(Kind.HANG, "did not end")
    if "Traceback" in said:
        return _outcome(Kind.TRACEBACK, said)
    end = time.monotonic() + 10
    while members(process.pid) and time.monotonic() < end:
        time.sleep(0.05)
    if left := members(process.pid):
        os.killpg(process.pid, signal.SIGKILL)
        return _outcome(Kind.ORPHAN, f"{len(left)} processes")
    lines = [line for line in said.splitlines() if line.startswith("midmix: ")]
    ended = process.returncode
    if code is not None and ended != code:
        return _outcome(Kind.SILENT, f"exit code {ended}: {said}")
    if ended is not None and ended > 0 and len(lines) != 1:
        return _outcome(Kind.SILENT, f"exit code {ended}, lines: {lines}: {said}")
    return None


def _right(folder: Path) -> Outcome:
    """Runs the command to its end, and compares the table with one that nothing happened to."""
    if (wrong := _finish(Command((*LINE, "--jobs", "1"), folder))) is not None:
        return wrong
    expected = folder.with_name("expected")  # once for all of them
    if not expected.exists():
        expected.mkdir()
        write_table(expected)
        if (wrong := _finish(Command((*LINE, "--jobs", "1"), expected))) is not None:
            return wrong
    tables = [
        pd.read_parquet(place / "out" / "results.parquet").drop(columns="seconds")
        for place in (folder, expected)
    ]
    if not tables[0].equals(tables[1]):
        return _outcome(Kind.LOSS, "other results than without the fault")
    left = [str(path) for path in (folder / "out").rglob("*") if path.name.endswith((".part", "claim.json"))]
    if left or (folder / "out" / "launchers").exists():
        return _outcome(Kind.LOSS, f"left behind: {left}")
    return _outcome(Kind.FINE)


def _moment(process: Command, folder: Path, draw: random.Random) -> None:
    """Some time after the start: while it imports, makes its folders, trains, or writes."""
    share = draw.random()
    if share > 0.3:
        end = time.monotonic() + SECONDS / 2
        while (
            process.poll() is None
            and not list(folder.glob("out/runs/*/claim.json"))
            and time.monotonic() < end
        ):
            time.sleep(0.01)
    time.sleep(draw.uniform(0, 3 * share))


def _ended(what: signal.Signals, jobs: int, *, whole_group: bool) -> Fault:
    def fault(folder: Path, draw: random.Random) -> Outcome:
        process = Command((*LINE, "--jobs", str(jobs)), folder)
        _moment(process, folder, draw)
        with suppress(ProcessLookupError):
            (os.killpg if whole_group else os.kill)(process.pid, what)
        wrong = _finish(process, None)
        # Python itself says KeyboardInterrupt where it comes before there is anything to say it.
        if wrong is not None and not (what == signal.SIGINT and wrong.kind in (Kind.TRACEBACK, Kind.SILENT)
                                      and not (folder / "out").exists()):  # fmt: skip
            return wrong
        return _right(folder)

    return fault


def _worker_killed(folder: Path, draw: random.Random) -> Outcome:
    process = Command((*LINE, "--jobs", "2"), folder)
    _moment(process, folder, draw)
    claims = sorted(folder.glob("out/runs/*/claim.json"))
    with suppress(OSError, ValueError, IndexError, ProcessLookupError):
        os.kill(json.loads(draw.choice(claims).read_text())["pid"], signal.SIGKILL)
    return _finish(process, None) or _right(folder)


def _two_launchers(folder: Path, draw: random.Random) -> Outcome:
    first = Command((*LINE, "--jobs", "1"), folder)
    time.sleep(draw.uniform(0, 3))
    second = Command((*LINE, "--jobs", "1"), folder)
    wrong = [_finish(process) for process in (first, second)]
    return wrong[0] or wrong[1] or _right(folder)


def _two_comparisons(folder: Path, draw: random.Random) -> Outcome:
    first = Command((*LINE, "--jobs", "1"), folder)
    end = time.monotonic() + SECONDS / 2
    while not (folder / "out" / "launchers").is_dir() and first.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    other = Command((*LINE, "--jobs", "1", "--weight-decay", "0.1"), folder)
    wrong = _finish(other, 2) or _finish(first)
    return wrong or _right(folder)


def _short_of(limit: int, least: int, jobs: int) -> Fault:
    def fault(folder: Path, draw: random.Random) -> Outcome:
        wrong = _finish(Command((*LINE, "--jobs", str(jobs)), folder, ((limit, least),)), None)
        return wrong or _right(folder)

    return fault

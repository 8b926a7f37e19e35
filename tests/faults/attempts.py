"""One fault at a time, in a process forked from one that has imported everything, and judged from outside."""

from __future__ import annotations

import gc
import hashlib
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.faults.outcomes import Kind, Outcome

from midmix.errors import InputError

SECONDS = 150.0
"""After which an attempt hangs; on a busy machine a training of two epochs takes some."""
MEMORY = 6 << 30
"""Bytes of addresses that an attempt may have: what asks for more would be refused on most machines."""

MADE_ANEW = {"results.parquet", "tables.md", "report.html", "health.csv", "figures"}
"""What is made of finished runs, each time that one more has finished."""

Call = Callable[[], int | None]


@dataclass(frozen=True)
class Case:
    """A fault, and what should become of it.

    Attributes:
        group, name: what it is called.
        prepare: writes what is needed into a folder, and returns what is then called in it.
        expected: one line on standard error and exit code 1 or 2; or that it works; or either of them.
        says: what the line must say.
        check: of what worked, what is wrong: from the folder and all that was printed; None where nothing is.
        limits: of resources, by their numbers in `resource`.
    """

    group: str
    name: str
    prepare: Callable[[Path], Call]
    expected: Literal["line", "fine", "either"] = "line"
    says: tuple[str, ...] = ()
    check: Callable[[Path, str], str | None] = lambda folder, printed: None
    limits: tuple[tuple[int, int], ...] = ((resource.RLIMIT_AS, MEMORY),)


def attempt(case: Case, folder: Path, seconds: float = SECONDS) -> Outcome:
    """Tries a fault in a new folder, which is removed where all is well."""

    def outcome(kind: Kind, what: str = "") -> Outcome:
        return Outcome(case.group, case.name, kind, " ".join(what.split())[-2500:])

    inside = folder / "here"
    inside.mkdir(parents=True)
    call = case.prepare(inside)
    before = contents(inside)
    code, printed = _in_child(call, inside, case.limits, seconds)
    said = printed.decode("utf-8", "backslashreplace")
    if code is None:
        return outcome(Kind.HANG, said)
    if code.orphans:
        return outcome(Kind.ORPHAN, f"{code.orphans} processes")
    if "Traceback (most recent call last)" in said or code.number not in (0, 1, 2, 130):
        return outcome(Kind.TRACEBACK, f"exit code {code.number}: {said}")
    if any(sign in said for sign in ("\x1b", "\x00", "\x07")):
        return outcome(Kind.SILENT, f"control characters in what is printed: {said!r}")
    if code.number == 0:
        if case.expected == "line":
            return outcome(Kind.SILENT, said)
        if (wrong := case.check(inside, said)) is not None:
            return outcome(Kind.SILENT, wrong)
        shutil.rmtree(folder)
        return outcome(Kind.FINE)
    lines = [line for line in said.splitlines() if line.startswith("midmix: ")]
    if len(lines) != 1 or case.expected == "fine":
        return outcome(Kind.SILENT, f"exit code {code.number}, lines: {lines}, all: {said}")
    if missing := [part for part in case.says if part not in lines[0]]:
        return outcome(Kind.SILENT, f"{missing} is not said: {lines[0]}")
    refused = code.number == 2 and "cannot be written" not in lines[0]
    if changed := _changed(before, contents(inside), refused):
        return outcome(Kind.LOSS, f"{changed} after: {lines[0]}")
    shutil.rmtree(folder)
    return outcome(Kind.LINE, lines[0])


def contents(folder: Path) -> dict[str, str]:
    """What lies in a folder, at any depth: a digest of each file, the target of each link."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        name = os.fsencode(path.relative_to(folder)).decode("utf-8", "backslashreplace")
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        elif path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            found[name] = "folder" if path.is_dir() else "other"
    return found


def _changed(before: dict[str, str], after: dict[str, str], refused: bool) -> list[str]:
    """What an error has changed, of what was there; or, where an input was refused, written."""
    lost = [
        name
        for name, digest in before.items()
        if after.get(name) != digest and (name not in after or not MADE_ANEW & {*Path(name).parts})
    ]
    # A failure on the way (no room, no memory) may leave what the same command goes on from.
    new = [name for name in after if name not in before] if refused else []
    return lost + new


@dataclass(frozen=True)
class _Ended:
    number: int
    orphans: int


def _in_child(
    call: Call, folder: Path, limits: tuple[tuple[int, int], ...], seconds: float
) -> tuple[_Ended | None, bytes]:
    """How a call ended in a forked process, None where it did not in time and was killed; and all that it printed."""
    child, ours = fork(call, folder, limits)
    end = time.monotonic() + seconds
    status, printed = None, b""
    while status is None and time.monotonic() < end:
        found, value = os.waitpid(child, os.WNOHANG)
        status = value if found else None
        printed += read(ours)
        if status is None:
            time.sleep(0.01)
    orphans = _of_group(child)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if status is None:
        os.waitpid(child, 0)
    printed += read(ours)
    os.close(ours)
    return None if status is None else _Ended(os.waitstatus_to_exitcode(status), orphans), printed


def fork(call: Call, folder: Path, limits: tuple[tuple[int, int], ...]) -> tuple[int, int]:
    """Begins a call in a folder, in a process and a session of its own; its id, and the pipe to which it prints."""
    sys.stdout.flush()
    sys.stderr.flush()
    gc.freeze()
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        _be_child(call, folder, theirs, limits)
    os.close(theirs)
    os.set_blocking(ours, False)
    return child, ours


def read(pipe: int) -> bytes:
    """What has come by now."""
    found = b""
    with suppress(BlockingIOError):
        while part := os.read(pipe, 65_536):
            found += part
    return found


def _be_child(call: Call, folder: Path, output: int, limits: tuple[tuple[int, int], ...]) -> None:
    code = 1
    try:
        os.setsid()
        os.chdir(folder)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, stream in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(number, stream)
        # Those that were there may be files, which are sought in where their encoding changes.
        sys.stdout, sys.stderr = (os.fdopen(stream, "w", closefd=False) for stream in (1, 2))
        for number, least in limits:
            resource.setrlimit(number, (least, resource.getrlimit(number)[1]))
        code = call() or 0
    except InputError as error:  # of a call, not of a command
        print(f"midmix: {error}", file=sys.stderr)
        code = 2
    except BaseException:
        traceback.print_exc()
    finally:
        for file in (sys.stderr, sys.stdout):  # of which the second may have no room
            with suppress(BaseException):
                file.flush()
        os._exit(code)


def _of_group(group: int) -> int:
    """Processes of a group that are still there, and have not merely not been collected."""
    count = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            count += int(fields[2]) == group and int(path.parent.name) != group and fields[0] not in "ZX"
    return count

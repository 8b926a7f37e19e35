"""Commands that are short of room, memory, files or a terminal that can show what they say."""

from __future__ import annotations

import io
import os
import resource
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from tests.faults.attempts import Call, Case
from tests.faults.stock import ONE, QUICK, files, table_text, write_comparison, write_run, write_table

from midmix.cli.app import run

COMMANDS = {
    "train": ("train", "t.csv", *QUICK, "--out", "out"),
    "compare": ("compare", "t.csv", *ONE, *QUICK, "--out", "out"),
    "predict": ("predict", "run", "t.csv", "--out", "p.csv"),
    "evaluate": ("evaluate", "run", "t.csv"),
    "analyze": ("analyze", "run", "--out", "analysis"),
    "methods": ("methods",),
}

WIDE = ("--network", "mlp-30000-30000", "--epochs", "1")
LARGE = {
    "a network of 3.6 GB": ("train", "t.csv", *WIDE, "--out", "out"),
    "the same in a comparison": ("compare", "t.csv", *ONE, *WIDE, "--out", "out"),
    "an array of 1.5 GB": ("train", "large.npz", *QUICK, "--out", "out"),
    "the same, analysed": ("analyze", "large.npz", "--out", "analysis"),
    "a picture of 0.4 GB": ("train", "images", "--epochs", "1", "--out", "out"),
}


def _write_large(folder: Path) -> None:
    write_table(folder)
    np.savez_compressed(
        folder / "large.npz", x=np.broadcast_to(np.float32(0), (400, 10**6)), y=np.arange(400) % 2
    )
    for name in ("cat", "dog"):
        (folder / "images" / name).mkdir(parents=True)
        for number in range(3):
            Image.new("L", (12_000, 12_000)).save(folder / "images" / name / f"{number}.png")


def cases() -> Iterator[Case]:
    """Each command in each of them."""
    for name, line in COMMANDS.items():
        write = write_run if "run" in line else write_table
        for kilobytes in (0, 1, 8, 64):
            limits = ((resource.RLIMIT_FSIZE, kilobytes << 10),)
            yield Case(
                "full disk", f"{name}, {kilobytes} KiB a file", _in(line, write), "either", limits=limits
            )
        for number in (8, 12, 16):
            limits = ((resource.RLIMIT_NOFILE, number),)
            yield Case("few files", f"{name}, {number}", _in(line, write), "either", limits=limits)
        for what, change in SURROUNDINGS.items():
            expected = "either" if what == "output to a full device" else "fine"
            yield Case("surroundings", f"{name}, {what}", _in(line, write, change), expected)  # type: ignore[arg-type]
    for name, line in LARGE.items():
        for spare in (128, 256, 512):  # with less, the libraries' own threads cannot start
            called = _in(line, _write_large, partial(_more_memory, spare))
            yield Case("memory", f"{name}, {spare} MiB more", called, limits=())
    yield Case("full disk", "compare once more", _in((*COMMANDS["compare"][:-1], "comparison"), write_comparison),
               "either", limits=((resource.RLIMIT_FSIZE, 1024),))  # fmt: skip
    strange = table_text().replace("cat", "猫\x1b[31m\udcff").encode("utf-8", "surrogateescape")
    for what, change in SURROUNDINGS.items():
        given = files({"t.csv": strange.replace(b"\xff", "é".encode())})
        if what != "output to a full device":
            yield Case(
                "surroundings",
                f"classes of other scripts, {what}",
                _in(COMMANDS["train"], given, change),
                "fine",
            )


def _in(
    line: tuple[str, ...], write: Callable[[Path], None], change: Callable[[], None] = lambda: None
) -> Callable[[Path], Call]:
    def prepare(folder: Path) -> Call:
        write(folder)

        def call() -> int:
            change()
            return run(list(line))

        return call

    return prepare


def _more_memory(mebibytes: int) -> None:
    """Lets this process have so much more than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + (mebibytes << 20)
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _ascii() -> None:
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, io.TextIOWrapper)
        stream.reconfigure(encoding="ascii", errors="strict")


def _full() -> None:
    device = os.open("/dev/full", os.O_WRONLY)
    os.dup2(device, 1)


def _variable(**values: str | None) -> Callable[[], None]:
    def change() -> None:
        for name, value in values.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value

    return change


SURROUNDINGS: dict[str, Callable[[], None]] = {
    "a terminal of ASCII": _ascii,
    "a terminal of one column": _variable(COLUMNS="1"),
    "a terminal of no number of columns": _variable(COLUMNS="x"),
    "no home": _variable(HOME=None, XDG_CACHE_HOME=None),
    "a home that is not there": _variable(HOME="/nowhere", XDG_CACHE_HOME="/nowhere"),
    "no folder for temporary files": _variable(TMPDIR="/nowhere"),
    "no input": lambda: os.close(0),
    "output to a full device": _full,
}

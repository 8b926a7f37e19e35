"""Progress on a real terminal of 80 and of 40 columns, in a real process without one, and what Ctrl-C leaves."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shlex
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from rich.console import Console

from midmix.cli.progress import Standing, kept
from midmix.studies import Progress
from midmix.training import StepInfo

LIMIT = 120
NAME = "balanced-am-mixup+balanced_softmax"
LONG = ["--methods", f"erm,{NAME}", "--imbalance", "20", "--seeds", "2", "--epochs", "100000", "--jobs", "1"]
LINE = re.compile(
    r"^(?P<name>\S.*?) (?P<bar>[━╸╺ ]+) +(?P<count>\d+/\d+) (?P<time>\d+:\d\d(, (\d+:)?\d+:\d\d left)?)"
)
FOR_A_LOG = re.compile(
    r"[012] of 2 runs · \d+:\d\d so far(, about (\d+:)?\d+:\d\d left)?( · now \S+( epoch \d+ of 60)?)?$"
)
IN_A_TERMINAL = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from midmix.cli import main
main(sys.argv[1:])
"""
EVERY_FIFTH_OF_A_SECOND = """
import sys
from midmix.cli import progress
progress.MINUTE = 0.2
from midmix.cli import main
main(sys.argv[1:])
"""


def in_terminal(columns: int, program: str, *arguments: str) -> tuple[subprocess.Popen[bytes], int]:
    """A process that has a terminal of its own, and the other end of that terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True, env={**environment, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    os.close(theirs)
    return process, ours


def read(ours: int, seconds: float) -> str:
    """What comes within this time; empty once the terminal is closed."""
    if not select.select([ours], [], [], seconds)[0]:
        return ""
    try:
        return os.read(ours, 65536).decode("utf-8", "replace")
    except OSError:  # the other end is closed
        return ""


def lines_of(text: str) -> list[str]:
    """Lines as they were drawn, without colours and movements of the cursor."""
    return [line.rstrip() for line in re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text))]


@pytest.mark.parametrize("columns", [80, 40])
def test_in_a_terminal_bar_count_and_time_stay_and_ctrl_c_says_what_is_kept(columns, tmp_path):
    out = tmp_path / "out"
    command = ["compare", "digits", *LONG, "--out", str(out)]
    process, ours = in_terminal(columns, IN_A_TERMINAL, *command)
    text, until = "", time.monotonic() + LIMIT
    try:
        while text.count(" left") < 4 and time.monotonic() < until:  # an estimate in a few pictures
            text += read(ours, 1.0)
        assert process.poll() is None, text
        assert not list(out.rglob("step-*.pt")), "no checkpoint was due yet"
        os.write(ours, b"\x03")
        after = ""
        while process.poll() is None and time.monotonic() < until:
            after += read(ours, 0.5)
        after += read(ours, 0.5)
        assert process.wait(LIMIT) == 130, after
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    drawn = [found for line in lines_of(text) if (found := LINE.match(line))]
    everything = [line for line in drawn if line["name"] == "all"]
    assert everything, text
    assert any("left" in line["time"] for line in drawn)
    assert all(len(line.string) <= columns for line in drawn)
    assert all(len(line["bar"]) >= 4 for line in drawn)
    names = {line["name"] for line in drawn} - {"all"}
    assert names
    assert all(line["count"].endswith("/100000") for line in drawn if line["name"] in names)
    said = " ".join(" ".join(lines_of(after)).split())
    assert "Traceback" not in said
    assert "interrupted: kept in" in said
    assert "1 checkpoint of what was under way" in said
    assert shlex.join(["midmix", *command]).replace(" ", "") in said.replace(" ", "")
    assert list(out.rglob("step-*.pt")), "written at the interruption"


def test_without_a_terminal_there_is_a_line_now_and_then(tmp_path):
    command = ["compare", "digits", "--methods", f"erm,{NAME}", "--imbalance", "20", "--seeds", "1", "--epochs", "60",
               "--jobs", "1", "--out", str(tmp_path / "out")]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", EVERY_FIFTH_OF_A_SECOND, *command],
        capture_output=True, text=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if " so far" in line]
    assert len(lines) >= 2, done.stderr
    for line in lines:
        assert FOR_A_LOG.match(line)
    assert any("left" in line for line in lines)


def moment(epoch: int, step: int = 10) -> StepInfo:
    return StepInfo(epoch, 100, step, 10, 12345.6, 0.512, 0.987)


def drawn(standing: Standing, width: int, now: float) -> list[str]:
    console = Console(width=width, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(standing.table(width, 24, now))
    return [line.rstrip() for line in capture.get().splitlines()]


def standing_at(now: float) -> Standing:
    """Of eight runs three were finished before, one since, and two are under way; a hundred seconds have passed."""
    clock = iter([0.0, 0.0, 50.0, now, now])
    standing = Standing(clock=lambda: next(clock))
    standing.tell(Progress(f"{NAME}-seed0", 3, 8, None))
    standing.tell(Progress(f"{NAME}-seed1", 3, 8, moment(20)))  # gone on from a checkpoint
    standing.tell(Progress(f"{NAME}-seed0", 4, 8, ended=True))
    standing.tell(Progress(f"{NAME}-seed1", 4, 8, moment(60)))
    standing.tell(Progress("erm-seed2", 4, 8, moment(40)))
    return standing


def test_the_time_left_counts_what_was_done_here():
    standing = standing_at(100.0)
    # One run and 0.6 and 0.4 of two others, of five that were due: 100 seconds for two fifths.
    assert standing.everything.left(100.0) == pytest.approx(150.0)
    # From a fifth to three fifths in 100 seconds: as long again.
    assert standing.works[f"{NAME}-seed1"].left(100.0) == pytest.approx(100.0)


def test_names_shorten_and_nothing_else():
    standing = standing_at(100.0)
    wide, usual, narrow = (drawn(standing, width, 100.0) for width in (160, 80, 40))
    assert all(
        len(line) <= width for lines, width in ((wide, 160), (usual, 80), (narrow, 40)) for line in lines
    )
    assert f"{NAME}-seed1 " in wide[1]
    assert "12,346 rows/s · λ 0.512 · clean accuracy 98.7%" in wide[1]
    for lines in (wide, usual, narrow):
        assert "4/8 1:40, 2:30 left" in lines[0]
        assert " 60/100 1:40, 1:40 left" in lines[1]
        assert all("━" in line for line in lines)
    assert "…-seed1 " in usual[1]
    assert "rows/s" not in usual[1]
    assert narrow[1].split()[0] == "bal…-seed1"


@pytest.mark.parametrize("width", [1, 10, 20, 33, 57, 200])
def test_any_width_is_drawn(width):
    assert len(drawn(standing_at(100.0), width, 100.0)) >= 3


def test_many_runs_do_not_outgrow_the_terminal():
    standing = Standing(clock=lambda: 0.0)
    for number in range(64):
        standing.tell(Progress(f"erm-seed{number}", 0, 64, moment(1)))
    assert len(drawn(standing, 80, 0.0)) == 22
    assert standing.sentence(0.0).endswith("erm-seed2 epoch 1 of 100 and 61 more")


def test_another_round_of_runs_is_counted_anew():
    clock = iter([0.0, 100.0, 110.0, 120.0])
    standing = Standing(clock=lambda: next(clock))
    standing.tell(Progress("erm-seed0", 0, 2, moment(90)))
    standing.tell(Progress("erm-seed0", 2, 2, ended=True))
    standing.tell(Progress("erm-seed0", 0, 2, None))
    standing.tell(Progress("erm-seed0", 0, 2, moment(50)))
    assert standing.everything.left(120.0) == pytest.approx(30.0)


def test_what_is_kept_is_counted(tmp_path: Path):
    assert "nothing is kept yet" in kept(tmp_path, 0, 4)
    assert kept(tmp_path, 2, 4) == f"interrupted: kept in {tmp_path}: 2 of 4 runs are finished"
    for run in ("a", "b"):
        folder = tmp_path / "runs" / run / "checkpoints"
        folder.mkdir(parents=True)
        (folder / "step-00000001.pt").touch()
    assert kept(tmp_path, 2, 4).endswith("2 of 4 runs are finished and 2 checkpoints of what was under way")
    assert kept(tmp_path, 0, 1).endswith("the run up to its last checkpoint")

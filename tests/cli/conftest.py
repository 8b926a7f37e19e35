"""The command line, called as a shell would call it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from midmix.cli.app import run
from midmix.cli.console import aside, console


@dataclass(frozen=True)
class Outcome:
    """What a command left: its exit code, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line that an error is."""
        lines = [line for line in self.err.splitlines() if line.startswith("midmix: ")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0]


@pytest.fixture
def midmix(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    monkeypatch.setenv("COLUMNS", "200")
    for one in (console, aside):  # which may have been made in a narrower terminal
        monkeypatch.setattr(one, "width", 200)

    def command(*arguments: object) -> Outcome:
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        return Outcome(code, *capfd.readouterr())

    return command


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Three classes of features that can be told apart, 60, 30 and 10 rows, with their names."""
    draw = np.random.default_rng(0)
    names = np.repeat(["cat", "dog", "<b>emu</b>"], [60, 30, 10])
    centres = {"cat": (0, 0), "dog": (3, 0), "<b>emu</b>": (0, 3)}
    x = np.array([centres[name] for name in names]) + draw.normal(size=(100, 2)) * 0.5
    path = tmp_path / "animals.csv"
    rows = [f"{a:.4f},{b:.4f},{name}" for (a, b), name in zip(x, names, strict=True)]
    path.write_text("\n".join(["weight,height,label", *rows]))
    return path

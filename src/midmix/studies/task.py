"""What is done in each run of many, and how one run is done: claimed, kept alive, interrupted, given up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from midmix.data import Source
from midmix.errors import InputError
from midmix.files import remove_parts
from midmix.studies.accelerators import one_accelerator
from midmix.studies.claims import CLAIM, Claim, ClaimLostError, Heart, living
from midmix.training.callback import Callback, StepInfo
from midmix.training.run import Run

PROGRESS = "progress.json"
POLL = 0.2
"""Seconds between two looks at what others have written."""

Rows = list[dict[str, Any]]
"""Rows of a results table."""


@dataclass(frozen=True)
class Attempt:
    """What a run is told besides what it is.

    Attributes:
        moment: is told where it stands.
        say: is told, in a line, of what a user should know.
        stop: whether it should write a checkpoint and raise KeyboardInterrupt.
        still_ours: raises ClaimLostError where its folder is another's; to be called before each writing.
        checkpoint_seconds: least time between two checkpoints.
    """

    moment: Callable[[StepInfo], None]
    say: Callable[[str], None]
    stop: Callable[[], bool]
    still_ours: Callable[[], None]
    checkpoint_seconds: float

    def callback(self) -> Callback:
        """The part of it that the training loop takes."""
        return Callback(on_step=self.moment, say=self.say, stop=self.stop, still_ours=self.still_ours)


class Task(Protocol):
    """What is done in each run of a comparison. Worker processes are sent the whole of it."""

    @property
    def source(self) -> Source:
        """The rows that all runs are drawn from."""
        ...

    def specification(self) -> dict[str, Any]:
        """What all runs of a folder share, besides rows, groups, split and settings: plain data."""
        ...

    def carry_out(self, run: Run, folder: Path, attempt: Attempt) -> None:
        """Does the run into its folder, from where it was interrupted."""
        ...

    def rows(self, folder: Path) -> Rows:
        """The results of the run in this folder; none where it has not finished."""
        ...


@dataclass(frozen=True)
class Bounds:
    """How long a run may do without.

    Attributes:
        checkpoint_seconds: a checkpoint.
        lease: a heartbeat, before those on other machines take it up.
    """

    checkpoint_seconds: float
    lease: float


def attempt(
    task: Task,
    run: Run,
    folder: Path,
    launcher: Path,
    bounds: Bounds,
    tell: Callable[[StepInfo | None], None],
    say: Callable[[str], None],
    stop: threading.Event,
) -> bool:
    """Does one run, unless it is finished or another process is doing it; whether it is finished now."""
    if task.rows(folder):
        return True
    folder.mkdir(parents=True, exist_ok=True)
    claim = Claim.take(folder / CLAIM, bounds.lease)
    if not isinstance(claim, Claim):
        return False

    def look() -> None:
        if living(launcher) is None or not claim.held():
            stop.set()

    try:
        with Heart(claim, every=look):
            if not task.rows(folder):  # else it was finished while we came
                remove_parts(folder)
                tell(None)
                told = Attempt(tell, say, stop.is_set, claim.check, bounds.checkpoint_seconds)
                with one_accelerator():
                    task.carry_out(run, folder, told)
    except ClaimLostError:
        if living(folder / CLAIM) is None:  # the folder was removed
            raise
        return False  # this machine was suspended, and another has taken the run up
    finally:
        if claim.held():
            (folder / PROGRESS).unlink(missing_ok=True)
        claim.release()
        with suppress(OSError):
            folder.rmdir()  # where nothing was written
    return True


def concerns_all(error: InputError) -> bool:
    """Whether the other runs would end alike: where nothing can be written."""
    return isinstance(error.__cause__, OSError)


def one_thread(source: Source) -> bool:
    """Small networks on rows of features run fastest on one thread each, on any number of cores."""
    return source.train.kind == "features" and not torch.cuda.is_available()

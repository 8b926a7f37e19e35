"""What happens in a worker process: one run, with its threads, its progress in a file, and its launcher's life."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from midmix.errors import InputError
from midmix.files import atomic_write
from midmix.studies.packed import unpack
from midmix.studies.task import POLL, PROGRESS, Bounds, attempt, concerns_all
from midmix.training.callback import StepInfo

Done = tuple[bool, list[str], InputError | None]
"""Of a run: whether it is finished, the notes, and why it failed if it did."""


@dataclass(frozen=True)
class Job:
    """What a worker is sent: plain data.

    Attributes:
        packed, tensors: the task and its runs, see `midmix.studies.packed`.
        number: which of the runs.
        folder: of this run, by its whole path.
        launcher: the claim of whoever wants it; where that dies, the run stops.
        threads: of torch, in this run.
        bounds: of its time.
    """

    packed: bytes
    tensors: Path
    number: int
    folder: Path
    launcher: Path
    threads: int
    bounds: Bounds


_unpacked: dict[Path, Any] = {}
_ALONE = threading.Lock()
"""Of a process's threads only one trains: random numbers and the number of threads are the process's."""


def work(job: Job) -> Done:
    """A worker's whole work: one run."""
    with _ALONE:
        return _work(job)


def _work(job: Job) -> Done:
    if job.tensors not in _unpacked:
        _unpacked.clear()
        try:
            _unpacked[job.tensors] = unpack(job.packed, job.tensors)
        except FileNotFoundError:
            if job.launcher.exists():
                raise
            return False, [], None  # it has gone, and nobody wants the run any more
    task, runs = _unpacked[job.tensors]
    torch.set_num_threads(job.threads)
    notes: list[str] = []
    last, shown = None, 0.0

    def show() -> None:
        content = {"moment": None if last is None else asdict(last), "notes": notes}
        with suppress(OSError, InputError), atomic_write(job.folder / PROGRESS, durable=False) as path:
            path.write_text(json.dumps(content))

    def tell(moment: StepInfo | None) -> None:
        nonlocal last, shown
        last = moment
        if moment is None or time.monotonic() - shown > POLL:
            shown = time.monotonic()
            show()

    def say(note: str) -> None:
        notes.append(note)
        show()

    try:
        finished = attempt(
            task, runs[job.number], job.folder, job.launcher, job.bounds, tell, say, threading.Event()
        )
    except InputError as error:
        if concerns_all(error):
            raise
        return False, notes, error
    return finished, notes, None


def die_with(parent: int) -> None:
    """Ends this worker process when its launcher ends, whatever ends it; Ctrl-C is the launcher's to pass on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    if os.getppid() != parent:
        os._exit(1)
    threading.Thread(target=watch, daemon=True, name="midmix parent").start()

"""Runs one after the other, in this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path

import torch

from midmix.errors import InputError
from midmix.studies.claims import Claim
from midmix.studies.interruption import interruptible
from midmix.studies.reporter import Reporter
from midmix.studies.task import POLL, Bounds, Task, attempt, concerns_all, one_thread
from midmix.training.run import Run


def in_turn(task: Task, runs: Sequence[Run], folder: Path, report: Reporter, launcher: Claim) -> None:
    """Does the runs here, in their order; those that others are doing are waited for."""
    before = torch.get_num_threads()
    threads = report.options.threads or (1 if one_thread(task.source) else before)
    torch.set_num_threads(threads)
    waiting, options = deque(runs), report.options
    try:
        with interruptible() as stop:
            busy = 0
            while waiting:
                run = waiting.popleft()
                try:
                    done = attempt(
                        task,
                        run,
                        folder / run.name,
                        launcher.path,
                        Bounds(options.checkpoint_seconds, options.lease),
                        lambda moment, name=run.name: report.moment(name, moment),  # type: ignore[misc]
                        options.say,
                        stop,
                    )
                except InputError as error:
                    if concerns_all(error):
                        raise
                    report.failure(run.name, error)
                    continue
                if done:
                    report.ended(run.name)
                    busy = 0
                    continue
                waiting.append(run)
                busy += 1
                if busy >= len(waiting):  # all that are left are others'
                    if stop.wait(POLL):
                        raise KeyboardInterrupt
                    busy = 0
    finally:
        torch.set_num_threads(before)

"""Many runs into one folder: what is finished is not run again, the rest goes on, one at a time or side by side."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import torch

from midmix.data import Source, place_of
from midmix.errors import InputError
from midmix.files import check_folder, read_record, whole
from midmix.training.fit import Moment
from midmix.training.identity import differences
from midmix.training.line import Line
from midmix.training.run import Run, Watching

SPECIFICATION, RESULTS, RUNS = "comparison.json", "results.parquet", "runs"

Rows = list[dict[str, Any]]
"""Rows of a results table."""


class Task(Protocol):
    """What is done in each run of a comparison. Worker processes are sent the whole of it."""

    @property
    def source(self) -> Source:
        """The rows that all runs are drawn from."""
        ...

    def specification(self) -> dict[str, Any]:
        """What all runs of a folder share, besides rows, groups, split and settings: plain data."""
        ...

    def carry_out(self, run: Run, folder: Path, watching: Watching, checkpoint_seconds: float) -> None:
        """Does the run into its folder, from where it was interrupted."""
        ...

    def rows(self, folder: Path) -> Rows:
        """The results of the run in this folder; none where it has not finished."""
        ...


@dataclass(frozen=True)
class Progress:
    """What the watcher of a comparison is told: `moment` is None when a run begins or ends."""

    run: str
    done: int
    total: int
    moment: Moment | None = None
    ended: bool = False


@dataclass(frozen=True)
class Manner:
    """How runs are carried out: nothing of it changes a number.

    Attributes:
        jobs: runs at a time, each in a process of its own; None for one a core where rows are features, else one.
        watch: is told of the progress.
        say: is told, in a line, of what a user should know.
        checkpoint_seconds: least time between two checkpoints of a run.
    """

    jobs: int | None = None
    watch: Callable[[Progress], None] = lambda progress: None
    say: Callable[[str], None] = field(default=print)
    checkpoint_seconds: float = 30.0


def carry_out(task: Task, runs: Sequence[Run], folder: Path, manner: Manner) -> None:
    """Carries out those of the runs that have not finished in this folder, which is made if it is not there.

    The runs differ in line and seed only.

    Raises:
        InputError: where the folder holds another comparison or other files; where a launcher has started several
            processes, or `jobs` is below 1; as the task does.
    """
    if manner.jobs is not None and manner.jobs < 1:
        raise InputError(f"jobs: {manner.jobs}; at least one run at a time is needed")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError(
            "comparisons start their own processes (--jobs): run this without a launcher, "
            "or train one line over several processes with midmix train"
        )
    _claim(folder, task.source, _specification(task, runs[0]))
    left = [run for run in runs if not task.rows(folder / RUNS / run.name)]
    jobs = _jobs(task.source) if manner.jobs is None else manner.jobs
    jobs = min(jobs, max(len(left), 1))
    report = _Reporter(manner, len(runs) - len(left), len(runs))
    if jobs == 1:
        _in_turn(task, left, folder / RUNS, report)
    else:
        _side_by_side(task, left, folder / RUNS, report, jobs)


def check_comparison(folder: Path) -> None:
    """Sees that a comparison, old or new, may be written into this folder.

    Raises:
        InputError: as `check_folder` does.
    """
    check_folder(folder, "comparison", SPECIFICATION)


def gather(rows: Callable[[Path], Rows], folder: Path, lines: Sequence[Line] = ()) -> pd.DataFrame:
    """Gathers the finished runs of a folder into `results.parquet`, and returns the table.

    These lines come first, in their order; then others that the folder holds, by name; within a line by seed.

    Raises:
        InputError: where none has finished.
    """
    found = [row for path in sorted((folder / RUNS).glob("*")) for row in rows(path)]
    if not found:
        raise InputError(f"{folder}: holds no finished run")
    order = {(line.method, line.criterion): place for place, line in enumerate(lines)}
    found.sort(
        key=lambda row: (order.get((row["method"], row["criterion"]), len(order)), row["method"], row["seed"])
    )
    results = pd.DataFrame(found)
    with whole(folder / RESULTS) as path:
        results.to_parquet(path)
    return results


class _Reporter:
    """Counts finished runs and passes on what happens."""

    def __init__(self, manner: Manner, done: int, total: int) -> None:
        self.manner, self.done, self.total = manner, done, total

    def moment(self, run: str, moment: Moment | None) -> None:
        self.manner.watch(Progress(run, self.done, self.total, moment))

    def ended(self, run: str) -> None:
        self.done += 1
        self.manner.watch(Progress(run, self.done, self.total, ended=True))


def _in_turn(task: Task, runs: Sequence[Run], folder: Path, report: _Reporter) -> None:
    threads = torch.get_num_threads()
    if _one_thread(task.source):
        torch.set_num_threads(1)
    try:
        for run in runs:
            report.moment(run.name, None)
            watching = Watching(
                lambda moment, name=run.name: report.moment(name, moment),  # type: ignore[misc]
                report.manner.say,
            )
            task.carry_out(run, folder / run.name, watching, report.manner.checkpoint_seconds)
            report.ended(run.name)
    finally:
        torch.set_num_threads(threads)


def _side_by_side(task: Task, runs: Sequence[Run], folder: Path, report: _Reporter, jobs: int) -> None:
    context = multiprocessing.get_context("spawn")
    messages = context.Queue()
    threads = 1 if _one_thread(task.source) else max(1, (os.cpu_count() or 1) // jobs)
    packed = pickle.dumps(task)  # plain bytes: tensors in shared memory need a large /dev/shm
    listener = threading.Thread(target=_listen, args=(messages, report), daemon=True)
    listener.start()
    seconds = report.manner.checkpoint_seconds
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(jobs, context, _start_worker, (packed, threads, messages)) as pool:
        try:
            waiting = {pool.submit(_work, run, folder / run.name, seconds): run for run in runs}
            for done in as_completed(waiting):
                done.result()
                report.ended(waiting[done].name)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in set(multiprocessing.active_children()) - others:  # the caller may have its own
                process.terminate()
            raise
    messages.put(None)
    listener.join()


_worker: dict[str, Any] = {}


def _start_worker(packed: bytes, threads: int, messages: multiprocessing.Queue[Any]) -> None:
    torch.set_num_threads(threads)
    _worker.update(task=pickle.loads(packed), messages=messages)  # noqa: S301  (our own parent's bytes)


def _work(run: Run, folder: Path, checkpoint_seconds: float) -> None:
    messages = _worker["messages"]
    messages.put((run.name, None))
    watching = Watching(
        lambda moment: messages.put((run.name, moment)) if moment.step == moment.steps else None,
        lambda text: messages.put(("", text)),
    )
    _worker["task"].carry_out(run, folder, watching, checkpoint_seconds)


def _listen(messages: multiprocessing.Queue[Any], report: _Reporter) -> None:
    while (message := messages.get()) is not None:
        name, content = message
        if name:
            report.moment(name, content)
        else:
            report.manner.say(content)


def _one_thread(source: Source) -> bool:
    """Small networks on rows of features run fastest on one thread each, on any number of cores."""
    return source.train.kind == "features" and not torch.cuda.is_available()


def _jobs(source: Source) -> int:
    return (os.cpu_count() or 1) if _one_thread(source) else 1


def _specification(task: Task, run: Run) -> dict[str, Any]:
    return {**task.specification(), "source": task.source.name, **run.specification(task.source)}


def _claim(folder: Path, source: Source, specification: dict[str, Any]) -> None:
    """Makes the folder this comparison's, or sees that it is."""
    check_comparison(folder)
    path = folder / SPECIFICATION
    if path.is_file():
        theirs = read_record(path, "a comparison's record")
        # The rows tell a source, however it is called; of rows that are decoded on access only some are looked at.
        read = "train_rows" in theirs and isinstance(source.train.inputs, torch.Tensor)
        if read or place_of(str(theirs.get("source"))) == place_of(source.name):
            theirs["source"] = source.name
        differ = differences(theirs, specification)
        if differ and (folder / RUNS).is_dir():
            raise InputError(
                f"{folder}: holds another comparison ({'; '.join(differ)}); choose another folder with --out"
            )
    folder.mkdir(parents=True, exist_ok=True)
    with whole(path) as part:
        part.write_text(json.dumps(specification, indent=1))

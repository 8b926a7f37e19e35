"""The main job: every line with every seed, under one protocol, into one folder."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import pickle
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch

from midmix.data import Labelled, Source
from midmix.errors import InputError
from midmix.training.files import whole
from midmix.training.fit import Moment
from midmix.training.line import Line
from midmix.training.run import Run, Watching, check_runs, finished, result_rows, train_run
from midmix.training.settings import Settings

SPECIFICATION, RESULTS, RUNS = "comparison.json", "results.parquet", "runs"


@dataclass(frozen=True)
class Progress:
    """What the watcher of a comparison is told: `moment` is None when a run begins or ends."""

    run: str
    done: int
    total: int
    moment: Moment | None = None
    ended: bool = False


def compare(
    source: Source,
    lines: Sequence[Line],
    folder: Path,
    settings: Settings,
    *,
    seeds: int = 3,
    imbalance: float | None = None,
    profile: Literal["exp", "step"] = "exp",
    validation: float = 0.0,
    jobs: int | None = None,
    watch: Callable[[Progress], None] = lambda progress: None,
    say: Callable[[str], None] = print,
    checkpoint_seconds: float = 30.0,
) -> pd.DataFrame:
    """Trains every line with seeds `0 … seeds - 1` and returns the results, which lie in `folder/results.parquet` too.

    Runs that are finished are not run again, and one that was interrupted goes on; lines and seeds can be added to a
    folder later. The same seed means the same rows and the same initial weights for every line, so that differences
    are paired.

    Args:
        source: labelled training and test data.
        lines: methods with their criteria.
        folder: made if it is not there.
        settings: how each network is trained.
        seeds: how many.
        imbalance, profile, validation: as `draw_split` takes them.
        jobs: runs at a time, each in a process of its own; None for one a core where rows are features, else one.
        watch: is told of the progress.
        say: is told, in a line, of what a user should know.
        checkpoint_seconds: least time between two checkpoints of a run.

    Returns:
        A row a line, seed and epoch choice: of all finished runs of the folder.

    Raises:
        InputError: where the folder holds another comparison or other files; as `train_run` does.
    """
    if seeds < 1:
        raise InputError(f"seeds: {seeds}; at least one is needed, and three for any claim")
    template = Run(lines[0], 0, settings, imbalance, profile, validation)
    check_runs([replace(template, line=line) for line in lines], source)
    _claim(folder, _specification(source, settings, imbalance, profile, validation))
    runs = [replace(template, line=line, seed=seed) for seed in range(seeds) for line in lines]
    left = [run for run in runs if finished(folder / RUNS / run.name) is None]
    jobs = min(_jobs(source, settings) if jobs is None else jobs, max(len(left), 1))
    report = _Reporter(watch, len(runs) - len(left), len(runs))
    work = _in_turn if jobs == 1 else _side_by_side
    work(left, source, folder / RUNS, jobs, report, say, checkpoint_seconds)
    return collect(folder, lines)


def collect(folder: Path, lines: Sequence[Line] = ()) -> pd.DataFrame:
    """Gathers the finished runs of a comparison's folder into `results.parquet`, and returns the table.

    These lines come first, in their order; then others that the folder holds, by name; within a line by seed.

    Raises:
        InputError: where none has finished.
    """
    rows = [row for path in sorted((folder / RUNS).glob("*/run.json")) for row in result_rows(path.parent)]
    if not rows:
        raise InputError(f"{folder}: holds no finished run")
    order = {(line.method, line.criterion): place for place, line in enumerate(lines)}
    rows.sort(
        key=lambda row: (order.get((row["method"], row["criterion"]), len(order)), row["method"], row["seed"])
    )
    results = pd.DataFrame(rows)
    with whole(folder / RESULTS) as path:
        results.to_parquet(path)
    return results


class _Reporter:
    """Counts finished runs and passes on what happens."""

    def __init__(self, watch: Callable[[Progress], None], done: int, total: int) -> None:
        self.watch, self.done, self.total = watch, done, total

    def moment(self, run: str, moment: Moment | None) -> None:
        self.watch(Progress(run, self.done, self.total, moment))

    def ended(self, run: str) -> None:
        self.done += 1
        self.watch(Progress(run, self.done, self.total, ended=True))


def _in_turn(
    runs: list[Run],
    source: Source,
    folder: Path,
    jobs: int,
    report: _Reporter,
    say: Callable[[str], None],
    checkpoint_seconds: float,
) -> None:
    if _one_thread(source):
        torch.set_num_threads(1)
    for run in runs:
        report.moment(run.name, None)
        watching = Watching(lambda moment, name=run.name: report.moment(name, moment), say)  # type: ignore[misc]
        train_run(run, source, folder / run.name, watching=watching, checkpoint_seconds=checkpoint_seconds)
        report.ended(run.name)


def _side_by_side(
    runs: list[Run],
    source: Source,
    folder: Path,
    jobs: int,
    report: _Reporter,
    say: Callable[[str], None],
    checkpoint_seconds: float,
) -> None:
    context = multiprocessing.get_context("spawn")
    messages = context.Queue()
    threads = 1 if _one_thread(source) else max(1, (os.cpu_count() or 1) // jobs)
    packed = pickle.dumps(source)  # plain bytes: tensors in shared memory need a large /dev/shm
    listener = threading.Thread(target=_listen, args=(messages, report, say), daemon=True)
    listener.start()
    with ProcessPoolExecutor(jobs, context, _start_worker, (packed, threads, messages)) as pool:
        try:
            waiting = {pool.submit(_work, run, folder / run.name, checkpoint_seconds): run for run in runs}
            for done in as_completed(waiting):
                done.result()
                report.ended(waiting[done].name)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise
    messages.put(None)
    listener.join()


_worker: dict[str, Any] = {}


def _start_worker(packed: bytes, threads: int, messages: multiprocessing.Queue[Any]) -> None:
    torch.set_num_threads(threads)
    _worker.update(source=pickle.loads(packed), messages=messages)  # noqa: S301  (our own parent's bytes)


def _work(run: Run, folder: Path, checkpoint_seconds: float) -> None:
    messages = _worker["messages"]
    messages.put((run.name, None))
    watching = Watching(
        lambda moment: messages.put((run.name, moment)) if moment.step == moment.steps else None,
        lambda text: messages.put(("", text)),
    )
    train_run(run, _worker["source"], folder, watching=watching, checkpoint_seconds=checkpoint_seconds)


def _listen(messages: multiprocessing.Queue[Any], report: _Reporter, say: Callable[[str], None]) -> None:
    while (message := messages.get()) is not None:
        name, content = message
        if name:
            report.moment(name, content)
        else:
            say(content)


def _one_thread(source: Source) -> bool:
    """Small networks on rows of features run fastest on one thread each, on any number of cores."""
    return source.train.kind == "features" and not torch.cuda.is_available()


def _jobs(source: Source, settings: Settings) -> int:
    return (os.cpu_count() or 1) if _one_thread(source) else 1


def _specification(
    source: Source, settings: Settings, imbalance: float | None, profile: str, validation: float
) -> dict[str, Any]:
    return {
        "source": source.name,
        "train_rows": _digest(source.train),
        "test_rows": _digest(source.test),
        "imbalance": imbalance,
        "profile": profile if imbalance is not None else None,
        "validation": validation,
        **settings.as_dict(),
    }


def _digest(data: Labelled) -> str:
    digest = hashlib.sha256(data.labels.numpy().tobytes())
    if isinstance(data.inputs, torch.Tensor):
        digest.update(data.inputs.contiguous().numpy().tobytes())
    return f"{len(data)} rows, sha256 {digest.hexdigest()[:16]}"


def _claim(folder: Path, specification: dict[str, Any]) -> None:
    """Makes the folder this comparison's, or sees that it is."""
    path = folder / SPECIFICATION
    if path.is_file():
        theirs = json.loads(path.read_text())
        differ = [
            f"{key} is {theirs.get(key)!r} there and {value!r} here"
            for key, value in specification.items()
            if theirs.get(key) != value
        ]
        if differ and (folder / RUNS).is_dir():
            raise InputError(
                f"{folder}: holds another comparison ({'; '.join(differ)}); choose another folder with --out"
            )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"{folder}: is not an empty folder and holds no comparison; choose another with --out"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with whole(path) as part:
        part.write_text(json.dumps(specification, indent=1))

"""Many runs into one folder: what is finished is not run again, the rest goes on, one at a time or side by side.

Launchers of the same comparison may work in one folder at once, on one machine or on several that share it: each run
is claimed by whoever does it (`midmix.studies.claims`), and both end with all of them.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from midmix.data import Source, place_of
from midmix.errors import InputError
from midmix.files import atomic_write, check_folder, read_json
from midmix.methods import Method
from midmix.studies.claims import CLAIM, STALE, Claim, Heart, living, locked
from midmix.studies.executors import JOBS
from midmix.studies.in_turn import in_turn
from midmix.studies.options import RunnerOptions
from midmix.studies.reporter import Reporter
from midmix.studies.side_by_side import side_by_side
from midmix.studies.task import Rows, Task, one_thread
from midmix.training.identity import differences
from midmix.training.run import Run
from midmix.training.tracking import TRACKED
from midmix.training.tuned import asked

SPECIFICATION, RESULTS, RUNS, LAUNCHERS = "comparison.json", "results.parquet", "runs", "launchers"


def run_all(task: Task, runs: Sequence[Run], folder: Path, options: RunnerOptions) -> None:
    """Carries out those of the runs that have not finished in this folder, which is made if it is not there.

    The runs differ in line and seed only. A run that another launcher is doing is waited for. Where one fails, the
    others go on.

    Raises:
        RunsFailedError: where some runs failed, and others are finished.
        InputError: where all failed, with the first reason; where the folder holds another comparison or other files;
            where a launcher has started several processes, or `jobs` is below 1; as the task does.
        WorkerError: where a worker process ended: the other runs were done, this one goes on with the same call.
    """
    options.check()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError(
            "comparisons start their own processes (--jobs): run this without a launcher, "
            "or train one line over several processes with midmix train"
        )
    specification = _specification(task, runs[0])
    if options.part is not None:
        runs = runs[options.part[0] :: options.part[1]]
    with _launcher(folder, task.source, specification, options.lease) as launcher:
        _check_runs_of(folder, task.rows, specification)
        _check_names(folder, task.rows, runs)
        left = [run for run in runs if not task.rows(folder / RUNS / run.name)]
        jobs = _jobs(task.source) if options.jobs is None else options.jobs
        jobs = min(jobs, max(len(left), 1))
        report = Reporter(options, len(runs) - len(left), len(runs))
        if left and jobs == 1 and options.executor is None:
            in_turn(task, left, folder / RUNS, report, launcher)
        elif left:
            side_by_side(task, left, folder / RUNS, report, launcher, jobs)
        report.close()


def settle(task: Task, run: Run, folder: Path) -> None:
    """Makes the folder that of a comparison with such runs, before anything is done in it.

    Raises:
        InputError: where it is another's.
    """
    with _launcher(folder, task.source, _specification(task, run)):
        pass


def check_comparison(folder: Path) -> None:
    """Sees that a comparison, old or new, may be written into this folder.

    Raises:
        InputError: as `check_folder` does.
    """
    check_folder(folder, "comparison", SPECIFICATION, {CLAIM, f"{CLAIM}.lock", LAUNCHERS, JOBS, TRACKED})


def gather(
    rows: Callable[[Path], Rows], folder: Path, lines: Sequence[Method] = (), *, empty: bool = False
) -> pd.DataFrame:
    """Gathers the finished runs of a folder into `results.parquet`, and returns the table.

    These lines come first, in their order; then others that the folder holds, by name; within a line by seed.

    Raises:
        InputError: where none has finished, unless the table may be `empty`; where one is of another comparison.
    """
    if (folder / SPECIFICATION).is_file():
        _check_runs_of(folder, rows, read_json(folder / SPECIFICATION, "a comparison's record"))
    found = [row for path in sorted((folder / RUNS).glob("*")) for row in rows(path)]
    if not found and empty:
        return pd.DataFrame(columns=["method", "seed"])
    if not found:
        raise InputError(f"{folder}: holds no finished run")
    order = {str(line): place for place, line in enumerate(lines)}
    found.sort(key=lambda row: (order.get(row["method"], len(order)), row["method"], row["seed"]))
    results = pd.DataFrame(found)
    with atomic_write(folder / RESULTS) as path:
        results.to_parquet(path)
    return results


def _jobs(source: Source) -> int:
    return (os.cpu_count() or 1) if one_thread(source) else 1


def _specification(task: Task, run: Run) -> dict[str, Any]:
    return {**task.specification(), "source": task.source.name, **run.specification(task.source)}


@contextmanager
def _launcher(
    folder: Path, source: Source, specification: dict[str, Any], lease: float = STALE
) -> Iterator[Claim]:
    """Makes the folder this comparison's, or sees that it is; and shows that we work in it, as others may."""
    check_comparison(folder)
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    launchers = folder / LAUNCHERS
    claim: Claim | None = None
    try:
        with locked(folder / CLAIM):
            _settle(folder, source, specification)
            launchers.mkdir(exist_ok=True)
            for path in launchers.glob("*.json"):
                if living(path) is None:
                    path.unlink(missing_ok=True)
                    path.with_suffix(".safetensors").unlink(missing_ok=True)
            taken = Claim.take(launchers / f"{secrets.token_hex(8)}.json", lease)
            assert isinstance(taken, Claim)  # no other has this name
            claim = taken
        with Heart(claim):
            yield claim
    finally:
        if claim is not None:
            claim.release()
        with suppress(OSError):
            launchers.rmdir()
        if made:
            with suppress(OSError):
                folder.rmdir()


def _settle(folder: Path, source: Source, specification: dict[str, Any]) -> None:
    """Writes down whose folder it is, or compares what is written there."""
    path = folder / SPECIFICATION
    if path.is_file():
        theirs = read_json(path, "a comparison's record")
        # The rows tell a source, however it is called; of rows that are decoded on access only some are looked at.
        read = "train_rows" in theirs and isinstance(source.train.inputs, torch.Tensor)
        if read or place_of(str(theirs.get("source"))) == place_of(source.name):
            theirs["source"] = source.name
        differ = differences(theirs, specification)
        begun = any((folder / RUNS).glob("*/*"))
        others = [owner for other in (folder / LAUNCHERS).glob("*.json") if (owner := living(other))]
        if differ and (begun or others):
            raise InputError(
                f"{folder}: holds another comparison ({'; '.join(differ)}); choose another folder with --out"
            )
        if not differ:
            return  # as it was written: another launcher may be reading it
    with atomic_write(path) as part:
        part.write_text(json.dumps(specification, indent=1))


def _check_names(folder: Path, rows: Callable[[Path], Rows], runs: Sequence[Run]) -> None:
    """Sees that no finished run of another name says that it is one of these, which would then be there twice."""
    ours = {(str(run.method), run.seed): run.name for run in runs}
    for path in sorted((folder / RUNS).glob("*")):
        for row in rows(path)[:1]:
            name = ours.get((row["method"], row["seed"]), path.name)
            if name != path.name:
                raise InputError(
                    f"{path}: says that it is {row['method']}, seed {row['seed']}, whose folder is {name}; "
                    "move it out of this folder"
                )


def _check_runs_of(folder: Path, rows: Callable[[Path], Rows], specification: dict[str, Any]) -> None:
    """Sees that the folder's finished runs are the comparison's, as far as their records say what they were."""
    for path in sorted((folder / RUNS).glob("*")):
        record_path = path / "run.json"
        if not record_path.is_file() or not rows(path):
            continue
        record = read_json(record_path, "a run's record")
        said = asked(record)
        ours = {
            name: value
            for name, value in specification.items()
            if name in said and name not in ("source", "groups")  # the rows tell; a bound has no groups
        }
        differ = differences({name: said[name] for name in ours}, ours)
        if differ:
            raise InputError(
                f"{path}: is a run of another comparison ({'; '.join(differ)}); move it out of this folder"
            )

"""The main job: every line with every seed, under one protocol, into one folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from midmix.data import Ranks, Source, Splits
from midmix.errors import DivergedError, InputError, RunsFailedError
from midmix.methods import Method
from midmix.studies.options import Progress, RunnerOptions
from midmix.studies.runner import RUNS, gather, run_all, settle
from midmix.studies.search import FOLDS, check_search
from midmix.studies.search import search as search_all
from midmix.studies.task import Attempt, Rows
from midmix.training.run import Run, check_runs
from midmix.training.run_folder import finished, read_predictions, result_rows
from midmix.training.settings import Settings
from midmix.training.tracking import Tracking
from midmix.training.train import train_run, write_diverged
from midmix.training.tuned import Tuned


@dataclass(frozen=True)
class Classify:
    """Train on a source's labels and measure on its test rows, and tell trackers of it."""

    source: Source
    tracking: Tracking | None = None

    def specification(self) -> dict[str, Any]:
        return {}

    def carry_out(self, run: Run, folder: Path, attempt: Attempt) -> None:
        try:
            train_run(
                run,
                self.source,
                folder,
                callback=attempt.callback(),
                checkpoint_seconds=attempt.checkpoint_seconds,
                tracking=self.tracking,
            )
        except DivergedError as error:  # it would again: the run has ended, and the others are none the worse
            attempt.still_ours()
            write_diverged(run, self.source, folder, error)
            attempt.say(f"{run.name} diverged, and has ended: {error}")

    def rows(self, folder: Path) -> Rows:
        return run_rows(folder)


def compare(
    source: Source,
    lines: Sequence[Method],
    folder: Path,
    settings: Settings,
    *,
    seeds: int = 3,
    imbalance: float | None = None,
    profile: Literal["exp", "step"] = "exp",
    validation: float = 0.0,
    ranks: Ranks = "drawn",
    splits: Splits = "drawn",
    search: int = 0,
    jobs: int | None = None,
    watch: Callable[[Progress], None] = lambda progress: None,
    say: Callable[[str], None] = print,
    checkpoint_seconds: float = 30.0,
    executor: Executor | Callable[[int], Executor] | None = None,
    part: tuple[int, int] | None = None,
    threads: int | None = None,
    tracking: Tracking | None = None,
) -> pd.DataFrame:
    """Trains every line with seeds `0 … seeds - 1` and returns the results, which lie in `folder/results.parquet` too.

    Runs that are finished are not run again, and one that was interrupted goes on; lines and seeds can be added to a
    folder later. The same seed means the same rows and the same initial weights for every line, so that differences
    are paired.

    Args:
        source: labelled training and test data.
        lines: methods; `midmix.methods.with_controls` adds what they must stand beside.
        folder: made if it is not there.
        settings: how each network is trained.
        seeds: how many.
        imbalance, profile, validation, ranks: as `draw_split` takes them; published long-tailed sets have fixed ranks.
        splits: whether each seed tests on rows of its own, where the source has no test split. With a search they are
            fixed, or what is tuned on one seed's training rows would be tested on some of them in another.
        search: how many draws over rate, decay, length and the method's options each line is tuned by, see
            `midmix.studies.search`; 0 tunes nothing. Needs Optuna (`midmix[search]`).
        jobs, watch, say, checkpoint_seconds, executor, part, threads: as `RunnerOptions` has them.
        tracking: which trackers are told of each run.

    Returns:
        A row a line, seed and epoch choice: of all finished runs of the folder; of a part there may be none yet. A run
        that diverged has one row, with `diverged` and NaN for its measures.

    Raises:
        InputError: where every run diverged; where the folder holds another comparison or other files; as `train_run`
            does.
        RunsFailedError: where some runs failed; `results.parquet` then has the others.

    Example:
        >>> import torch
        >>> from tempfile import TemporaryDirectory
        >>> from midmix.data import from_arrays
        >>> source = from_arrays(torch.eye(3).repeat(20, 1), torch.arange(3).repeat(20))
        >>> lines, settings = [Method.parse("erm"), Method.parse("am-mixup")], Settings(network="mlp-8", epochs=2)
        >>> with TemporaryDirectory() as folder:
        ...     results = compare(source, lines, Path(folder), settings, seeds=1, jobs=1)
        >>> results[["method", "seed", "epoch_choice"]].to_numpy().tolist()
        [['erm', 0, 'last'], ['erm', 0, 'test_oracle'], ['am-mixup', 0, 'last'], ['am-mixup', 0, 'test_oracle']]
    """
    check_seeds(seeds)
    if search and source.drawn and splits == "drawn":
        splits = "fixed"
        say("test split: one for all seeds, as every line is tuned once, on rows that no seed may test on")
    template = Run(lines[0], 0, settings, imbalance, profile, validation, ranks=ranks, splits=splits)
    first = [replace(template, method=line) for line in lines]
    check_runs(first, source)
    options = RunnerOptions(jobs, watch, say, checkpoint_seconds, executor, part, threads)
    tuned: Mapping[str, Tuned] = {}
    if search:
        check_search(search)
        settle(Classify(source), replace(template, tuned=Tuned(search, FOLDS)), folder)
        tuned = search_all(template, first, source, search, folder, options)
    runs = [
        replace(run, seed=seed, tuned=tuned.get(str(run.method))) for seed in range(seeds) for run in first
    ]
    for path in sorted((folder / RUNS).glob("*")):
        if any(
            not row["diverged"] for row in run_rows(path)
        ):  # what the report would stumble over is said before anything more is trained
            read_predictions(path)
    try:
        run_all(Classify(source, tracking), runs, folder, options)
    except RunsFailedError:
        collect(folder, lines)
        raise
    results = collect(folder, lines, empty=part is not None)
    if len(results) and results["diverged"].all():
        name = next(run.name for run in runs if finished(folder / RUNS / run.name))
        reason = (finished(folder / RUNS / name) or {}).get("diverged")
        raise InputError(f"{name}: {reason}; every run diverged, and {folder} tells why")
    return results


def check_seeds(seeds: int) -> None:
    """Sees that there is a seed.

    Raises:
        InputError: where there is none.
    """
    if seeds < 1:
        raise InputError(f"seeds: {seeds}; at least one is needed, and three for any claim")


def collect(folder: Path, lines: Sequence[Method] = (), *, empty: bool = False) -> pd.DataFrame:
    """Gathers the finished runs of a comparison's folder into `results.parquet`, and returns the table.

    These lines come first, in their order; then others that the folder holds, by name; within a line by seed.

    Raises:
        InputError: where none has finished, unless the table may be `empty`.
    """
    return gather(run_rows, folder, lines, empty=empty)


def run_rows(folder: Path) -> Rows:
    """A finished run's rows of the results table; none where it has not finished."""
    return [] if finished(folder) is None else result_rows(folder)

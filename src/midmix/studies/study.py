"""A grid of methods, options, sets and seeds in one folder: a comparison for each set."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from midmix.data import Source, load
from midmix.errors import InputError
from midmix.files import atomic_write, check_folder, read_json
from midmix.studies.compare import collect, compare
from midmix.studies.grid import Grid, GridSet
from midmix.studies.options import Progress
from midmix.studies.runner import RESULTS, check_comparison
from midmix.studies.search import check_search
from midmix.training.identity import differences
from midmix.training.run import Run, check_runs
from midmix.training.settings import Settings

RECORD, SETS = "study.json", "sets"
DRAWN: dict[str, Any] = {"ranks": "drawn", "splits": "drawn"}
"""Of a set's split, where the file does not say otherwise."""


def study(
    grid: Grid,
    folder: Path,
    *,
    jobs: int | None = None,
    watch: Callable[[Progress], None] = lambda progress: None,
    say: Callable[[str], None] = print,
    executor: Executor | Callable[[int], Executor] | None = None,
    part: tuple[int, int] | None = None,
    threads: int | None = None,
) -> pd.DataFrame:
    """Runs what a study lacks, one set after the other, and returns the results of all of it.

    Each set is a comparison (`midmix.studies.compare`) in `folder/sets/NAME`: what is finished is not run again,
    what was interrupted goes on, and methods, values, sets and seeds can be added later. Everything is checked on every
    set before the first run.

    Args:
        grid: what to run, as `read_grid` reads it.
        folder: made if it is not there.
        jobs, watch, say, executor, part, threads: as `RunnerOptions` has them; `watch` is told of all sets' runs
            together, and a part is one of each set.

    Returns:
        A row a set, line, seed and epoch choice of what the grid names, with the columns `set`, `family` and those of
        the options; it lies in `folder/results.parquet` too.

    Raises:
        InputError: where the folder holds something else, or a set of the same name with other rows or settings; as
            `compare` does.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from midmix.methods import Method
        >>> from midmix.studies.grid import GridLine
        >>> line = GridLine(Method.parse("erm"), "erm", {})
        >>> rows = GridSet("digits", "digits", {}, {"imbalance": 50}, {"epochs": 1, "network": "linear"})
        >>> with TemporaryDirectory() as place:
        ...     results = study(Grid((line,), (rows,), seeds=1), Path(place), jobs=1)
        >>> results[["set", "family", "method", "seed", "epoch_choice"]].to_numpy().tolist()
        [['digits', 'erm', 'erm', 0, 'last'], ['digits', 'erm', 'erm', 0, 'test_oracle']]
    """
    check_study(folder)
    if grid.search:
        check_search(grid.search)
    _check_same(grid, folder)
    sources: dict[str, Source] = {}
    settings = [_checked(grid, one, sources) for one in grid.sets]
    for one in grid.sets:
        check_comparison(folder / SETS / one.name)
    folder.mkdir(parents=True, exist_ok=True)
    _record(grid, folder)
    size = len(grid.lines) * grid.seeds
    for number, (one, how) in enumerate(zip(grid.sets, settings, strict=True)):

        def told(now: Progress, one: GridSet = one, before: int = number * size) -> None:
            watch(
                replace(
                    now, run=f"{one.name}: {now.run}", done=before + now.done, total=size * len(grid.sets)
                )
            )

        source = sources[_key(one)]
        compare(
            source, grid.methods, folder / SETS / one.name, how,
            seeds=grid.seeds, search=grid.search, jobs=jobs, watch=told, say=say, executor=executor, part=part,
            threads=threads, **{**DRAWN, **one.split},
        )  # fmt: skip
    return gather_study(grid, folder, empty=part is not None)


def gather_study(grid: Grid, folder: Path, *, empty: bool = False) -> pd.DataFrame:
    """Gathers what a study's folder has of the grid into its `results.parquet`, and returns the table.

    Raises:
        InputError: where a set has no finished run, unless it may be `empty`.
    """
    tables = []
    for one in grid.sets:
        rows = collect(folder / SETS / one.name, grid.methods, empty=empty)
        tables.append(named(rows[rows["seed"] < grid.seeds], grid).assign(set=one.name))
    results = pd.concat(tables, ignore_index=True)
    results = results[["set", *(column for column in results if column != "set")]]
    with atomic_write(folder / RESULTS) as path:
        results.to_parquet(path)
    return results


def named(results: pd.DataFrame, grid: Grid) -> pd.DataFrame:
    """The rows of a comparison that are the grid's, with their family and the options' values, as texts."""
    lines = {str(line): line for line in grid.lines}
    found = results[results["method"].isin(list(lines))]
    options = dict.fromkeys(name for line in grid.lines for name in line.values)
    columns: dict[str, Any] = {
        name: [str(lines[text].values.get(name, "")) for text in found["method"]] for name in options
    }
    return found.assign(family=[lines[text].family for text in found["method"]], **columns)


def check_study(folder: Path) -> None:
    """Sees that a study, old or new, may be written into this folder.

    Raises:
        InputError: as `check_folder` does.
    """
    check_folder(folder, "study", RECORD, {SETS})


def _key(one: GridSet) -> str:
    return json.dumps([one.source, dict(one.reading)])


def _checked(grid: Grid, one: GridSet, sources: dict[str, Source]) -> Settings:
    """The settings of a set, whose source is read where no other set has read it."""
    try:
        if _key(one) not in sources:
            sources[_key(one)] = load(one.source, **one.reading)
        source = sources[_key(one)]
        settings = Settings.for_rows(source.train, **one.settings)
        template = Run(grid.methods[0], 0, settings, **{**DRAWN, **one.split})
        check_runs([replace(template, method=method) for method in grid.methods], source)
    except InputError as error:
        raise InputError(f"set {one.name}: {error}") from error
    return settings


def _check_same(grid: Grid, folder: Path) -> None:
    """Sees that sets of the same name are the same as when their runs were begun."""
    if not (folder / RECORD).is_file():
        return
    kept = read_json(folder / RECORD, "a study's record", {"sets"})["sets"]
    for one in grid.sets:
        begun = any((folder / SETS / one.name / "runs").glob("*/*"))
        differ = differences(kept[one.name], one.as_dict()) if begun and one.name in kept else []
        if differ:
            raise InputError(
                f"{folder}: set {one.name} was another when its runs were begun ({'; '.join(differ)}); "
                "give it another name, or choose another folder with --out"
            )


def _record(grid: Grid, folder: Path) -> None:
    """Writes down what was asked for; sets that the file no longer names stay as they were."""
    kept: dict[str, Any] = {}
    if (folder / RECORD).is_file():
        kept = read_json(folder / RECORD, "a study's record", {"sets"})["sets"]
    content = {
        "sets": {**kept, **{one.name: one.as_dict() for one in grid.sets}},
        "methods": [str(line) for line in grid.lines],
        "seeds": grid.seeds,
        "search": grid.search,
    }
    with atomic_write(folder / RECORD) as path:
        path.write_text(json.dumps(content, indent=1))

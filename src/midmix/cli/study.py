"""`midmix study`: a grid of methods, options, sets and seeds from a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from midmix.cli.console import console, note
from midmix.cli.flags import Out, RunningFlags, Whole
from midmix.cli.progress import part_done, progress_of_runs
from midmix.studies import read_grid
from midmix.studies import study as run_study


def study(
    file: Path,
    /,
    *,
    out: Out = Path("study"),
    seeds: Whole | None = None,
    running: RunningFlags = RunningFlags(),  # noqa: B008  (frozen)
) -> None:
    """Run methods × options × sets × seeds as a YAML file says, and draw curves over the options.

    Writes `results.parquet` (a row a set, method, seed and epoch choice), `tables.md` (each set with paired differences
    and corrected intervals, and the regret of every line), `summary.csv` and `curves/` into the output folder, and each
    set as a comparison of its own into `sets/`. Repeat the command to go on where it was interrupted; add methods,
    values, sets or seeds to the file and only what is new is run.

    Parameters
    ----------
    file
        YAML with `sets` (name → source and flags of `midmix compare`), `methods` (texts in which `{option}` stands for
        several values), `options` (their values), and, if wanted, `settings` (for all sets), `seeds`, `search`,
        `measures`, `baseline` and `oracle`.
    seeds
        How many seeds, 0 and up. [default: as the file says, else 3]
    """
    grid = read_grid(file)
    if seeds is not None:
        grid = replace(grid, seeds=seeds)
    with progress_of_runs(out) as watch, running.open(out) as where:
        found = run_study(grid, out, watch=watch, say=note, **where)
    sets = [found[found["set"] == one.name] for one in grid.sets] if len(found) else [found] * len(grid.sets)
    if any(part_done(rows, [str(line) for line in grid.methods], grid.seeds, where["part"]) for rows in sets):
        return
    from midmix.reports import terminal_study, write_study  # after the runs: matplotlib takes a second

    console.print(terminal_study(write_study(grid, out), console.width))
    console.print(f"Tables: {out / 'tables.md'}", highlight=False, soft_wrap=True)

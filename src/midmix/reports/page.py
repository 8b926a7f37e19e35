"""The comparison's page: one file that needs nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from midmix.reports import theme
from midmix.reports.cells import Row, notes_of, notes_on, table_rows
from midmix.reports.collapse import collapse_measures
from midmix.reports.columns import collapse_columns, outcome_columns
from midmix.reports.commands import choices_of, flags_of, paste, source_of, tuned_commands, tuning_of
from midmix.reports.comparison import Comparison, Run, read_comparison
from midmix.reports.decisions import decided_columns, decided_tables, positive_name
from midmix.reports.figures.projection import Projection
from midmix.reports.health import health_of
from midmix.reports.matrix import matrix_of
from midmix.reports.outcomes import tested_runs
from midmix.reports.pairs import pairs_of
from midmix.reports.plots import Material, drawings
from midmix.reports.rendering import publish_all, render, save
from midmix.reports.summary import summarise
from midmix.reports.verdict import verdict_from


def write_report(folder: Path | str, *, projection: Projection = "pca", baseline: str | None = None) -> Path:
    """Write ``report.html`` and ``figures/`` (SVG and CSV) into a finished comparison's folder.

    Args:
        folder: what ``midmix compare --out`` wrote: ``results.parquet`` and ``runs/``. Runs without a history or
            test outputs are left out of the figures that need them.
        baseline: the line that the others are compared with; ``erm`` by default.
        projection: how test features are drawn in two dimensions, ``"pca"`` or ``"umap"``.

    Returns:
        The page's path. It holds no time of writing: the same folder gives the same bytes.

    Raises:
        InputError: no results in the folder, a run's description is broken, or UMAP asked for and not installed.
    """
    comparison = read_comparison(Path(folder), baseline)
    subjects, classes = comparison.subjects, comparison.classes
    tested = tested_runs(comparison)
    summary = summarise(comparison.results, baseline=baseline, tested=tested)
    columns = outcome_columns(comparison.results.columns)
    last = table_rows(summary, "last", columns)
    pairs = pairs_of(comparison.results, columns, tested=tested, baseline=comparison.baseline)
    verdict = verdict_from(
        pairs,
        baseline=comparison.baseline,
        source=source_of(comparison.about),
        flags=flags_of(comparison.about),
        tuned=tuned_commands(run.about for run in comparison.runs),
    )
    groups = _groups(comparison)
    matrices = [matrix_of(one) for one in pairs if len(one.lines) > 2]
    measured = collapse_measures(comparison)
    material = Material(subjects, classes, measured, summary, comparison, projection)
    learned = {run.line for run in comparison.runs if run.learned}
    of_networks = replace(material, subjects=[one for one in subjects if one.label in learned])
    html = render(
        "comparison.html.j2",
        title=title_of(comparison),
        in_short=_in_short(comparison),
        verdict=verdict,
        next=[(step.why, paste(step.command)) for step in verdict.next],
        matrices=matrices,
        matrix_notes=notes_on(mark for matrix in matrices for mark in matrix.marks),
        tables={
            "last": last,
            **{choice: table_rows(summary, choice, columns) for choice in ("validation", "test_oracle")},
        },
        columns=columns,
        notes=notes_of(last),
        counts_rows=bool(summary["interval"].isin(["crossed", "nested"]).any()),
        test_rows=f"{int(summary['test_rows'].max()):,}",
        health=health_of(comparison),
        decided=decided_tables(comparison, tested),
        decided_columns=decided_columns(),
        positive=positive_name(comparison) if len(classes) == 2 else "",
        legend=legend(comparison.lines),
        baseline=comparison.baseline,
        has_baseline=comparison.baseline in comparison.lines,
        outcomes=publish_all(drawings(material, "outcomes"), comparison.folder / "figures"),
        geometry=publish_all(drawings(of_networks, "geometry"), comparison.folder / "figures"),
        baselines=[line for line in comparison.lines if line not in learned],
        collapse_rows=_collapse_rows(measured, baseline),
        collapse_columns=collapse_columns(measured.columns),
        facts=facts(comparison),
        shot_rule="" if len(classes) == 2 else str(comparison.about.get("shot_rule", "")),
        groups=groups,
        by_rank=comparison.by_rank,
        tuning=tuning_of(run.about for run in comparison.runs),
        tests_known=any(member["tested"] for _, members in groups for member in members),
    )
    return save(html, comparison.folder)


def _collapse_rows(measured: pd.DataFrame, baseline: str | None) -> list[Row]:
    if measured.empty:
        return []
    columns = collapse_columns(measured.columns)
    if baseline not in set(measured["method"]):  # its runs did not keep their outputs
        baseline = None
    names = [column.name for column in columns]
    return table_rows(summarise(measured, measures=names, baseline=baseline), "last", columns)


def legend(lines: list[str]) -> list[dict[str, str]]:
    """The lines' names with the colour variable and the character of their marker."""
    return [
        {
            "label": line,
            "colour": theme.VARIABLES[theme.line_colour(position)],
            "mark": theme.MARKERS[theme.line_marker(position)],
        }
        for position, line in enumerate(lines)
    ]


def facts(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """What a reader needs to repeat the comparison or to doubt it: (heading, values)."""
    results, runs = comparison.results, comparison.runs
    networks = results[["network", "parameters"]].drop_duplicates().itertuples(index=False)
    splits = results[["seed", "split_hash"]].drop_duplicates().sort_values(["seed", "split_hash"])
    found = [
        ("Network", [f"{network}, {int(parameters):,} parameters" for network, parameters in networks]),
        ("Training rows", list(dict.fromkeys(map(_drawn, runs)))),
        ("Seeds", [", ".join(map(str, sorted(results["seed"].unique())))]),
        ("Test rows", list(dict.fromkeys(map(_tested, runs)))),
        ("Split by seed", [f"{seed}: {split}" for seed, split in splits.itertuples(index=False)]),
        ("Hardware", _distinct(runs, "hardware")),
        ("Versions", _pairs(runs, "versions")),
        ("Settings", _pairs(runs, "settings")),
        ("Chosen by the search", choices_of(run.about for run in runs)),
        (
            "Training time",
            [_duration(float(results.drop_duplicates(["method", "seed"])["seconds"].sum()))],
        ),
    ]
    return [(heading, values) for heading, values in found if values]


def title_of(comparison: Comparison) -> str:
    """The source's name, or the folder's where runs do not tell it."""
    source = comparison.about.get("source")
    return str(source) if source else comparison.folder.resolve().name


def _in_short(comparison: Comparison) -> str:
    """The size of the comparison in a line."""
    seeds = comparison.results["seed"].nunique()
    networks = comparison.results["network"].unique()
    parts = [_count(len(comparison.lines), "line"), _count(seeds, "seed")]
    if comparison.classes:
        counts = comparison.runs[0].counts
        most, least = int(counts.max()), int(counts.min())
        rows = f"{most:,} to {least:,} training rows" if most > least else f"{most:,} training rows each"
        parts.append(f"{len(comparison.classes)} classes with {rows}")
    if len(networks) == 1:
        parts.append(str(networks[0]))
    return " · ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _groups(comparison: Comparison) -> list[tuple[str, list[dict[str, str]]]]:
    """The groups of the first run: (group, its classes with their training and test rows)."""
    if not comparison.runs:
        return []
    run = comparison.runs[0]
    names = [str(name) for name in run.about.get("classes", [])]
    shots: dict[str, list[int]] = run.about.get("shots", {})
    if len(names) == 2:  # no many, medium and few
        shots = {"classes": np.argsort(-run.counts, kind="stable").tolist()}
    tested = [""] * len(names)
    if run.output is not None:
        tested = [f"{n:,}" for n in torch.bincount(run.output.labels.long(), minlength=len(names)).tolist()]
    return [
        (group, [{"name": names[c], "rows": f"{run.counts[c]:,}", "tested": tested[c]} for c in members])
        for group, members in shots.items()
    ]


def _distinct(runs: list[Run], key: str) -> list[str]:
    """A fact of the runs' descriptions: once, if all say the same."""
    return list(dict.fromkeys(str(run.about[key]) for run in runs if key in run.about))


def _drawn(run: Run) -> str:
    """Which of the source's training rows a run has."""
    imbalance, validation = run.about.get("imbalance"), run.about.get("validation")
    parts = [
        "all of the source"
        if imbalance is None
        else f"imbalance {imbalance:g}, profile {run.about['profile']}, ranks {run.about.get('ranks', 'fixed')}"
    ]
    return ", ".join([*parts, f"{validation:g} of them held out for validation"] if validation else parts)


def _tested(run: Run) -> str:
    """Whose test rows a run has."""
    return {
        "own": "the source's own test split",
        "fixed": "one split for all seeds",
        "drawn": "drawn from the source's rows, anew by each seed",
    }[str(run.about.get("splits", "fixed"))]


def _pairs(runs: list[Run], key: str) -> list[str]:
    """``name value`` of a mapping in the runs' descriptions, each value that occurs."""
    values: dict[str, dict[str, None]] = {}
    for run in runs:
        for name, value in run.about.get(key, {}).items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            values.setdefault(str(name), {})[text] = None
    return [f"{name} {' / '.join(texts)}" for name, texts in values.items()]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
    )

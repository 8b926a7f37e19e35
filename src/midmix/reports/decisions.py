"""Two classes, one of which is looked for: what is decided for an aim, and what every threshold comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from midmix.decisions import DecisionRule, LogitPrior, shares_of
from midmix.measures import Outputs, ThresholdCurve, evaluate_all, threshold_curve
from midmix.measures.two_classes import OF_DECISIONS
from midmix.reports.cells import Row, table_rows
from midmix.reports.columns import Column
from midmix.reports.comparison import Comparison, Run
from midmix.reports.outcomes import RunKey, Tested, TestedRuns
from midmix.reports.subjects import Subject
from midmix.reports.summary import summarise
from midmix.training import trained_prior
from midmix.training.rule import AIM_ACCURACY, AIM_BALANCED, decided_for_aims

HEADINGS = {
    AIM_ACCURACY: "Decisions for overall accuracy: the likelier class",
    AIM_BALANCED: "Decisions for balanced accuracy: the class whose probability is above its share",
}
"""Way of deciding → how a page calls it, in the order of the page."""


@dataclass(frozen=True)
class Decided:
    """Decisions of all lines in one way.

    Attributes:
        heading: which way.
        rows: of the table, one a line.
        unknown: lines that are left out, because which prior their logits answer for is not known.
        summary: what `summarise` found, behind the rows.
    """

    heading: str
    rows: list[Row]
    unknown: list[str]
    summary: pd.DataFrame


@dataclass(frozen=True)
class Scored:
    """One run's test rows by the probability of the class looked for.

    Attributes:
        curve: hits and false alarms by threshold, from the highest down; thresholds are log-odds under the training
            data's prior, or those of the logits where `calibrated` is false.
        calibrated: whether it is known which prior the logits answer for.
        points: recall and precision of the decisions for each aim, by its name.
    """

    curve: ThresholdCurve
    calibrated: bool
    points: Mapping[str, tuple[float, float]]


def decided_tables(comparison: Comparison, tested: TestedRuns) -> list[Decided]:
    """The tables of decisions of a comparison of two classes; none for more, or where no run kept its outputs."""
    if len(comparison.classes) != 2:
        return []
    found = []
    for way, heading in HEADINGS.items():
        rows, outputs = _measured(comparison, tested, way)
        if not rows:
            continue
        frame = pd.DataFrame(rows)
        there = list(dict.fromkeys(frame["method"]))
        summary = summarise(
            frame,
            measures=OF_DECISIONS,
            baseline=comparison.baseline if comparison.baseline in there else None,
            tested=outputs,
        )
        kept = [line for line in comparison.lines if tested.get(line)]
        found.append(
            Decided(
                heading,
                table_rows(summary, "last", decided_columns()),
                [line for line in kept if line not in there],
                summary,
            )
        )
    return found


def decided_columns() -> tuple[Column, ...]:
    """The columns of the tables of decisions."""
    return tuple(Column.of(name) for name in OF_DECISIONS)


def _measured(
    comparison: Comparison, tested: TestedRuns, way: str
) -> tuple[list[dict[str, object]], TestedRuns]:
    """Measures of one way of deciding in the shape of results, and the outputs that they are of."""
    rows: list[dict[str, object]] = []
    kept: dict[str, dict[RunKey, Tested]] = {}
    for run in comparison.runs:
        key = RunKey(run.seed, str(run.about.get("split_hash", "")))
        one = tested.get(run.line, {}).get(key)
        if one is None or one.outputs.logits is None:
            continue
        decided = decided_for_aims(run.about, one.outputs.logits).get(way)
        if decided is None:
            continue
        outputs = replace(one.outputs, logits=F.one_hot(decided, 2).double())
        kept.setdefault(run.line, {})[key] = replace(one, outputs=outputs)
        keys = {"method": run.line, "seed": run.seed, "split_hash": key.split, "epoch_choice": "last"}
        rows.append({**keys, **evaluate_all(outputs, OF_DECISIONS)})
    return rows, kept


@dataclass(frozen=True)
class ScoredLines:
    """What figures of two classes by threshold are drawn from.

    Attributes:
        subjects: all lines, whether or not their runs kept outputs.
        runs: line → its runs that did.
        positive: the class looked for, as a caption calls it.
    """

    subjects: Sequence[Subject]
    runs: Mapping[str, list[Scored]]
    positive: str


def scored_lines(comparison: Comparison) -> ScoredLines | None:
    """Of a comparison of two classes; None for more, or where no run kept its outputs."""
    if len(comparison.classes) != 2:
        return None
    found: dict[str, list[Scored]] = {}
    for run in comparison.runs:
        if run.output is not None and run.output.logits is not None:
            one = score(run.about, run.output.logits, run.output.labels.long())
            found.setdefault(run.line, []).append(one)
    return ScoredLines(comparison.subjects, found, positive_name(comparison)) if found else None


def share_of(curve: ThresholdCurve) -> float:
    """The share of the rows that are of the class looked for."""
    return curve.positives / (curve.positives + curve.negatives)


def positive_name(comparison: Comparison) -> str:
    """The class that is looked for, as a caption calls it."""
    return (
        "the rarer class"
        if comparison.by_rank
        else str(comparison.classes.names[_positive(comparison.runs[0])])
    )


def _positive(run: Run) -> int:
    return positive_of(run.about)


def positive_of(record: Mapping[str, Any]) -> int:
    """The number of the class looked for: of two, the one with fewer training rows."""
    return Outputs(torch.zeros(0, dtype=torch.int64), counts=torch.tensor(record["class_counts"])).positive


def score(record: Mapping[str, Any], logits: Tensor, labels: Tensor, **stated: Tensor) -> Scored:
    """Test rows of a run of two classes by the probability of the class looked for.

    Args:
        record: of the run.
        logits, labels: `[N, 2]`, `[N]`.
        stated: other decisions `[N]` by their name.
    """
    positive = positive_of(record)
    trained = trained_prior(record)
    shares = shares_of(record["class_counts"])
    rule = DecisionRule(trained or LogitPrior(shares), shares)
    log = rule.log_probabilities(logits)
    curve = threshold_curve(log[:, positive] - log[:, 1 - positive], labels == positive)
    points = {}
    for way, decided in (decided_for_aims(record, logits) | stated).items():
        hits = float(((decided == positive) & (labels == positive)).sum())
        chosen = float((decided == positive).sum())
        points[way] = (hits / max(curve.positives, 1), hits / chosen if chosen else 0.0)
    return Scored(curve, trained is not None, points)

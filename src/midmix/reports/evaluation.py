"""The page about one model on labelled rows: its decisions, its probabilities, accuracy by class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from midmix.decisions import DecisionRule, for_own_prior
from midmix.measures import MEASURES
from midmix.reports.decisions import ScoredLines, score
from midmix.reports.drawing import Drawing
from midmix.reports.figures.cost_by_threshold import cost_by_threshold
from midmix.reports.figures.precision_recall import precision_recall
from midmix.reports.figures.reliability import reliability
from midmix.reports.rendering import publish_all, render, save
from midmix.reports.subjects import Output, Subject
from midmix.training import Predictions, trained_prior
from midmix.training.judged import Judgement, Measured


def write_evaluation(
    folder: Path | str,
    predictions: Predictions,
    record: Mapping[str, Any],
    found: Judgement,
    *,
    title: str,
    rule: DecisionRule | None = None,
) -> Path:
    """Write ``report.html`` and ``figures/`` (SVG and CSV) about a run's model on labelled rows.

    Args:
        folder: where to; made if it is not there.
        predictions: of the rows.
        record: of the run.
        found: what ``midmix.training.judged.judge`` says of them.
        title: which model on which rows.
        rule: for a prior and an aim that were stated.

    Returns:
        The page's path.
    """
    folder = Path(folder)
    logits, labels = predictions.logits, predictions.labels
    trained = trained_prior(record)
    log = None if trained is None else for_own_prior(trained, logits, labels)
    subject = Subject(0, str(record["method"]), [Output(predictions.features, labels, logits, log)])
    drawn: list[Drawing | None] = []
    if found.positive is not None and len(torch.unique(labels)) > 1:
        stated: dict[str, Tensor] = {} if rule is None else {found.decided_by: rule.decide(logits)}
        scored = {subject.label: [score(record, logits, labels, **stated)]}
        lines = ScoredLines([subject], scored, found.positive)
        drawn = [precision_recall(lines), cost_by_threshold(lines)]
    html = render(
        "evaluation.html.j2",
        title=title,
        in_short=f"{len(labels):,} rows · {len(found.classes)} classes · {record['method']}, seed {record['seed']}",
        stated=_stated(rule, record),
        tables=[
            ("Decisions", "decided by", *_table(found.decisions)),
            ("Probabilities", "probabilities", *_table(found.probabilities)),
            ("Ranking", "ranking", *_table(found.ranking)),
        ],
        positive=found.positive,
        shot_rule=found.shot_rule,
        decided_by=found.decided_by,
        classes=[
            (name, f"{count:,}", _text(accuracy, percent=True)) for name, count, accuracy in found.classes
        ],
        figures=publish_all([*drawn, reliability([subject])], folder / "figures"),
    )
    return save(html, folder)


def _table(rows: Measured) -> tuple[list[str], list[tuple[str, Sequence[str]]]]:
    """Headings, and lines of (name, cells)."""
    measures = [MEASURES.find(name) for name in next(iter(rows.values()), {})]
    percent = [one.unit == "percent" for one in measures]
    headings = [
        f"{one.heading}{' %' if of_hundred else ''}{', lower is better' if one.better == 'lower' else ''}"
        for one, of_hundred in zip(measures, percent, strict=True)
    ]
    lines: list[tuple[str, Sequence[str]]] = [
        (name, [_text(values[one.name], percent=p) for one, p in zip(measures, percent, strict=True)])
        for name, values in rows.items()
    ]
    return headings, lines


def _stated(rule: DecisionRule | None, record: Mapping[str, Any]) -> str:
    """What somebody stated, in words."""
    if rule is None:
        return ""
    shares = zip(record["classes"], rule.prior, strict=True)
    return f"aim {rule.aim.text}; prior " + ", ".join(f"{name} {share:.3g}" for name, share in shares)


def _text(value: float, *, percent: bool) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.1f}" if percent else f"{value:.3f}"

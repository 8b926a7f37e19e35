"""Tables of what one model's decisions and probabilities are worth, for the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from torch import Tensor

from midmix.cli.tables import ends
from midmix.decisions import Costs, DecisionRule, for_own_prior, shares_of
from midmix.measures import MEASURES, Outputs, evaluate_all, measures_of, shot_groups
from midmix.measures.two_classes import OF_DECISIONS
from midmix.training import Predictions, trained_prior
from midmix.training.rule import AS_TRAINED, decided_for_aims

OF_MANY = ("accuracy", "balanced_accuracy", "macro_f1", "many", "medium", "few")
OF_PROBABILITIES = ("nll", "brier", "ece", "classwise_ece")
OF_RANKING = ("average_precision", "roc_auc", "recall_at_precision")


def measured(
    predictions: Predictions,
    record: dict[str, Any],
    title: str,
    rule: DecisionRule | None = None,
    beside: Mapping[str, Predictions] = MappingProxyType({}),
) -> RenderableType:
    """Decisions as trained and for several aims, probabilities for several priors, and accuracy by class.

    Args:
        predictions: of labelled rows.
        record: of the run.
        title: of the first table.
        rule: for a prior and an aim that were stated.
        beside: other predictions of the same rows, by what they are called behind a comma: "10 views".
    """
    labels, logits = predictions.labels, predictions.logits
    counts = torch.tensor(record["class_counts"])
    two = len(counts) == 2
    outputs = Outputs(labels, logits, counts, costs=_costs(rule))
    decided = _decided(predictions, record, rule)
    shown = list(decided)[-1] if rule is not None else AS_TRAINED
    for words, others in beside.items():
        decided |= {f"{name}, {words}": own for name, own in _decided(others, record, rule).items()}
    of_others = [one.name for one in measures_of("outcomes", "two classes") if one.name not in MEASURES.ours]
    costs = ["expected_cost"] if outputs.costs is not None else []
    names = [*(OF_DECISIONS if two else OF_MANY), *costs, *of_others]
    found = {
        name: evaluate_all(
            Outputs(labels, F.one_hot(own, len(counts)).double(), counts, costs=outputs.costs), names
        )
        for name, own in decided.items()
    }
    parts: list[RenderableType] = [_decisions(title, names, found, _looked_for(outputs, record))]
    judged = {
        name: evaluate_all(Outputs(labels, logits, counts, log_probabilities=log), OF_PROBABILITIES)
        for name, log in _probabilities(predictions, record, rule).items()
    }
    for words, others in beside.items():
        judged |= {
            f"{name}, {words}": evaluate_all(
                Outputs(labels, others.logits, counts, log_probabilities=log), OF_PROBABILITIES
            )
            for name, log in _probabilities(others, record, rule).items()
        }
    if judged:
        parts.append(_table("probabilities", OF_PROBABILITIES, judged))
    if two:
        ranked = {"every threshold": evaluate_all(outputs, OF_RANKING)}
        for words, others in beside.items():
            ranked[f"every threshold, {words}"] = evaluate_all(
                Outputs(labels, others.logits, counts), OF_RANKING
            )
        parts.append(_table("ranking", OF_RANKING, ranked))
    return Group(*parts, _classes(decided[shown], labels, record, shown))


def _decided(
    predictions: Predictions, record: Mapping[str, Any], rule: DecisionRule | None
) -> dict[str, Tensor]:
    """Classes `[N]` by name of the way in which they are decided; what was stated is the last."""
    decided = decided_for_aims(record, predictions.logits)
    if rule is not None:
        name = f"aim {rule.aim.text}" + (", as stated" if f"aim {rule.aim.text}" in decided else "")
        decided[name] = rule.decide(predictions.logits)
    return decided


def _probabilities(
    predictions: Predictions, record: Mapping[str, Any], rule: DecisionRule | None
) -> dict[str, Tensor | None]:
    """Log-probabilities `[N, C]` by name of the prior that they are for; None for softmax over the logits."""
    trained = trained_prior(record)
    found: dict[str, Tensor | None] = {"softmax of the logits": None} if record["probabilities"] else {}
    if trained is not None:
        data = shares_of(record["class_counts"])
        own = for_own_prior(trained, predictions.logits, predictions.labels)
        found = {
            "for the training data's prior": DecisionRule(trained, data).log_probabilities(
                predictions.logits
            ),
            "for the prior of these rows": own,
        }
    if rule is not None:
        found["for the prior stated"] = rule.log_probabilities(predictions.logits)
    return found


def _table(first: str, names: Sequence[str], rows: Mapping[str, Mapping[str, float]]) -> Table:
    table = Table()
    table.add_column(first, no_wrap=True)
    measures = [MEASURES.find(name) for name in names]
    for one in measures:
        percent = one.unit == "percent"
        table.add_column(f"{one.heading}{' %' if percent else ''}", justify="right")
    for name, values in rows.items():
        cells = [_text(values[one.name], percent=one.unit == "percent") for one in measures]
        table.add_row(name, *cells)
    return table


def _decisions(
    title: str, names: Sequence[str], ways: Mapping[str, Mapping[str, float]], caption: str | None
) -> Table:
    """A row a measure and a column a way of deciding, so that a terminal of 80 columns holds them all."""
    table = Table(title=escape(title), title_justify="left", caption=caption, caption_justify="left")
    table.add_column("decided by", no_wrap=True)
    for way in ways:
        table.add_column(way, justify="right")
    for one in map(MEASURES.find, names):
        percent = one.unit == "percent"
        cells = [_text(values[one.name], percent=percent) for values in ways.values()]
        table.add_row(f"{one.heading}{' %' if percent else ''}", *cells)
    return table


def _classes(decided: Tensor, labels: Tensor, record: Mapping[str, Any], shown: str) -> Table:
    groups = shot_groups(record["class_counts"])
    two = len(record["classes"]) == 2
    caption = f"accuracy as decided by: {shown}" + ("" if two else f"; many, medium, few: {groups.rule}")
    table = Table(caption=caption, caption_justify="left")
    for name in ("class", "training rows", "accuracy %"):
        table.add_column(name, justify="left" if name == "class" else "right")
    tested = torch.bincount(labels, minlength=len(record["classes"])).double()
    right = torch.bincount(labels[decided == labels], minlength=len(tested)).double()
    rows = sorted(
        zip(record["classes"], record["class_counts"], (right / tested).tolist(), strict=True),
        key=lambda row: -row[1],
    )
    for name, count, accuracy in ends(rows):
        table.add_row(escape(name), f"{count:,}", _text(accuracy, percent=True))
    return table


def _looked_for(outputs: Outputs, record: Mapping[str, Any]) -> str | None:
    if len(record["classes"]) != 2:
        return None
    return f"precision, recall and F1 of {escape(record['classes'][outputs.positive])}"


def _costs(rule: DecisionRule | None) -> Tensor | None:
    return torch.tensor(rule.aim.matrix) if rule is not None and isinstance(rule.aim, Costs) else None


def _text(value: float, *, percent: bool) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.1f}" if percent else f"{value:.3f}"

"""What one model's decisions and probabilities are worth on labelled rows, as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from midmix.decisions import Costs, DecisionRule, for_own_prior, shares_of
from midmix.measures import MEASURES, Outputs, evaluate_all, measures_of, shot_groups
from midmix.measures.two_classes import OF_DECISIONS
from midmix.training.predict import Predictions
from midmix.training.rule import AS_TRAINED, decided_for_aims, trained_prior

OF_MANY = ("accuracy", "balanced_accuracy", "macro_f1", "many", "medium", "few")
OF_PROBABILITIES = ("nll", "brier", "ece", "classwise_ece")
OF_RANKING = ("average_precision", "roc_auc", "recall_at_precision")

Measured = Mapping[str, Mapping[str, float]]
"""Line of a table → measure's name → value; NaN where these rows do not tell."""


@dataclass(frozen=True)
class Judgement:
    """Decisions as trained and for several aims, probabilities for several priors, and accuracy by class.

    Attributes:
        decisions: by way of deciding; what was stated is the last.
        probabilities: by the prior that they are for.
        ranking: of every threshold; empty for more than two classes.
        classes: name, training rows and accuracy of each, from most rows to fewest.
        decided_by: the way of deciding that `classes` are of.
        positive: name of the class that precision, recall and F1 are of; None for more than two.
        shot_rule: which classes count as many, medium and few; None for two.
    """

    decisions: Measured
    probabilities: Measured
    ranking: Measured
    classes: list[tuple[str, int, float]]
    decided_by: str
    positive: str | None
    shot_rule: str | None


def judge(
    predictions: Predictions,
    record: Mapping[str, Any],
    rule: DecisionRule | None = None,
    beside: Mapping[str, Predictions] = MappingProxyType({}),
) -> Judgement:
    """Measures predictions of labelled rows.

    Args:
        predictions: of the rows.
        record: of the run.
        rule: for a prior and an aim that were stated.
        beside: other predictions of the same rows, by what they are called behind a comma: "10 views".
    """
    labels, logits = predictions.labels, predictions.logits
    counts = torch.tensor(record["class_counts"])
    two = len(counts) == 2
    outputs = Outputs(labels, logits, counts, costs=_costs(rule))
    every = {"": predictions, **{f", {words}": others for words, others in beside.items()}}
    decided: dict[str, Tensor] = {}
    judged: dict[str, dict[str, float]] = {}
    ranked: dict[str, dict[str, float]] = {}
    for words, others in every.items():
        decided |= {f"{name}{words}": own for name, own in _decided(others, record, rule).items()}
        for name, log in _probabilities(others, record, rule).items():
            seen = Outputs(labels, others.logits, counts, log_probabilities=log)
            judged[f"{name}{words}"] = evaluate_all(seen, OF_PROBABILITIES)
        if two:
            seen = Outputs(labels, others.logits, counts)
            ranked[f"every threshold{words}"] = evaluate_all(seen, OF_RANKING)
    of_others = [one.name for one in measures_of("outcomes", "two classes") if one.name not in MEASURES.ours]
    costs = ["expected_cost"] if outputs.costs is not None else []
    names = [*(OF_DECISIONS if two else OF_MANY), *costs, *of_others]
    shown = list(_decided(predictions, record, rule))[-1] if rule is not None else AS_TRAINED
    return Judgement(
        {
            way: evaluate_all(
                Outputs(labels, F.one_hot(own, len(counts)).double(), counts, costs=outputs.costs), names
            )
            for way, own in decided.items()
        },
        judged,
        ranked,
        _classes(decided[shown], labels, record),
        shown,
        str(record["classes"][outputs.positive]) if two else None,
        None if two else shot_groups(record["class_counts"]).rule,
    )


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


def _classes(decided: Tensor, labels: Tensor, record: Mapping[str, Any]) -> list[tuple[str, int, float]]:
    tested = torch.bincount(labels, minlength=len(record["classes"])).double()
    right = torch.bincount(labels[decided == labels], minlength=len(tested)).double()
    rows = zip(map(str, record["classes"]), record["class_counts"], (right / tested).tolist(), strict=True)
    return sorted(rows, key=lambda row: -row[1])


def _costs(rule: DecisionRule | None) -> Tensor | None:
    return torch.tensor(rule.aim.matrix) if rule is not None and isinstance(rule.aim, Costs) else None

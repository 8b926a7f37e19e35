"""Measures of two classes and of confusion matrices, against scikit-learn's where it has them."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from midmix.errors import InputError
from midmix.measures import (
    MEASURES,
    Outputs,
    average_precision,
    brier_score,
    classwise_calibration_error,
    evaluate_all,
    expected_cost,
    geometric_mean,
    matthews_correlation,
    recall_at_precision,
    roc_auc,
    threshold_curve,
)

exactly = partial(pytest.approx, rel=1e-12, abs=1e-12)


def scored(rows: int, share: float, seed: int, *, ties: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and labels of two classes; with ties a score is one of a dozen."""
    g = torch.Generator().manual_seed(seed)
    labels = (torch.rand(rows, generator=g) < share).long()
    labels[:2] = torch.tensor([0, 1])
    score = torch.randn(rows, generator=g, dtype=torch.float64) + 1.5 * labels
    return (2 * score).round() / 2 if ties else score, labels


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("rows", "share"), [(2, 0.5), (60, 0.1), (3000, 0.01)])
def test_curves_agree_with_scikit_learn(rows, share, ties):
    score, labels = scored(rows, share, rows, ties=ties)
    y, s = labels.numpy(), score.numpy()
    assert average_precision(score, labels) == exactly(sk.average_precision_score(y, s))
    assert roc_auc(score, labels) == exactly(sk.roc_auc_score(y, s))
    precision, recall, thresholds = sk.precision_recall_curve(y, s)
    curve = threshold_curve(score, labels)
    np.testing.assert_allclose(curve.threshold.flip(0), thresholds, rtol=1e-12)
    np.testing.assert_allclose(curve.precision.flip(0), precision[:-1], rtol=1e-12)
    np.testing.assert_allclose(curve.recall.flip(0), recall[:-1], rtol=1e-12)
    for least in (0.3, 0.9, 1.0):
        expected = recall[:-1][precision[:-1] >= least].max(initial=0.0)
        assert recall_at_precision(score, labels, least) == exactly(expected)


def test_the_cost_of_a_threshold_is_that_of_its_decisions():
    score, labels = scored(80, 0.2, 1, ties=True)
    curve = threshold_curve(score, labels)
    costs = torch.tensor([[0.0, 1.0], [7.0, 0.0]])
    for threshold, cost in zip(curve.threshold, curve.cost(7.0, 1.0), strict=True):
        decided = (score >= threshold).long()
        assert float(cost) == exactly(expected_cost(decided, labels, costs))


@pytest.mark.parametrize("classes", [2, 3, 6])
def test_decisions_agree_with_scikit_learn(classes):
    g = torch.Generator().manual_seed(classes)
    labels = torch.randint(0, classes, (300,), generator=g)
    logits = torch.randn(300, classes, generator=g, dtype=torch.float64)
    logits[torch.arange(300), labels] += 1
    found = evaluate_all(Outputs(labels, logits))
    y, decided, p = labels.numpy(), logits.argmax(1).numpy(), logits.softmax(1).numpy()
    assert found["mcc"] == exactly(sk.matthews_corrcoef(y, decided))
    recall = sk.recall_score(y, decided, average=None)
    assert found["g_mean"] == exactly(recall.prod() ** (1 / classes))
    expected = sk.brier_score_loss(y, p[:, 1] if classes == 2 else p)
    assert found["brier"] == exactly(expected)
    assert brier_score(logits, labels) == exactly(expected)
    if classes == 2:
        assert found["precision"] == exactly(sk.precision_score(y, decided))
        assert found["recall"] == exactly(sk.recall_score(y, decided))
        assert found["f1"] == exactly(sk.f1_score(y, decided))
        assert found["average_precision"] == exactly(sk.average_precision_score(y, p[:, 1]))
    else:
        assert "f1" not in found


def test_the_class_looked_for_is_the_one_with_fewer_training_rows():
    labels = torch.tensor([0, 0, 1, 1, 1])
    logits = torch.tensor([[2.0, 0], [0, 1], [0, 3], [0, 1], [1, 0]])
    rare_first = evaluate_all(Outputs(labels, logits, counts=torch.tensor([5, 50])))
    assert rare_first["precision"] == rare_first["recall"] == 0.5
    assert evaluate_all(Outputs(labels, logits))["precision"] == pytest.approx(2 / 3)
    assert evaluate_all(Outputs(labels, logits, counts=torch.tensor([7, 7])))["recall"] == pytest.approx(
        2 / 3
    )


def test_classwise_calibration_is_the_naive_loop():
    g = torch.Generator().manual_seed(3)
    logits, labels = 2 * torch.randn(200, 4, generator=g), torch.randint(0, 4, (200,), generator=g)
    p = logits.double().softmax(1)
    total = 0.0
    for c in range(4):
        for b in range(15):
            inside = (p[:, c] > b / 15) & (p[:, c] <= (b + 1) / 15)
            total += abs(float((labels[inside] == c).double().sum() - p[inside, c].sum())) / 200
    assert classwise_calibration_error(logits, labels) == pytest.approx(total / 4)


def test_probabilities_for_a_stated_prior_are_judged_in_place_of_softmax():
    labels = torch.tensor([0, 0, 0, 1])
    logits = torch.tensor([[0.0, 0.1]]).expand(4, 2)
    stated = torch.tensor([[0.75, 0.25]]).log().expand(4, 2)
    found = evaluate_all(Outputs(labels, logits, log_probabilities=stated))
    assert found["ece"] == pytest.approx(0, abs=1e-6)
    assert found["nll"] == pytest.approx(-(3 * math.log(0.75) + math.log(0.25)) / 4, rel=1e-6)
    assert found["accuracy"] == 0.25  # decisions stay those of the logits
    impossible = torch.tensor([[0.0, -math.inf]]).expand(4, 2)
    assert evaluate_all(Outputs(labels, logits, log_probabilities=impossible))["nll"] == math.inf


def test_what_is_undefined_is_nan_and_what_was_never_decided_is_zero():
    score = torch.tensor([0.1, 0.2])
    assert math.isnan(average_precision(score, torch.tensor([0, 0])))
    assert math.isnan(roc_auc(score, torch.tensor([1, 1])))
    assert matthews_correlation(torch.tensor([[3, 0], [2, 0]])) == 0
    assert geometric_mean(torch.tensor([[3, 1], [0, 0]])) == 0.75  # a class without rows does not count
    assert math.isnan(geometric_mean(torch.zeros(2, 2)))
    never = evaluate_all(Outputs(torch.tensor([0, 1]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])))
    assert never["precision"] == never["recall"] == never["f1"] == 0


def test_expected_cost_is_a_measure_where_costs_are_known():
    labels, logits = torch.tensor([0, 1, 1]), torch.tensor([[1.0, 0], [1, 0], [0, 1]])
    costs = torch.tensor([[0.0, 1.0], [6.0, 0.0]])
    assert evaluate_all(Outputs(labels, logits, costs=costs))["expected_cost"] == 2
    assert "expected_cost" not in evaluate_all(Outputs(labels, logits))
    assert MEASURES.find("expected_cost").better == "lower"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: average_precision(torch.zeros(3), torch.zeros(2).long()), "a score and a label"),
        (lambda: roc_auc(torch.tensor([math.nan, 0]), torch.tensor([0, 1])), "finite"),
        (lambda: expected_cost(torch.zeros(1).long(), torch.zeros(1).long(), [[0.0, 1.0]]), "square"),
        (
            lambda: expected_cost(torch.tensor([2]), torch.tensor([0]), torch.zeros(2, 2)),
            "only the 2 classes",
        ),
    ],
)
def test_what_does_not_fit_is_said(call, message):
    with pytest.raises(InputError, match=message):
        call()

"""Thresholds equal scikit-learn's for two classes; offsets of many are never worse, and near the best."""

from __future__ import annotations

import itertools
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    fbeta_score,
    make_scorer,
    precision_score,
    recall_score,
)
from sklearn.model_selection import StratifiedKFold, TunedThresholdClassifierCV

from midmix.decisions import (
    Accuracy,
    BalancedAccuracy,
    Costs,
    FMeasure,
    Offsets,
    RecallAtPrecision,
    Threshold,
    choose_offsets,
    choose_threshold,
)
from midmix.errors import InputError

COSTS = ((0.0, 1.0), (12.0, -2.0))


def minus_cost(y, decided):
    return -(confusion_matrix(y, decided, labels=[0, 1]) * np.array(COSTS)).sum() / len(y)


def recall_at(y, decided):
    precision = precision_score(y, decided, zero_division=0)
    return recall_score(y, decided) if precision >= 0.6 else precision - 0.6


AIMS = {
    "accuracy": (Accuracy(), accuracy_score),
    "balanced": (BalancedAccuracy(), balanced_accuracy_score),
    "f1": (FMeasure(), f1_score),
    "f2": (FMeasure(2), lambda y, decided: fbeta_score(y, decided, beta=2)),
    "costs": (Costs(COSTS), minus_cost),
    "recall@precision": (RecallAtPrecision(0.6), recall_at),
}


def counted(value):
    def metric(y, d):
        return value(*(int(((y == i) & (d == j)).sum()) for i in (0, 1) for j in (0, 1)))

    return metric


def f(beta, tp, fp, fn):
    return (1 + beta**2) * tp / ((1 + beta**2) * tp + beta**2 * fn + fp)


def recall_if_precise(tn, fp, fn, tp):
    precision = tp / (tp + fp) if tp else 0.0
    return tp / (tp + fn) if precision >= 0.6 else precision - 0.6


NAIVE = {
    "accuracy": counted(lambda tn, fp, fn, tp: (tn + tp) / (tn + fp + fn + tp)),
    "balanced": counted(lambda tn, fp, fn, tp: (tn / (tn + fp) + tp / (fn + tp)) / 2),
    "f1": counted(lambda tn, fp, fn, tp: f(1, tp, fp, fn)),
    "f2": counted(lambda tn, fp, fn, tp: f(2, tp, fp, fn)),
    "costs": counted(lambda tn, fp, fn, tp: -(fp + 12 * fn - 2 * tp) / (tn + fp + fn + tp)),
    "recall@precision": counted(recall_if_precise),
}


@pytest.fixture(scope="module")
def fitted():
    """Rows, and each row's probability by a model that was not trained on it."""
    x, y = make_classification(600, n_informative=4, weights=[0.85], flip_y=0.05, random_state=3)
    folds = np.zeros(len(y), dtype=int)
    probability = np.zeros(len(y))
    splits = StratifiedKFold(4, shuffle=True, random_state=0)
    for fold, (train, out) in enumerate(splits.split(x, y)):
        folds[out] = fold
        probability[out] = LogisticRegression().fit(x[train], y[train]).predict_proba(x[out])[:, 1]
    return x, y, splits, torch.from_numpy(folds), torch.from_numpy(probability)


@pytest.mark.parametrize("name", AIMS)
@pytest.mark.parametrize("thresholds", [50, "listed"])
def test_two_classes_equal_scikit_learn(fitted, name, thresholds):
    x, y, splits, folds, probability = fitted
    aim, metric = AIMS[name]
    tried = 50 if thresholds == 50 else np.linspace(0.03, 0.9, 77)
    theirs = TunedThresholdClassifierCV(
        LogisticRegression(), scoring=make_scorer(metric), thresholds=tried, cv=splits, store_cv_results=True
    ).fit(x, y)
    ours = choose_threshold(probability, torch.from_numpy(y), aim, folds=folds, thresholds=tried)
    np.testing.assert_allclose(ours.thresholds, theirs.cv_results_["thresholds"], rtol=1e-12)
    np.testing.assert_allclose(ours.scores, theirs.cv_results_["scores"], rtol=0, atol=1e-12)
    assert ours.threshold.value == pytest.approx(theirs.best_threshold_, rel=1e-12)
    assert ours.score == pytest.approx(theirs.best_score_, rel=1e-12)
    new = torch.from_numpy(theirs.estimator_.predict_proba(x))
    assert ours.threshold.decide(new.log()).tolist() == theirs.predict(x).tolist()


@pytest.mark.parametrize("name", AIMS)
@given(st.integers(0, 2**32 - 1), st.integers(4, 40), st.booleans())
def test_no_threshold_is_better(name, seed, rows, coarse):
    """Against every decision that any threshold can make, by measures written out."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (rows,), generator=generator)
    labels[:2] = torch.tensor([0, 1])
    p = torch.rand(rows, generator=generator, dtype=torch.float64)
    p = (4 * p).round() / 4 if coarse else p
    if p.min() == p.max():
        return
    aim, metric = AIMS[name][0], NAIVE[name]
    every = {t: metric(labels.numpy(), (p >= t).long().numpy()) for t in [*p.tolist(), 2.0]}
    if name == "recall@precision" and max(every.values()) < 0:
        with pytest.raises(InputError, match="no threshold reaches it"):
            choose_threshold(p, labels, aim)
        return
    found = choose_threshold(p, labels, aim)
    decided = found.threshold.decide(torch.stack((1 - p, p), 1).log())
    assert metric(labels.numpy(), decided.numpy()) == pytest.approx(max(every.values()), abs=1e-12)
    assert found.score == pytest.approx(max(every.values()), abs=1e-12)


def test_weights_of_classes_are_rows_repeated(generator):
    labels = torch.randint(2, (60,), generator=generator)
    p = torch.rand(60, generator=generator, dtype=torch.float64)
    again = torch.cat((torch.arange(60), *[torch.nonzero(labels == 1).flatten()] * 2))
    for aim in (FMeasure(), Accuracy(), Costs(COSTS)):
        weighted = choose_threshold(p, labels, aim, weight=(1, 3))
        repeated = choose_threshold(p[again], labels[again], aim)
        assert weighted.threshold == repeated.threshold
        np.testing.assert_allclose(weighted.scores, repeated.scores)


def test_the_class_looked_for_may_be_the_first(generator):
    labels = torch.randint(2, (60,), generator=generator)
    p = torch.rand(60, generator=generator, dtype=torch.float64)
    first = choose_threshold(p, labels, FMeasure(), positive=0)
    second = choose_threshold(p, 1 - labels, FMeasure())
    assert (first.threshold.value, first.score) == (second.threshold.value, second.score)
    assert first.threshold.positive == 0


@pytest.mark.parametrize(
    ("p", "labels", "line"),
    [
        ([], [], "no validation rows"),
        ([0.1, 0.2], [0, 0], "none of the 2 held-out rows is of class 1"),
        ([0.1, 0.1], [0, 1], "same score"),
        ([0.1, float("nan")], [0, 1], "not finite"),
        ([0.1, 0.2], [0, 2], "2 or more"),
        ([0.1, 0.2, 0.3], [0, 1], "as many labels"),
    ],
)
def test_what_a_threshold_needs_is_said_in_a_line(p, labels, line):
    with pytest.raises(InputError, match=line):
        choose_threshold(torch.tensor(p), torch.tensor(labels, dtype=torch.int64), FMeasure())


def macro(value):
    """The mean over the classes that have rows of a value of hits, decisions and rows."""

    def metric(y, d):
        return float(
            np.mean(
                [value(((y == c) & (d == c)).sum(), (d == c).sum(), (y == c).sum()) for c in set(y.tolist())]
            )
        )

    return metric


METRICS = {
    Accuracy(): lambda y, d: float((y == d).mean()),
    BalancedAccuracy(): macro(lambda hits, decided, rows: hits / rows),
    FMeasure(): macro(lambda hits, decided, rows: 2 * hits / (rows + decided)),
}


def some_rows(seed, rows, classes):
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(rows, generator=generator) ** 3 * classes).long()
    logits = 2 * torch.nn.functional.one_hot(labels, classes) - 1.5 * torch.arange(classes)
    noise = torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    return (logits + 1.5 * noise).log_softmax(1), labels


@pytest.mark.parametrize("aim", METRICS, ids=lambda aim: aim.text)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(2, 5))
def test_offsets_are_never_worse_and_score_what_they_say(aim, seed, rows, classes):
    log, labels = some_rows(seed, rows, classes)
    found = choose_offsets(log, labels, aim)
    assert found == choose_offsets(log, labels, aim)
    assert all(after > before for before, after in pairwise(found.scores))
    score = METRICS[aim](labels.numpy(), found.offsets.decide(log).numpy())
    assert found.score == pytest.approx(score, abs=1e-12)
    assert score >= METRICS[aim](labels.numpy(), log.argmax(1).numpy()) - 1e-12


@pytest.mark.parametrize("aim", METRICS, ids=lambda aim: aim.text)
def test_one_class_at_a_time_finds_the_best_of_all_its_offsets(aim):
    """At the end no offset of any one class is better: all are tried, by a loop."""
    log, labels = some_rows(5, 80, 3)
    found = choose_offsets(log, labels, aim)
    for c in range(3):
        for value in np.linspace(-12, 12, 501):
            moved = [*found.offsets.values]
            moved[c] = value
            decided = Offsets(tuple(moved)).decide(log)
            assert METRICS[aim](labels.numpy(), decided.numpy()) <= found.score + 1e-9


@pytest.mark.parametrize("aim", METRICS, ids=lambda aim: aim.text)
def test_offsets_are_close_to_the_best_on_a_grid(aim):
    log, labels = some_rows(11, 150, 3)
    grid = np.linspace(-5, 5, 41)
    best = max(
        METRICS[aim](labels.numpy(), Offsets((0.0, one, two)).decide(log).numpy())
        for one, two in itertools.product(grid, grid)
    )
    assert choose_offsets(log, labels, aim).score >= best - 0.02


def test_offsets_weights_are_rows_repeated():
    log, labels = some_rows(7, 60, 3)
    again = torch.cat((torch.arange(60), *[torch.nonzero(labels == 2).flatten()] * 2))
    weighted = choose_offsets(log, labels, FMeasure(), weight=(1, 1, 3))
    decided = weighted.offsets.decide(log)[again]
    assert weighted.score == pytest.approx(METRICS[FMeasure()](labels[again].numpy(), decided.numpy()))


def test_classes_that_cannot_be_are_never_decided():
    log, labels = some_rows(7, 60, 3)
    log = torch.cat((log, torch.full((60, 1), -torch.inf, dtype=torch.float64)), 1)
    found = choose_offsets(log, labels, FMeasure())
    assert found.offsets.values[3] == 0
    assert int(found.offsets.decide(log).max()) < 3
    assert found.score == choose_offsets(log[:, :3], labels, FMeasure()).score


def test_offsets_say_what_they_lack():
    log, labels = some_rows(7, 60, 3)
    with pytest.raises(InputError, match="no validation rows"):
        choose_offsets(log[:0], labels[:0], FMeasure())
    with pytest.raises(InputError, match="take balanced or f1"):
        choose_offsets(log, labels, RecallAtPrecision())  # type: ignore[arg-type]
    with pytest.raises(InputError, match="59 labels"):
        choose_offsets(log, labels[1:], FMeasure())
    with pytest.raises(InputError, match="two classes"):
        Threshold(0.5).decide(log)

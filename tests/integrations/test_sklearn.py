"""The scikit-learn estimator: scikit-learn's own obligations first, then what midmix promises."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import midmix
from midmix.errors import InputError
from midmix.integrations import MidmixClassifier
from midmix.integrations.weighted_rows import BRIEF, WeightedRows
from midmix.mixing.recipes import CORE

quick = partial(MidmixClassifier, epochs=12, learning_rate=0.02, random_state=0)


@parametrize_with_checks([
    quick(hidden=(16,)),
    quick("mixup", hidden=(), criterion="balanced_softmax", early_stopping=True, validation_fraction=0.2),
])  # fmt: skip
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def test_no_check_is_left_out():
    """scikit-learn skips one, of array types, unless scipy was told of them before it was imported."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        __file__,
        "-k",
        "own_checks and array_api",
    ]
    ran = subprocess.run(
        command, env={**os.environ, "SCIPY_ARRAY_API": "1"}, capture_output=True, text=True, check=False
    )
    assert "2 passed" in ran.stdout, ran.stdout
    assert "skipped" not in ran.stdout


@pytest.fixture(scope="module")
def tailed() -> tuple[np.ndarray, np.ndarray]:
    """600 rows of three classes with names, 80 %, 15 % and 5 %."""
    x, y = make_classification(
        600, 10, n_informative=6, n_classes=3, weights=[0.8, 0.15], class_sep=1.5, flip_y=0, random_state=1
    )
    return x.astype(np.float32), np.array(["common", "seldom", "rare"])[y]


@pytest.mark.parametrize("method", [*CORE, "cutmix"])
@pytest.mark.parametrize("criterion", ["cross_entropy", "balanced_softmax"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_weight_is_so_many_rows_for_every_method(tailed, method, criterion, early_stopping):
    x, y = tailed[0][:120], tailed[1][:120]
    weight = np.random.default_rng(0).integers(0, 4, len(x))
    estimator = quick(method, criterion=criterion, early_stopping=early_stopping, hidden=(8,), epochs=3)
    weighted = estimator.fit(x, y, weight).predict_proba(x)
    repeated = estimator.fit(x.repeat(weight, 0), y.repeat(weight)).predict_proba(x)
    order = np.random.default_rng(1).permutation(len(x))
    shuffled = estimator.fit(x[order], y[order], weight[order]).predict_proba(x)
    assert (weighted == repeated).all()
    assert (weighted == shuffled).all()


def test_an_epoch_draws_whole_weights_exactly_and_others_within_one():
    generator = torch.Generator().manual_seed(0)
    weight = torch.tensor([3.0, 1.0, 2.0, 1.0], dtype=torch.float64)
    rows = WeightedRows(torch.tensor([4, 5, 6, 7]), weight)
    assert rows.draw(generator).bincount(minlength=8)[4:].tolist() == [3, 1, 2, 1]
    rows = WeightedRows(torch.arange(4), weight / 70)  # of any scale: at least as many draws as rows
    counts = torch.stack([rows.draw(generator).bincount(minlength=4) for _ in range(2000)]).double()
    expected = 4 * weight / 7
    assert bool(((counts - expected).abs() < 1).all())
    torch.testing.assert_close(counts.mean(0), expected, atol=0.05, rtol=0)
    assert WeightedRows(torch.arange(4), weight * 1e9).epoch == BRIEF


def test_equal_rows_under_different_labels_stay_apart():
    x = np.zeros((4, 3), dtype=np.float32)
    rows = WeightedRows.of(x, np.array([0, 1, 1, 0]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert sorted(rows.weight.tolist()) == [5.0, 5.0]


def test_rare_classes_are_found_more_often_than_without_mixing(tailed):
    x, y = tailed
    rare = y == "rare"
    found = {
        method: np.mean([
            (quick(method, criterion=criterion, random_state=seed).fit(x[::2], y[::2]).predict(x[1::2])
             == "rare")[rare[1::2]].mean()
            for seed in range(3)
        ])
        for method, criterion in [("erm", "cross_entropy"), ("balanced-am-mixup", "balanced_softmax")]
    }  # fmt: skip
    assert found["balanced-am-mixup"] > found["erm"]


def test_the_mix_sees_the_training_classes_and_its_accuracy_rises(tailed):
    model = quick("balanced-am-mixup").fit(*tailed)
    assert 0.5 <= float(model.mix_.ratio.value) < 0.7  # of 1 at the start
    shares = torch.tensor([float((tailed[1] == name).mean()) for name in model.classes_])
    torch.testing.assert_close(model.mix_.prior.of_data(), shares, atol=1e-3, rtol=0)
    assert len(model.model_.fc._forward_pre_hooks) == 0  # what is left is a plain network


def test_partial_fit_goes_on_where_it_was(tailed):
    x, y = tailed
    model = quick().partial_fit(x[:300], y[:300], classes=np.unique(y))
    copy = pickle.loads(pickle.dumps(model))  # noqa: S301  (our own bytes)
    for estimator in (model, copy):
        for _ in range(5):
            estimator.partial_fit(x[300:], y[300:])
    assert (model.predict_proba(x) == copy.predict_proba(x)).all()
    assert model.n_iter_ == len(model.loss_curve_) == 6
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    with pytest.raises(InputError, match="'other' is not among the classes"):
        model.partial_fit(x[:2], ["rare", "other"])
    with pytest.raises(InputError, match="cannot change"):
        model.partial_fit(x[:2], y[:2], classes=["rare", "other"])
    with pytest.raises(InputError, match="needs them all"):
        quick().partial_fit(x, y)


def test_early_stopping_keeps_the_best_epoch(tailed):
    model = quick(early_stopping=True, patience=2, epochs=60, learning_rate=0.05).fit(*tailed)
    assert model.n_iter_ == len(model.validation_scores_) < 60
    assert max(model.validation_scores_[-2:]) <= max(model.validation_scores_[:-2])


def test_pipeline_and_grid_search(tailed):
    grid = GridSearchCV(
        make_pipeline(StandardScaler(), quick(epochs=4)),
        {"midmixclassifier__method": ["erm", "balanced-am-mixup:clean_weight=1", midmix.mixup]},
        scoring="balanced_accuracy",
        cv=2,
    ).fit(*tailed)
    assert set(grid.predict(tailed[0])) <= {"common", "seldom", "rare"}
    assert pickle.loads(pickle.dumps(grid)).best_score_ == grid.best_score_  # noqa: S301


def test_nothing_global_is_touched(tailed):
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    quick(epochs=2).fit(*tailed)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": "am-mixpu"}, "did you mean am-mixup"),
        ({"method": "am-mixup:beta=9"}, "beta: 9"),
        ({"criterion": "balanced"}, "balanced_softmax"),
        ({"hidden": (8, 0)}, "hidden"),
        ({"epochs": 0}, "epochs"),
        ({"batch_size": "many"}, "batch_size"),
        ({"learning_rate": 1e30}, "learning_rate"),
        ({"early_stopping": True, "patience": 0}, "patience"),
        ({"early_stopping": True, "validation_fraction": 1.5}, "fraction"),
    ],
)
def test_what_cannot_be_is_said(tailed, given, message):
    with pytest.raises(InputError, match=message):
        quick(**given).fit(*tailed)


def test_weights_that_cannot_be_are_said(tailed):
    x, y = tailed
    with pytest.raises(InputError, match="negative"):
        quick().fit(x, y, -np.ones(len(x)))
    with pytest.raises(InputError, match=r"one class only \('rare'\)"):
        quick().fit(x, y, y == "rare")

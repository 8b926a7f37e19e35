"""The scikit-learn estimator: scikit-learn's own obligations first, then what midmix promises."""

from __future__ import annotations

import inspect
import os
import pickle
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.datasets import make_classification
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_predict,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import midmix
from midmix import losses
from midmix.cli.train import train
from midmix.data import Labelled, Source
from midmix.decisions import BalancedAccuracy, FMeasure, choose_threshold
from midmix.errors import InputError
from midmix.integrations import MidmixClassifier
from midmix.integrations.weighted_rows import BRIEF, WeightedRows
from midmix.methods import Method
from midmix.mixing.recipes import CORE
from midmix.training import Run, Settings, read_predictions, run_rule, train_run

quick = partial(
    MidmixClassifier,
    epochs=12,
    batch_size=32,
    optimizer="adamw",
    learning_rate=0.02,
    warmup_epochs=1,
    random_state=0,
)


@parametrize_with_checks([
    quick(hidden=(16,)),
    quick("mixup+balanced_softmax", hidden=(), early_stopping=True, validation_fraction=0.2),
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
    estimator = quick(f"{method}+{criterion}", early_stopping=early_stopping, hidden=(8,), epochs=3)
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
            (quick(method, aim=aim, random_state=seed).fit(x[::2], y[::2]).predict(x[1::2])
             == "rare")[rare[1::2]].mean()
            for seed in range(3)
        ])
        for method, aim in [("erm", "accuracy"), ("balanced-am-mixup+balanced_softmax", "balanced")]
    }  # fmt: skip
    assert found["balanced-am-mixup+balanced_softmax"] > found["erm"]


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
        ({"method": "erm+balanced"}, "balanced_softmax"),
        ({"hidden": (8, 0)}, "hidden"),
        ({"epochs": 0}, "epochs"),
        ({"batch_size": "many"}, "batch_size"),
        ({"prior": [0.5, 0.5]}, "2 shares for 3 classes"),
        ({"prior": [0.5, 0.5, 0.5]}, "sum to 1.5"),
        ({"prior": "even"}, "prior 'even'"),
        ({"aim": "balancd"}, "did you mean balanced"),
        ({"aim": [[0, 1], [1, 0]]}, "costs: a matrix for 2 classes, but there are 3"),
        ({"aim": [[0, 1], [1]]}, "square matrix"),
        ({"aim": "recall@precision=0.9"}, "is for two classes"),
        ({"calibrate": "platt"}, "calibrate: 'platt'"),
        ({"aim": "f1", "cv": 1}, "cv: 1"),
        ({"method": "logistic"}, "is no network"),
        ({"method": "am-mixup:accuracy=validation"}, "an estimator shows it none"),
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


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    """800 rows of two classes that overlap, 8 % of the second."""
    x, y = make_classification(800, 8, n_informative=5, weights=[0.92], class_sep=0.8, random_state=3)
    return x.astype(np.float32), y


@pytest.mark.parametrize(
    "method", ["erm", "erm+balanced_softmax", "balanced-am-mixup", "mixup+balanced_softmax+drw"]
)
def test_a_run_and_the_estimator_give_the_same(tailed, tmp_path, method):
    """The same rows, seed and method, with duplicates, in any order: the same logits, probabilities and classes."""
    x, y = tailed[0][:300], tailed[1][:300]
    x[:20], y[:20] = x[20:40], y[20:40]
    names, codes = np.unique(y, return_inverse=True)
    test = Labelled(torch.from_numpy(tailed[0][300:]), torch.zeros(300).long(), tuple(names))
    source = Source("tailed", Labelled(torch.from_numpy(x), torch.from_numpy(codes), tuple(names)), test)
    settings = Settings.for_rows(source.train, epochs=3)
    record = train_run(Run(Method.parse(method), 5, settings), source, tmp_path)
    order = np.random.default_rng(0).permutation(300)
    model = MidmixClassifier(method, epochs=3, random_state=5).fit(x[order], y[order])
    logits = read_predictions(tmp_path).logits
    assert torch.equal(model._answers(tailed[0][300:]), logits)
    rule = run_rule(tmp_path, record)
    np.testing.assert_allclose(model.predict_proba(tailed[0][300:]), rule.probabilities(logits), atol=1e-7)
    assert (model.predict(tailed[0][300:]) == names[rule.decide(logits)]).all()


def test_the_command_and_the_estimator_have_the_same_defaults():
    assert inspect.signature(train).parameters["method"].default == MidmixClassifier().method
    x, y = make_classification(60, 5, random_state=0)
    model = MidmixClassifier(epochs=1).fit(x, y)
    rows = Labelled(torch.from_numpy(x).float(), torch.from_numpy(y), ("0", "1"))
    assert model._training.settings == Settings.for_rows(rows, epochs=1)


def test_probabilities_are_for_the_stated_prior_and_decisions_for_the_aim(pair):
    x, y = pair
    share = y.mean()
    data, uniform, half = (quick(prior=prior).fit(x, y) for prior in ("data", "uniform", [0.8, 0.2]))
    odds = [model.predict_proba(x)[:, 1] / model.predict_proba(x)[:, 0] for model in (data, uniform, half)]
    np.testing.assert_allclose(odds[1] / odds[0], (1 - share) / share, rtol=1e-6)
    np.testing.assert_allclose(odds[2] / odds[1], 0.25, rtol=1e-6)
    assert (data.predict(x) == data.predict_proba(x).argmax(1)).all()
    balanced = quick(aim="balanced").fit(x, y)
    assert (balanced.predict(x) == uniform.predict_proba(x).argmax(1)).all()
    costly = quick(aim=[[0, 1], [20, 0]]).fit(x, y)
    assert (costly.predict(x) == (20 * costly.predict_proba(x)[:, 1] >= costly.predict_proba(x)[:, 0])).all()


def test_one_training_gives_true_probabilities_and_balanced_decisions():
    """Of a method that balances: on unseen rows, mean probability as positives are frequent."""
    x, y = make_classification(4000, 10, n_informative=5, weights=[0.95], random_state=1)
    model = quick(epochs=20).fit(x[::2], y[::2])
    assert model.predict_proba(x[1::2])[:, 1].mean() == pytest.approx(y[1::2].mean(), abs=0.015)


@pytest.mark.parametrize("calibrate", ["temperature", "bias"])
def test_calibrations_are_fitted_on_rows_that_were_held_out(pair, calibrate):
    x, y = pair
    model = quick(epochs=30, calibrate=calibrate, cv=3).fit(x, y)
    assert model.rule_.calibration.temperature > 1  # thirty epochs at such a rate are too sure
    assert (model.rule_.calibration.bias is not None) == (calibrate == "bias")


@pytest.mark.parametrize("aim", ["f1", "f2", "recall@precision=0.4"])
def test_thresholds_are_cross_fitted(pair, aim):
    model = quick(aim=aim, cv=3, hidden=(16,)).fit(*pair)
    threshold = model.rule_.thresholds.value
    assert (model.predict(pair[0]) == (model.predict_proba(pair[0])[:, 1] >= threshold)).all()


def test_many_classes_get_offsets_for_the_macro_f_measure(tailed):
    model = quick(aim="f1", cv=3, hidden=(16,)).fit(*tailed)
    assert len(model.rule_.thresholds.values) == 3


@pytest.mark.parametrize(("scoring", "aim"), [("f1", FMeasure()), ("balanced_accuracy", BalancedAccuracy())])
def test_the_threshold_that_scikit_learn_tunes_is_ours(pair, scoring, aim):
    x, y = pair
    folds = StratifiedKFold(3)
    estimator = quick(hidden=(16,))
    tuned = TunedThresholdClassifierCV(estimator, scoring=scoring, cv=folds).fit(x, y)
    probability = cross_val_predict(estimator, x, y, cv=folds, method="predict_proba")[:, 1]
    fold = np.empty(len(y), dtype=np.int64)
    for number, (_, out) in enumerate(folds.split(x, y)):
        fold[out] = number
    found = choose_threshold(
        torch.from_numpy(probability), torch.from_numpy(y), aim, folds=torch.from_numpy(fold), thresholds=100
    )
    assert found.threshold.value == pytest.approx(tuned.best_threshold_, abs=1e-12)
    assert found.score == pytest.approx(tuned.best_score_, abs=1e-12)


def test_options_of_a_method_are_parameters_of_a_grid(tailed):
    grid = GridSearchCV(
        quick("balanced-am-mixup+balanced_softmax", epochs=2, hidden=(8,)),
        {"method__beta": [0.2, 0.67], "method__balanced_softmax__tau": [0.5, 1.0]},
        cv=2,
    ).fit(*tailed)
    best = grid.best_params_
    assert f"beta={best['method__beta']:g}" in grid.best_estimator_.method
    assert f"tau={best['method__balanced_softmax__tau']:g}" in grid.best_estimator_.method
    model = quick("am-mixup").set_params(method="mixup", method__alpha=0.3)
    assert model.method == "mixup:alpha=0.3"
    assert model.get_params()["method__alpha"] == 0.3
    with pytest.raises(InputError, match="did you mean alpha"):
        model.set_params(method__alhpa=1)
    with pytest.raises(InputError, match="only the options of a text"):
        quick(midmix.mixup).set_params(method__alpha=1)


def test_a_criterion_is_deprecated_and_a_pair_takes_its_place(tailed):
    x, y = tailed[0][:120], tailed[1][:120]
    with pytest.warns(FutureWarning, match="method holds the loss"):
        old = quick("mixup", criterion="balanced_softmax:tau=0.5", epochs=2).fit(x, y).predict_proba(x)
    methods = (
        "mixup+balanced_softmax:tau=0.5",
        ("mixup", "balanced_softmax:tau=0.5"),
        (midmix.mixup, losses.balanced_softmax(tau=0.5)),
    )
    for method in methods:
        assert (quick(method, epochs=2).fit(x, y).predict_proba(x) == old).all()

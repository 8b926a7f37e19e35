"""Calls from Python with what cannot be: an `InputError`, or scikit-learn's own error, of one line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tests.faults.attempts import Call, Case
from torch import nn

import midmix
from midmix.data import from_arrays
from midmix.errors import InputError
from midmix.integrations.sklearn import MidmixClassifier

X = np.random.default_rng(0).normal(size=(60, 4))
Y = np.arange(60) % 3
NAN, INF = float("nan"), float("inf")

ESTIMATOR: dict[str, dict[str, Any]] = {
    **{f"{name} = {value!r}": {name: value} for name, values in {
        "method": ("", "x", "erm:x=1", "erm >> crt", "erm+drw+x", "lda", "erm+cosine", 5, None, ("erm",), (5, "focal"),
                   ("erm", "focal", "focal"), ("erm", 5), ("erm", "x"), lambda *_, **__: None),
        "criterion": ("x", "focal:gamma=-1", 5),
        "prior": ("", "x", "0.5,0.5", "1,0,0,0", "nan,0.5,0.5", "-1,1,1", 5, None, (0.5, 0.6, 0.2), (NAN, 0.5, 0.5)),
        "aim": ("", "x", "f0", "f-1", "fnan", "recall@precision=2", "recall@precision=0.9", "costs=nowhere.csv", 5,
                None, np.zeros((2, 2)), np.full((3, 3), NAN), [[0, 1], [1]]),
        "calibrate": ("", "x", 5, None),
        "hidden": ((0,), (-1,), (1.5,), "x", 5), "epochs": (0, -1, 1.5, NAN, "x"),
        "batch_size": (0, -1, 1, "x", NAN), "learning_rate": (0, -1, NAN, INF, 1e308, "x"),
        "weight_decay": (-1, NAN, INF, "x"), "random_state": (-1, 1.5, "x"),
    }.items() for value in values},
    **{f"calibrate, cv = {value!r}": {"calibrate": "temperature", "cv": value} for value in (0, 1, -1, 1.5, "x", NAN)},
    **{f"early_stopping, {name} = {value!r}": {name: value, "early_stopping": True} for name, values in {
        "validation_fraction": (0, 1, -1, NAN, "x"), "patience": (0, -1, "x"),
    }.items() for value in values},
}  # fmt: skip
ROWS: dict[str, tuple[Any, Any, Any]] = {
    "no rows": (X[:0], Y[:0], None), "one row": (X[:1], Y[:1], None), "other lengths": (X, Y[:-1], None),
    "one class": (X, Y * 0, None), "NaN": (np.where(X > 2, NAN, X), Y, None),
    "infinity": (np.where(X > 2, INF, X), Y, None),
    "beyond 32 bits": (X * 1e300, Y, None), "one dimension": (X[:, 0], Y, None), "three": (X[:, :, None], Y, None),
    "text": (X.astype(str) + "x", Y, None), "complex": (X * 1j, Y, None), "fractions as labels": (X, Y + 0.5, None),
    "NaN as a label": (X, np.where(Y == 1, NAN, Y), None), "labels of two dimensions": (X, np.eye(3)[Y], None),
    "labels of two kinds": (X, np.array([1, "a", None] * 20, dtype=object), None), "nothing": (None, Y, None),
    "no features": (X[:, :0], Y, None), "negative weights": (X, Y, np.full(60, -1)), "no weights": (X, Y, np.zeros(60)),
    "weights of NaN": (X, Y, np.full(60, NAN)), "infinite weights": (X, Y, np.full(60, INF)),
    "weights of another length": (X, Y, np.ones(9)), "weights of two dimensions": (X, Y, np.ones((60, 2))),
}  # fmt: skip
FINE: dict[str, tuple[Any, Any, Any]] = {
    "fractional weights": (X, Y, np.linspace(0.1, 2.5, 60)), "tiny weights": (X, Y, np.full(60, 1e-300)),
    "huge weights": (X, Y, np.full(60, 1e300)), "one of a hundred thousand twice": (
        np.random.default_rng(0).normal(size=(100_000, 2)).repeat([2] + [1] * 99_999, axis=0),
        (np.arange(100_000) % 3).repeat([2] + [1] * 99_999), None),
    "32 bits": (X.astype(np.float32), Y, None), "whole numbers": ((X * 9).astype(int), Y, None),
    "texts as labels": (X, np.array(["a", "b", "\x1b[31m"])[Y], None), "not contiguous": (X[:, ::-1], Y, None),
}  # fmt: skip

Made = Callable[[], object]


def _network() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def _step(labels: Any, *, mix: Any = None, rows: int = 6) -> object:
    model = _network()
    attached = (mix or midmix.am_mixup(num_classes=3)).attach(model)
    with attached(labels):
        logits = model(torch.randn(rows, 4))
    return attached.loss(logits)


def _two_blocks() -> None:
    model = _network()
    first, second = (midmix.am_mixup(num_classes=3).attach(model) for _ in range(2))
    labels = torch.tensor([0, 1, 2])
    with first(labels), second(labels):
        model(torch.randn(3, 4))


LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
CALLS: dict[str, Made] = {
    "labels of fractions": lambda: _step(LABELS.float()), "labels below 0": lambda: _step(LABELS - 1),
    "labels beyond the classes": lambda: _step(LABELS + 1), "labels of two dimensions": lambda: _step(LABELS[:, None]),
    "labels in a list": lambda: _step([0, 1, 2]), "no labels": lambda: _step(None),
    "other numbers of rows": lambda: _step(LABELS, rows=5), "two blocks on one model": _two_blocks,
    "no classes": lambda: midmix.am_mixup(num_classes=0), "a class": lambda: midmix.recipe("x", num_classes=3),
    "an option": lambda: midmix.recipe("am-mixup", num_classes=3, x=1),
    "a name for an option": lambda: midmix.recipe("am-mixup", num_classes=3, name=1),
    "a NaN": lambda: midmix.am_mixup(num_classes=3, beta=NAN), "below 0": lambda: midmix.mixup(num_classes=3, alpha=-1),
    "counts of another length": lambda: midmix.balanced_am_mixup(num_classes=3, class_counts=[1, 2]),
    "negative counts": lambda: midmix.balanced_am_mixup(num_classes=3, class_counts=[1, 2, -1]),
    "counts of NaN": lambda: midmix.balanced_am_mixup(num_classes=3, class_counts=torch.tensor([1, 2, NAN])),
    "a loss before a block": lambda: midmix.am_mixup(num_classes=3).attach(_network()).loss(torch.zeros(3, 3)),
    "a block without a model": lambda: midmix.am_mixup(num_classes=3)(LABELS),
    "a model without a classifier": lambda: midmix.am_mixup(num_classes=3).attach(nn.ReLU()),
    "a site that is none": lambda: midmix.am_mixup(num_classes=3).attach(_network(), "x"),
    "accuracy beyond 1": lambda: midmix.am_mixup(num_classes=3).observe(accuracy=1.5),
    "accuracy of NaN": lambda: midmix.am_mixup(num_classes=3).observe(accuracy=NAN),
    "nothing to observe": lambda: midmix.am_mixup(num_classes=3).observe(),
    "arrays of other lengths": lambda: from_arrays(X, Y[:-1]), "arrays of NaN": lambda: from_arrays(X * NAN, Y),
    "arrays without rows": lambda: from_arrays(X[:0], Y[:0]), "half a test part": lambda: from_arrays(X, Y, X),
    "a share beyond 1": lambda: from_arrays(X, Y, test_fraction=2), "a class alone": lambda: from_arrays(X, Y * 0),
    "negative labels": lambda: from_arrays(X, Y - 5), "too few names": lambda: from_arrays(X, Y, classes=["a"]),
    "an unknown option": lambda: midmix.data.load("digits", x=1),  # type: ignore[call-arg]
    "an empty name": lambda: midmix.data.load(""), "a name with a NUL": lambda: midmix.data.load("a\0b"),
}  # fmt: skip


def cases() -> Iterator[Case]:
    """The estimator's options and rows, mixes, sources."""
    for name, options in ESTIMATOR.items():
        yield Case(
            "estimator",
            name,
            _call(partial(_fit, options, X, Y)),
        )
    yield Case("estimator", "early_stopping with nothing to hold out", _call(
        lambda: MidmixClassifier(epochs=1, early_stopping=True).fit(X[:3], Y[:3])))  # fmt: skip
    for name, rows in ROWS.items():
        yield Case("estimator", f"fit, {name}", _call(partial(_fit, {}, *rows)))
        if rows[2] is None and name not in ("one class", "one row"):
            yield Case("estimator", f"predict, {name}", _call(partial(_predict, rows[0])),
                       "either" if "label" in name or name in ("other lengths",) else "line")  # fmt: skip
    for name, rows in FINE.items():
        sound = _call(partial(_sound, rows))
        yield Case("estimator", f"fit, {name}", sound, "fine")
    for option in ("method__x", "method__beta", "x"):
        yield Case("estimator", f"set_params({option}=1)", _call(partial(_set, option)))
    yield Case("estimator", "predict before fit", _call(lambda: MidmixClassifier().predict(X)))
    yield Case("estimator", "a refit that fails", _call(_failed_refit), "fine")
    for name, call in CALLS.items():
        yield Case("calls", name, _call(call))


def _fitted() -> MidmixClassifier:
    return MidmixClassifier(epochs=1, random_state=0).fit(X, Y)


def _fit(options: dict[str, Any], *rows: Any) -> MidmixClassifier:
    return MidmixClassifier(**{"epochs": 1, **options}).fit(*rows)


def _set(option: str) -> object:
    return MidmixClassifier(epochs=1).set_params(**{option: 1}).fit(X, Y)


def _predict(rows: Any) -> object:
    return _fitted().predict(rows)


def _sound(rows: Any) -> None:
    if not np.isfinite(_fit({}, *rows).predict_proba(rows[0])).all():
        raise AssertionError("probabilities that are not finite")


def _failed_refit() -> None:
    model = _fitted()
    before = model.predict_proba(X)
    try:
        model.fit(X * NAN, Y)
    except ValueError:
        if not np.array_equal(model.predict_proba(X), before):
            raise AssertionError("half a model is left") from None
        return
    raise AssertionError("NaN was taken")


def _call(call: Made) -> Callable[[Path], Call]:
    return lambda folder: called(call)


def called(call: Made) -> Call:
    """A call whose errors are those of a command."""

    def done() -> int:
        try:
            call()
        except InputError:
            raise
        except (ValueError, TypeError) as error:
            if not _checked_by_scikit_learn(error):
                raise
            raise InputError(" ".join(str(error).split())) from None
        return 0

    return done


def _checked_by_scikit_learn(error: BaseException) -> bool:
    """Whether it is one of scikit-learn's own checks of arrays and options."""
    trace = error.__traceback__
    while trace is not None:
        if re.search(r"site-packages/sklearn/(utils|base\.py)", trace.tb_frame.f_code.co_filename):
            return True
        trace = trace.tb_next
    return False

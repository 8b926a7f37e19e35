"""One run of a classifier that is fitted by itself, in the form that a network's run has."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from midmix.data import Labelled
from midmix.data.mapped import MappedRows
from midmix.decisions import LogitPrior
from midmix.errors import InputError
from midmix.methods import Baseline, Method
from midmix.methods.baselines import logit_prior
from midmix.models import Normalize, build, fit_normalization, to_float
from midmix.training.history import Epoch, epoch_record
from midmix.training.predict import Predictions
from midmix.training.split import Split

LINEAR = "linear"
"""The network that keeps a linear baseline."""


@dataclass(frozen=True)
class Fitted:
    """What came of a baseline.

    Attributes:
        model: a linear network with the fitted weights; None where the classifier is not linear.
        history: one epoch.
        predict: what it makes of rows; features are the standardised inputs.
        prior: that its logits answer for; None where it is not known, or they are no log-probabilities.
        seconds: of fitting.
    """

    model: nn.Module | None
    history: list[Epoch]
    predict: Callable[[Labelled], Predictions]
    prior: LogitPrior | None
    seconds: float


def check_baseline(method: Method, data: Labelled) -> None:
    """Sees that rows are such as a baseline takes.

    Raises:
        InputError: for images.
    """
    if data.kind != "features":
        raise InputError(
            f"{method}: takes rows of features, and these are images; embed them first, or leave the line out"
        )


def fit_baseline(
    method: Method, baseline: Baseline, split: Split, seed: int, say: Callable[[str], None]
) -> Fitted:
    """Fits a baseline on the training rows, standardised as for a network.

    Raises:
        InputError: for images, and as the baseline does.

    Example:
        >>> from midmix.data import load
        >>> from midmix.training import draw_split
        >>> method = Method.parse("ridge")
        >>> split = draw_split(load("digits"), seed=0, imbalance=50)
        >>> fitted = fit_baseline(method, method.make_baseline(), split, 0, print)
        >>> fitted.predict(split.test).logits.shape, fitted.model.network
        (torch.Size([719, 10]), 'linear')
    """
    check_baseline(method, split.train)
    normalize = Normalize(split.train.shape)
    fit_normalization(normalize, split.train.inputs)
    train = _standardised(normalize, split.train)
    started = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scores = baseline.fit(train, split.train.labels, len(split.train.classes), seed)
    seconds = time.perf_counter() - started
    for warning in caught:
        say(f"{method}, seed {seed}: {warning.message}")

    def predictions(data: Labelled) -> Predictions:
        features = _standardised(normalize, data)
        with torch.inference_mode():
            logits = scores(features).float()
        if not logits.isfinite().all():
            raise InputError(f"{method}: its scores are not finite; look for features of extreme size")
        return Predictions(logits, features, data.labels.cpu())

    prior = logit_prior(baseline, split.train.counts())
    row = epoch_record(
        epoch=1,
        train_accuracy=predictions(split.train).accuracy(),
        test=predictions(split.test),
        validation=None if split.validation is None else predictions(split.validation),
        counts=split.train.counts().tolist(),
        train_loss=math.nan,
        ratio=1.0,
        learning_rate=math.nan,
        seconds=seconds,
        geometry=False,
        trained=prior,
    )
    if not baseline.probabilities:
        row["nll"] = row["ece"] = math.nan
        if "brier" in row:
            row["brier"] = math.nan
    return Fitted(_model(scores, normalize, split), [row], predictions, prior, seconds)


def _standardised(normalize: Normalize, data: Labelled) -> Tensor:
    assert isinstance(data.inputs, Tensor | MappedRows)  # rows of features always are
    rows = data.inputs if isinstance(data.inputs, Tensor) else data.inputs.whole()
    with torch.inference_mode():
        return normalize(to_float(rows)).clone()  # type: ignore[no-any-return]


def _model(scores: object, normalize: Normalize, split: Split) -> nn.Module | None:
    if not isinstance(scores, nn.Linear):
        return None
    model = build(LINEAR, split.train.shape, len(split.train.classes), seed=0)
    model.normalize.load_state_dict(normalize.state_dict())  # type: ignore[union-attr]
    model.fc.load_state_dict(scores.state_dict())  # type: ignore[union-attr]
    return model

"""A method's second stages on a trained network: its classifier is changed, its encoder stays."""

from __future__ import annotations

import copy
import math

import torch
from torch import nn

from midmix.decisions import LogitPrior
from midmix.errors import DivergedError, InputError
from midmix.methods import Method, StageData
from midmix.methods.stages import prior_after
from midmix.models import replace_module
from midmix.training.history import Epoch, epoch_record
from midmix.training.predict import features_of, predict, accuracy_of
from midmix.training.split import Split


def apply_stages(
    method: Method,
    model: nn.Module,
    split: Split,
    trained: LogitPrior | None,
    *,
    classifier: str | None,
    seed: int,
) -> LogitPrior | None:
    """Puts the classifier that the method's stages make in place of the network's own.

    Args:
        trained: the prior that the network's logits answer for; None where it is not known.

    Returns:
        The prior that they answer for afterwards, or None.

    Raises:
        InputError: where a stage cannot be done with such a classifier, or such rows.
    """
    num_classes = len(split.train.classes)
    data = predict(model, split.train, classifier=classifier)
    held_out = None
    if split.validation is not None:
        found = predict(model, split.validation, classifier=classifier)
        held_out = found.features, found.labels
    given = StageData(data.features, data.labels, split.train.counts(), held_out, seed)
    head = features_of(model, num_classes, classifier).classifier(model, num_classes)
    fresh, trained = _staged(method, copy.deepcopy(head).cpu(), given, trained)
    replace_module(model, head, fresh.to(next(model.parameters()).device))
    return trained


def start_head(method: Method, model: nn.Module, split: Split) -> None:
    """Gives the method's head its first weights by the training rows' features, where it takes them from there."""
    start = getattr(method.make_head(), "start_from", None)
    if start is None:
        return
    found = predict(model, split.train, classifier=method.classifier)
    num_classes = len(split.train.classes)
    start(features_of(model, num_classes, method.classifier).classifier(model, num_classes), found)


def rehearse_stages(method: Method, model: nn.Module, split: Split) -> None:
    """Sees, on a few rows without content, that the stages can be done, before hours of training.

    Raises:
        InputError: as `apply_stages` does.
    """
    if not method.stages:
        return
    counts = split.train.counts()
    labels = torch.arange(len(counts)).repeat(2)
    head = features_of(model, len(counts), method.classifier).classifier(model, len(counts))
    width = int(getattr(head, "in_features", 1))
    features = torch.rand(len(labels), width, generator=torch.Generator().manual_seed(0))
    held_out = None if split.validation is None else (features, labels)
    _staged(method, copy.deepcopy(head).cpu(), StageData(features, labels, counts, held_out, seed=0), None)


def measured_again(
    model: nn.Module, split: Split, classifier: str | None, before: Epoch, trained: LogitPrior | None
) -> Epoch:
    """The last epoch again; what was said of its training stays."""
    validation = split.validation
    return epoch_record(
        epoch=int(before["epoch"]),
        train_accuracy=accuracy_of(model, split.train),
        test=predict(model, split.test, classifier=classifier),
        validation=None if validation is None else predict(model, validation, classifier=classifier),
        counts=split.train.counts().tolist(),
        train_loss=before["train_loss"],
        ratio=before["ratio"],
        learning_rate=before["learning_rate"],
        seconds=before["seconds"],
        geometry=not math.isnan(before["alignment"]),
        trained=trained,
    )


def _staged(
    method: Method, head: nn.Module, data: StageData, trained: LogitPrior | None
) -> tuple[nn.Module, LogitPrior | None]:
    """The classifier that the stages make of one, one after the other, and the prior that its logits answer for."""
    for stage in method.make_stages():
        fresh = stage.apply(head, data)
        trained = prior_after(stage, trained, head, data)
        if getattr(fresh, "bias", 0) is None:  # files of the network's own classifier have one
            fresh.bias = nn.Parameter(torch.zeros(len(data.counts)))
        if type(fresh) is not type(head):  # a file of weights could not be read back into the network
            raise InputError(
                f"{method}: a stage made a {type(fresh).__name__} of a {type(head).__name__}, and a run keeps its kind "
                "of head; begin with such a head, as +cosine, or leave the stage's option out"
            )
        if not all(bool(parameter.isfinite().all()) for parameter in fresh.parameters()):
            raise DivergedError(
                f"{method}: a stage diverged, its weights are not finite; lower its learning_rate"
            )
        head = fresh
    return head, trained

"""A method's second stages on a trained network: its classifier is changed, its encoder stays."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from midmix.data import Labelled
from midmix.decisions import LogitPrior
from midmix.errors import DivergedError, InputError
from midmix.methods import Method, StageData
from midmix.methods.stages import prior_after
from midmix.models import Encoder, Normalize, replace_module
from midmix.training.history import Epoch, epoch_record
from midmix.training.predict import Predictions, features_of, predict
from midmix.training.split import Split


def apply_stages(
    method: Method,
    model: nn.Module,
    split: Split,
    trained: LogitPrior | None,
    predictions: Callable[[Labelled], Predictions],
    *,
    classifier: str | None,
    seed: int,
) -> LogitPrior | None:
    """Puts the classifier that the method's stages make in place of the network's own.

    Args:
        trained: the prior that the network's logits answer for; None where it is not known.
        predictions: what the network makes of rows.

    Returns:
        The prior that they answer for afterwards, or None.

    Raises:
        InputError: where a stage cannot be done with such a classifier, or such rows.
    """
    num_classes = len(split.train.classes)
    data = predictions(split.train)
    held_out = None
    if split.validation is not None:
        found = predictions(split.validation)
        held_out = found.features, found.labels
    given = StageData(data.features, data.labels, split.train.counts(), held_out, seed)
    head = features_of(model, num_classes, classifier).classifier(model, num_classes)
    fresh, trained = _staged(method, copy.deepcopy(head).cpu(), given, trained)
    replace_module(model, head, fresh.to(next(model.parameters()).device))
    return trained


def start_head(
    method: Method, model: nn.Module, split: Split, encoder: Callable[[], Encoder | None] = lambda: None
) -> None:
    """Gives the method's head its first weights by what is known of the classes, where it takes them from there.

    Args:
        encoder: what made the rows' features, where the model was given these; it is asked where a head wants names.

    Raises:
        InputError: for a head that begins from the classes' names, without an encoder that knows names.
    """
    start = getattr(method.make_head(), "start_from", None)
    if start is None:
        return
    num_classes = len(split.train.classes)
    known = _Known(method, model, split, encoder)
    start(features_of(model, num_classes, method.classifier).classifier(model, num_classes), known)


@dataclass(frozen=True)
class _Known:
    method: Method
    model: nn.Module
    split: Split
    encoder: Callable[[], Encoder | None]

    def rows(self) -> tuple[Tensor, Tensor]:
        found = predict(self.model, self.split.train, classifier=self.method.classifier)
        return found.features, found.labels

    def names(self) -> Tensor:
        """Of the encoder's, as the head gets its features; where these are standardised, without what names share.

        There a row is `(z - m) / s`, so that its product with `s t` is `t · (z - m)`: names of a class decide by what
        is theirs, and the way that texts lie from images cancels out.
        """
        encoder = self.model if isinstance(self.model, Encoder) else self.encoder()
        if encoder is None:
            raise InputError(
                "start=names: an encoder with a text side knows names of classes; name one with --network, "
                "such as hf:openai/clip-vit-base-patch32, or begin with start=means"
            )
        found = nn.functional.normalize(encoder.features_of_names(self.split.train.classes))
        if encoder is self.model:
            return found
        (layer,) = (module for module in self.model.modules() if isinstance(module, Normalize))
        return (found - found.mean(0)) * layer.std.cpu()


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
    split: Split,
    predictions: Callable[[Labelled], Predictions],
    accuracy: Callable[[Labelled], float],
    before: Epoch,
    trained: LogitPrior | None,
) -> Epoch:
    """The last epoch again; what was said of its training stays."""
    validation = split.validation
    return epoch_record(
        epoch=int(before["epoch"]),
        train_accuracy=accuracy(split.train),
        test=predictions(split.test),
        validation=None if validation is None else predictions(validation),
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

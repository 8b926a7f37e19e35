"""A model's predictions for rows, in evaluation mode."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from midmix.data import Inputs, Labelled, views_of
from midmix.data.loading import in_order
from midmix.data.texts import TextRows
from midmix.mixing.site import Features, Forward
from midmix.models import TextInputs, to_float

ROWS, IMAGES = 1000, 125
"""How many rows are run at a time, and how many images on a processor, where a thousand take twice as long."""


@dataclass(frozen=True)
class Predictions:
    """What a model made of N rows: `logits [N, C]`, `features [N, D]`, both float32, and `labels [N]`; on the CPU."""

    logits: Tensor
    features: Tensor
    labels: Tensor

    def accuracy(self) -> float:
        """Share of rows whose largest logit is the label's."""
        return float((self.logits.argmax(1) == self.labels).double().mean())


def predict(
    model: nn.Module, data: Labelled, *, batch_size: int | None = None, classifier: str | None = None
) -> Predictions:
    """Runs the model over all rows, unmixed; the mode of each of its modules is as before afterwards.

    Features are what enters the classifier: the module of this name (`features_of`), or found by itself.

    Raises:
        InputError: where the model has no such module or the classifier cannot be told.

    Example:
        >>> from midmix.data import load
        >>> from midmix.models import build
        >>> predictions = predict(build("mlp-16", (64,), 10, seed=0), load("digits").test)
        >>> predictions.logits.shape, predictions.features.shape, predictions.labels.shape
        (torch.Size([719, 10]), torch.Size([719, 16]), torch.Size([719]))
    """
    seen, done = torch.empty(len(data), 0), 0

    def see(classifier: nn.Module, features: Tensor, again: Forward) -> Tensor:
        nonlocal seen, done
        rows = features.flatten(1).float().cpu()
        if not done:  # of all rows, once: parts that are put together would be there twice
            with torch.inference_mode(
                False
            ):  # who is given them may take gradients of what they make of them
                seen = torch.empty(len(data), rows.shape[1])
        seen[done : done + len(rows)] = rows
        done += len(rows)
        return features

    num_classes = len(data.classes)
    handles = features_of(model, num_classes, classifier).hook(model, num_classes, see)
    try:
        logits = predict_logits(model, data.inputs, batch_size=batch_size)
    finally:
        for handle in handles:
            handle.remove()
    return Predictions(logits, seen, data.labels.cpu())


def features_of(model: nn.Module, num_classes: int, classifier: str | None = None) -> Features:
    """Where a network's features are: as they enter the classifier, which has this name or is found by itself.

    A name that a method was given as its site may be that of a layer before the classifier: a linear layer with other
    than `num_classes` outputs is passed over.

    Raises:
        InputError: where the model has no such module or the classifier cannot be told.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3))
        >>> features_of(model, 3, "2")
        Features(name='2')
    """
    named = Features(classifier)
    module = named.classifier(model, num_classes)
    if classifier is not None and getattr(module, "out_features", num_classes) != num_classes:
        return features_of(model, num_classes)
    return named


@torch.inference_mode()
def predict_logits(
    model: nn.Module, inputs: Inputs, *, batch_size: int | None = None, views: int = 1
) -> Tensor:
    """The model's logits `[N, C]` float32 for N rows, on the CPU; its modules' modes are as before afterwards.

    Args:
        views: of each image, see `midmix.data.views_of`, whose logits are averaged. Their softmax is that of the mean
            log-probabilities too, for the two differ by one number a row; and a prior is corrected for by the same
            term before and after the mean, which would not be so of averaged probabilities.

    Raises:
        InputError: for several views of rows that are not images.
    """
    return torch.cat([*_by_batch(model, inputs, batch_size, views)])


@torch.inference_mode()
def accuracy_of(model: nn.Module, data: Labelled) -> float:
    """Share of rows whose largest logit is the label's, of which nothing is kept; NaN where a logit is not finite."""
    hits, start = 0, 0
    for logits in _by_batch(model, data.inputs, None, 1):
        if not all_finite(logits):
            return math.nan
        labels = data.labels[start : start + len(logits)].cpu()
        hits, start = hits + int((logits.argmax(1) == labels).sum()), start + len(logits)
    return hits / len(data)


def rows_at_once(model: nn.Module, inputs: Inputs) -> int:
    """How many rows the model is run on at a time."""
    device = next(model.parameters()).device
    return IMAGES if device.type == "cpu" and len(inputs.shape) == 4 else ROWS


def _by_batch(model: nn.Module, inputs: Inputs, batch_size: int | None, views: int) -> Iterator[Tensor]:
    """The model's logits, a batch at a time, which is decoded while the one before is run."""
    device, inputs = next(model.parameters()).device, as_tokens(model, inputs)
    at_once = batch_size or rows_at_once(model, inputs)
    with _in_evaluation_mode(model):
        for stored in in_order(inputs, at_once):
            shown = views_of(stored.to(device), views)
            yield torch.stack([_logits(model, view) for view in shown]).mean(0)


def all_finite(values: Tensor) -> bool:
    """Whether no number is NaN or infinite; without a copy as large as the numbers, which a mask would take.

    Example:
        >>> all_finite(torch.zeros(2)), all_finite(torch.tensor([0.0, torch.nan]))
        (True, False)
    """
    return not values.numel() or all(bool(bound.isfinite()) for bound in torch.aminmax(values))


def _logits(model: nn.Module, stored: Tensor) -> Tensor:
    """Of a batch as it is stored."""
    batch = to_float(stored)
    if batch.dim() == 4:
        batch = batch.contiguous(memory_format=torch.channels_last)
    logits: Tensor = model(batch).float().cpu()
    return logits


def as_tokens(model: nn.Module, inputs: Inputs) -> Inputs:
    """Texts with the tokens of the model's own encoder; other rows as they are."""
    wanted = getattr(model, "inputs", None)
    if isinstance(inputs, TextRows) and isinstance(wanted, TextInputs):
        return inputs.tokenized(wanted.tokenize)
    return inputs


@contextmanager
def _in_evaluation_mode(model: nn.Module) -> Iterator[None]:
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True

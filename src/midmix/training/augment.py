"""What a run's augmentation is, and what it gives a loss that compares rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from midmix.data import Labelled, crop_flip, jitter
from midmix.errors import InputError
from midmix.losses import Loss
from midmix.mixing import Features, Mix
from midmix.mixing.context import Views
from midmix.mixing.site import Forward
from midmix.models import Normalize, fit_normalization
from midmix.training.predict import features_of
from midmix.training.seeds import LOSS, stream
from midmix.training.settings import Settings

Augmentation = Callable[[Tensor, torch.Generator], Tensor]
"""Batches as they are stored to batches of the same shape, drawn anew at each call."""


def augmentation(settings: Settings, data: Labelled) -> Augmentation | None:
    """The settings' augmentation of such rows; None for none. What it needs to know of the rows it counts here.

    Raises:
        InputError: for images that would be augmented as features are.
    """
    if data.kind == "images":
        if settings.augment == "noise":
            raise InputError("augment: noise is for features; crop-flip is for images")
        return crop_flip if settings.augment == "crop-flip" else None
    if settings.augment != "noise":
        return None
    layer = Normalize(data.shape)
    fit_normalization(layer, data.inputs)
    return partial(jitter, deviation=layer.std)


def prepare_loss(
    loss: Loss, model: nn.Module, num_classes: int, *, classifier: str | None, augmented: bool, seed: int
) -> None:
    """Lets a loss make what it learns of the network's features, and sees that a run can give what it asks for.

    Raises:
        InputError: where two views of a row would be the same, or the loss does not go with the classifier.
    """
    if "views" in loss.needs and not augmented:
        raise InputError(
            "loss: compares two views of each row, and without an augmentation both are the same; use augment noise "
            "for features (--augment noise), crop-flip for images"
        )
    if {"features", "head", "views"} & loss.needs:
        head = features_of(model, num_classes, classifier).classifier(model, num_classes)
        loss.prepare(head, num_classes, seed=stream(seed, LOSS))


def views_by_hooks(model: nn.Module, mix: Mix, inputs: Tensor, second: Tensor, labels: Tensor) -> Views:
    """Features of two views of a batch, by one more pass through the network, in training mode and unmixed."""
    seen: list[Tensor] = []

    def see(module: nn.Module, features: Tensor, again: Forward) -> Tensor:
        seen.append(features.flatten(1))
        return features

    name = mix.site.name if isinstance(mix.site, Features) else None
    handles = features_of(model, mix.num_classes, name).hook(model, mix.num_classes, see)
    try:
        model(torch.cat([inputs, second]))
    finally:
        for handle in handles:
            handle.remove()
    return Views(seen[0].view(2, len(labels), -1), labels, mix.prior.of_data())

"""What a run's augmentation is, and what it gives a loss that compares rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from midmix.data import (
    Labelled,
    autoaugment,
    color_jitter,
    crop_flip,
    cutout,
    jitter,
    randaugment,
    random_resized_crop,
)
from midmix.data.images import LazyImages
from midmix.errors import InputError
from midmix.losses import Loss
from midmix.mixing import Features, Mix
from midmix.mixing.context import Views
from midmix.mixing.site import Forward
from midmix.models import Normalize, fit_normalization
from midmix.training.predict import features_of
from midmix.training.seeds import LOSS, stream
from midmix.training.settings import AUGMENTATIONS, CROP, Settings, parts_of

Augmentation = Callable[[Tensor, torch.Generator], Tensor]
"""Batches as they are stored to batches of the same shape, drawn anew at each call."""


def augmentation(settings: Settings, data: Labelled) -> Augmentation | None:
    """The settings' augmentation of batches of such rows; None for none. What it needs to know of them it counts here.

    Several are done one after the other, in the order in which they are named. None looks at a label.

    Raises:
        InputError: for rows of another kind than an augmentation is for.
    """
    names = parts_of(settings.augment)
    for name in names:
        if AUGMENTATIONS[name] != data.kind:
            ours = " or ".join(known for known, kind in AUGMENTATIONS.items() if kind == data.kind)
            raise InputError(
                f"augment: {name} is for {AUGMENTATIONS[name]}; {ours} is for {data.kind} (--augment), or none"
            )
    steps = [
        _MAKERS[name](data) for name in names if name != CROP or not crops_while_decoding(settings, data)
    ]
    return partial(_one_after_the_other, steps) if len(steps) > 1 else next(iter(steps), None)


def crops_while_decoding(settings: Settings, data: Labelled) -> bool:
    """Whether a random part of each image is cut out of its file's own pixels, before it is in a batch."""
    return CROP in parts_of(settings.augment) and isinstance(data.inputs, LazyImages)


def is_augmented(settings: Settings, data: Labelled) -> bool:
    """Whether two inputs of a row differ."""
    return augmentation(settings, data) is not None or crops_while_decoding(settings, data)


def _one_after_the_other(steps: Sequence[Augmentation], rows: Tensor, generator: torch.Generator) -> Tensor:
    for step in steps:
        rows = step(rows, generator)
    return rows


def _cutout(data: Labelled) -> Augmentation:
    mean = _statistics(data).mean.flatten()
    return partial(cutout, fill=(mean * 255).round())


def _statistics(data: Labelled) -> Normalize:
    layer = Normalize(data.shape)
    fit_normalization(layer, data.inputs)
    return layer


_MAKERS: dict[str, Callable[[Labelled], Augmentation]] = {
    CROP: lambda data: random_resized_crop,
    "flip": lambda data: partial(crop_flip, padding=0),
    "crop-flip": lambda data: crop_flip,
    "color-jitter": lambda data: color_jitter,
    "randaugment": lambda data: randaugment,
    "autoaugment": lambda data: autoaugment,
    "cutout": _cutout,
    "noise": lambda data: partial(jitter, deviation=_statistics(data).std),
}


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

"""A run's network, with its first weights."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from midmix.errors import InputError
from midmix.methods import Method
from midmix.models import Encoder, build, prepare_tuning, replace_module
from midmix.models.tuning import ALL, HEAD
from midmix.training.baseline import LINEAR
from midmix.training.predict import features_of
from midmix.training.settings import Settings


def make_network(
    settings: Settings, method: Method, shape: tuple[int, ...], num_classes: int, seed: int
) -> nn.Module:
    """The network with its first weights, and the method's head in place of its own where it has one."""
    if method.baseline is not None:
        return build(LINEAR, shape, num_classes, seed=seed)
    if settings.tune == HEAD:
        if len(shape) != 1:
            raise InputError(
                f"tune {HEAD}: trains on an encoder's features, and rows have shape {list(shape)}; make features of "
                "them first (midmix.training.embedded, midmix embed)"
            )
        settings = replace(settings, network=LINEAR, weights=None)
    model = build(
        settings.network, shape, num_classes, width=settings.width, seed=seed, weights=settings.weights
    )
    if (head := method.make_head()) is not None:
        own = features_of(model, num_classes, method.classifier).classifier(model, num_classes)
        width = getattr(own, "in_features", None)
        if not isinstance(width, int):
            raise InputError(f"{method.head}: needs a network with a linear classifier to take the place of")
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            replace_module(model, own, head.make(width, num_classes))
    if settings.tune not in (ALL, HEAD):
        if not isinstance(model, Encoder):
            raise InputError(
                f"tune {settings.tune}: is for pretrained encoders, and {settings.network} is trained from the "
                "beginning; leave it out, or name an encoder, such as timm:NAME"
            )
        prepare_tuning(model, settings.tune, seed=seed)
    return model

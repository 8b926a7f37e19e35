"""From a network's name to a network."""

from __future__ import annotations

import re

import torch
from torch import nn

from midmix.errors import InputError, unknown
from midmix.models.external import OTHERS, external
from midmix.models.mlp import MLP
from midmix.models.pretrained import find_encoder, is_encoder, no_folder
from midmix.models.resnet import ResNet

NETWORKS = ("linear", "cosine", "mlp", "resnet-8", "resnet-20", "resnet-32", "resnet-56")


def build(
    network: str,
    shape: tuple[int, ...],
    num_classes: int,
    *,
    width: int | None = None,
    seed: int | None = None,
    weights: str | None = None,
) -> nn.Module:
    """The named network with fresh weights, on the CPU.

    Every network begins with a `Normalize` layer `normalize` (the identity until `fit_normalization`; an encoder's own)
    and takes float inputs `[B, *shape]`, images scaled to 0..1.

    Args:
        network: `linear` or `cosine` (a classifier straight on the rows, as features of an encoder want it), `mlp`
            (hidden layers 128-128; `mlp-256-64` names other widths), `resnet-8`, `-20`, `-32`, `-56` (or any depth
            `6n + 2`), `module:function` for a network of one's own, or a pretrained encoder as `find_encoder` takes it,
            `timm:NAME`, `hf:OWNER/NAME` or a local folder, with a fresh linear classifier.
        shape: the shape of one row, `(D,)` or `(C, H, W)`.
        num_classes: number of logits.
        width: channels of a ResNet's first stage (16), or units of every hidden layer of an `mlp` (128).
        seed: draws the weights from this seed and leaves the global random state alone; None draws from it.
        weights: of an encoder, as `find_encoder` takes them.

    Raises:
        InputError: an unknown name, a ResNet for rows that are not images, a width below 1, fewer than two
            classes, or what `external` raises for `module:function`.

    Example:
        >>> model = build("resnet-32", (3, 32, 32), 10, seed=0)
        >>> sum(p.numel() for p in model.parameters())
        464154
    """
    if num_classes < 2:
        raise InputError(f"num_classes: {num_classes}; a classifier needs at least 2 classes")
    if width is not None and width < 1:
        raise InputError(f"width: {width}; must be at least 1")
    if seed is None:
        return _build(network, shape, num_classes, width, weights)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return _build(network, shape, num_classes, width, weights)


def _build(
    network: str, shape: tuple[int, ...], num_classes: int, width: int | None, weights: str | None
) -> nn.Module:
    if is_encoder(network):
        return _encoder(network, shape, num_classes, width, weights)
    if network in OTHERS:
        return external(network, shape, num_classes, width=width, weights=weights)
    if "/" in network and ":" not in network:
        raise no_folder(network)
    if weights is not None:
        raise InputError(
            f"weights: {weights} beside network {network!r}, which is trained from the beginning; leave --weights out "
            "(weights=), or name an encoder"
        )
    if network in ("linear", "cosine"):
        if width is not None:
            raise InputError(
                f"width: {width} beside network {network!r}, which has no hidden layer; leave it out"
            )
        return MLP(shape, num_classes, hidden=(), cosine=network == "cosine")
    if match := re.fullmatch(r"mlp((?:-[1-9]\d*)*)", network):
        return MLP(shape, num_classes, hidden=_hidden(network, match[1], width))
    if (
        (match := re.fullmatch(r"resnet-([1-9]\d*)", network))
        and int(match[1]) % 6 == 2
        and int(match[1]) > 2
    ):
        if len(shape) != 3:
            raise InputError(
                f"network {network!r}: takes images (channels, height, width), but a row has shape {shape}; "
                "use mlp"
            )
        return ResNet(shape, num_classes, depth=int(match[1]), width=width or 16)
    if ":" in network:
        raise InputError(
            f"network {network!r}: write module:function or file.py:function, such as my_networks:wide"
        )
    raise unknown(
        "network", network, (*NETWORKS, *OTHERS.names(), "timm:NAME", "hf:OWNER/NAME", "module:function")
    )


def _encoder(
    network: str, shape: tuple[int, ...], num_classes: int, width: int | None, weights: str | None
) -> nn.Module:
    if width is not None:
        raise InputError(f"width: {width} beside network {network!r}, which has its own; leave it out")
    encoder = find_encoder(network, weights, seed=int(torch.randint(2**31, ())))
    if len(shape) != len(encoder.inputs.shape):
        raise InputError(
            f"network {network!r}: takes rows of shape {encoder.inputs.shape}, but a row has shape {shape}; features "
            "that are there already want linear"
        )
    return encoder.classify(num_classes).train()


def _hidden(network: str, sizes: str, width: int | None) -> tuple[int, ...]:
    if not sizes:
        return (width or 128,) * 2
    if width is not None:
        raise InputError(
            f"width: {width} beside network {network!r}, which names its widths; give one of the two"
        )
    return tuple(int(size) for size in sizes.removeprefix("-").split("-"))

"""Encoders of timm."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from midmix.errors import InputError
from midmix.models.encoder import Encoder, ImageInputs
from midmix.models.pretrained.hub import from_hub, weights_of
from midmix.models.weights import put_weights, read_weights

_NAME = re.compile(r"([\w.\-]+?)(?:@([1-9]\d*))?")


def timm_encoder(network: str, name: str, weights: str, say: Callable[[str], None]) -> Encoder:
    """The model of this name, `NAME` or `NAME@SIZE`, without its classifier.

    Raises:
        InputError: timm cannot be imported or has no such model, or its weights cannot be had.
    """
    timm = _timm(network)
    match = _NAME.fullmatch(name)
    architecture, size = (match[1], match[2]) if match else (name, None)
    if not timm.is_model(architecture.split(".")[0]):
        near = get_close_matches(architecture, timm.list_models(), n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(f'timm:{one}' for one in near)}? " if near else ""
        raise InputError(f"unknown network {network!r}: {hint}timm.list_models() lists what there is")
    overlay: dict[str, Any] = {}
    if weights == "pretrained":
        repository = _repository(timm, network, architecture)
        folder = from_hub(network, repository, (), download=True, say=say)
        overlay = {"file": str(_file(network, folder))}
    body, inputs = _made(timm, network, architecture, size, overlay)
    if weights not in ("pretrained", "none"):
        path = Path(weights).expanduser()
        put_weights(network, body, read_weights(path), path)
    return Encoder(body, inputs, name=network)


def timm_folder(network: str, folder: Path, config: dict[str, Any], weights: str) -> Encoder:
    """The model of a folder as timm saves it: its `config.json` and its weights."""
    timm = _timm(network)
    about = {**config, **config.get("pretrained_cfg", {})}
    body, inputs = _made(timm, network, str(config["architecture"]), None, {}, config.get("model_args") or {})
    named = {
        name: about[name]
        for name in ("mean", "std", "interpolation", "crop_pct", "input_size")
        if name in about
    }
    inputs = _inputs({**_plain(body), **named})
    if weights != "none":
        path = _file(network, folder) if weights == "pretrained" else Path(weights).expanduser()
        put_weights(network, body, read_weights(path), path)
    return Encoder(body, inputs, name=network)


def _timm(network: str) -> ModuleType:
    try:
        import timm
    except ImportError:
        raise InputError(f"network {network!r}: needs timm; pip install 'midmix[timm]'") from None
    except RuntimeError as error:  # of a torchvision that does not fit torch, which timm imports
        reason = " ".join(str(error).split())[:120]
        raise InputError(
            f"network {network!r}: timm cannot be imported ({reason}); install a torchvision that fits torch"
        ) from error
    found: ModuleType = timm
    return found


def _made(
    timm: ModuleType,
    network: str,
    architecture: str,
    size: str | None,
    overlay: dict[str, Any],
    arguments: dict[str, Any] | None = None,
) -> tuple[nn.Module, ImageInputs]:
    given: dict[str, Any] = {**(arguments or {}), "num_classes": 0}
    cfg = timm.get_pretrained_cfg(architecture.split(".")[0])
    if size is not None and cfg is not None and cfg.fixed_input_size:
        given["img_size"] = int(size)
    try:
        body = timm.create_model(
            architecture, pretrained=bool(overlay), pretrained_cfg_overlay=overlay or None, **given
        )
    except Exception as error:  # anything that a model's own code says
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise InputError(f"network {network!r}: timm cannot make it: {reason}") from error
    about = _plain(body)
    if size is not None:
        about["input_size"] = (3, int(size), int(size))
    return body, _inputs(about)


def _plain(body: nn.Module) -> dict[str, Any]:
    return dict(getattr(body, "pretrained_cfg", None) or {})


def _inputs(about: dict[str, Any]) -> ImageInputs:
    interpolation = str(about.get("interpolation", "bicubic"))
    return ImageInputs(
        size=tuple(about.get("input_size", (3, 224, 224))[1:]),
        mean=tuple(about.get("mean", ImageInputs.mean)),
        std=tuple(about.get("std", ImageInputs.std)),
        interpolation="bicubic" if interpolation == "random" else interpolation,
        crop=float(about.get("crop_pct") or 1.0),
    )


def _repository(timm: ModuleType, network: str, architecture: str) -> str:
    cfg = timm.get_pretrained_cfg(architecture)
    if cfg is None or not cfg.hf_hub_id:
        known = timm.list_pretrained(f"{architecture.split('.')[0]}*")
        more = f", such as {', '.join(f'timm:{one}' for one in known[:3])}" if known else ""
        raise InputError(
            f"network {network!r}: has no pretrained weights on the Hugging Face Hub; choose another{more}, or name a "
            "file with --weights"
        )
    return str(cfg.hf_hub_id)


def _file(network: str, folder: Path) -> Path:
    found = weights_of(folder)
    if len(found) != 1:
        raise InputError(f"network {network!r}: {folder} has {len(found)} files of weights; one is needed")
    return found[0]

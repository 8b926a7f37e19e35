"""From an encoder's name to an encoder."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch

from midmix.errors import InputError
from midmix.models.encoder import Encoder
from midmix.models.external import made_by
from midmix.models.pretrained.timm import timm_encoder, timm_folder
from midmix.models.pretrained.transformers import hub_encoder, transformers_folder
from midmix.registry import is_reference

SCHEMES: dict[str, Callable[[str, str, str, Callable[[str], None]], Encoder]] = {
    "timm": timm_encoder,
    "hf": hub_encoder,
}
"""What stands before a name's colon."""
_OWN = re.compile(r"linear|cosine|mlp(-\d+)*|resnet-\d+")
FOLDER = "config.json"
"""By which a folder with a model is known."""


def is_encoder(network: str) -> bool:
    """Whether a network's name is an encoder's: of timm or Transformers, or a folder with one; a function may give one.

    Example:
        >>> is_encoder("timm:resnet18"), is_encoder("hf:google/vit-base-patch16-224"), is_encoder("resnet-20")
        (True, True, False)
    """
    scheme, colon, _ = network.partition(":")
    return (bool(colon) and scheme in SCHEMES) or _folder(network) is not None


def find_encoder(
    network: str,
    weights: str | None = None,
    *,
    say: Callable[[str], None] = print,
    seed: int = 0,
) -> Encoder:
    """An encoder with its weights, on the CPU, in evaluation mode and without a classifier.

    Args:
        network: `timm:NAME` or `timm:NAME@SIZE`, `hf:OWNER/NAME`, a local folder as timm or Transformers save one, or
            `module:function` (`file.py:function`) that returns an `Encoder`.
        weights: "pretrained", which may download what is not in the cache, "none" for random ones, or a file. None
            takes those that come with a folder or function; a name needs one of the others.
        say: is told, in a line, what is downloaded.
        seed: draws random weights.

    Raises:
        InputError: an unknown name, weights that were not named or cannot be had, a function that returns no encoder.

    Example:
        >>> find_encoder("resnet-20")
        Traceback (most recent call last):
        ...
        midmix.errors.InputError: network 'resnet-20': is no encoder; name timm:NAME, hf:OWNER/NAME, a local folder, ...
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return _found(network, weights, say).eval()


def _found(network: str, weights: str | None, say: Callable[[str], None]) -> Encoder:
    scheme, colon, name = network.partition(":")
    if colon and scheme in SCHEMES:
        if weights is None:
            raise InputError(
                f"network {network!r}: say which weights: --weights pretrained (weights='pretrained'; downloaded where "
                "they are not in the cache), a file, or none"
            )
        return SCHEMES[scheme](network, name, weights, say)
    if (folder := _folder(network)) is not None:
        return _of_folder(network, folder, weights or "pretrained")
    if is_reference(network):
        return _of_function(network, weights)
    raise InputError(
        f"network {network!r}: is no encoder; name timm:NAME, hf:OWNER/NAME, a local folder, or module:function that "
        "returns a midmix.models.Encoder"
    )


def _of_folder(network: str, folder: Path, weights: str) -> Encoder:
    path = folder / FOLDER
    try:
        config: Any = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: is not JSON, or was cut") from error
    if isinstance(config, dict) and isinstance(config.get("architecture"), str):
        return timm_folder(network, folder, config, weights)
    if isinstance(config, dict) and "model_type" in config:
        return transformers_folder(network, folder, weights)
    raise InputError(f"{path}: names neither an architecture of timm nor a model_type of Transformers")


def _of_function(network: str, weights: str | None) -> Encoder:
    found = made_by(network, weights=weights)
    if not isinstance(found, Encoder):
        raise InputError(
            f"network {network!r}: the function returned an object of type {type(found).__name__}; for a pretrained "
            "encoder it must return a midmix.models.Encoder"
        )
    return found


def no_folder(network: str) -> InputError:
    """The error for a path that is no folder with a model, with those nearby that are.

    Example:
        >>> no_folder("google/vit-base-patch16-224")
        InputError("network 'google/vit-base-patch16-224': there is no such folder; for a model of the Hugging Face ...
    """
    path = Path(network).expanduser()
    why = f"holds no {FOLDER} of a model" if path.is_dir() else "there is no such folder"
    parent = path.parent
    beside = sorted(entry.name for entry in parent.iterdir()) if parent.is_dir() else []
    models = [name for name in beside if (parent / name / FOLDER).is_file()]
    near = [str(parent / name) for name in get_close_matches(path.name, models, n=3, cutoff=0.5)]
    hint = f"did you mean {', '.join(near)}? " if near else ""
    return InputError(
        f"network {network!r}: {why}; {hint}for a model of the Hugging Face Hub write hf:OWNER/NAME"
    )


def _folder(network: str) -> Path | None:
    if _OWN.fullmatch(network):  # a folder of that name is not meant
        return None
    try:
        path = Path(network).expanduser()
        return path if network and (path / FOLDER).is_file() else None
    except (OSError, ValueError, RuntimeError):
        return None

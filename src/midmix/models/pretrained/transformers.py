"""Encoders of Transformers, of images and of texts."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from midmix.errors import InputError
from midmix.models.encoder import PADDING, Encoder, ImageInputs, TextInputs
from midmix.models.pretrained.hub import from_hub, weights_of
from midmix.models.weights import check_weights, read_weights

_BESIDE = ("*.json", "vocab.txt", "merges.txt", "*.model", "spiece.model")
"""Files beside the weights: settings, and the parts of a tokenizer."""
_LENGTH = 512
_RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""Pillow's numbers of interpolations."""
PREPROCESSING = "preprocessor_config.json"


def hub_encoder(network: str, name: str, weights: str, say: Callable[[str], None]) -> Encoder:
    """The model `OWNER/NAME` of the Hugging Face Hub, without its classifier."""
    folder = from_hub(network, name, _BESIDE, download=weights == "pretrained", say=say)
    return transformers_folder(network, folder, weights)


def transformers_folder(network: str, folder: Path, weights: str) -> Encoder:
    """The model of a folder as Transformers saves it, of images or of texts; no code of the folder is run.

    Features of images are what the model's own pooling gives, or where that is a layer for another purpose, the first
    token of the last layer; those of texts the mean of the last layer's tokens (Reimers & Gurevych 2019, arXiv
    1908.10084).

    Raises:
        InputError: Transformers is not installed, or the folder holds no such model.
    """
    try:
        from transformers import AutoConfig, AutoModel
    except ImportError:
        raise InputError(
            f"network {network!r}: needs Transformers; pip install 'midmix[transformers]'"
        ) from None
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model: nn.Module = AutoModel.from_config(config, trust_remote_code=False).float()
    except Exception as error:  # anything that a model's own code says of a folder that is not of its kind
        raise InputError(f"network {network!r}: Transformers cannot make it: {_short(error)}") from error
    if weights != "none":
        files = weights_of(folder) if weights == "pretrained" else [Path(weights).expanduser()]
        model = _loaded(network, folder, type(model), config, files)
    _without_unused(model)
    if _takes_images(model):
        texts = _text_side(model, folder)
        return Encoder(_Images(model), _image_inputs(folder, config), name=network, texts=texts)
    inputs = _text_inputs(network, folder, config)
    return Encoder(_Texts(model), inputs, name=network)


def _loaded(network: str, folder: Path, kind: Any, config: Any, files: Sequence[Path]) -> nn.Module:
    """The model with the weights of these files; Transformers knows under which names its releases wrote them."""
    if not files:
        raise InputError(
            f"network {network!r}: {folder} has no file of weights; say --weights none, or name one"
        )
    found: dict[str, Tensor] = {}
    for file in files:
        found |= read_weights(file)
    try:
        model, about = kind.from_pretrained(None, config=config, state_dict=found, output_loading_info=True)
    except Exception as error:
        raise InputError(f"--weights {files[0]}: is not of {network}: {_short(error)}") from error
    lacking = [str(name) for name in about["missing_keys"] if not str(name).startswith("pooler.")]
    other = [str(entry[0] if isinstance(entry, tuple) else entry) for entry in about["mismatched_keys"]]
    check_weights(network, files[0], len(model.state_dict()), lacking, other)
    made: nn.Module = model.float()
    return made


class _Images(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        ask = getattr(self.model, "get_image_features", None)
        found: Any = self.model(pixel_values=pixels) if ask is None else ask(pixel_values=pixels)
        if isinstance(found, Tensor):
            return found
        if getattr(found, "pooler_output", None) is not None:
            return found.pooler_output  # type: ignore[no-any-return]
        last: Tensor = found.last_hidden_state
        return last.mean((2, 3)) if last.dim() == 4 else last[:, 0]


class _Texts(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        there = tokens != PADDING
        asked = {"input_ids": tokens.clamp(min=0).long(), "attention_mask": there.long()}
        found: Any = self.model(**asked)
        share = there[..., None].to(found.last_hidden_state.dtype)
        mean: Tensor = (found.last_hidden_state * share).sum(1) / share.sum(1).clamp(min=1)
        return mean


_TEXT_SIDE = ("text_model", "text_projection")
"""What belongs to texts in a model of images and texts."""


def _text_side(model: nn.Module, folder: Path) -> Callable[[Sequence[str]], Tensor] | None:
    """Takes the text side out of a model of images and texts, of which it is no part that could be trained.

    Returns:
        What makes features of texts; None for a model of images alone, or a folder without a tokenizer.
    """
    if not all(isinstance(getattr(model, part, None), nn.Module) for part in _TEXT_SIDE[:1]):
        return None
    side = copy(model)
    side._modules = dict(model._modules)
    for part in _TEXT_SIDE:
        if isinstance(getattr(model, part, None), nn.Module):
            delattr(model, part)
    try:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception:  # as a folder without one makes it, in a library's own ways
        return None
    longest = int(side.config.text_config.max_position_embeddings)  # type: ignore[union-attr,arg-type]

    def features(texts: Sequence[str]) -> Tensor:
        asked = tokenizer(
            list(texts), truncation=True, padding="max_length", max_length=longest, return_tensors="pt"
        )
        with torch.no_grad():
            found: Any = side.eval().get_text_features(  # type: ignore[operator]
                input_ids=asked["input_ids"], attention_mask=asked.get("attention_mask")
            )
        return found if isinstance(found, Tensor) else found.pooler_output

    return features


def _takes_images(model: nn.Module) -> bool:
    return hasattr(model, "get_image_features") or getattr(model, "main_input_name", "") == "pixel_values"


def _without_unused(model: nn.Module) -> None:
    """Takes away a pooling that is a layer of its own: it was trained for another purpose, or never."""
    pooler = getattr(model, "pooler", None)
    if isinstance(pooler, nn.Module) and any(True for _ in pooler.parameters()):
        model.pooler = None  # type: ignore[assignment]


def _image_inputs(folder: Path, config: Any) -> ImageInputs:
    about: dict[str, Any] = {}
    if (folder / PREPROCESSING).is_file():
        try:
            about = json.loads((folder / PREPROCESSING).read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{folder / PREPROCESSING}: is not JSON, or was cut") from error
    own = getattr(config, "vision_config", config)  # of a model of images and texts
    wanted = about.get("size", getattr(own, "image_size", 224))
    height, width = _size(wanted)
    crop = float(about.get("crop_pct") or 1.0)
    if about.get("do_center_crop") and "crop_size" in about:
        scaled = height
        height, width = _size(about["crop_size"])
        crop = min(1.0, height / scaled)
    return ImageInputs(
        size=(height, width),
        mean=tuple(about.get("image_mean", (0.5, 0.5, 0.5))),
        std=tuple(about.get("image_std", (0.5, 0.5, 0.5))),
        interpolation=_RESAMPLE.get(about.get("resample", 2), "bicubic"),
        crop=crop,
    )


def _size(said: dict[str, int] | list[int] | tuple[int, ...] | int) -> tuple[int, int]:
    if isinstance(said, dict):
        side = said.get("shortest_edge", 224)
        return int(said.get("height") or side), int(said.get("width") or side)
    if isinstance(said, list | tuple):
        return int(said[0]), int(said[-1])
    return int(said), int(said)


def _text_inputs(network: str, folder: Path, config: Any) -> TextInputs:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise InputError(f"network {network!r}: {folder} has no tokenizer: {_short(error)}") from error
    limit = getattr(config, "max_position_embeddings", None) or _LENGTH
    length = min(_LENGTH, int(limit), int(tokenizer.model_max_length))

    def tokenize(texts: Sequence[str]) -> Tensor:
        found = tokenizer(list(texts), truncation=True, max_length=length, padding=False)["input_ids"]
        rows = [torch.tensor(row, dtype=torch.int64) for row in found]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PADDING)

    return TextInputs(tokenize, length, len(tokenizer))


def _short(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:160]

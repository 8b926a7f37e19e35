"""Files of weights: read without running any code, and put into a network."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from midmix.errors import InputError

_WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Names under which training scripts keep a network's weights beside their own."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, by name.

    Args:
        path: a safetensors file, or one of torch's, of which only tensors and plain data are read.

    Raises:
        InputError: there is no such file, it cannot be read, or holds anything but weights.
    """
    if not path.is_file():
        raise InputError(
            f"--weights {path}: there is no such file; name a file of weights, pretrained or none"
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # of a protocol of pickle's that may not be read; then it is said below
            found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file can fail anywhere in a reader
        code = isinstance(error, pickle.UnpicklingError)
        reason = "it would run code" if code else " ".join(str(error).split())[:120]
        raise InputError(
            f"--weights {path}: cannot be read as weights ({reason}); save the network's state_dict as "
            "safetensors"
        ) from error
    for name in _WRAPPERS:
        if isinstance(found, dict) and isinstance(found.get(name), dict):
            found = found[name]
    if not isinstance(found, dict) or not any(isinstance(value, Tensor) for value in found.values()):
        raise InputError(f"--weights {path}: holds no weights by name; save the network's state_dict")
    return {
        str(name).removeprefix("module."): value for name, value in found.items() if isinstance(value, Tensor)
    }


def put_weights(
    network: str, body: nn.Module, weights: dict[str, Tensor], path: Path, *, prefixes: Iterable[str] = ()
) -> None:
    """Puts weights into a network's body, in place; what the file has beyond it, as a classifier, is left out.

    Args:
        network: how the network is called.
        body: what they are put into.
        weights: by name.
        path: where they are from.
        prefixes: that the names may have in the file.

    Raises:
        InputError: where weights of the body are missing in the file, or have another shape.
    """
    wanted = body.state_dict()
    for prefix in ("", *prefixes):
        renamed = {
            name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)
        }
        if len(wanted.keys() & renamed.keys()) > len(wanted.keys() & weights.keys()):
            weights = renamed
    # Counters of batches steer nothing here, and older files lack them.
    missing = [name for name in wanted if name not in weights and not name.endswith("num_batches_tracked")]
    other = [
        name for name in wanted if name in weights and tuple(weights[name].shape) != tuple(wanted[name].shape)
    ]
    check_weights(network, path, len(wanted), missing, other)
    body.load_state_dict({name: value for name, value in weights.items() if name in wanted}, strict=False)


def check_weights(network: str, path: Path, count: int, missing: Sequence[str], other: Sequence[str]) -> None:
    """Sees that a file has all weights of a network.

    Args:
        network: how it is called.
        path: of the file.
        count: of the network's weights.
        missing, other: names of those that the file does not have, and of those that have another shape there.

    Raises:
        InputError: where it has not.
    """
    if missing or other:
        what = f"{len(missing)} are missing" if missing else f"{len(other)} have another shape"
        raise InputError(
            f"--weights {path}: is not of {network}: of its {count} weights {what}, such as {[*missing, *other][0]}; "
            "name the network that they were trained in"
        )

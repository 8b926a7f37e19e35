"""The door to any other network: `module:function`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from midmix.errors import InputError
from midmix.models.encoder import Encoder
from midmix.models.normalize import Normalize
from midmix.models.weights import put_weights, read_weights
from midmix.registry import Registry, call, current_folder_importable, parameters_of

OTHERS: Registry[Callable[..., object]] = Registry("network", "midmix.networks")
"""Networks of installed packages, and `module:function`; ours are told by `build` from their names."""


class External(nn.Module):
    """Somebody's network behind a `Normalize` layer: `normalize` → `model`.

    Args:
        name: `module:function`, kept as `network`.
        model: takes standardised inputs `[B, *shape]`, gives logits.
        shape: the shape of one row.
    """

    widths: tuple[int, ...] = ()

    def __init__(self, name: str, model: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.network = name
        self.normalize = Normalize(shape)
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Inputs `[B, *shape]` to the network's logits."""
        logits: Tensor = self.model(self.normalize(x))
        return logits


def external(
    name: str,
    shape: tuple[int, ...],
    num_classes: int,
    *,
    width: int | None = None,
    weights: str | None = None,
) -> External | Encoder:
    """Build the network that a function in an importable module, or in a file of the current folder, returns.

    The function is called with `num_classes=`, with `shape=` or `input_shape=` where its signature names one,
    and with `width=` and `weights=` where they are given. What it returns must turn `[B, *shape]` into logits
    `[B, num_classes]`; that is tried with two rows of zeros in evaluation mode. An `Encoder` needs no `num_classes=`:
    a linear classifier is put behind it where it has none.

    Args:
        name: `module:function`, such as `my_networks:wide`.
        shape: the shape of one row.
        num_classes: number of logits.
        width: passed on where given.
        weights: passed on where given; a file is put into an `Encoder` whose function does not take it.

    Raises:
        InputError: no such module or function, a function that does not take `num_classes`, or a result that
            is not a `torch.nn.Module` with logits of the right shape.
    """
    model = made_by(name, shape=shape, num_classes=num_classes, width=width, weights=weights)
    if isinstance(model, Encoder):
        if isinstance(model.fc, nn.Identity):
            model.classify(num_classes)
        wrapped: External | Encoder = model
    else:
        wrapped = External(name, model, shape)
    _try(wrapped, shape, num_classes)
    return wrapped


def made_by(
    name: str,
    *,
    shape: tuple[int, ...] | None = None,
    num_classes: int | None = None,
    width: int | None = None,
    weights: str | None = None,
) -> nn.Module:
    """What the function of this name returns for those of these keywords that it takes.

    Raises:
        InputError: as `external` says.
    """
    function = OTHERS.find(name)
    parameters = parameters_of(function)
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    given = {"num_classes": num_classes, "width": width, "weights": weights}
    arguments: dict[str, Any] = {
        key: value for key, value in given.items() if value is not None and (takes_any or key in parameters)
    }
    arguments |= {key: shape for key in ("shape", "input_shape") if shape is not None and key in parameters}
    wanting = [key for key in wants(function) if key not in arguments]
    lacks_classes = InputError(
        f"network {name!r}: the function does not take num_classes=; add it as a parameter, or return a "
        "midmix.models.Encoder"
    )
    if wanting and num_classes is not None:
        raise lacks_classes
    if wanting:
        raise InputError(
            f"network {name!r}: the function wants {', '.join(wanting)}=; for an encoder it is called without"
        )
    if width is not None and "width" not in arguments:
        raise InputError(f"network {name!r}: the function does not take width=; leave the width out")
    with current_folder_importable():  # it may import more from there
        model = call("network", name, function, **arguments)
    if not isinstance(model, nn.Module):
        raise InputError(
            f"network {name!r}: the function returned {_kind(model)}; it must return a torch.nn.Module"
        )
    if isinstance(model, Encoder):
        model.network = name
        if weights is not None and "weights" not in arguments:
            _put(name, model, weights)
    elif num_classes is not None and "num_classes" not in arguments:
        raise lacks_classes
    elif weights is not None and "weights" not in arguments:
        raise InputError(
            f"network {name!r}: the function does not take weights=, and returns no midmix.models.Encoder to put them "
            "into; leave --weights out (weights=)"
        )
    return model


def wants(function: Callable[..., object]) -> tuple[str, ...]:
    """Names of the arguments that a function cannot be called without.

    Example:
        >>> wants(lambda num_classes, width=8: None)
        ('num_classes',)
    """
    return tuple(
        name
        for name, parameter in parameters_of(function).items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    )


def _put(name: str, encoder: Encoder, weights: str) -> None:
    """Puts the weights of a file into an encoder."""
    if weights in ("pretrained", "none"):
        raise InputError(
            f"network {name!r}: the function does not take weights=, so it has its own; leave --weights out "
            "(weights=), or name a file"
        )
    path = Path(weights).expanduser()
    put_weights(name, encoder.body, read_weights(path), path, prefixes=("body.",))


def _try(model: nn.Module, shape: tuple[int, ...], num_classes: int) -> None:
    modes = {module: module.training for module in model.modules()}
    parameter = next(model.parameters(), None)
    rows = torch.zeros(2, *shape, device=None if parameter is None else parameter.device)
    network = getattr(model, "network", type(model).__name__)
    try:
        with torch.no_grad():
            logits: object = model.eval()(rows)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(
            f"network {network!r}: a batch of shape {tuple(rows.shape)} fails: {reason}"
        ) from error
    finally:
        for module, training in modes.items():
            module.training = training
    if not isinstance(logits, Tensor) or logits.shape != (2, num_classes):
        raise InputError(
            f"network {network!r}: two rows give {_kind(logits)} where logits of shape (2, {num_classes}) "
            "are needed; return one row of logits per input row"
        )


def _kind(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return "None" if value is None else f"an object of type {type(value).__name__}"

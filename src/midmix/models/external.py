"""The door to any other network: `module:function`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from midmix.errors import InputError
from midmix.models.normalize import Normalize
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


def external(name: str, shape: tuple[int, ...], num_classes: int, *, width: int | None = None) -> External:
    """Build the network that a function in an importable module, or in a file of the current folder, returns.

    The function is called with `num_classes=`, with `shape=` or `input_shape=` where its signature names one,
    and with `width=` where one is given. What it returns must turn `[B, *shape]` into logits
    `[B, num_classes]`; that is tried with two rows of zeros in evaluation mode.

    Args:
        name: `module:function`, such as `my_networks:wide`.
        shape: the shape of one row.
        num_classes: number of logits.
        width: passed on where given.

    Raises:
        InputError: no such module or function, a function that does not take `num_classes`, or a result that
            is not a `torch.nn.Module` with logits of the right shape.
    """
    function = OTHERS.find(name)
    with current_folder_importable():  # it may import more from there
        model = call("network", name, function, **_arguments(name, function, shape, num_classes, width))
    if not isinstance(model, nn.Module):
        raise InputError(
            f"network {name!r}: the function returned {_kind(model)}; it must return a torch.nn.Module"
        )
    wrapped = External(name, model, shape)
    _try(wrapped, shape, num_classes)
    return wrapped


def _arguments(
    name: str, function: Callable[..., object], shape: tuple[int, ...], num_classes: int, width: int | None
) -> dict[str, Any]:
    parameters = parameters_of(function)
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    if "num_classes" not in parameters and not takes_any:
        raise InputError(f"network {name!r}: the function does not take num_classes=; add it as a parameter")
    arguments: dict[str, Any] = {"num_classes": num_classes}
    arguments |= {key: shape for key in ("shape", "input_shape") if key in parameters}
    if width is not None:
        if "width" not in parameters and not takes_any:
            raise InputError(f"network {name!r}: the function does not take width=; leave the width out")
        arguments["width"] = width
    return arguments


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

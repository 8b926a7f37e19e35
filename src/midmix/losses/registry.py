"""The losses that have names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from midmix.errors import InputError
from midmix.losses.compose import ComposedLoss
from midmix.mixing.context import Loss, as_loss
from midmix.registry import Registry, call, check_options, options_of

LOSSES: Registry[Callable[..., Any]] = Registry("loss", "midmix.losses", "midmix.losses.recipes")
"""Functions that make a loss, by name: ours are in `midmix.losses.recipes`."""


def losses() -> tuple[str, ...]:
    """The names that `loss` knows.

    Example:
        >>> "balanced_softmax" in losses()
        True
    """
    return LOSSES.names()


def loss_options(name: str) -> dict[str, Any]:
    """The options of the loss of this name, with their defaults.

    Raises:
        InputError: for an unknown name, with the nearest valid ones.
    """
    return options_of(LOSSES.find(name))


def loss(name: str, /, **options: Any) -> Loss:
    """A fresh loss of this name.

    Raises:
        InputError: for an unknown name or option, with the nearest valid ones; for a value that an option cannot have.

    Example:
        >>> loss("balanced_softmax", tau=0.5).absorbs
        0.5
    """
    make = LOSSES.find(name)
    known = options_of(make)
    if {"logits", "labels"} <= known.keys():  # somebody's own loss itself, not a function that makes one
        if options:
            raise InputError(f"loss {name!r}: is a function of logits and labels, and takes no options")
        return as_loss(make)
    check_options(name, options, known)
    made = call("loss", name, make, **options)
    if not callable(made):
        raise InputError(f"loss {name!r}: made a {type(made).__name__}; its function must return a loss")
    return as_loss(made)


def put_together(parts: list[Loss]) -> Loss:
    """One loss of several: what `a+b` stands for.

    Raises:
        InputError: where two are the loss of a row, or one that is not put together from parts is not alone.
    """
    if not parts:
        return loss("cross_entropy")
    if len(parts) == 1:
        return parts[0]
    total = ComposedLoss()
    for part in parts:
        if not isinstance(part, ComposedLoss):
            raise InputError(
                f"loss: {part} is not put together from parts, so nothing can be added to it; leave the others out, or "
                "return a midmix.losses.ComposedLoss"
            )
        total = total + part
    return total

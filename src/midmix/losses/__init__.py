"""Losses for long tails, as assignments of parts: adjust × base × weight. Every one goes with every mix."""

from collections.abc import Callable
from typing import Any

from midmix.losses.compose import ComposedLoss, CrossEntropy
from midmix.losses.parts import Adjust, Base, Term, Weight, class_weights
from midmix.losses.registry import LOSSES, loss, loss_options, losses, put_together
from midmix.mixing.context import Loss, LossContext, PlainLoss, Views, as_loss

__all__ = [
    "LOSSES",
    "Adjust",
    "Base",
    "ComposedLoss",
    "CrossEntropy",
    "Loss",
    "LossContext",
    "PlainLoss",
    "Term",
    "Views",
    "Weight",
    "as_loss",
    "class_weights",
    "loss",
    "loss_options",
    "losses",
    "put_together",
]


def __getattr__(name: str) -> Callable[..., Any]:
    """A loss of this name: `midmix.losses.balanced_softmax`."""
    if not name.startswith("_") and name in LOSSES.names():
        return LOSSES.find(name)
    raise AttributeError(f"module 'midmix.losses' has no attribute {name!r}")

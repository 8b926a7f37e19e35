"""What the estimator's parameters say of a training: its seed, and its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import Tensor

from midmix.data import Labelled
from midmix.errors import InputError
from midmix.numbers import is_whole
from midmix.training import Settings

TRAINED_BY = ("epochs", "batch_size", "optimizer", "learning_rate", "weight_decay", "warmup_epochs")
"""Parameters that are settings of the same name."""


def seed_of(random_state: object) -> int:
    """The seed that a `random_state` stands for.

    Raises:
        InputError: for a negative number.

    Example:
        >>> seed_of(3)
        3
    """
    if not isinstance(random_state, int | np.integer):
        return int(check_random_state(random_state).randint(2**31 - 1))
    if random_state < 0:
        raise InputError(f"random_state: {random_state}; a whole number of at least 0 is needed")
    return int(random_state)


def network_of(hidden: object) -> str | None:
    """The name of a network with these hidden layers; None for the default.

    Raises:
        InputError: for what are no widths.

    Example:
        >>> network_of((64, 32)), network_of(()), network_of(None)
        ('mlp-64-32', 'linear', None)
    """
    if hidden is None:
        return None
    if not isinstance(hidden, Sequence) or not all(is_whole(width) and width > 0 for width in hidden):
        raise InputError(f"hidden: {hidden!r}; whole numbers are needed, at least 1 unit in each layer")
    return "-".join(map(str, ("mlp", *hidden))) if len(hidden) else "linear"


def settings_of(params: Mapping[str, Any], inputs: Tensor) -> Settings:
    """How to train on rows `[N, D]`: what parameters give, and the defaults of every run on such rows.

    Raises:
        InputError: for what cannot be, with the parameter's name.
    """
    network = network_of(params["hidden"])
    if isinstance(params["batch_size"], str):
        raise InputError(f"batch_size: {params['batch_size']!r}; give a number of rows, or None")
    rows = Labelled(inputs, torch.zeros(len(inputs), dtype=torch.int64), ("",))
    return Settings.for_rows(rows, network=network, **{name: params[name] for name in TRAINED_BY})

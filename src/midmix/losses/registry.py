"""The criteria that have names."""

from __future__ import annotations

from collections.abc import Callable

from midmix.errors import unknown
from midmix.losses.prior import BalancedSoftmax
from midmix.mixing.criterion import Criterion, cross_entropy

CRITERIA: dict[str, Callable[[], Criterion]] = {
    "cross_entropy": lambda: cross_entropy,
    "balanced_softmax": BalancedSoftmax,
}


def criteria() -> tuple[str, ...]:
    """The names that `criterion` knows.

    Example:
        >>> criteria()
        ('cross_entropy', 'balanced_softmax')
    """
    return tuple(CRITERIA)


def criterion(name: str) -> Criterion:
    """The per-sample loss of this name.

    Raises:
        InputError: for an unknown name, with the nearest valid ones.

    Example:
        >>> criterion("balanced_softmax")
        BalancedSoftmax()
    """
    if name not in CRITERIA:
        raise unknown("criterion", name, CRITERIA)
    return CRITERIA[name]()

"""What a search may try for the options of a method's parts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from midmix.losses import LOSSES
from midmix.methods.baselines import BASELINES
from midmix.methods.heads import HEADS
from midmix.methods.method import Method
from midmix.methods.orders import ORDERS
from midmix.methods.stages import STAGES
from midmix.mixing.recipes import RECIPES
from midmix.registry import Registry, is_reference, options_of


@dataclass(frozen=True)
class Range:
    """Values from low to high, both among them; by their logarithm, or whole numbers, where it says so.

    Example:
        >>> 0.5 in Range(0.1, 1), 2 in Range(0.1, 1)
        (True, False)
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high

    def tidy(self, value: float) -> float | int:
        """The value with three digits, as a command can say it, and still in the range.

        Example:
            >>> Range(0.1, 1).tidy(0.123456), Range(1, 9, whole=True).tidy(3.2)
            (0.123, 3)
        """
        if self.whole:
            return round(value)
        return min(max(float(f"{value:.3g}"), self.low), self.high)


RANGES = {
    "mixup:alpha": Range(0.05, 4, log=True),
    "manifold-mixup:alpha": Range(0.05, 4, log=True),
    "am-mixup:beta": Range(0.1, math.log(2)),
    "balanced-am-mixup:beta": Range(0.1, math.log(2)),
    "balanced-midpoint:ratio": Range(0.5, 0.95),
    "balanced_softmax:tau": Range(0.5, 2, log=True),
    "logistic:C": Range(1e-4, 1e2, log=True),
    "ridge:alpha": Range(1e-1, 1e5, log=True),
    "lda:shrinkage": Range(0.01, 1, log=True),
    "hist-gradient-boosting:learning_rate": Range(0.02, 0.5, log=True),
    "hist-gradient-boosting:max_iter": Range(25, 200, log=True, whole=True),
    "hist-gradient-boosting:max_leaf_nodes": Range(4, 63, log=True, whole=True),
}
"""`part:option` → where a search looks. An option that is not here keeps its value."""

_KINDS: dict[str, Registry[Any]] = {
    "method": RECIPES, "loss": LOSSES, "order": ORDERS, "head": HEADS, "stage": STAGES, "baseline": BASELINES
}  # fmt: skip


def ranges_of(method: Method) -> dict[str, Range]:
    """What a search may vary of a method: the options in `RANGES` that its text leaves open.

    An option that is written down is the method's own, so that a control stays one.

    Example:
        >>> sorted(ranges_of(Method.parse("mixup+balanced_softmax")))
        ['balanced_softmax:tau', 'mixup:alpha']
        >>> ranges_of(Method.parse("balanced-am-mixup:beta=0"))
        {}
    """
    return {
        name: RANGES[name]
        for _, part in method.parts
        for option in _options(method, part.name)
        if (name := f"{part.name}:{option}") in RANGES and option not in part.as_dict()
    }


def defaults_of(method: Method) -> dict[str, Any]:
    """The values that these options have where nothing is searched.

    Example:
        >>> defaults_of(Method.parse("ridge"))
        {'ridge:alpha': 1.0}
    """
    return {
        name: _options(method, name.rpartition(":")[0])[name.rpartition(":")[2]] for name in ranges_of(method)
    }


def _options(method: Method, name: str) -> dict[str, Any]:
    kind = next(kind for kind, part in method.parts if part.name == name)
    return {} if is_reference(name) else options_of(_KINDS[kind].find(name))

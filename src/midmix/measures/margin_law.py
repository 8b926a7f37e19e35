"""What a fixed mixing weight λ asks of the margins on both sides of a boundary (statement and proof: docs)."""

from __future__ import annotations

import math

from midmix.errors import InputError


def margin_band(weight: float) -> tuple[float, float]:
    """The open band of `s_i / s_j` in which both owners of a mixed pair are classified right: `((1-λ)/λ, λ/(1-λ))`.

    `s_i`, `s_j > 0` are the margins of the two rows under a linear head, each towards its own side. The band
    closes on 1 as λ falls to 1/2 (at 1/2 it is empty: no ratio will do), and is `(0, ∞)` at 1: no condition.
    Source: docs/margin-law.md, part 1.

    Args:
        weight: λ, the owner's share of the mixed feature, in [0.5, 1].

    Raises:
        InputError: a weight outside [0.5, 1].

    Example:
        >>> margin_band(0.75)
        (0.3333333333333333, 3.0)
        >>> margin_band(1.0)
        (0.0, inf)
    """
    _check_weight(weight)
    return (1 - weight) / weight, weight / (1 - weight) if weight < 1 else math.inf


def required_margin(weight: float, confidence: float) -> float:
    """The balanced margin at which mixed features reach this confidence: `logit(p) / (2λ - 1)`.

    In units of the difference of two logits. It grows without bound as λ falls to 1/2, where it is infinite
    for any confidence above one half. It is negative below one half: every margin will do.
    Source: docs/margin-law.md, part 2.

    Args:
        weight: λ, the owner's share of the mixed feature, in [0.5, 1].
        confidence: p, the softmax probability of the owner's class between the two, in (0, 1).

    Raises:
        InputError: a weight outside [0.5, 1], a confidence outside (0, 1).

    Example:
        >>> round(required_margin(1.0, 0.9), 4), round(required_margin(0.75, 0.9), 4)
        (2.1972, 4.3944)
    """
    _check_weight(weight)
    if not 0 < confidence < 1:
        raise InputError(
            f"confidence: expected a probability between 0 and 1, both excluded; got {confidence}"
        )
    log_odds = math.log(confidence) - math.log1p(-confidence)
    if weight == 0.5:
        return math.copysign(math.inf, log_odds) if log_odds else 0.0
    return log_odds / (2 * weight - 1)


def _check_weight(weight: float) -> None:
    if not 0.5 <= weight <= 1:
        raise InputError(f"weight: expected λ from 0.5 to 1 (the owner's share), got {weight}")

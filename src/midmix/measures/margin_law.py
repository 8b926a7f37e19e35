"""What a fixed mixing weight λ asks of the margins on both sides of a boundary, and does to them (proofs: docs)."""

from __future__ import annotations

import math

from torch import Tensor

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


def imbalance_exponent(weight: float, rate: float = 1.0) -> float:
    """How fast imbalance dies with both owners: it falls like `(1-p)^e` with `e = rate / (2λ - 1)²`.

    `p = sigmoid((2λ-1)(s_i + s_j)/2)` is the mixed confidence of a pair and `s_i - s_j` its imbalance. The power
    law is the limit of small imbalance, and of late times from any imbalance. At λ = 1/2 the exponent is infinite:
    imbalance dies while p stays at one half. Source: docs/margin-law.md, theorem 3 and its corollaries.

    Args:
        weight: λ, the owner's share of the mixed feature, in [0.5, 1].
        rate: how much faster the difference of the two margins moves than their sum, under the same pull; 1 where
            the two scores themselves are trained, `linear_head_rate` for a linear head.

    Raises:
        InputError: a weight outside [0.5, 1], a rate that is negative or not finite.

    Example:
        >>> imbalance_exponent(1.0), imbalance_exponent(0.75), round(imbalance_exponent(0.6), 9)
        (1.0, 4.0, 25.0)
        >>> imbalance_exponent(0.75, rate=0.25)  # rows further apart than the head's offset can follow
        1.0
    """
    _check_weight(weight)
    if not 0 <= rate < math.inf:
        raise InputError(f"rate: expected a finite number of at least 0, got {rate}")
    if weight == 0.5:
        return math.inf if rate else 0.0
    return rate / (2 * weight - 1) ** 2


def linear_head_rate(first: Tensor, second: Tensor, *, bias: bool = True) -> float:
    """A linear head's `rate` for a pair of rows of equal norm: `(‖z_i + z_j‖² + 4) / ‖z_i - z_j‖²`.

    Without a bias the 4 is left out. Rows of opposite sign have `4 / ‖z_i - z_j‖²`: the bias alone balances them,
    the more slowly the further they are apart. Source: docs/margin-law.md, corollary 3.3.

    Args:
        first: `z_i`, `[D]`.
        second: `z_j`, `[D]`, of the same norm (to a relative 1e-4) and not the same point.
        bias: whether the head has one, trained at the same learning rate.

    Raises:
        InputError: rows that are not two vectors of one length, of unequal norm, or equal.

    Example:
        >>> import torch
        >>> linear_head_rate(torch.tensor([2.0, 0.0]), torch.tensor([-2.0, 0.0]))
        0.25
        >>> linear_head_rate(torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0]))
        1.5
    """
    if first.dim() != 1 or first.shape != second.shape:
        raise InputError(
            f"first, second: expected two rows of one width, got shapes {list(first.shape)} and {list(second.shape)}"
        )
    first, second = first.double(), second.double()
    norms = float(first.norm()), float(second.norm())
    if not math.isclose(*norms, rel_tol=1e-4):
        raise InputError(
            f"first, second: the law is for rows of equal norm, got {norms[0]:g} and {norms[1]:g}; normalise them"
        )
    apart = float((first - second).square().sum())
    if apart == 0:
        raise InputError("first, second: the two rows are the same point, which has no margins")
    return (float((first + second).square().sum()) + (4.0 if bias else 0.0)) / apart


def equilibrium_margins(weight: float, distance: float, owner_ratio: float = 1.0) -> tuple[float, float]:
    """Margins of two Gaussian classes under the head that minimises the loss at fixed λ.

    `(2λ-1)Δ² / (1 + (2λ-1)²) ± ln(owner_ratio)`, with + for the class that owns more. They are the margins at the
    class means, in units of the difference of two logits; negative where the mean is on the wrong side. Both owners
    of every pair make the ratio 1, and the margins equal. Source: docs/margin-law.md, theorem 4.

    Args:
        weight: λ, the owner's share of the mixed feature, in [0.5, 1].
        distance: Δ, the Mahalanobis distance of the class means under the covariance that both classes have.
        owner_ratio: how many mixed features the first class owns for each that the second owns.

    Returns:
        The margin of the first class and that of the second.

    Raises:
        InputError: a weight outside [0.5, 1], a distance below 0, a ratio that is not positive and finite.

    Example:
        >>> equilibrium_margins(0.75, 3.0)
        (3.6, 3.6)
        >>> [round(margin, 2) for margin in equilibrium_margins(0.6, 2.5, owner_ratio=5.0)]  # the second class is lost
        [2.81, -0.41]
    """
    _check_weight(weight)
    if not 0 <= distance < math.inf:
        raise InputError(f"distance: expected a finite number of at least 0, got {distance}")
    if not 0 < owner_ratio < math.inf:
        raise InputError(f"owner_ratio: expected a positive, finite number, got {owner_ratio}")
    shrink = 2 * weight - 1
    both, prior = shrink * distance**2 / (1 + shrink**2), math.log(owner_ratio)
    return both + prior, both - prior


def critical_weight(first: Tensor, second: Tensor) -> float:
    """The λ above which a head with these margins has every mixed feature of two classes right: `κ / (1 + κ)`.

    `κ = max(M_j/m_i, M_i/m_j)`, with M and m the largest and the smallest margin of a class. The least critical
    weight that any linear head has on given rows is λ*, where their mixed set becomes separable.
    Source: docs/margin-law.md, theorem 5.

    Args:
        first: margins of the first class's rows, each towards its own side, `[N]`.
        second: margins of the second class's rows, likewise, `[M]`.

    Returns:
        A number in [0.5, 1]; 1 also where a row is on the wrong side, so that no λ will do.

    Raises:
        InputError: a class without rows, margins that are not a vector, or not finite.

    Example:
        >>> import torch
        >>> critical_weight(torch.tensor([2.0, 6.0]), torch.tensor([2.0, 4.0]))
        0.75
        >>> critical_weight(torch.tensor([2.0, -0.1]), torch.tensor([2.0, 4.0]))
        1.0
    """
    for name, margins in (("first", first), ("second", second)):
        if margins.dim() != 1 or not len(margins):
            raise InputError(
                f"{name}: expected the margins of at least one row, got shape {list(margins.shape)}"
            )
        if not bool(margins.isfinite().all()):
            raise InputError(f"{name}: some margins are not finite")
    least = float(first.min()), float(second.min())
    if min(least) <= 0:
        return 1.0
    # κ/(1+κ) = max of M_j/(M_j + m_i) and M_i/(M_i + m_j): no overflow where a margin is next to nothing
    most = float(first.max()), float(second.max())
    return max(most[1] / (most[1] + least[0]), most[0] / (most[0] + least[1]))


def _check_weight(weight: float) -> None:
    if not 0.5 <= weight <= 1:
        raise InputError(f"weight: expected λ from 0.5 to 1 (the owner's share), got {weight}")

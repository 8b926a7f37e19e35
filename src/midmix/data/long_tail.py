"""Long-tailed subsamples of a training set."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from midmix.data.split import draw_per_class
from midmix.errors import InputError, unknown

Profile = Literal["exp", "step"]
Ranks = Literal["fixed", "drawn"]
_RANKS = 0x72616E6B
"""Keeps the draw of ranks from being that of rows."""


def profile_counts(
    n_max: int, num_classes: int, *, imbalance_ratio: float, profile: Profile = "exp"
) -> list[int]:
    """Rows of each class in a long-tailed profile with `n_max` rows in the largest class.

    - `exp`:  `n_c = floor(n_max · ratio^(-c / (C-1)))`, from `n_max` down to `n_max / ratio`
      (Cui et al. 2019, Class-Balanced Loss).
    - `step`: the first `C - C//2` classes have `n_max` rows, the other `C//2` have `floor(n_max / ratio)`
      (Buda et al. 2018).

    Example:
        >>> profile_counts(5000, 10, imbalance_ratio=100)
        [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
        >>> profile_counts(500, 4, imbalance_ratio=10, profile="step")
        [500, 500, 50, 50]
    """
    last = num_classes - 1
    common = num_classes - num_classes // 2
    exponents = [c / last if profile == "exp" else float(c >= common) for c in range(num_classes)]
    # The tiny addend keeps 5000 · 100^-1 from becoming 49 by rounding.
    return [math.floor(n_max * imbalance_ratio**-exponent + 1e-9) for exponent in exponents]


def long_tailed(
    labels: Tensor,
    *,
    imbalance_ratio: float,
    profile: Profile = "exp",
    seed: int,
    classes: Sequence[str] | None = None,
    ranks: Ranks = "fixed",
) -> Tensor:
    """Draw a long-tailed subsample without replacement: class 0 the most frequent, the last class the rarest.

    With drawn ranks it is another order of the classes for each seed, so that seeds do not all measure the same one.

    The profile (see `profile_counts`) starts from the largest `n_max` for which every class has enough rows.

    Args:
        labels: class indices of the rows to draw from, `int64 [N]`.
        imbalance_ratio: rows of the largest class over rows of the smallest, at least 1.
        profile: `"exp"` or `"step"`.
        seed: draws the rows; the numbers of rows do not depend on it.
        classes: names of the classes, for error messages and for their number.
        ranks: `"fixed"` for the order of the classes, as published sets have it, or `"drawn"` from the seed. The ranks
            have a generator of their own.

    Returns:
        Indices of the drawn rows, sorted, `int64`.

    Raises:
        InputError: the ratio is below 1, the profile or ranks are unknown, or a class would be left without rows.

    Example:
        >>> labels = torch.arange(3).repeat_interleave(100)
        >>> kept = long_tailed(labels, imbalance_ratio=25, seed=0)
        >>> labels[kept].bincount().tolist()
        [100, 20, 4]
    """
    if profile not in get_args(Profile):
        raise unknown("profile", profile, get_args(Profile))
    if ranks not in get_args(Ranks):
        raise unknown("ranks", ranks, get_args(Ranks))
    if not (1 <= imbalance_ratio < math.inf):
        raise InputError(
            f"imbalance ratio {imbalance_ratio:g}: choose a number of at least 1 (1 is balanced)"
        )
    available = torch.bincount(labels, minlength=len(classes or ())).tolist()
    if len(available) < 2:
        raise InputError("a long-tailed subsample needs at least two classes")

    names = classes or [str(c) for c in range(len(available))]
    if 0 in available:
        raise InputError(f"class {names[available.index(0)]!r} has no training row to draw from")
    if ranks == "drawn":
        generator = torch.Generator().manual_seed(seed ^ _RANKS)
        order = torch.randperm(len(available), generator=generator).tolist()  # the class of each rank
        available, names = [available[c] for c in order], [names[c] for c in order]
    else:
        order = list(range(len(available)))
    quota = _largest_quota(available, imbalance_ratio, profile)
    if 0 in quota:
        works = bisect_left(
            range(1, math.ceil(min(imbalance_ratio, 2.0**53))),
            True,
            key=lambda ratio: 0 in _largest_quota(available, ratio, profile),
        )
        raise InputError(
            f"imbalance ratio {imbalance_ratio:g} ({profile}) leaves class {names[quota.index(0)]!r} without a "
            f"training row, as the largest class can have only {max(quota)}; use a ratio of at most {works}"
        )
    wanted = torch.zeros(len(quota), dtype=torch.long)
    wanted[order] = torch.tensor(quota)
    return draw_per_class(labels, wanted, seed=seed)


def _largest_quota(available: Sequence[int], imbalance_ratio: float, profile: Profile) -> list[int]:
    """The profile with the largest `n_max` that the rows at hand allow."""

    def counts(n_max: int) -> list[int]:
        return profile_counts(n_max, len(available), imbalance_ratio=imbalance_ratio, profile=profile)

    def too_many(n_max: int) -> bool:
        return any(want > have for want, have in zip(counts(n_max), available, strict=True))

    return counts(bisect_right(range(available[0] + 1), False, key=too_many) - 1)

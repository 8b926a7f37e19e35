"""Stratified draws without replacement, and the hash that names them."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from midmix.errors import InputError
from midmix.numbers import is_real

TEST_NAMES = ("test", "validation", "valid", "val", "dev")
"""What a test split is called, best first: sets like ImageNet publish no labels for their test rows."""


def draw_per_class(labels: Tensor, quota: Tensor, *, seed: int) -> Tensor:
    """Draw `quota[c]` rows of each class c, without replacement.

    Args:
        labels: class indices, `int64 [N]`.
        quota: rows wanted of each class, `int64 [C]`, at most the number that there are.
        seed: the same seed, labels and quota give the same rows; a smaller quota gives a subset of them.

    Returns:
        The drawn rows' indices, sorted, `int64 [quota.sum()]`.

    Example:
        >>> draw_per_class(torch.tensor([1, 0, 1, 0, 1]), torch.tensor([2, 1]), seed=0)
        tensor([1, 3, 4])
    """
    shuffled = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    grouped, order = labels[shuffled].sort(stable=True)
    first = torch.searchsorted(grouped, grouped)
    rank_in_class = torch.arange(len(labels)) - first
    return shuffled[order[rank_in_class < quota[grouped]]].sort().values


def validation_split(labels: Tensor, *, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Hold out a fraction of every class.

    A class of n ≥ 2 rows gives `round(fraction · n)` of them, but at least one and at most n - 1;
    a class of one row stays in training.

    Args:
        labels: class indices, `int64 [N]`.
        fraction: share of the rows to hold out, between 0 and 1.
        seed: draws the rows.

    Returns:
        Indices of the training rows and of the held-out rows, each sorted; together they are all N rows.

    Raises:
        InputError: the fraction is not between 0 and 1.

    Example:
        >>> train, validation = validation_split(torch.tensor([0, 0, 0, 0, 1]), fraction=0.25, seed=0)
        >>> train, validation
        (tensor([1, 2, 3, 4]), tensor([0]))
    """
    if not is_real(fraction) or not 0 < fraction < 1:
        raise InputError(
            f"held-out fraction {fraction}: choose a share of the rows between 0 and 1, such as 0.1"
        )
    counts = torch.bincount(labels)
    wanted = (counts * fraction).round().long()
    held_out = draw_per_class(labels, wanted.clamp(min=1).minimum((counts - 1).clamp(min=0)), seed=seed)
    stays = torch.ones(len(labels), dtype=torch.bool)
    stays[held_out] = False
    return stays.nonzero().squeeze(1), held_out


def split_hash(*indices: Tensor) -> str:
    """Name of a split: the first 16 hex digits of SHA-256 over the indices of its parts.

    Equal exactly for the same indices, in the same order, in the same parts, whatever the machine.

    Example:
        >>> split_hash(torch.tensor([0, 1]), torch.tensor([2]))
        '4c152be4bb1a4f40'
        >>> split_hash(torch.tensor([0, 1, 2])) == split_hash(torch.tensor([0, 1]), torch.tensor([2]))
        False
    """
    digest = hashlib.sha256()
    for part in indices:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part.cpu().numpy().astype("<i8").tobytes())
    return digest.hexdigest()[:16]

"""Nearest neighbours on frozen features."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

NEIGHBOURS = (1, 5, 20)
"""Numbers of neighbours among which a probe's is chosen."""
MOST_VOTES = 2**25
"""That are counted together, which bounds the memory to 256 MiB beside the rows."""


def neighbour_votes(
    train: Tensor, labels: Tensor, num_classes: int, features: Tensor, numbers: tuple[int, ...] = NEIGHBOURS
) -> dict[int, Tensor]:
    """The class that most of the k nearest training rows have, by cosine similarity; the first of equals.

    Args:
        train: features of the rows that vote, `[M, D]`.
        labels: their classes, `[M]`.
        num_classes: number of classes.
        features: rows to decide, `[N, D]`.
        numbers: values of k; a k above M is M.

    Returns:
        Classes `[N]` for each k.

    Example:
        >>> train = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
        >>> neighbour_votes(train, torch.tensor([0, 0, 1]), 2, torch.tensor([[0.1, 2.0]]), (1, 3))
        {1: tensor([1]), 3: tensor([0])}
    """
    from sklearn.neighbors import NearestNeighbors

    most = min(max(numbers), len(train))
    index = NearestNeighbors(n_neighbors=most, metric="cosine", algorithm="brute").fit(train.numpy())
    decided: dict[int, list[Tensor]] = {k: [] for k in numbers}
    for some in torch.split(features, max(1, MOST_VOTES // (most * num_classes))):
        nearest = torch.from_numpy(index.kneighbors(some.numpy(), return_distance=False))
        votes = one_hot(labels[nearest], num_classes)
        for k in numbers:
            decided[k].append(votes[:, :k].sum(1).argmax(1))
    return {k: torch.cat(found) for k, found in decided.items()}

"""The rows that a pairwise measure looks at: all of them, or a random sample of known size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from midmix.errors import InputError
from midmix.measures.checks import check_rows

FEWEST_SAMPLED = 16
"""Fewer rows than this give no standard error worth the name."""


def unit(features: Tensor) -> Tensor:
    """`z / ‖z‖₂` a row, in float64, in memory of its own; a row of zeros stays zero."""
    rows = features.detach().to(torch.float64, copy=True)
    return rows.div_(torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp_min_(1e-12))


@dataclass(frozen=True)
class Rows:
    """Features and labels, with how many rows each class has in all.

    A random key a row makes samples that do not depend on how the rows came: the `max_rows` smallest keys of
    a set are a sample of it without replacement, and so are they after any number of parts are put together.
    """

    features: Tensor
    """`[n, D]`, as they came."""
    labels: Tensor
    """`[n]`, int64."""
    counts: Tensor
    """`[C]`, rows of each class in the whole set, of which `features` may be a sample."""
    keys: Tensor | None = None
    """`[n]`, uniform in [0, 1); None when nothing is to be sampled."""
    max_rows: int | None = None

    @classmethod
    def of(cls, features: Tensor, labels: Tensor, max_rows: int | None = None, seed: int = 0) -> Rows:
        """Checked rows of arrays, with keys if there are more than `max_rows`."""
        check_rows(features, labels, name="features")
        check_max_rows(max_rows)
        labels = labels.to(features.device).long()
        keys = None
        if max_rows is not None and len(features) > max_rows:
            keys = random_keys(len(features), torch.Generator().manual_seed(seed)).to(features.device)
        return cls(features, labels, torch.bincount(labels), keys, max_rows)

    def overall(self) -> Tensor | None:
        """Indices of a uniform sample of all rows; None for every row there is."""
        if self.keys is None or self.max_rows is None or int(self.counts.sum()) <= self.max_rows:
            return None
        return self.keys.topk(self.max_rows, largest=False).indices

    def by_class(self) -> Iterator[tuple[int, Tensor]]:
        """Each class that has rows, with the indices of its rows or of a uniform sample of them."""
        for c, index in enumerate(class_indices(self.labels, self.keys, len(self.counts))):
            if len(index):
                yield c, index[: self.max_rows]


def class_indices(labels: Tensor, keys: Tensor | None, num_classes: int) -> tuple[Tensor, ...]:
    """For each class the indices of its rows, by ascending key, or in order of appearance without keys."""
    order = torch.arange(len(labels), device=labels.device) if keys is None else keys.argsort()
    order = order[labels[order].argsort(stable=True)]
    return torch.split(order, torch.bincount(labels, minlength=num_classes).tolist())


def random_keys(count: int, generator: torch.Generator) -> Tensor:
    """`[count]` float64 keys on the CPU: enough bits that two rows never share one."""
    return torch.rand(count, dtype=torch.float64, generator=generator)


def check_max_rows(max_rows: int | None) -> None:
    """A sample must be large enough for a standard error."""
    if max_rows is not None and max_rows < FEWEST_SAMPLED:
        raise InputError(f"max_rows: expected at least {FEWEST_SAMPLED} (or None for exact), got {max_rows}")

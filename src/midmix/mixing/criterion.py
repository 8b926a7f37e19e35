"""What a per-sample loss is, and how it is called."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from midmix.errors import InputError


class Criterion(Protocol):
    """A per-sample loss: `logits [R, C]` and `labels [R]` in, losses `[R]` out, nothing averaged.

    Any function or module of that form will do, `torch.nn.CrossEntropyLoss(reduction="none")` among them.
    One that corrects for class frequency sets the attribute `needs_prior = True` and is then called with
    `prior=` as well: the class frequencies `[C]` of the labels that it is fed, which a plan knows.
    """

    def __call__(self, logits: Tensor, labels: Tensor, /) -> Tensor: ...


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of each row in nats, not averaged: `-log softmax(logits)[label]`.

    Shapes: `logits [R, C]`, `labels [R]` → `[R]`.

    Example:
        >>> cross_entropy(torch.zeros(2, 4), torch.tensor([0, 3]))
        tensor([1.3863, 1.3863])
    """
    return F.cross_entropy(logits, labels, reduction="none")


def per_row(criterion: Criterion, logits: Tensor, labels: Tensor, prior: Tensor | None) -> Tensor:
    """The criterion's losses `[R]`, in float32 at least, with the prior for the criteria that ask for it."""
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    if getattr(criterion, "needs_prior", False):
        losses: Tensor = criterion(logits, labels, prior=prior)  # type: ignore[call-arg]
    else:
        losses = criterion(logits, labels)
    if losses.shape != labels.shape:
        raise InputError(
            f"criterion: returned shape {tuple(losses.shape)} for {len(labels)} rows; "
            "a per-sample loss is needed, such as CrossEntropyLoss(reduction='none')"
        )
    return losses

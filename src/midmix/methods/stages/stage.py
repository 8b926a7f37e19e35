"""What follows a method's training: the classifier changed, or trained again, the encoder kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from midmix.decisions.prior import LogitPrior
from midmix.errors import InputError
from midmix.measures.accuracy import confusion_matrix
from midmix.registry import Registry


@dataclass(frozen=True)
class StageData:
    """What a stage is given: features and labels of the rows that were trained on.

    Attributes:
        features: `[N, D]`, as they enter the classifier, in evaluation mode.
        labels: `[N]`.
        counts: `[C]`, training rows of each class.
        validation: features and labels of held-out rows, for what a stage has to choose; None without such a split.
        seed: of all draws.
    """

    features: Tensor
    labels: Tensor
    counts: Tensor
    validation: tuple[Tensor, Tensor] | None
    seed: int


class Stage(Protocol):
    """Makes a new classifier of a trained one; the encoder stays as it is.

    A stage may say in a method `prior(before, head, data)` which prior the logits of its classifier answer for, of the
    `LogitPrior` of the head that it was given, or None; where it does not, nothing is known of it.

    A stage that cannot do without held-out rows has `needs_validation = True`, so that this is known before the
    training. Options that may be `auto` instead of a number stand in a class attribute `auto`.
    """

    def apply(self, head: nn.Module, data: StageData) -> nn.Module:
        """The classifier that takes the head's place: `[B, D]` to `[B, C]`. The head given is left as it was."""
        ...


STAGES: Registry[Callable[..., Stage]] = Registry("stage", "midmix.stages", "midmix.methods.stages")
"""What makes a stage, by name: ours are in this package."""


def prior_after(
    stage: Stage, before: LogitPrior | None, head: nn.Module, data: StageData
) -> LogitPrior | None:
    """The prior that logits answer for after a stage, or None where it is not known.

    Args:
        before: that of the head given.
        head: the one given.
        data: what the stage was given.
    """
    tell: Callable[[LogitPrior | None, nn.Module, StageData], LogitPrior | None] | None
    tell = getattr(stage, "prior", None)
    return None if tell is None else tell(before, head, data)


def uniform(data: StageData) -> LogitPrior:
    """All classes alike."""
    return LogitPrior.from_counts([1.0] * len(data.counts))


def linear_head(head: nn.Module, stage: str) -> nn.Linear:
    """The head, which must be linear.

    Raises:
        InputError: where it is not.
    """
    if not isinstance(head, nn.Linear):
        raise InputError(f"{stage}: needs a linear classifier, and this network's is a {type(head).__name__}")
    return head


def linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """A linear classifier of these numbers, with no draw made.

    Example:
        >>> linear(torch.eye(2))(torch.tensor([[3.0, 4.0]])).tolist()
        [[3.0, 4.0]]
    """
    classes, features = weight.shape
    with torch.device("meta"):
        made = nn.Linear(features, classes, bias=bias is not None, dtype=weight.dtype)
    made = made.to_empty(device=weight.device)
    with torch.no_grad():
        made.weight.copy_(weight)
        if bias is not None:
            made.bias.copy_(bias)
    return made


class Rescaled(nn.Module):
    """`a_c · head(z)_c + b_c`: another head's logits, scaled and shifted class by class.

    Args:
        head: gives logits `[B, C]`.
        scale: a, `[C]`.
        shift: b, `[C]`.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, head: nn.Module, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.head = head
        self.register_buffer("scale", scale.detach().clone())
        self.register_buffer("shift", shift.detach().clone())

    def forward(self, features: Tensor) -> Tensor:
        """`[B, D]` to `[B, C]`."""
        logits: Tensor = self.head(features)
        return logits * self.scale.to(logits) + self.shift.to(logits)


def rescaled(head: nn.Module, scale: Tensor, shift: Tensor) -> nn.Module:
    """A head whose logits are `a_c · head(z)_c + b_c`: linear where the given one is, which stays as it is.

    Example:
        >>> head = linear(torch.eye(2), torch.ones(2))
        >>> rescaled(head, torch.tensor([1.0, 2.0]), torch.tensor([0.0, 5.0]))(torch.zeros(1, 2)).tolist()
        [[1.0, 7.0]]
    """
    if not isinstance(head, nn.Linear):
        return Rescaled(deepcopy(head), scale, shift)
    weight = head.weight.detach()
    scale, shift = scale.to(weight), shift.to(weight)
    bias = shift if head.bias is None else scale * head.bias.detach() + shift
    return linear(scale[:, None] * weight, bias)


def held_out(data: StageData, stage: str) -> tuple[Tensor, Tensor]:
    """Features and labels of the validation rows.

    Raises:
        InputError: where there are none.
    """
    if data.validation is None or not len(data.validation[1]):
        raise InputError(f"{stage}: is chosen on validation rows, and there are none; hold some out")
    return data.validation


def all_trained(counts: Tensor, stage: str) -> Tensor:
    """The counts, float64, none of which may be 0.

    Raises:
        InputError: where a class has no training rows.
    """
    without = (counts == 0).nonzero().flatten().tolist()
    if without:
        raise InputError(f"{stage}: class {without[0]} has no training rows; leave it out, or {stage}")
    return counts.double()


@torch.no_grad()
def best_balanced(
    make: Callable[[float], nn.Module], values: Sequence[float], data: StageData, option: str
) -> float:
    """The value whose head has the highest balanced accuracy on the validation rows; of equal ones, the first.

    Raises:
        InputError: without validation rows.
    """
    features, labels = held_out(data, option)

    def balanced_accuracy(value: float) -> float:
        matrix = confusion_matrix(make(value)(features), labels)
        return float((matrix.diagonal() / matrix.sum(dim=1)).nanmean())

    return max(values, key=balanced_accuracy)

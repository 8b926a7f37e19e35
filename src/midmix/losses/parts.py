"""What a loss is put together from: `Loss = Adjust × Base × Weight`, terms over a whole batch, and a split.

Each part is a frozen dataclass, or a `torch.nn.Module` where it has state: its parameters are optimised with the
network's, its buffers are in every checkpoint. A part that asks for a fact says so in `needs`; see `LossContext`. One
that learns makes its weights in `prepare(head, num_classes)`, when the classifier is known, and one that counts does so
in `observe(context)`, once a batch in training.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from midmix.mixing.context import LossContext


class Adjust(Protocol):
    """Shifts or scales logits before the base sees them: `logits [R, C]` and `labels [R]` → `[R, C]`."""

    def __call__(self, logits: Tensor, labels: Tensor, context: LossContext, /) -> Tensor: ...


class Base(Protocol):
    """The loss of each row: adjusted `logits [R, C]` and `labels [R]` → `[R]`, in nats where it is a likelihood."""

    def __call__(self, logits: Tensor, labels: Tensor, context: LossContext, /) -> Tensor: ...


class Weight(Protocol):
    """How much each row counts: adjusted `logits [R, C]` and `labels [R]` → `[R]`, about 1 on average.

    Rows are independent, so a weight is never divided by the sum over the batch: weights of classes are divided by
    their mean under the targets' prior (`class_weights`), and so average to 1 over training, mixed or not.
    """

    def __call__(self, logits: Tensor, labels: Tensor, context: LossContext, /) -> Tensor: ...


class Term(Protocol):
    """What is added to the rows' mean and looks at the batch as a whole: `LossContext` → scalar."""

    def __call__(self, context: LossContext, /) -> Tensor: ...


class Split(Protocol):
    """Judges a classifier's parts one by one: `LossContext` → their logits `[E, R, C]`, and what is added, a scalar.

    The loss is then the mean of the parts' own losses, each with all of the adjusts, base, weights and terms.
    """

    def __call__(self, context: LossContext, /) -> tuple[Tensor, Tensor]: ...


def class_weights(weights: Tensor, context: LossContext) -> Tensor:
    """`w_c / Σ_k π_k w_k` `[C]`: weights of the classes with mean 1 under the prior π of the targets really fed.

    A mean over the batch's own weights, as `torch.nn.CrossEntropyLoss(weight=…)` takes it, would let a row's weight
    depend on the rows beside it, and counts wrongly where targets are mixed.
    """
    shares = context.log_prior.exp()
    return weights / (shares * weights).sum()

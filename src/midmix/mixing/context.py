"""What a loss is told of the rows that it is to judge, and what a loss is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from midmix.errors import InputError

Targets = tuple[tuple[Tensor, Tensor], ...]
"""Weighted hard labels: pairs of `labels [R]` and `weight [R]`; the weights of a row sum to 1."""
RowLoss = Callable[[Tensor, Tensor], Tensor]
"""`logits [R, C]` and `labels [R]` in, losses `[R]` out, nothing averaged."""

FACTS = ("prior", "counts", "progress", "features", "head", "views")
"""What a loss may ask for beside logits and targets, as `LossContext` names it."""


class Views(NamedTuple):
    """Features of V augmented views of a batch's own rows, none of them mixed.

    Attributes:
        features: `[V, B, D]`.
        labels: `[B]`.
        prior: `[C]`, shares of the classes among such rows; None for those of the data's counts.
    """

    features: Tensor
    labels: Tensor
    prior: Tensor | None = None


@dataclass(frozen=True, eq=False)
class LossContext:
    """Logits, their targets, and what is known of both. What nobody asked for may be None.

    Attributes:
        logits: `[R, C]`, float32 at least.
        targets: pairs of `(labels [R], weight [R])`.
        prior: `[C]`, shares of the classes among the targets that are really fed: the owners' prior.
        counts: `[C]`, training rows of each class in the data.
        progress: share of the training that is done, a scalar tensor in `[0, 1]`.
        features: `[R, D]`, what entered the classifier to give these logits.
        head: the classifier.
        generator: of random draws, for losses that have some.
        views: of the batch's rows, for losses that compare rows.

    Example:
        >>> y = torch.tensor([0, 1, 1])
        >>> context = LossContext(torch.zeros(3, 2), ((y, torch.ones(3)),), counts=torch.tensor([30.0, 10.0]))
        >>> context.target_counts  # no prior was counted: the data's own
        tensor([30., 10.])
        >>> context.soft_targets()
        tensor([[1., 0.],
                [0., 1.],
                [0., 1.]])
    """

    logits: Tensor
    targets: Targets
    prior: Tensor | None = None
    counts: Tensor | None = None
    progress: Tensor | None = None
    features: Tensor | None = None
    head: nn.Module | None = None
    generator: torch.Generator | None = None
    views: Views | None = None

    def given(self, fact: str, who: object) -> Any:
        """A fact that a loss cannot do without, of whatever kind.

        Raises:
            InputError: where nobody gave it.
        """
        found = getattr(self, fact)
        if found is None:
            raise InputError(f"{type(who).__name__}: needs {fact}, which nobody has given; {HINTS[fact]}")
        return found

    def need(self, fact: str, who: object) -> Tensor:
        """A fact that is a tensor.

        Raises:
            InputError: where nobody gave it, or it is of another number of classes.
        """
        found = self.given(fact, who)
        if fact in ("prior", "counts") and found.shape != self.logits.shape[1:]:
            raise InputError(
                f"{type(who).__name__}: {fact} of shape {tuple(found.shape)} for {self.logits.shape[-1]} logits a "
                "row; one for each class is needed"
            )
        value: Tensor = found
        return value

    @property
    def log_prior(self) -> Tensor:
        """`log π [C]` of the targets' prior; a class that is never a target has the smallest float's, not -∞."""
        prior = self.prior if self.prior is not None else self.need("counts", self)
        self._check_classes(prior)
        shares = prior.to(self.logits) / prior.to(self.logits).sum()
        return shares.clamp_min(torch.finfo(shares.dtype).tiny).log()

    @property
    def target_counts(self) -> Tensor:
        """`[C]`, how many of the data's rows would be targets of each class: the prior times the number of rows."""
        counts = self.need("counts", self).to(self.logits)
        if self.prior is None:
            return counts
        self._check_classes(self.prior)
        return self.prior.to(self.logits) / self.prior.to(self.logits).sum() * counts.sum()

    def soft_targets(self) -> Tensor:
        """The targets as shares of the classes, `[R, C]`."""
        shares = torch.zeros_like(self.logits)
        for labels, weight in self.targets:
            shares = shares.scatter_add(1, labels[:, None], weight.to(shares)[:, None])
        return shares

    def _check_classes(self, prior: Tensor) -> None:
        if prior.shape != self.logits.shape[1:]:
            raise InputError(
                f"loss: a prior of shape {tuple(prior.shape)} for {self.logits.shape[-1]} logits a row; "
                "one share for each class is needed"
            )


HINTS = {
    "prior": "give class_counts, or use it with a mix",
    "counts": "give class_counts: the training rows of each class",
    "progress": "say mix.observe(progress=…), the share of the training that is done, as it goes on",
    "features": "attach the mix with the loss, mix.attach(model, loss=…), or give features=",
    "head": "attach the mix with the loss, mix.attach(model, loss=…), or give head=",
    "views": "give the loss of a batch views=Views(features [2, B, D], labels), as training by a command does",
}


class Loss(nn.Module):
    """A loss that is told the whole of a `LossContext`, once a batch. `midmix.losses` puts them together.

    Attributes:
        needs: which of `FACTS` it cannot do without; a training loop may leave out what nobody asks for.
        absorbs: the power of the prior that training with it takes out of the logits: `softmax(logits)` answers for a
            prior in proportion to `π^(1 - absorbs)`. 0 for cross-entropy, 1 for balanced softmax.
    """

    needs: frozenset[str] = frozenset()
    absorbs: float = 0.0

    def prepare(self, head: nn.Module, num_classes: int, *, seed: int | None = None) -> None:
        """Makes what it learns, now that the classifier is known; nothing where that is done already.

        Args:
            head: the classifier.
            num_classes: C.
            seed: of first weights, leaving the global random state alone; None draws from it.

        Raises:
            InputError: where it does not go with such a classifier.
        """

    def mean(self, context: LossContext) -> Tensor:
        """The loss of all rows together, a scalar: their mean, and whatever is added to it."""
        raise NotImplementedError


class PlainLoss(Loss):
    """Any function of `logits [R, C]` and `labels [R]` that gives losses `[R]`."""

    def __init__(self, function: RowLoss) -> None:
        super().__init__()
        self.function = function

    def mean(self, context: LossContext) -> Tensor:
        return mean_over_targets(context, lambda labels: self.function(context.logits, labels))

    def extra_repr(self) -> str:
        return "" if isinstance(self.function, nn.Module) else getattr(self.function, "__name__", "")


def mean_over_targets(context: LossContext, of_labels: Callable[[Tensor], Tensor]) -> Tensor:
    """`mean_r Σ_t weight_tr · ℓ_r(label_tr)`; 0 for no rows.

    Raises:
        InputError: where the losses are not one a row.
    """
    rows = len(context.logits)
    if len(context.targets) == 1 and rows:  # of weight 1, since the weights of a row sum to 1
        return _checked(of_labels(context.targets[0][0]), rows).mean()
    losses = [weight * _checked(of_labels(labels), rows) for labels, weight in context.targets]
    return torch.stack(losses).sum() / max(rows, 1)


def _checked(losses: Tensor, rows: int) -> Tensor:
    if losses.shape != (rows,):
        raise InputError(
            f"loss: returned shape {tuple(losses.shape)} for {rows} rows; "
            "a per-sample loss is needed, such as CrossEntropyLoss(reduction='none')"
        )
    return losses


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of each row in nats, not averaged: `-log softmax(logits)[label]`.

    Shapes: `logits [R, C]`, `labels [R]` → `[R]`.

    Example:
        >>> cross_entropy(torch.zeros(2, 4), torch.tensor([0, 3]))
        tensor([1.3863, 1.3863])
    """
    return F.cross_entropy(logits, labels, reduction="none")


def as_loss(criterion: Loss | RowLoss) -> Loss:
    """A loss of whatever can stand for one."""
    return criterion if isinstance(criterion, Loss) else PlainLoss(criterion)


def in_float32(context: LossContext) -> LossContext:
    """The same with logits in float32 at least: half precision holds no counts."""
    if context.logits.dtype in (torch.float16, torch.bfloat16):
        return replace(context, logits=context.logits.float())
    return context

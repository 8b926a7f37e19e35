"""Losses as assignments of parts."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from midmix.errors import InputError
from midmix.losses.parts import Adjust, Base, Split, Term, Weight
from midmix.mixing.context import FACTS, Loss, LossContext, cross_entropy, in_float32, mean_over_targets


@dataclass(frozen=True)
class CrossEntropy:
    """Cross-entropy in nats, `-log softmax(logits)[label]`.

    Example:
        >>> ComposedLoss(base=CrossEntropy())(torch.zeros(1, 2), torch.tensor([0]))
        tensor([0.6931])
    """

    def __call__(self, logits: Tensor, labels: Tensor, context: LossContext) -> Tensor:
        return cross_entropy(logits, labels)


class ComposedLoss(Loss):
    """`mean_r Σ_t w_tr · weight(label_tr) · base(adjust(logits_r, label_tr), label_tr) + Σ terms`.

    Adjusts act one after another, weights are multiplied, terms are added. Losses are put together with `+`: what one
    leaves open another may give, and of two bases it is told which to leave out.

    Args:
        adjust: shifts and scales of the logits, in the order in which they act.
        base: the loss of a row; cross-entropy where None.
        weight: factors of the rows.
        terms: over the whole batch.
        split: what judges the parts of a classifier one by one; None for the classifier as a whole.

    Attributes:
        needs: the facts that any of its parts asks for.
        absorbs: the sum of its adjusts' and weights' powers of the prior; see `Loss`.

    Shapes: called as `loss(logits [R, C], labels [R], **facts)` it gives `[R]`; `mean(context)` a scalar.

    Raises:
        InputError: for a part that asks for a fact that does not exist; two bases or splits; facts that nobody gave.

    Example:
        >>> from midmix.losses import balanced_softmax
        >>> loss = balanced_softmax()
        >>> sorted(loss.needs), loss.absorbs
        (['prior'], 1.0)
        >>> loss(torch.zeros(2, 2), torch.tensor([0, 1]), prior=torch.tensor([9.0, 1.0]))  # -log 0.9, -log 0.1
        tensor([0.1054, 2.3026])
    """

    def __init__(
        self,
        *,
        adjust: Sequence[Adjust] = (),
        base: Base | None = None,
        weight: Sequence[Weight] = (),
        terms: Sequence[Term] = (),
        split: Split | None = None,
    ) -> None:
        super().__init__()
        self.split = split
        self.adjusts, self.base, self.weights, self.terms = tuple(adjust), base, tuple(weight), tuple(terms)
        parts = self.parts
        # Registered, so that what they learn and count is optimised, saved and moved with this.
        self.state = nn.ModuleList(part for part in parts if isinstance(part, nn.Module))
        self.needs = frozenset[str]().union(*(getattr(part, "needs", frozenset()) for part in parts))
        if strange := self.needs - set(FACTS):
            raise InputError(
                f"loss: asks for {', '.join(sorted(strange))}; what there is: {', '.join(FACTS)}"
            )
        absorbing = (*self.adjusts, *self.weights)
        self.absorbs = float(sum(getattr(part, "absorbs", 0.0) for part in absorbing))

    @property
    def parts(self) -> tuple[object, ...]:
        """All that it is put together from."""
        single = tuple(part for part in (self.base, self.split) if part is not None)
        return (*self.adjusts, *single, *self.weights, *self.terms)

    def __add__(self, other: ComposedLoss) -> ComposedLoss:
        if self.base is not None and other.base is not None:
            raise InputError(
                f"loss: {_name(self.base)} and {_name(other.base)} are both the loss of a row; leave one out"
            )
        if self.split is not None and other.split is not None:
            raise InputError(
                f"loss: {_name(self.split)} and {_name(other.split)} both judge the parts of a classifier one by one; "
                "leave one out"
            )
        return ComposedLoss(
            adjust=(*self.adjusts, *other.adjusts),
            base=self.base if other.base is None else other.base,
            weight=(*self.weights, *other.weights),
            terms=(*self.terms, *other.terms),
            split=other.split if self.split is None else self.split,
        )

    def prepare(self, head: nn.Module, num_classes: int, *, seed: int | None = None) -> None:
        with nullcontext() if seed is None else torch.random.fork_rng(devices=[]):
            if seed is not None:
                torch.default_generator.manual_seed(seed)
            for part in self.parts:
                if callable(prepare := getattr(part, "prepare", None)):
                    prepare(head, num_classes)

    def mean(self, context: LossContext) -> Tensor:
        context = in_float32(context)
        if self.training:
            for part in self.state:
                if callable(see := getattr(part, "observe", None)):
                    see(context)
        if self.split is None:
            return self._whole(context)
        logits, added = self.split(context)
        return torch.stack([self._whole(replace(context, logits=part)) for part in logits]).mean() + added

    def _whole(self, context: LossContext) -> Tensor:
        """The loss of one classifier."""
        labels = context.targets[0][0]
        if self.base is None and not self.weights and len(context.targets) == 1 and len(labels):
            total = F.cross_entropy(self._adjusted(labels, context), labels)  # in one go
        else:
            total = mean_over_targets(context, lambda labels: self._rows(labels, context))
        for term in self.terms:
            total = total + term(context)
        return total

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        *,
        prior: Tensor | None = None,
        counts: Tensor | None = None,
        progress: Tensor | None = None,
        features: Tensor | None = None,
        head: nn.Module | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Losses of the rows `[R]`, without the batch's terms."""
        targets = ((labels, torch.ones(len(labels), device=labels.device)),)
        context = LossContext(logits, targets, prior, counts, progress, features, head, generator)
        return self._rows(labels, in_float32(context))

    def _rows(self, labels: Tensor, context: LossContext) -> Tensor:
        logits = self._adjusted(labels, context)
        losses = cross_entropy(logits, labels) if self.base is None else self.base(logits, labels, context)
        for weight in self.weights:
            losses = losses * weight(logits, labels, context)
        return losses

    def _adjusted(self, labels: Tensor, context: LossContext) -> Tensor:
        logits = context.logits
        for adjust in self.adjusts:
            logits = adjust(logits, labels, context)
        return logits

    def extra_repr(self) -> str:
        return ", ".join(_name(part) for part in self.parts if not isinstance(part, nn.Module))


def _name(part: object) -> str:
    return f"{type(part).__name__}()" if isinstance(part, nn.Module) else repr(part)

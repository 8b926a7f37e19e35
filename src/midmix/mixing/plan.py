"""The hinge: what is to be mixed with what, and which labels the result is held against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from midmix.errors import InputError
from midmix.mixing.blend import Blend, Linear
from midmix.mixing.context import (
    Loss,
    LossContext,
    RowLoss,
    Targets,
    Views,
    as_loss,
    cross_entropy,
    in_float32,
)
from midmix.mixing.mask import Mask, rows_at
from midmix.mixing.saliency import saliency


@dataclass(frozen=True, eq=False)
class CleanTerm:
    """The batch's own rows, unmixed, held against their own labels, beside the mixed ones.

    The loss is the weighted mean of both, `(mixed + w · clean) / (1 + w)`, so that a clean term adds no learning rate.
    """

    weight: float
    prior: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Unlaid:
    """A mask whose place is drawn, by the seed, but not its size in pixels: that takes activations.

    Attributes:
        mask: the part.
        seed: of its draws.
        relabel: the plan of owners' realised shares `[B]`.
    """

    mask: Mask
    seed: int
    relabel: Callable[[Tensor], Plan]


@dataclass(frozen=True, eq=False)
class Laid:
    """A mask laid on activations of one shape, in a blend's place: λ is its mean already.

    Attributes:
        mask: the part.
        own: `[R or 1, C or 1, …]` bool, True where content is the owner's.
    """

    mask: Mask
    own: Tensor

    def __call__(self, own: Tensor, features: Tensor, partner: Tensor) -> Tensor:
        if any(size not in (1, there) for size, there in zip(self.own.shape[1:], own.shape[1:], strict=True)):
            raise InputError(
                f"mask: laid on {tuple(self.own.shape[1:])} and used on {tuple(own.shape[1:])}; draw a plan for "
                "each batch"
            )
        return self.mask.paste(own, features, partner, self.own)


@dataclass(frozen=True, eq=False)
class Plan:
    """How a batch of B rows becomes R mixed rows: `row_r = w_r · z[owner_r] + (1 - w_r) · z[partner_r]`.

    R is B, or 2B where both sides of a pair own a mixed row of their own. With a clean term the B rows
    themselves follow the R mixed ones. Made from labels alone; only `apply` sees activations, only `loss` sees
    targets.

    Attributes:
        labels: `[B]`, the batch's labels.
        partner: `[R]`, index into the batch.
        weight: `[R]` float32 in `[0, 1]`, the owner's share of the content.
        targets: pairs of `(labels [R], weight [R])`, the weights summing to 1 a row.
        owner: `[R]`, index into the batch; None where row r belongs to row r.
        prior: `[C]`, how often each class is a target of such plans, as shares; None where nobody counted.
        counts: `[C]`, training rows of each class in the data; None where they are not known.
        progress: share of the training that is done, a scalar; None where nobody has said.
        clean: the added term on unmixed rows, if any.
        blend: how two rows become one; a mask that has been laid says where each of them is.
        site: which of a mix's sites it is for.
        mixes: whether any row is mixed; False where each is known to be its own partner.
        unlaid: a mask that `lay` has yet to lay; `weight` and the targets' weights are only asked for until then.

    Example:
        >>> y = torch.tensor([0, 1])
        >>> plan = Plan(y, partner=torch.tensor([1, 0]), weight=torch.tensor([0.75, 0.75]),
        ...             targets=((y, torch.ones(2)),))
        >>> plan.apply(torch.tensor([[0.0], [4.0]]))
        tensor([[1.],
                [3.]])
    """

    labels: Tensor
    partner: Tensor
    weight: Tensor
    targets: Targets
    owner: Tensor | None = None
    prior: Tensor | None = None
    counts: Tensor | None = None
    progress: Tensor | None = None
    clean: CleanTerm | None = None
    blend: Blend | Laid = field(default_factory=Linear)
    site: int = 0
    mixes: bool = True
    unlaid: Unlaid | None = None

    @classmethod
    def unmixed(cls, labels: Tensor, **facts: Any) -> Plan:
        """The plan that leaves every row of the batch as it is, under its own label; `facts` as the attributes."""
        rows = len(labels)
        ones = torch.ones(rows, device=labels.device)
        partner = torch.arange(rows, device=labels.device)
        return cls(labels, partner, ones, ((labels, ones),), mixes=False, **facts)

    @torch.no_grad()
    def lay(self, features: Tensor, answer: Callable[[Tensor], Tensor] | None = None) -> Plan:
        """This plan with its mask, if it has one, laid on activations `[B, …]` like those that it will mix.

        Rows' shares, and labels with them, are then the mask's own mean: exactly what is mixed.

        Args:
            features: what will be mixed.
            answer: the model's logits of it, for masks that follow its gradient.

        Raises:
            InputError: where the mask cannot be laid on such activations, or nobody gave the answer that it asks for.
        """
        if self.unlaid is None:
            return self
        self._check(features)
        part, rows, found = self.unlaid.mask, len(self.labels), None
        if part.needs_saliency:
            if answer is None:
                raise InputError(
                    f"{part}: follows the model's gradient, which takes the model's answers; mix at the model's "
                    "input, site=Input(), or give answer="
                )
            found = saliency(features, self.labels, answer)[self.partner]
        generator = torch.Generator().manual_seed(self.unlaid.seed)
        asked = self.weight[:rows]
        own = part.lay(features, asked, generator, None if found is None else found[:rows])
        if part.moves:
            here = torch.arange(rows, device=self.partner.device)
            alone = self.partner[:rows] == (here if self.owner is None else self.owner[:rows])
            own = own | alone.reshape(-1, *[1] * (own.dim() - 1))
        share = own.flatten(1).float().mean(1).expand(rows)
        plan = self.unlaid.relabel(share)
        if len(plan.partner) > rows and len(own) > 1:  # both owners: the mirrored pair has the same mask
            own = torch.cat([own, own])
        return replace(self, weight=plan.weight, targets=plan.targets, blend=Laid(part, own), unlaid=None)

    def apply(self, features: Tensor) -> Tensor:
        """Mixes `features [B, …]` into `[R, …]` (or `[R + B, …]` with a clean term); the input is left as it is.

        Raises:
            InputError: where the rows are not as many as the labels, or not a tensor of floating point.
        """
        self._check(features)
        if self.unlaid is not None:
            raise InputError(
                "plan: its mask is not laid yet; draw it with the rows that it is for, mix.plan(labels, inputs=x), or "
                "lay it, plan = plan.lay(x)"
            )
        if self.as_they_are:
            return features
        own = features if self.owner is None else rows_at(features, self.owner)
        if isinstance(self.blend, Laid):
            mixed = self.blend(own, features, self.partner)
        else:
            mixed = self.blend(own, rows_at(features, self.partner), self.weight)
        return mixed if self.clean is None else torch.cat([mixed, features])

    def loss(
        self,
        logits: Tensor,
        loss: Loss | RowLoss = cross_entropy,
        *,
        features: Tensor | None = None,
        head: nn.Module | None = None,
        generator: torch.Generator | None = None,
        views: Views | None = None,
    ) -> Tensor:
        """`mean_r Σ_t weight_tr · loss(logits_r, label_tr)`; with a clean term the weighted mean of both.

        Args:
            logits: `[R, C]`, or `[R + B, C]` with a clean term: the head's answer to `apply`'s rows.
            loss: of `midmix.losses`, or any function of logits and labels that gives a loss a row. It is told all that
                the plan knows: the prior of its own rows' owners, the data's counts, how far the training is.
            features: `[R, D]` or `[R + B, D]`, what entered the head, for losses that ask for them.
            head: the classifier, likewise.
            generator: of the loss's own draws, if it has any.
            views: of the batch's own rows, for losses that compare rows.

        Returns:
            A scalar, in float32 at least; 0 for a batch of no rows.

        Raises:
            InputError: where the rows do not fit the plan, the loss has averaged already, or asks for what nobody gave.
        """
        if self.unlaid is not None:
            raise InputError(
                "plan: its mask is not laid yet, so its labels' weights are not known; plan = plan.lay(x)"
            )
        judge = as_loss(loss)
        mixed, clean = self.split(logits)
        context = in_float32(LossContext(
            mixed, self.targets, self.prior, self.counts, self.progress,
            None if features is None else features[: len(mixed)], head, generator, views,
        ))  # fmt: skip
        total = judge.mean(context)
        if self.clean is None or clean is None:
            return total
        ones = torch.ones(len(clean), device=clean.device)
        of_clean = replace(
            context,
            logits=clean.to(context.logits.dtype),
            targets=((self.labels, ones),),
            prior=self.clean.prior,
            features=None if features is None else features[len(mixed) :],
        )
        return (total + self.clean.weight * judge.mean(of_clean)) / (1 + self.clean.weight)

    @property
    def as_they_are(self) -> bool:
        """Whether each of the batch's rows is left as it is, under its own label, and nothing is added."""
        return not self.mixes and self.owner is None and self.clean is None

    def split(self, logits: Tensor) -> tuple[Tensor, Tensor | None]:
        """The rows of the mixed part `[R, …]` and of the clean term `[B, …]` (None where the plan has none).

        Raises:
            InputError: where there are more rows or fewer than the plan makes.
        """
        mixed = len(self.partner)
        expected = mixed + (len(self.labels) if self.clean is not None else 0)
        if len(logits) != expected:
            raise InputError(
                f"logits: {len(logits)} rows where the plan makes {expected} of a batch of {len(self.labels)}; "
                "the loss takes the model's output for the batch that the plan was drawn for"
            )
        return (logits, None) if self.clean is None else (logits[:mixed], logits[mixed:])

    def _check(self, features: object) -> None:
        if not isinstance(features, Tensor):
            raise InputError(
                f"features: {type(features).__name__} cannot be mixed; choose a site whose activations are one tensor "
                "(the features: site=Features())"
            )
        if len(features) != len(self.labels):
            raise InputError(
                f"features: {len(features)} rows, labels: {len(self.labels)}; both must be of the same batch"
            )
        if not features.is_floating_point():
            raise InputError(
                f"features: {features.dtype} cannot be mixed; mix floating-point activations "
                "(of token ids, mix the embeddings: site=Hidden('…'), or the features: site=Features())"
            )

"""The hinge: what is to be mixed with what, and which labels the result is held against."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from midmix.errors import InputError
from midmix.mixing.blend import Blend, Linear
from midmix.mixing.criterion import Criterion, cross_entropy, per_row

Targets = tuple[tuple[Tensor, Tensor], ...]
"""Weighted hard labels: pairs of `labels [R]` and `weight [R]`; the weights of a row sum to 1."""


@dataclass(frozen=True, eq=False)
class CleanTerm:
    """The batch's own rows, unmixed, held against their own labels with a weight of its own."""

    weight: float
    prior: Tensor | None = None


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
        clean: the added term on unmixed rows, if any.
        blend: how two rows become one.
        site: which of a mix's sites it is for.

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
    clean: CleanTerm | None = None
    blend: Blend = field(default_factory=Linear)
    site: int = 0

    @classmethod
    def unmixed(cls, labels: Tensor, prior: Tensor | None = None) -> Plan:
        """The plan that leaves every row of the batch as it is, under its own label."""
        ones = torch.ones(len(labels), device=labels.device)
        return cls(
            labels, torch.arange(len(labels), device=labels.device), ones, ((labels, ones),), prior=prior
        )

    def apply(self, features: Tensor) -> Tensor:
        """Mixes `features [B, …]` into `[R, …]` (or `[R + B, …]` with a clean term); the input is left as it is.

        Raises:
            InputError: where the rows are not as many as the labels, or not a tensor of floating point.
        """
        self._check(features)
        own = features if self.owner is None else features[self.owner]
        mixed = self.blend(own, features[self.partner], self.weight)
        return mixed if self.clean is None else torch.cat([mixed, features])

    def loss(self, logits: Tensor, criterion: Criterion = cross_entropy) -> Tensor:
        """`mean_r Σ_t weight_tr · criterion(logits_r, label_tr)`, plus the clean term's mean times its weight.

        Args:
            logits: `[R, C]`, or `[R + B, C]` with a clean term: the head's answer to `apply`'s rows.
            criterion: any per-sample loss. One that needs a class prior is given that of its own rows' owners.

        Returns:
            A scalar, in float32 at least; 0 for a batch of no rows.

        Raises:
            InputError: where the rows do not fit the plan or the criterion has averaged already.
        """
        mixed, clean = self.split(logits)
        losses = torch.stack(
            [weight * per_row(criterion, mixed, labels, self.prior) for labels, weight in self.targets]
        )
        total = losses.sum() / max(len(self.partner), 1)
        if self.clean is not None and clean is not None:
            own = per_row(criterion, clean, self.labels, self.clean.prior)
            total = total + self.clean.weight * own.sum() / max(len(own), 1)
        return total

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
        return logits[:mixed], (logits[mixed:] if self.clean is not None else None)

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

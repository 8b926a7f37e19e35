"""Criteria that correct for how often each class is a target."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from midmix.errors import InputError
from midmix.mixing.criterion import cross_entropy


class BalancedSoftmax(nn.Module):
    """Cross-entropy of logits shifted by the log prior (Ren et al. 2020, arXiv 2007.10740, equation 3).

    `ℓ = -log( π_y e^{s_y} / Σ_k π_k e^{s_k} )`, with π the class prior of the labels that it is fed: the head learns
    what is left once frequency is accounted for, and its plain argmax is balanced over the classes.

    The prior belongs to the owners: a plan hands over that of its own targets at every call (`needs_prior`), so do not
    give the data's counts here when a mix is used; they serve on their own, without a mix.

    Args:
        class_counts: `[C]`, used at calls without `prior=`.

    Shapes: `logits [R, C]`, `labels [R]`, `prior [C]` (shares or counts) → `[R]`, in nats, float32 at least.

    Raises:
        InputError: for counts that are negative or all 0; at a call that has no prior from either side, or one of
            another number of classes than the logits.

    Example:
        >>> criterion = BalancedSoftmax([9, 1])
        >>> criterion(torch.zeros(2, 2), torch.tensor([0, 1]))  # -log 0.9, -log 0.1
        tensor([0.1054, 2.3026])
    """

    needs_prior = True
    class_counts: Tensor | None

    def __init__(self, class_counts: Sequence[float] | Tensor | None = None) -> None:
        super().__init__()
        counts = None if class_counts is None else torch.as_tensor(class_counts, dtype=torch.float32)
        if counts is not None and (bool((counts < 0).any()) or not bool(counts.any())):
            raise InputError(
                f"class_counts: {counts.tolist()}; none may be negative, and one must be above 0"
            )
        self.register_buffer("class_counts", counts)

    def forward(self, logits: Tensor, labels: Tensor, prior: Tensor | None = None) -> Tensor:
        counts = prior if prior is not None else self.class_counts
        if counts is None:
            raise InputError("BalancedSoftmax: no class prior; give class_counts, or use it with a mix")
        if counts.shape != logits.shape[1:]:
            raise InputError(
                f"BalancedSoftmax: a prior of shape {tuple(counts.shape)} for {logits.shape[-1]} logits a row; "
                "one share for each class is needed"
            )
        logits = logits if logits.dtype == torch.float64 else logits.float()  # half precision holds no counts
        shares = counts.to(logits) / counts.to(logits).sum()
        # A class that is never a target has no share; the smallest float keeps its logit finite.
        return cross_entropy(logits + shares.clamp_min(torch.finfo(shares.dtype).tiny).log(), labels)

"""The classifier with its weights or logits rescaled, and nothing learned from training rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from midmix.decisions.calibrate import fit_calibration
from midmix.decisions.prior import LogitPrior
from midmix.methods.stages.stage import (
    STAGES,
    StageData,
    all_trained,
    best_balanced,
    held_out,
    linear,
    linear_head,
    rescaled,
    uniform,
)
from midmix.methods.values import real

TAUS = tuple(step / 20 for step in range(41))
"""0, 0.05, …, 2: among which τ is chosen where it is `auto`."""


@STAGES.register(name="tau_norm")
@dataclass(frozen=True)
class TauNorm:
    """τ-normalisation: each class's weights divided by the τ-th power of their length, no bias.

    `w̃_c = w_c / ‖w_c‖^τ` (Kang et al. 2020, arXiv 1910.09217).

    Args:
        tau: τ, 0 or more; 1 gives all classes weights of one length. `auto` for the one of 0, 0.05, …, 2 with the
            highest balanced accuracy on validation rows, the smallest of equal ones.

    Raises:
        InputError: for a negative τ; for a classifier that is not linear; for `auto` without validation rows.

    Example:
        >>> head = linear(torch.tensor([[4.0], [1.0]]))
        >>> data = StageData(torch.zeros(1, 1), torch.zeros(1).long(), torch.ones(2), None, 0)
        >>> TauNorm(0.5).apply(head, data).weight.flatten().tolist()
        [2.0, 1.0]
    """

    tau: float | str = 1.0
    auto: ClassVar[tuple[str, ...]] = ("tau",)

    def __post_init__(self) -> None:
        if self.tau != "auto":
            real("tau_norm:tau", self.tau, least=0)

    @property
    def needs_validation(self) -> bool:
        return self.tau == "auto"

    def apply(self, head: nn.Module, data: StageData) -> nn.Module:
        weight = linear_head(head, "tau_norm").weight.detach()
        lengths = weight.norm(dim=1, keepdim=True).clamp_min(1e-12)

        def scaled(tau: float) -> nn.Linear:
            return linear(weight / lengths**tau)

        if isinstance(self.tau, str):
            return scaled(best_balanced(scaled, TAUS, data, "tau_norm:tau=auto"))
        return scaled(self.tau)


@STAGES.register(name="logit_adjustment")
@dataclass(frozen=True)
class LogitAdjustment:
    """Post-hoc logit adjustment: `s_c - τ log π_c`, with π the classes' shares of the training rows.

    Menon et al. 2021 (arXiv 2007.07314). It takes out a prior that the logits hold, so it is for a head
    that was trained without: after balanced softmax, or rows drawn class-balanced, it is taken out twice.

    Args:
        tau: τ, 0 or more. `auto` for the one of 0, 0.05, …, 2 with the highest balanced accuracy on validation rows,
            the smallest of equal ones.

    Raises:
        InputError: for a negative τ; for a class without training rows; for `auto` without validation rows.

    Example:
        >>> head = linear(torch.zeros(2, 1))
        >>> data = StageData(torch.zeros(1, 1), torch.zeros(1).long(), torch.tensor([9, 1]), None, 0)
        >>> LogitAdjustment().apply(head, data)(torch.zeros(1, 1))  # -log 0.9, -log 0.1
        tensor([[0.1054, 2.3026]], grad_fn=<AddmmBackward0>)
    """

    tau: float | str = 1.0
    auto: ClassVar[tuple[str, ...]] = ("tau",)

    def __post_init__(self) -> None:
        if self.tau != "auto":
            real("logit_adjustment:tau", self.tau, least=0)

    @property
    def needs_validation(self) -> bool:
        return self.tau == "auto"

    def apply(self, head: nn.Module, data: StageData) -> nn.Module:
        return self._shifted(head, data, self._tau(head, data))

    def prior(self, before: LogitPrior | None, head: nn.Module, data: StageData) -> LogitPrior | None:
        """What the logits answered for, divided by `π^τ`."""
        if before is None:
            return None
        own = torch.tensor(before.shares, dtype=torch.float64).log()
        left = own - self._tau(head, data) * _log_shares(data.counts).cpu()
        return LogitPrior.from_counts(left.softmax(0))

    def _tau(self, head: nn.Module, data: StageData) -> float:
        if not isinstance(self.tau, str):
            return self.tau

        def shifted(tau: float) -> nn.Module:
            return self._shifted(head, data, tau)

        return best_balanced(shifted, TAUS, data, "logit_adjustment:tau=auto")

    def _shifted(self, head: nn.Module, data: StageData, tau: float) -> nn.Module:
        log_prior = _log_shares(data.counts).to(data.features.device)
        return rescaled(head, torch.ones_like(log_prior), -tau * log_prior)


@STAGES.register(name="temperature")
@dataclass(frozen=True)
class Temperature:
    """Temperature scaling: `s / T`, with the T that is likeliest on validation rows; no decision changes.

    Guo et al. 2017 (arXiv 1706.04599): least mean `-log softmax(s / T)[y]`, T in `[0.01, 100]`; see
    `midmix.decisions.fit_calibration`.

    Raises:
        InputError: without validation rows.

    Example:
        >>> features = torch.tensor([[0.0, 9.0], [0.0, 9.0], [9.0, 0.0], [9.0, 0.0]])  # right 3 times in 4
        >>> data = StageData(features, torch.zeros(4).long(), torch.ones(2), (features, torch.tensor([1, 1, 0, 1])), 0)
        >>> Temperature().apply(linear(torch.eye(2)), data)(features[:1])  # log 3 apart
        tensor([[0.0000, 1.0986]], grad_fn=<AddmmBackward0>)
    """

    needs_validation: ClassVar[bool] = True

    def apply(self, head: nn.Module, data: StageData) -> nn.Module:
        scale = torch.full((len(data.counts),), 1 / self._fitted(head, data), dtype=torch.float64)
        return rescaled(head, scale, torch.zeros_like(scale))

    def prior(self, before: LogitPrior | None, head: nn.Module, data: StageData) -> LogitPrior | None:
        """What the logits answered for, to the power `1 / T`: the prior in them is divided with them."""
        if before is None:
            return None
        own = torch.tensor(before.shares, dtype=torch.float64).log()
        return LogitPrior.from_counts((own / self._fitted(head, data)).softmax(0))

    def _fitted(self, head: nn.Module, data: StageData) -> float:
        features, labels = held_out(data, "temperature")
        with torch.no_grad():
            logits = head(features)
        # With every class equally likely what is divided is the logit itself, its prior with it.
        return fit_calibration(logits, labels, uniform(data).fed).temperature


def _log_shares(counts: Tensor) -> Tensor:
    known = all_trained(counts, "logit_adjustment")
    return (known / known.sum()).log()

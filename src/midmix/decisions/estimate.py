"""The prior of rows without labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from midmix.decisions.prior import check_shares, posterior, shares_of
from midmix.errors import InputError
from midmix.measures.checks import check_labels

_FEW_ROWS = 100
_ROWS_A_CLASS = 10
_INFORMATION = 0.05
_DEVIATIONS = 4.0


@dataclass(frozen=True)
class PriorEstimate:
    """What `estimate_prior` found.

    Attributes:
        prior: shares `[C]` of the classes among the rows.
        iterations: steps taken.
        converged: whether the last step moved no share by more than the tolerance.
        warnings: why not to trust it, a line each; empty where nothing speaks against it.
    """

    prior: tuple[float, ...]
    iterations: int
    converged: bool
    warnings: tuple[str, ...]


def estimate_prior(
    evidence: Tensor,
    start: Sequence[float],
    *,
    held_out: tuple[Tensor, Tensor] | None = None,
    max_iterations: int = 1000,
    tolerance: float = 1e-8,
) -> PriorEstimate:
    """The likeliest prior of rows without labels, by expectation and maximisation.

    Each step takes the mean posterior for the prior so far, `π_c ← mean_i softmax_c(evidence_i + log π)` (Saerens,
    Latinne & Decaestecker 2002, Neural Computation 14). It rests on label shift, the same p(x | c) as in training, and
    on calibrated evidence: see `fit_calibration`.

    Args:
        evidence: `[N, C]`, as `LogitPrior.evidence` gives it, calibrated or not.
        start: shares `[C]` to begin at, as a rule the training data's; a class of share 0 stays at 0.
        held_out: evidence `[M, C]` and labels `[M]` of rows that were not trained on, to see whether the evidence is
            calibrated. Without them nothing is said of that.
        max_iterations: steps at most.
        tolerance: stops where no share moves by more.

    Raises:
        InputError: no rows; a start that is no prior.

    Example:
        >>> x = torch.tensor([[0.0, 5.0]] * 30 + [[5.0, 0.0]] * 70, dtype=torch.float64)
        >>> found = estimate_prior(x, (0.5, 0.5))
        >>> [round(share, 2) for share in found.prior], found.converged, found.warnings
        ([0.7, 0.3], True, ())
    """
    if not len(evidence):
        raise InputError("prior: there are no rows to estimate it from")
    prior = torch.tensor(
        check_shares(start, "start", evidence.shape[1]), dtype=torch.float64, device=evidence.device
    )
    prior = prior / prior.sum()
    posterior(evidence, tuple(prior.tolist()))  # says so where no class is left
    converged, iterations = False, 0
    while iterations < max_iterations and not converged:
        iterations += 1
        step = (evidence.double() + prior.log()).softmax(dim=1).mean(dim=0)
        converged = bool(((step - prior).abs() <= tolerance).all())
        prior = step / step.sum()
    found = tuple(prior.tolist())
    warnings = [*_doubts(evidence, found), *_calibration_doubts(held_out)]
    if not converged:
        warnings.append(
            f"prior: still moving after {max_iterations} steps; the classes are hard to tell apart"
        )
    return PriorEstimate(found, iterations, converged, tuple(warnings))


def _doubts(evidence: Tensor, prior: tuple[float, ...]) -> list[str]:
    rows, classes = evidence.shape
    doubts = []
    needed = max(_FEW_ROWS, _ROWS_A_CLASS * classes)
    if rows < needed:
        doubts.append(
            f"prior: estimated from {rows} rows, {needed} or more are advised; the shares of rare classes are chance"
        )
    log = posterior(evidence, prior)
    entropy_of_prior = float(torch.special.entr(torch.tensor(prior, dtype=torch.float64)).sum())
    left = float(torch.special.entr(log.exp()).sum(dim=1).mean())
    if entropy_of_prior > 0 and 1 - left / entropy_of_prior < _INFORMATION:
        doubts.append(
            f"prior: the scores tell {max(0.0, 1 - left / entropy_of_prior):.1%} of what there is to know of the "
            "class; the estimate is hardly better than its start"
        )
    return doubts


def _calibration_doubts(held_out: tuple[Tensor, Tensor] | None) -> list[str]:
    """On rows of a known prior, a class's mean posterior is its share, within chance, where evidence is calibrated."""
    if held_out is None:
        return []
    evidence, labels = held_out
    check_labels(labels, evidence.shape[1])
    if len(labels) != len(evidence) or not len(labels):
        raise InputError(
            f"held_out: {len(evidence)} rows against {len(labels)} labels; rows and their labels are needed"
        )
    shares = shares_of(torch.bincount(labels, minlength=evidence.shape[1]))
    probability = posterior(evidence, shares).exp()
    gap = (probability.mean(dim=0) - torch.tensor(shares, dtype=torch.float64, device=evidence.device)).abs()
    chance = ((probability * (1 - probability)).mean(dim=0) / len(labels)).sqrt()
    worst = int((gap - _DEVIATIONS * chance).argmax())
    if gap[worst] <= _DEVIATIONS * chance[worst] + 1e-9:
        return []
    return [
        f"prior: the scores are not calibrated: on held-out rows class {worst} has share {shares[worst]:.3g} and mean "
        f"probability {float(probability[:, worst].mean()):.3g}; fit a calibration with bias first"
    ]

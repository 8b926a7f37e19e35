"""A temperature and a bias for each class, fitted on validation rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from midmix.decisions.prior import check_shares
from midmix.errors import InputError
from midmix.measures.checks import check_labels

_TEMPERATURES = (1e-2, 1e2)
_BIAS = 30.0  # nats


@dataclass(frozen=True)
class Calibration:
    """`evidence / temperature + bias`: what a head says of the classes, made to mean what it says.

    The temperature (Guo et al. 2017, arXiv 1706.04599) divides the evidence `log p(x | c)` and not the
    prior, which is known: an affine map of log-likelihood ratios (Brümmer & du Preez 2006, Computer Speech & Language
    20). So one calibration serves every stated prior, and as evidence fades the posterior becomes the prior.

    Args:
        temperature: above 0; above 1 where the head is too sure.
        bias: nats `[C]` added to the classes, or None.

    Raises:
        InputError: a temperature that is not above 0, a bias that is not finite.

    Example:
        >>> Calibration(2.0).apply(torch.tensor([[0.0, 3.0]], dtype=torch.float64))
        tensor([[0.0000, 1.5000]], dtype=torch.float64)
    """

    temperature: float = 1.0
    bias: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.temperature, int | float) or not 0 < self.temperature < math.inf:
            raise InputError(f"temperature: {self.temperature!r}; a number above 0 is needed")
        if self.bias is not None:
            try:
                bias = tuple(float(value) for value in self.bias)
            except (TypeError, ValueError):
                raise InputError("bias: expected a list of numbers, one for each class") from None
            if not all(math.isfinite(value) for value in bias):
                raise InputError("bias: expected finite numbers, one for each class")
            object.__setattr__(self, "bias", bias)

    def apply(self, evidence: Tensor) -> Tensor:
        """Calibrated evidence `[N, C]`, float64, of evidence `[N, C]`."""
        scaled = evidence.double() / self.temperature
        if self.bias is None:
            return scaled
        if len(self.bias) != evidence.shape[1]:
            raise InputError(f"bias: {len(self.bias)} numbers for {evidence.shape[1]} classes")
        return scaled + torch.tensor(self.bias, dtype=torch.float64, device=evidence.device)


def fit_calibration(
    evidence: Tensor, labels: Tensor, prior: Sequence[float], *, bias: bool = False
) -> Calibration:
    """The temperature, and a bias for each class where asked, that are likeliest on validation rows.

    Least `mean_i -log softmax(evidence_i / T + bias + log prior)[label_i]` by L-BFGS-B from T = 1 and no bias, with T
    in [0.01, 100] and |bias| ≤ 30 before centring. Never worse on these rows than without. A class without validation
    rows keeps bias 0; the others' biases have mean 0.

    Args:
        evidence: `[N, C]` of rows that were not trained on, as `LogitPrior.evidence` gives it.
        labels: `[N]`, class indices.
        prior: shares `[C]` of the classes where the validation rows come from, as a rule the data's.
        bias: fit one bias for each class too; it needs more rows, and takes a wrong prior back.

    Raises:
        InputError: no validation rows; labels that do not fit, or are of a class of share 0 or never trained.

    Example:
        >>> sure = torch.tensor([[0.0, 9.0], [0.0, 9.0], [9.0, 0.0], [9.0, 0.0]])  # right 3 times in 4
        >>> round(fit_calibration(sure, torch.tensor([1, 1, 0, 1]), (0.5, 0.5)).temperature, 2)  # 9 / log 3
        8.19
    """
    if not len(labels):
        raise InputError("calibration: there are no validation rows to fit it on; hold some out")
    check_labels(labels, evidence.shape[1])
    if len(labels) != len(evidence):
        raise InputError(f"calibration: {len(evidence)} rows against {len(labels)} labels")
    shares = np.array(check_shares(prior, "prior", evidence.shape[1]))
    with np.errstate(divide="ignore"):
        log_prior = np.log(shares)
    values: NDArray[np.float64] = evidence.detach().double().cpu().numpy()
    own = labels.cpu().numpy()
    rows = np.arange(len(own))
    impossible = ~np.isfinite(values[rows, own] + log_prior[own])
    if impossible.any():
        raise InputError(
            f"calibration: validation rows of class {own[impossible][0]}, which has no share in the prior or was never "
            "trained; leave them out"
        )
    counts = np.bincount(own, minlength=len(shares))
    free = counts > 0 if bias else np.zeros(len(shares), dtype=bool)
    known = np.where(np.isfinite(values), values, 0.0)  # a class that cannot be is out by its prior alone
    fixed = np.where(np.isfinite(values), log_prior, -np.inf)

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scaled = known * math.exp(-parameters[0])
        z = scaled + fixed
        z[:, free] += _centred(parameters[1:])
        top = z.max(axis=1, keepdims=True)
        exponentials = np.exp(z - top)
        total = exponentials.sum(axis=1, keepdims=True)
        value = float(np.mean(np.log(total[:, 0]) + top[:, 0] - z[rows, own]))
        error = exponentials / total
        error[rows, own] -= 1
        error /= len(own)
        return value, np.concatenate(([-(error * scaled).sum()], _centred(error.sum(axis=0)[free])))

    start = np.zeros(1 + int(free.sum()))
    low, high = (math.log(edge) for edge in _TEMPERATURES)
    found = minimize(
        loss,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(low, high)] + [(-_BIAS, _BIAS)] * int(free.sum()),
        options={"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-9},
    )
    if not found.fun < loss(start)[0]:
        return Calibration()
    fitted = np.zeros(len(shares))
    fitted[free] = _centred(found.x[1:])
    return Calibration(math.exp(found.x[0]), tuple(fitted.tolist()) if bias else None)


def _centred(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values - values.mean() if len(values) else values

"""Multinomial logistic regression on frozen features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import OptimizeResult, minimize
from torch import Tensor
from torch.nn.functional import one_hot

STRENGTHS = tuple(10.0**k for k in range(-4, 3))
"""Values of C among which a probe's is chosen."""
_MOST_STEPS = 5000


@dataclass(frozen=True)
class LinearProbe:
    """A linear classifier of features: `weight [C, D]`, `bias [C]`, both float64."""

    weight: Tensor
    bias: Tensor

    def logits(self, features: Tensor) -> Tensor:
        """`features [N, D]` to logits `[N, C]`, float64."""
        return features.double() @ self.weight.T + self.bias

    def accuracy(self, features: Tensor, labels: Tensor) -> float:
        """Share of rows whose largest logit is the label's."""
        return float((self.logits(features).argmax(1) == labels).double().mean())


def linear_probe(
    features: Tensor,
    labels: Tensor,
    num_classes: int,
    strengths: Sequence[float],
    *,
    tolerance: float = 1e-4,
) -> list[LinearProbe]:
    """Logistic regressions on standardised features, one for each strength of regularisation C.

    Minimises `C Σ_i -log softmax(W x_i + b)[y_i] + ½ ‖W‖²`, with `x` the features scaled to mean 0 and deviation 1, as
    scikit-learn's `LogisticRegression(C)` does behind a `StandardScaler`; the probe that is returned takes features as
    they are. L-BFGS, from the strongest regularisation to the weakest, each solution the start of the next.
    Products of matrices are float32, as the features are; sums, steps and coefficients float64.

    Args:
        features: `[N, D]`.
        labels: `[N]`, class indices.
        num_classes: number of classes.
        strengths: values of C, each above 0; smaller is stronger regularisation.
        tolerance: largest entry of the gradient of the objective over `C N` at which a solution is done, scikit-learn's
            `tol`; below 1e-6 float32 may not reach it, and the search ends where no step improves.

    Returns:
        A probe for each strength, in their order.

    Example:
        >>> features, labels = torch.tensor([[0.0], [1.0], [2.0], [3.0]]), torch.tensor([0, 0, 1, 1])
        >>> (probe,) = linear_probe(features, labels, 2, [1.0])
        >>> probe.logits(features).argmax(1)
        tensor([0, 0, 1, 1])
    """
    features = features.double()
    mean, scale = features.mean(0), features.std(0, correction=0)
    varies = scale > 1e-9 * features.abs().amax(0)  # what is constant stays 0, not rounding blown up
    scale = torch.where(varies, scale, torch.inf)
    standard = ((features - mean) / scale).float()
    inputs = torch.cat([standard, torch.ones(len(standard), 1)], dim=1)  # the last weight is the bias

    found: dict[float, LinearProbe] = {}
    coefficients = torch.zeros(num_classes, inputs.shape[1], dtype=torch.float64)
    for strength in sorted(set(strengths)):
        penalty = 1 / (strength * len(inputs))
        coefficients = _minimise(inputs, labels, penalty, coefficients, tolerance)
        weight = coefficients[:, :-1] / scale
        found[strength] = LinearProbe(weight, coefficients[:, -1] - weight @ mean)
    return [found[strength] for strength in strengths]


def _minimise(inputs: Tensor, labels: Tensor, penalty: float, start: Tensor, tolerance: float) -> Tensor:
    """The `[C, D + 1]` of least mean cross-entropy plus `½ penalty ‖W‖²`; the last column is not penalised."""
    target = one_hot(labels, len(start)).float()
    own = torch.arange(len(inputs)) * len(start) + labels  # where each row's label stands in a flat [N · C]

    @torch.inference_mode()
    def objective(flat: np.ndarray[Any, Any]) -> tuple[float, np.ndarray[Any, Any]]:
        coefficients = torch.from_numpy(flat).view_as(start)
        log_odds = torch.log_softmax(inputs @ coefficients.float().T, dim=1)
        loss = -log_odds.take(own).mean(dtype=torch.float64)
        gradient = (log_odds.exp_().sub_(target).T @ inputs).double() / len(inputs)
        shrunk = penalty * coefficients[:, :-1]
        gradient[:, :-1] += shrunk
        return float(loss + 0.5 * (shrunk * coefficients[:, :-1]).sum()), gradient.numpy().ravel()

    result: OptimizeResult = minimize(
        objective,
        start.numpy().ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _MOST_STEPS, "maxfun": 2 * _MOST_STEPS, "gtol": tolerance, "ftol": 1e-12},
    )
    return torch.from_numpy(result.x).view_as(start)

"""A linear classifier in closed form that is made for long tails: every number in it is estimated, none is tuned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from midmix.errors import InputError
from midmix.methods.stages.stage import STAGES, StageData, all_trained, linear, linear_head
from midmix.methods.values import real

_CHUNK = 65_536
"""Rows whose products are summed at a time, so that a million rows take no memory beside their own."""


def discriminant(
    features: Tensor,
    labels: Tensor,
    num_classes: int,
    *,
    pull: float | None = None,
    shrinkage: float | None = None,
    weighting: float = 0.5,
) -> nn.Linear:
    """Linear discriminants with shrunk class means and a shrunk covariance, for classes of any counts.

    Gaussian classes with one covariance and a uniform prior, `logit_c = m_c' S⁻¹ z - ½ m_c' S⁻¹ m_c`, where with n_c
    rows of class c, mean μ_c, and μ the mean of the means

    - `m_c = μ + n_c / (n_c + k) · (μ_c - μ)`: the mean of few rows is pulled towards the others, as Stein's estimator
      does. `k = tr(S⁻¹ Σ) / b`, what chance adds to the squared length of one row's `μ_c - μ` by that of the classes'
      own, in units of S: `b` is the mean of `(μ_c - μ)' S⁻¹ (μ_c - μ) - tr(S⁻¹ Σ) / n_c`, classes weighted by
      `n_c / (n_c + 1)`. So the spread of the classes is estimated from the classes (Efron & Morris 1973);
    - `Σ = Σ_i w_i (z_i - μ_{y_i})(z_i - μ_{y_i})' / Σ_i w_i` with `w_i = n_{y_i}^-p`: between all rows alike, p = 0,
      and all classes alike, p = 1;
    - `S = (1 - s) Σ + s tr(Σ)/D · I` with `s = D / (D + N)` of N effective rows, `(Σ w)² / Σ w²`: the covariance has
      as much to say as a prior of D rows.

    Args:
        features: `[N, D]`.
        labels: `[N]`, every class among them.
        num_classes: C.
        pull: k; None to estimate it.
        shrinkage: s in [0, 1]; None for `D / (D + N)`.
        weighting: p in [0, 1].

    Example:
        >>> features = torch.tensor([[0.0, 1.0], [0.0, -1.0], [4.0, 0.0]])
        >>> head = discriminant(features, torch.tensor([0, 0, 1]), 2)
        >>> head(torch.tensor([[1.0, 0.0], [3.0, 0.0]])).argmax(1).tolist()
        [0, 1]
    """
    counts = torch.bincount(labels, minlength=num_classes).double()
    size = features.shape[1]
    means, scatter = _moments(features, labels, counts, weighting)
    centre = means.mean(0)
    weight = counts**-weighting
    rows = float((weight * counts).sum() ** 2 / (weight.square() * counts).sum())
    share = size / (size + rows) if shrinkage is None else shrinkage
    values, axes = torch.linalg.eigh(scatter)
    values = values.clamp_min(0)
    values = (1 - share) * values + share * values.mean()
    inverse = torch.where(values > values.max() * 1e-12, 1 / values.clamp_min(1e-300), 0.0)
    apart = (means - centre) @ axes
    if pull is None:
        squared = (apart.square() * inverse).sum(1)
        trusted = counts / (counts + 1)
        noise = (
            scatter.mul(axes @ torch.diag(inverse) @ axes.T)
        ).sum()  # what a mean of one row has by chance
        between = float(((squared - noise / counts) * trusted).sum() / trusted.sum())
        pull = float(noise) / between if between > 0 else torch.inf
    kept = counts / (counts + pull) if pull < torch.inf else torch.zeros_like(counts)
    apart = apart * kept[:, None]
    weights = (apart * inverse) @ axes.T
    places = centre + apart @ axes.T
    bias = -0.5 * ((places + centre) * weights).sum(1)
    return linear(weights.to(features), bias.to(features))


def _moments(features: Tensor, labels: Tensor, counts: Tensor, weighting: float) -> tuple[Tensor, Tensor]:
    """Mean features of each class `[C, D]`, and the weighted covariance within classes `[D, D]`, in float64."""
    size, device = features.shape[1], features.device
    sums = torch.zeros(len(counts), size, dtype=torch.float64, device=device)
    for rows, own in zip(torch.split(features, _CHUNK), torch.split(labels, _CHUNK), strict=True):
        sums.index_add_(0, own, rows.detach().double())
    means = sums / counts.clamp_min(1)[:, None]
    scatter = torch.zeros(size, size, dtype=torch.float64, device=device)
    total = torch.zeros((), dtype=torch.float64, device=device)
    for rows, own in zip(torch.split(features, _CHUNK), torch.split(labels, _CHUNK), strict=True):
        weight = counts[own] ** -weighting
        apart = rows.detach().double() - means[own]
        scatter += (apart * weight[:, None]).T @ apart
        total += weight.sum()
    return means, scatter / total


@STAGES.register(name="discriminant")
@dataclass(frozen=True)
class Discriminant:
    """Linear discriminants with pulled means and a shrunk covariance in place of the trained classifier, see
    `discriminant`; or a mean of both.

    Args:
        pull: k, rows that every class is given at the mean of the classes, 0 or more; `auto` to estimate it.
        shrinkage: s in [0, 1] towards a round covariance; `auto` for `D / (D + N)`.
        blend: share of the trained classifier, in [0, 1]: `(1 - a) d + a · t · sd(d)/sd(t)` of the logits d and t, each
            with mean 0 over the classes and its spread over the training rows.

    Raises:
        InputError: for values that cannot be, a class without training rows, or a classifier that is not linear where
            it is blended.

    Example:
        >>> features = torch.tensor([[0.0, 1.0], [0.0, -1.0], [4.0, 0.0]])
        >>> data = StageData(features, torch.tensor([0, 0, 1]), torch.tensor([2, 1]), None, 0)
        >>> Discriminant().apply(nn.Linear(2, 2), data)(torch.tensor([[1.0, 0.0], [3.0, 0.0]])).argmax(1)
        tensor([0, 1])
    """

    pull: float | str = "auto"
    shrinkage: float | str = "auto"
    blend: float = 0.0
    auto: ClassVar[tuple[str, ...]] = ("pull", "shrinkage")

    def __post_init__(self) -> None:
        check_options("discriminant", self.pull, self.shrinkage)
        _share("discriminant:blend", self.blend)

    def apply(self, head: nn.Module, data: StageData) -> nn.Module:
        all_trained(data.counts, "discriminant")
        made = discriminant(
            data.features,
            data.labels,
            len(data.counts),
            pull=number(self.pull),
            shrinkage=number(self.shrinkage),
        )
        return made if not self.blend else _blended(made, linear_head(head, "discriminant"), self.blend, data)


def check_options(name: str, pull: float | str, shrinkage: float | str) -> None:
    """Sees that the options of a discriminant can be.

    Raises:
        InputError: where they cannot.
    """
    if pull != "auto":
        real(f"{name}:pull", pull, least=0)
    if shrinkage != "auto":
        _share(f"{name}:shrinkage", shrinkage)


def number(option: float | str) -> float | None:
    """An option's value; None for `auto`."""
    return None if option == "auto" else float(option)


def _share(option: str, value: float | str) -> None:
    real(option, value)
    if not 0 <= float(value) <= 1:
        raise InputError(f"{option}={value}: must be between 0 and 1")


@torch.no_grad()
def _blended(made: nn.Linear, trained: nn.Linear, share: float, data: StageData) -> nn.Linear:
    first, second = _centred(made), _centred(trained)
    spreads = [float(head(data.features).double().std()) for head in (first, second)]
    scale = spreads[0] / spreads[1] if spreads[1] > 0 else 0.0
    return linear(
        (1 - share) * first.weight + share * scale * second.weight,
        (1 - share) * first.bias + share * scale * second.bias,
    )


def _centred(head: nn.Linear) -> nn.Linear:
    """The same decisions, with logits whose mean over the classes is 0."""
    bias = head.weight.new_zeros(head.out_features) if head.bias is None else head.bias.detach()
    weight = head.weight.detach()
    return linear(weight - weight.mean(0), bias - bias.mean())

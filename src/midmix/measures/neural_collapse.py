"""Neural collapse: within-class variability, the simplex of means, self-duality, nearest centre.

Source of all four: Papyan, Han & Donoho, "Prevalence of neural collapse during the terminal phase of deep
learning training", PNAS 2020. Their classes are balanced; for unequal ones this follows the authors' code:
`Σ_W` is the mean over all rows, `Σ_B` and the global mean `μ_G` are means over classes. Features are taken as
they are, not normalised. Classes without rows are left out.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from midmix.errors import InputError
from midmix.measures._rows import Rows
from midmix.measures.checks import check_logits
from midmix.measures.estimate import Estimate
from midmix.measures.moments import RawMoments
from midmix.measures.table import declare

_ROWS_AT_ONCE = 4096


class NC2(NamedTuple):
    """How far the class means are from a simplex; all three are lower when nearer, 0 at collapse."""

    equinorm: float
    """`Std_c ‖μ_c - μ_G‖ / Avg_c ‖μ_c - μ_G‖`"""
    equiangular: float
    """`Std_{a≠b} cos(μ_a - μ_G, μ_b - μ_G)`"""
    maximal_angle: float
    """`Avg_{a≠b} |cos(μ_a - μ_G, μ_b - μ_G) + 1/(C-1)|`"""


def nc1(features: Tensor, labels: Tensor) -> float:
    """Within-class variability `tr(Σ_W Σ_B⁺) / C`; lower is more collapsed, 0 is one point a class.

    `Σ_W = 1/N Σ_c Σ_a (z_a - μ_c)(z_a - μ_c)ᵀ`, `Σ_B = 1/C Σ_c (μ_c - μ_G)(μ_c - μ_G)ᵀ`, both `[D, D]`. Where
    all class means coincide (one class, say) `Σ_B⁺` is zero and so is this: read it beside `class_uniformity`.

    Args:
        features: `[N, D]`, any float dtype; sums are float64.
        labels: `[N]`, class indices.

    Raises:
        InputError: features and labels that do not fit, non-finite rows, no rows.

    Example:
        >>> features = torch.tensor([[1.0, 0.1], [1.0, -0.1], [-1.0, 0.0]])  # spread across, not along
        >>> nc1(features, torch.tensor([0, 0, 1]))
        0.0
    """
    return nc1_of(_moments(features, labels))


def nc2(features: Tensor, labels: Tensor) -> NC2:
    """Class means of equal norm and at equal, maximal angles; standard deviations are those of a population.

    NaN for the two angles with one class: there is none. A mean that is `μ_G` itself counts as orthogonal to all.

    Args:
        features: `[N, D]`, any float dtype; sums are float64.
        labels: `[N]`, class indices.

    Raises:
        InputError: features and labels that do not fit, non-finite rows, no rows.

    Example:
        >>> [round(value, 4) for value in nc2(torch.eye(4), torch.arange(4))]  # a simplex
        [0.0, 0.0, 0.0]
    """
    return nc2_of(_moments(features, labels))


def nc3(features: Tensor, labels: Tensor, weight: Tensor) -> float:
    """Self-duality `‖W/‖W‖_F - M/‖M‖_F‖_F` of head and class means; lower is closer, from 0 to 2.

    Row c of `M` is `μ_c - μ_G`; rows of W whose class has no rows are left out on both sides.

    Args:
        features: `[N, D]`, any float dtype; sums are float64.
        labels: `[N]`, class indices below C.
        weight: `[C, D]`, the linear head's weight, as in `torch.nn.Linear`.

    Raises:
        InputError: features and labels that do not fit, non-finite rows, no rows, a head of another shape.

    Example:
        >>> features = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        >>> nc3(features, torch.tensor([0, 1]), weight=5 * features)
        0.0
    """
    return nc3_of(_moments(features, labels), weight)


def nc4(features: Tensor, labels: Tensor, logits: Tensor) -> Estimate:
    """Share of rows whose largest logit is the class of the nearest mean; higher is more collapsed, 1 at most.

    `1/N Σ_i [argmax_c logits_ic = argmin_c ‖z_i - μ_c‖₂]`. (The paper plots the share that disagrees.) Means at
    the same distance up to rounding are all nearest.

    Args:
        features: `[N, D]`, any float dtype; sums are float64.
        labels: `[N]`, class indices: they make the means.
        logits: `[N, C]`.

    Returns:
        The share, with `per_class [C]`: the share among the rows of a class.

    Raises:
        InputError: features, labels and logits that do not fit, non-finite rows, no rows.

    Example:
        >>> features = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.2, 1.0]])
        >>> nc4(features, torch.tensor([0, 1, 1]), logits=torch.tensor([[2.0, 1.0], [0.0, 1.0], [1.0, 0.0]]))
        0.6666666666666666
    """
    rows = Rows.of(features, labels)
    check_logits(logits, labels)
    moments = RawMoments.of(rows.features, rows.labels, logits.shape[1])
    agrees = nearest_mean_agrees(moments, rows.features, logits.argmax(1))
    return nc4_of(agrees, rows.labels, moments.counts)


def nc1_of(moments: RawMoments) -> float:
    """`nc1` from moments."""
    means = centred_means(moments)
    # Σ_B = Vᵀ S² V / C from the singular values of the means, so no D×D inverse: tr = Σ_k v_kᵀ Σ_W v_k · C / s_k².
    _, s, v = torch.linalg.svd(means, full_matrices=False)
    rank = (s.square() > s.square().max() * max(means.shape) * torch.finfo(s.dtype).eps).sum()
    rank = rank.clamp(max=len(means) - 1)
    within = ((v[:rank] @ moments.scatter) * v[:rank]).sum(1) / moments.counts.sum()
    return float((within / s[:rank].square()).sum())  # · C / C


def nc2_of(moments: RawMoments) -> NC2:
    """`nc2` from moments."""
    means = centred_means(moments)
    norms = means.norm(dim=1)
    equinorm = float(norms.std(correction=0) / norms.mean()) if norms.any() else 0.0
    c = len(means)
    if c == 1:
        return NC2(equinorm, math.nan, math.nan)
    directions = normalize(means, dim=1)
    cosines = (directions @ directions.T)[~torch.eye(c, dtype=torch.bool, device=means.device)]
    return NC2(equinorm, float(cosines.std(correction=0)), float((cosines + 1 / (c - 1)).abs().mean()))


def nc3_of(moments: RawMoments, weight: Tensor) -> float:
    """`nc3` from moments."""
    check_head(weight, None, num_classes=len(moments.counts), width=moments.mean.shape[1])
    w = weight.detach().to(moments.mean)[moments.counts > 0]
    means = centred_means(moments)
    return float((_at_unit_norm(w) - _at_unit_norm(means)).norm())


def nearest_mean_agrees(moments: RawMoments, features: Tensor, predictions: Tensor) -> Tensor:
    """`[N]`, bool: whether the predicted class's mean is the nearest one."""
    present = moments.counts > 0
    means = centred_means(moments)
    index = torch.full_like(moments.counts, -1)
    index[present] = torch.arange(len(means), device=index.device)
    agrees = []
    for z, predicted in zip(
        torch.split(features, _ROWS_AT_ONCE), torch.split(predictions, _ROWS_AT_ONCE), strict=True
    ):
        centred = z.detach().double() - moments.mean[present].mean(0)
        # ‖z - μ‖² without ‖z‖², which all classes share.
        score = means.square().sum(1) - 2 * centred @ means.T
        scale = means.square().sum(1).max() + centred.square().sum(1)
        chosen = index[predicted]
        own = score.gather(1, chosen.clamp_min(0)[:, None]).squeeze(1)
        agrees.append((own <= score.min(1).values + 1e-12 * scale) & (chosen >= 0))
    return torch.cat(agrees)


def nc4_of(agrees: Tensor, labels: Tensor, counts: Tensor) -> Estimate:
    """`nc4` from agreement by row, of all rows or of a uniform sample of them; `counts` are of all."""
    n, total = len(agrees), int(counts.sum())
    share = agrees.double().mean()
    seen = torch.bincount(labels, minlength=len(counts))
    hits = torch.bincount(labels, weights=agrees.double(), minlength=len(counts))
    error = float((share * (1 - share) / (n - 1) * (1 - n / total)).sqrt()) if n < total else 0.0
    return Estimate(float(share), standard_error=error, per_class=hits / seen)


def centred_means(moments: RawMoments) -> Tensor:
    """`μ_c - μ_G`, float64, of the classes with rows. Differences that are but rounding are zero."""
    means = moments.mean[moments.counts > 0]
    centred = means - means.mean(0)
    rounding = 1e-13 * means.norm(dim=1).max()
    return centred.masked_fill((centred.norm(dim=1) <= rounding)[:, None], 0.0)


def check_head(weight: Tensor, bias: Tensor | None, *, num_classes: int, width: int) -> None:
    """A linear head for features of this width, with a row for each class.

    Raises:
        InputError: saying what its shape is and what was expected.
    """
    if weight.ndim != 2 or weight.shape[1] != width or weight.shape[0] < num_classes:
        raise InputError(
            f"head: weight is {list(weight.shape)}, but {num_classes} classes and features of {width} columns "
            f"need [{num_classes}, {width}] (classes first, as in torch.nn.Linear)"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise InputError(f"head: bias is {list(bias.shape)}, but the weight has {len(weight)} classes")


def _at_unit_norm(matrix: Tensor) -> Tensor:
    norm = matrix.norm()
    return matrix / norm if norm else matrix


def _moments(features: Tensor, labels: Tensor) -> RawMoments:
    rows = Rows.of(features, labels)
    return RawMoments.of(rows.features, rows.labels, len(rows.counts))


# Neural collapse is a state, not a virtue: its measures have no better way.
declare("nc1", "NC1", "", lambda o: o.meter.nc1(), needs=["features"], table="collapse", order=7)
for _place, (_name, _heading) in enumerate(
    (("equinorm", "NC2 norms"), ("equiangular", "NC2 angles"), ("maximal_angle", "NC2 largest angle"))
):
    declare(
        f"nc2_{_name}", _heading, "", lambda o, name=_name: getattr(o.meter.nc2(), name),  # type: ignore[misc]
        needs=["features"], table="collapse", order=8 + _place,
    )  # fmt: skip
declare(
    "nc3", "NC3", "", lambda o: o.meter.nc3(o.head[0]) if o.head else math.nan, needs=["features", "head"],
    table="collapse", order=11,
)  # fmt: skip
declare("nc4", "NC4", "", lambda o: o.meter.nc4(), needs=["features", "logits"], table="collapse", order=12)

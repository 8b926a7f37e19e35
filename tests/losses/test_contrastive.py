"""Contrastive terms against published values, and against loops over rows."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from scipy.special import ive
from torch import Tensor, nn

from midmix.errors import InputError
from midmix.losses import LossContext, loss
from midmix.losses.projection import Projection
from midmix.losses.recipes.contrastive import balanced_contrast, supervised_contrast
from midmix.losses.recipes.proco import ExpectedContrast, concentration, expected_contrast
from midmix.losses.von_mises_fisher import log_bessel_ratio
from midmix.mixing.context import Views

CASES = ("A5", "B2", "C7")
NAMES = ("supcon", "bcl", "proco")
LABELS = torch.tensor([0, 1, 2, 0, 2, 1, 1])


def entries(values: dict[str, Any], start: str) -> list[dict[str, Any]]:
    found = [entry for name, entry in values.items() if name.startswith(start)]
    assert found
    return found


def exact(numbers: Any) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def stacked(entry: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    """Features `[B, 2, D]`, the same as points `[2B, D]`, and their labels."""
    features = exact(entry["inputs"]["features_Bx2xD"]).requires_grad_()
    points = features.transpose(0, 1).flatten(0, 1)
    return features, points, torch.tensor(entry["inputs"]["labels"]).repeat(2)


@pytest.mark.parametrize("case", CASES)
def test_supervised_contrast_is_that_of_published_code(case, values):
    """The code scales by the temperature over a base of its own."""
    for entry in entries(values, f"supcon/{case}/"):
        features, points, labels = stacked(entry)
        p = entry["params"]
        found = supervised_contrast(points, labels, p["temperature"])
        found = found * p["temperature"] / p["base_temperature"]
        (slope,) = torch.autograd.grad(found, features)
        torch.testing.assert_close(found.detach(), exact(entry["outputs"]["batch"]), rtol=1e-9, atol=1e-10)
        torch.testing.assert_close(slope, exact(entry["outputs"]["grad_features"]), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_balanced_contrast_is_that_of_published_code(case, values):
    (entry,) = entries(values, f"bcl_balscl/{case}/")
    features, points, labels = stacked(entry)
    centres = exact(entry["inputs"]["centers_CxD"]).requires_grad_()
    found = balanced_contrast(points, labels, centres, entry["params"]["temperature"])
    slopes = torch.autograd.grad(found, (features, centres))
    out = entry["outputs"]
    torch.testing.assert_close(found.detach(), exact(out["batch"]), rtol=1e-9, atol=1e-10)
    for slope, name in zip(slopes, ("grad_features", "grad_centers"), strict=True):
        torch.testing.assert_close(slope, exact(out[name]), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_expected_contrast_is_the_published_formula(case, values):
    """At the concentrations of the code; with its Bessel functions done exactly."""
    for entry in entries(values, f"proco/{case}/"):
        inputs, out = entry["inputs"], entry["outputs"]
        points, counts = exact(inputs["features"]), exact(inputs["class_counts"])
        means, kappa = exact(inputs["class_mean_vectors"]), exact(out["kappa"])
        found = expected_contrast(points, means, kappa, entry["params"]["temperature"])
        torch.testing.assert_close(found, exact(out["contrast_logits_exact"]), rtol=1e-8, atol=1e-8)
        loss_ = nn.functional.cross_entropy(
            found + (counts / counts.sum()).log(), torch.tensor(inputs["labels"])
        )
        expected = exact(out["ce_with_log_prior_batch_exact"])
        torch.testing.assert_close(loss_, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("order", [7.0, 15.0, 63.0])
def test_bessel_functions_are_scipy_s(order):
    kappa = torch.tensor([0.5, 1.0, 5.0, 30.0, 80.0, 300.0, 2560.0], dtype=torch.float64, requires_grad=True)
    k = kappa.detach().numpy()
    scaled = exact(ive(order, k))
    expected = scaled.log() + exact(k) - order * exact(k).log()
    found = log_bessel_ratio(order, kappa)
    kept = expected.isfinite()
    torch.testing.assert_close(
        (found - found[-1]).detach()[kept], (expected - expected[-1])[kept], rtol=0, atol=1e-9
    )
    (slope,) = torch.autograd.grad(found.sum(), kappa)  # of log(I_ν / κ^ν) it is I_{ν+1} / I_ν
    torch.testing.assert_close(slope[kept], (exact(ive(order + 1, k)) / scaled)[kept], rtol=1e-7, atol=1e-9)
    assert log_bessel_ratio(order, torch.zeros(1)).isfinite().all()


def test_the_expected_contrast_is_the_mean_over_drawn_rows(generator):
    """Of points uniform on the sphere (κ = 0), whose mean of e^{z·x/T} draws can estimate."""
    drawn = nn.functional.normalize(torch.randn(400_000, 16, generator=generator, dtype=torch.float64))
    point = torch.eye(1, 16, dtype=torch.float64)
    estimate = (drawn @ point[0] / 0.5).exp().mean().log()
    found = expected_contrast(point, torch.zeros(1, 16).double(), torch.zeros(1).double(), 0.5)
    assert float(found) == pytest.approx(float(estimate), abs=0.01)


def test_contrasts_are_loops_over_anchors(generator):
    points = nn.functional.normalize(torch.randn(7, 5, generator=generator, dtype=torch.float64))
    centres = nn.functional.normalize(torch.randn(4, 5, generator=generator, dtype=torch.float64))
    z, centre, y = points.tolist(), centres.tolist(), LABELS.tolist()

    def e(a: list[float], b: list[float]) -> float:
        return math.exp(sum(s * t for s, t in zip(a, b, strict=True)) / 0.3)

    plain, balanced = 0.0, 0.0
    for i, anchor in enumerate(z):
        others = [j for j in range(7) if j != i]
        total = sum(e(anchor, z[a]) for a in others)
        mine = [j for j in others if y[j] == y[i]]
        plain -= sum(math.log(e(anchor, z[p]) / total) for p in mine) / len(mine)
        total = 0.0
        for c in range(4):
            members = [e(anchor, centre[c]), *(e(anchor, z[j]) for j in others if y[j] == c)]
            total += sum(members) / len(members)
        pull = [e(anchor, centre[y[i]]), *(e(anchor, z[j]) for j in mine)]
        balanced -= sum(math.log(p / total) for p in pull) / len(pull)
    assert float(supervised_contrast(points, LABELS, 0.3)) == pytest.approx(plain / 7, rel=1e-10)
    assert float(balanced_contrast(points, LABELS, centres, 0.3)) == pytest.approx(balanced / 7, rel=1e-10)


def test_concentrations_follow_the_lengths_of_means():
    means = torch.diag(torch.tensor([0.0, 0.5, 1.0])) @ torch.eye(3, 16)
    assert concentration(means).tolist() == pytest.approx([0, 0.5 * (16 - 0.25) / 0.75, 1e5])


def test_running_means_are_those_of_the_last_rows_of_each_class(generator):
    part = ExpectedContrast(1.0, 0.1, 16)
    part.prepare(nn.Linear(5, 3), 3)
    counts = torch.tensor([3.0, 2.0, 9.0])
    seen: list[Tensor] = []
    labels = torch.tensor([0, 0, 2])
    for _ in range(2):
        features = torch.randn(2, 3, 5, generator=generator)
        context = LossContext(
            torch.zeros(3, 3), ((labels, torch.ones(3)),), counts=counts, views=Views(features, labels)
        )
        part.observe(context)
        seen.append(part.project(features).detach())
    of_first = torch.cat([points[:, :2].flatten(0, 1) for points in seen])  # 8 rows seen, 6 an epoch
    torch.testing.assert_close(part.means[0], of_first.mean(0))
    assert part.rows.tolist() == [8, 0, 4]
    assert part.means[1].abs().sum() == 0
    part.observe(context)  # of the eight the memory keeps the weight of six
    expected = (6 * of_first.mean(0) + of_first[4:].sum(0)) / 10
    torch.testing.assert_close(part.means[0], expected)


@pytest.mark.parametrize("name", NAMES)
def test_what_they_learn_is_made_once_and_from_the_seed(name):
    found = []
    for seed in (3, 3, 4):
        judge = loss(name)
        assert not list(judge.parameters())
        judge.prepare(nn.Linear(5, 3), 3, seed=1)
        torch.manual_seed(0)
        judge.prepare(nn.Linear(5, 3), 3, seed=seed)  # there already
        first = next(judge.parameters())
        again = loss(name)
        again.prepare(nn.Linear(5, 3), 3, seed=seed)
        found.append(next(again.parameters()))
        assert next(judge.parameters()) is first
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_is_named(name, generator):
    head = nn.Linear(5, 3)
    known: dict[str, Any] = {"prior": torch.ones(3), "counts": torch.ones(3), "head": head}
    targets = ((LABELS, torch.ones(7)),)
    views = Views(torch.randn(2, 7, 5, generator=generator), LABELS)
    judge = loss(name)
    with pytest.raises(InputError, match="has no projection yet; attach the mix"):
        judge.eval().mean(LossContext(torch.zeros(7, 3), targets, **known, views=views))
    judge.prepare(head, 3)
    with pytest.raises(InputError, match="needs views, which nobody has given"):
        judge.mean(LossContext(torch.zeros(7, 3), targets, **known))
    with pytest.raises(InputError, match="is of a network with 5 features, not 6"):
        judge.prepare(nn.Linear(6, 3), 3)
    with pytest.raises(InputError, match=r"does not say how wide|has none of a row a class"):
        loss(name).prepare(nn.Sequential(nn.Linear(5, 3)), 3)


@pytest.mark.parametrize("option", ["weight=-1", "temperature=0", "dim=8", "dim=2.5"])
@pytest.mark.parametrize("name", NAMES)
def test_values_that_cannot_be(name, option):
    key, value = option.split("=")
    with pytest.raises(InputError, match=f"^{key}: "):
        loss(name, **{key: float(value) if "." in value else int(value)})


def test_points_have_length_one_and_the_features_width(generator):
    projection = Projection(16)
    projection.prepare(nn.Linear(5, 3))
    points = projection(torch.randn(2, 7, 5, generator=generator).bfloat16())
    assert points.shape == (2, 7, 16)
    torch.testing.assert_close(points.norm(dim=-1), torch.ones(2, 7))

"""Priors of unlabelled rows against a naive loop; temperatures and biases against their definition."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from midmix.decisions import Calibration, estimate_prior, fit_calibration, posterior
from midmix.errors import InputError


def naive_em(evidence, start, steps):
    prior = list(start)
    for _ in range(steps):
        total = [0.0] * len(prior)
        for row in evidence.tolist():
            joint = [math.exp(e) * p for e, p in zip(row, prior, strict=True)]
            for c, value in enumerate(joint):
                total[c] += value / sum(joint)
        prior = [value / len(evidence) for value in total]
    return prior


def two_gaussians(counts, generator, gap=2.0):
    """Evidence [N, 2] of unit Gaussians at 0 and `gap`, exact, and labels."""
    labels = torch.arange(2).repeat_interleave(torch.tensor(counts))
    x = gap * labels + torch.randn(len(labels), generator=generator, dtype=torch.float64)
    return torch.stack((-0.5 * x**2, -0.5 * (x - gap) ** 2), 1), labels


@pytest.mark.parametrize("steps", [1, 2, 25])
def test_em_is_the_naive_loop(steps, generator):
    evidence = torch.randn(60, 3, generator=generator, dtype=torch.float64)
    found = estimate_prior(evidence, (0.5, 0.3, 0.2), max_iterations=steps, tolerance=0)
    assert found.iterations == steps
    assert found.prior == pytest.approx(naive_em(evidence, (0.5, 0.3, 0.2), steps), rel=1e-10)


def test_em_finds_the_prior_of_shifted_rows(generator):
    evidence, _ = two_gaussians([3_000, 7_000], generator)
    found = estimate_prior(evidence, (0.95, 0.05))
    assert found.prior[1] == pytest.approx(0.7, abs=0.02)
    assert found.converged
    assert found.warnings == ()


@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.integers(1, 30))
def test_em_steps_never_make_the_rows_less_likely(seed, classes, rows):
    evidence = 4 * torch.randn(
        rows, classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    start = (1 / classes,) * classes
    likelihoods = []
    for steps in (1, 2, 5, 20):
        prior = torch.tensor(estimate_prior(evidence, start, max_iterations=steps).prior, dtype=torch.float64)
        assert prior.sum().item() == pytest.approx(1)
        likelihoods.append((evidence + prior.log()).logsumexp(1).sum().item())
    assert all(b >= a - 1e-9 for a, b in pairwise(likelihoods))


def test_em_warns_of_few_rows_of_empty_scores_and_of_no_end(generator):
    few = estimate_prior(two_gaussians([5, 5], generator)[0], (0.5, 0.5))
    assert any("10 rows" in line for line in few.warnings)
    blind = estimate_prior(
        0.01 * torch.randn(500, 2, generator=generator, dtype=torch.float64), (0.5, 0.5), max_iterations=5
    )
    assert any("tell" in line for line in blind.warnings)
    assert not blind.converged
    assert any("still moving" in line for line in blind.warnings)


def test_em_warns_where_held_out_rows_show_no_calibration(generator):
    evidence, _ = two_gaussians([300, 700], generator)
    held_out = two_gaussians([9_000, 1_000], generator)
    assert estimate_prior(evidence, (0.9, 0.1), held_out=held_out).warnings == ()
    shift = torch.tensor([0.0, 1.0], dtype=torch.float64)
    found = estimate_prior(evidence + shift, (0.9, 0.1), held_out=(held_out[0] + shift, held_out[1]))
    assert any("not calibrated" in line for line in found.warnings)


def test_classes_of_share_zero_stay_so(generator):
    evidence = torch.randn(20, 3, generator=generator, dtype=torch.float64)
    evidence[:, 2] = -math.inf
    assert estimate_prior(evidence, (0.5, 0.5, 0.0)).prior[2] == 0
    with pytest.raises(InputError, match="no rows"):
        estimate_prior(evidence[:0], (0.5, 0.5, 0.0))


def loss(calibration, evidence, labels, prior):
    log = posterior(calibration.apply(evidence), prior)
    return -log.gather(1, labels[:, None]).mean().item()


@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 5),
    st.integers(1, 40),
    st.booleans(),
    st.sampled_from([0.0, 0.1, 1.0, 30.0]),
)
def test_calibration_is_never_worse_on_its_rows(seed, classes, rows, bias, scale):
    generator = torch.Generator().manual_seed(seed)
    evidence = scale * torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (rows,), generator=generator)
    prior = (1 / classes,) * classes
    found = fit_calibration(evidence, labels, prior, bias=bias)
    assert loss(found, evidence, labels, prior) <= loss(Calibration(), evidence, labels, prior) + 1e-12


@pytest.mark.parametrize("bias", [False, True])
def test_calibration_undoes_what_was_done(bias, generator):
    true, labels = two_gaussians([9_000, 1_000], generator)
    shift = torch.tensor([0.7, -0.7] if bias else [0.0, 0.0], dtype=torch.float64)
    found = fit_calibration(3 * (true - shift), labels, (0.9, 0.1), bias=bias)
    assert found.temperature == pytest.approx(3, rel=0.1)
    if bias:
        assert found.bias == pytest.approx(shift.tolist(), abs=0.1)
    assert loss(found, 3 * (true - shift), labels, (0.9, 0.1)) == pytest.approx(
        loss(Calibration(), true, labels, (0.9, 0.1)), abs=1e-3
    )


def test_the_temperature_is_that_of_a_fine_grid(generator):
    evidence, labels = two_gaussians([90, 30], generator)
    evidence = 2.5 * evidence
    found = fit_calibration(evidence, labels, (0.75, 0.25))
    grid = min(
        (loss(Calibration(t / 1000), evidence, labels, (0.75, 0.25)), t / 1000) for t in range(500, 9000, 20)
    )
    assert found.temperature == pytest.approx(grid[1], abs=0.02)


def test_classes_without_validation_rows_keep_their_bias(generator):
    evidence = torch.randn(200, 4, generator=generator, dtype=torch.float64)
    evidence[:, 3] = -math.inf
    labels = torch.randint(2, (200,), generator=generator)
    found = fit_calibration(evidence, labels, (0.5, 0.2, 0.3, 0.0), bias=True)
    assert found.bias is not None
    assert found.bias[2] == found.bias[3] == 0
    assert sum(found.bias) == pytest.approx(0)


def test_calibration_says_what_it_lacks():
    evidence = torch.zeros(2, 2, dtype=torch.float64)
    with pytest.raises(InputError, match="no validation rows"):
        fit_calibration(evidence[:0], torch.zeros(0, dtype=torch.int64), (0.5, 0.5))
    with pytest.raises(InputError, match="class 1, which has no share"):
        fit_calibration(evidence, torch.tensor([0, 1]), (1.0, 0.0))
    with pytest.raises(InputError, match="temperature"):
        Calibration(0.0)

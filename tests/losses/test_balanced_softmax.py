"""The balanced softmax against its formula written out, in every dtype, and what wrong priors get."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from midmix.errors import InputError
from midmix.losses import LossContext, loss

COUNTS = torch.tensor([500.0, 40.0, 3.0])


def by_formula(scores: list[float], label: int, counts: list[float]) -> float:
    """-log( π_y e^{s_y} / Σ π_k e^{s_k} ), one row."""
    terms = [count * math.exp(score) for count, score in zip(counts, scores, strict=True)]
    return -math.log(terms[label] / sum(terms))


@pytest.mark.parametrize("prior", [COUNTS, COUNTS / COUNTS.sum()], ids=["counts", "shares"])
@pytest.mark.parametrize("name", ["balanced_softmax", "logit_adjustment"])
def test_rows_equal_the_formula(name, prior, generator):
    logits, labels = torch.randn(20, 3, generator=generator), torch.arange(20) % 3
    losses = loss(name)(logits, labels, prior=prior)
    rows = zip(logits.tolist(), labels.tolist(), strict=True)
    assert losses.tolist() == pytest.approx([by_formula(r, y, COUNTS.tolist()) for r, y in rows], rel=1e-5)


def test_the_prior_of_the_targets_goes_before_the_data_s_counts(generator):
    logits, labels = torch.randn(4, 3, generator=generator), torch.tensor([0, 1, 2, 0])
    losses = loss("balanced_softmax")(logits, labels, prior=torch.ones(3), counts=COUNTS)
    torch.testing.assert_close(losses, F.cross_entropy(logits, labels, reduction="none"))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_an_even_prior_is_plain_cross_entropy_at_any_scale(scale, generator):
    logits, labels = torch.randn(5, 3, generator=generator), torch.tensor([0, 1, 2, 2, 1])
    losses = loss("balanced_softmax")(logits, labels, prior=torch.full((3,), scale))
    torch.testing.assert_close(losses, F.cross_entropy(logits, labels, reduction="none"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_large_counts_in_any_dtype(dtype):
    prior = torch.tensor([1_000_000.0, 10.0])
    losses = loss("balanced_softmax")(torch.zeros(2, 2, dtype=dtype), torch.tensor([0, 1]), prior=prior)
    assert losses.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    expected = [-math.log(1e6 / 1_000_010), -math.log(10 / 1_000_010)]
    assert losses.tolist() == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_a_class_that_is_never_a_target_stays_finite(generator):
    logits = torch.randn(2, 3, generator=generator, requires_grad=True)
    losses = loss("balanced_softmax")(logits, torch.tensor([0, 1]), prior=torch.tensor([5.0, 0.0, 5.0]))
    losses.sum().backward()
    assert bool(losses.isfinite().all())
    assert bool(logits.grad.isfinite().all())
    assert losses[1].item() > 50


def test_the_optimum_is_balanced():
    """Logits that model each class's likelihood evenly are optimal under a skewed prior: π/π cancels."""
    logits = torch.zeros(543, 3, requires_grad=True)
    labels = torch.repeat_interleave(torch.arange(3), COUNTS.long())
    loss("balanced_softmax")(logits, labels, prior=COUNTS).mean().backward()
    torch.testing.assert_close(logits.grad.sum(0), torch.zeros(3), atol=1e-6, rtol=0)


def test_without_a_prior_it_says_what_to_do():
    context = LossContext(torch.zeros(1, 2), ((torch.tensor([0]), torch.ones(1)),))
    with pytest.raises(InputError, match="needs prior, which nobody has given; give class_counts"):
        loss("balanced_softmax").mean(context)


@pytest.mark.parametrize("tau", [-1.0, float("inf"), float("nan")])
def test_a_tau_that_cannot_be_is_refused(tau):
    with pytest.raises(InputError, match=r"tau: .* must be 0 or more"):
        loss("balanced_softmax", tau=tau)


def test_a_prior_of_other_classes_is_refused():
    with pytest.raises(InputError, match=r"prior of shape \(2,\) for 3 logits a row"):
        loss("balanced_softmax")(torch.zeros(1, 3), torch.tensor([0]), prior=torch.ones(2))

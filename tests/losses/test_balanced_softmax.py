"""The balanced softmax against its formula written out, in every dtype, and what wrong priors get."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from midmix.errors import InputError
from midmix.losses import BalancedSoftmax

COUNTS = [500.0, 40.0, 3.0]


def by_formula(scores: list[float], label: int, counts: list[float]) -> float:
    """-log( π_y e^{s_y} / Σ π_k e^{s_k} ), one row."""
    terms = [count * math.exp(score) for count, score in zip(counts, scores, strict=True)]
    return -math.log(terms[label] / sum(terms))


@pytest.mark.parametrize("given", ["counts", "prior"])
def test_rows_equal_the_formula(given, generator):
    logits, labels = torch.randn(20, 3, generator=generator), torch.arange(20) % 3
    criterion = BalancedSoftmax(COUNTS if given == "counts" else None)
    losses = criterion(logits, labels, prior=torch.tensor(COUNTS) / 543 if given == "prior" else None)
    expected = [by_formula(r, y, COUNTS) for r, y in zip(logits.tolist(), labels.tolist(), strict=True)]
    assert losses.tolist() == pytest.approx(expected, rel=1e-5)


def test_the_prior_of_a_call_goes_before_the_counts():
    criterion, even = BalancedSoftmax(COUNTS), torch.ones(3)
    logits, labels = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    torch.testing.assert_close(
        criterion(logits, labels, prior=even), F.cross_entropy(logits, labels, reduction="none")
    )


def test_an_even_prior_is_plain_cross_entropy_at_any_scale(generator):
    logits, labels = torch.randn(5, 3, generator=generator), torch.tensor([0, 1, 2, 2, 1])
    for scale in (1e-6, 1.0, 1e6):
        losses = BalancedSoftmax([scale] * 3)(logits, labels)
        torch.testing.assert_close(losses, F.cross_entropy(logits, labels, reduction="none"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_large_counts_in_any_dtype(dtype):
    criterion = BalancedSoftmax([1_000_000, 10])
    losses = criterion(torch.zeros(2, 2, dtype=dtype), torch.tensor([0, 1]))
    assert losses.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert losses.tolist() == pytest.approx(
        [-math.log(1e6 / 1_000_010), -math.log(10 / 1_000_010)], rel=1e-5, abs=1e-7
    )


def test_a_class_that_is_never_a_target_stays_finite(generator):
    logits = torch.randn(2, 3, generator=generator, requires_grad=True)
    losses = BalancedSoftmax([5, 0, 5])(logits, torch.tensor([0, 1]))
    losses.sum().backward()
    assert bool(losses.isfinite().all())
    assert bool(logits.grad.isfinite().all())
    assert losses[1].item() > 50


def test_the_optimum_is_balanced():
    """Logits that model each class's likelihood evenly are optimal under a skewed prior: π/π cancels."""
    logits = torch.zeros(543, 3, requires_grad=True)
    labels = torch.repeat_interleave(torch.arange(3), torch.tensor([500, 40, 3]))
    BalancedSoftmax(COUNTS)(logits, labels).mean().backward()
    torch.testing.assert_close(logits.grad.sum(0), torch.zeros(3), atol=1e-6, rtol=0)


def test_counts_are_saved_and_moved():
    criterion = BalancedSoftmax(COUNTS)
    assert criterion.state_dict()["class_counts"].tolist() == COUNTS
    assert criterion.to("meta").class_counts.device.type == "meta"


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (
            lambda: BalancedSoftmax()(torch.zeros(1, 2), torch.tensor([0])),
            "no class prior; give class_counts, or use it",
        ),
        (
            lambda: BalancedSoftmax([0, 0]),
            r"class_counts: \[0\.0, 0\.0\]; none may be negative, and one must be above 0",
        ),
        (lambda: BalancedSoftmax([3, -1]), "class_counts: .* none may be negative"),
        (
            lambda: BalancedSoftmax([3, 1])(torch.zeros(1, 3), torch.tensor([0])),
            r"BalancedSoftmax: a prior of shape \(2,\) for 3 logits a row; one share for each class",
        ),
    ],
)
def test_errors_say_what_and_what_to_do(act, says):
    with pytest.raises(InputError, match=says):
        act()

"""Probabilities for a stated prior are the posterior, whatever the loss that the logits were trained with."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from midmix.decisions import BalancedAccuracy, DecisionRule, LogitPrior, posterior, shares_of, stated_prior
from midmix.errors import InputError
from midmix.losses import balanced_softmax

MEANS = torch.tensor([[0.0, 0.0], [1.5, 0.0], [0.0, 1.5]], dtype=torch.float64)
DATA = (0.9, 0.08, 0.02)


def gaussians(rows: int, prior: tuple[float, ...], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    labels = torch.multinomial(torch.tensor(prior), rows, replacement=True, generator=generator)
    return MEANS[labels] + torch.randn(rows, 2, generator=generator, dtype=torch.float64), labels


def truth(x: Tensor, prior: tuple[float, ...]) -> Tensor:
    """p(c | x) by Bayes' rule from the densities, written out."""
    density = (-0.5 * ((x[:, None] - MEANS) ** 2).sum(2)).exp() * torch.tensor(prior, dtype=torch.float64)
    return density / density.sum(1, keepdim=True)


def head(x: Tensor, labels: Tensor, fed: tuple[float, ...], tau: float) -> Tensor:
    """Weights [3, 3] of the linear head that is best for cross-entropy of logits + τ log fed."""
    weights = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    adjust = tau * torch.tensor(fed, dtype=torch.float64).log()
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")
    ones = torch.cat((x, torch.ones(len(x), 1, dtype=torch.float64)), 1)

    def closure() -> Tensor:
        optimizer.zero_grad()
        if tau == 1:
            loss: Tensor = balanced_softmax()(ones @ weights, labels, prior=torch.tensor(fed)).mean()
        else:
            loss = torch.nn.functional.cross_entropy(ones @ weights + adjust, labels)
        loss.backward()
        return loss

    optimizer.step(closure)
    return weights.detach()


def calibration_error(found: Tensor, true: Tensor, bins: int = 15) -> float:
    """Mean over classes and bins of |mean probability - mean true posterior|: without the noise of labels."""
    total = 0.0
    for c in range(found.shape[1]):
        where = torch.bucketize(
            found[:, c].contiguous(), torch.linspace(0, 1, bins + 1, dtype=torch.float64)[1:-1]
        )
        for b in where.unique():
            inside = where == b
            gap = (found[inside, c].mean() - true[inside, c].mean()).abs()
            total += float(gap * inside.double().mean()) / found.shape[1]
    return total


@pytest.mark.parametrize("fed", [DATA, (0.5, 0.3, 0.2)], ids=["data", "resampled"])
@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0], ids=["cross-entropy", "half", "balanced-softmax"])
def test_heads_answer_calibrated_for_every_prior(fed, tau, generator):
    x, labels = gaussians(40_000, fed, generator)
    weights = head(x, labels, fed, tau)
    for prior in (DATA, (1 / 3, 1 / 3, 1 / 3), (0.1, 0.3, 0.6)):
        new, _ = gaussians(20_000, prior, generator)
        logits = torch.cat((new, torch.ones(len(new), 1, dtype=torch.float64)), 1) @ weights
        true = truth(new, prior)
        found = DecisionRule(LogitPrior(fed, tau), prior).probabilities(logits)
        assert calibration_error(found, true) < 0.01
        raw = LogitPrior(fed, tau).shares
        if max(abs(a - b) for a, b in zip(raw, prior, strict=True)) > 0.2:
            assert calibration_error(logits.softmax(1), true) > 0.03  # the raw ones are not


def test_balanced_accuracy_is_not_bought_with_false_probabilities(generator):
    """One head, two answers: the decisions of p/π under the data's prior are those of argmax under a uniform one."""
    x, labels = gaussians(5_000, DATA, generator)
    logits = torch.cat((x, torch.ones(len(x), 1, dtype=torch.float64)), 1) @ head(x, labels, DATA, 0.0)
    data = DecisionRule(LogitPrior(DATA), DATA, BalancedAccuracy())
    uniform = DecisionRule(LogitPrior(DATA), (1 / 3, 1 / 3, 1 / 3))
    assert torch.equal(data.decide(logits), uniform.decide(logits))
    assert not torch.equal(data.decide(logits), DecisionRule(LogitPrior(DATA), DATA).decide(logits))


priors = st.integers(2, 6).flatmap(
    lambda size: st.tuples(
        *[
            st.lists(st.one_of(st.floats(1e-12, 1), st.just(1e-300)), min_size=size, max_size=size).map(
                shares_of
            )
            for _ in range(2)
        ]
    )
)


@given(priors, st.floats(0, 3), st.integers(0, 2**32 - 1))
def test_shifted_logits_are_the_naive_formula(two, tau, seed):
    fed, stated = two
    logits = 3 * torch.randn(4, len(fed), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = posterior(LogitPrior(fed, tau).evidence(logits), stated)
    for row, ours in zip(logits.tolist(), found, strict=True):
        z = [
            s - (1 - tau) * math.log(f) + math.log(p) if p else -math.inf
            for s, f, p in zip(row, fed, stated, strict=True)
        ]
        top = max(z)
        total = top + math.log(sum(math.exp(value - top) for value in z))
        torch.testing.assert_close(ours, torch.tensor([value - total for value in z], dtype=torch.float64))
    torch.testing.assert_close(found.exp().sum(1), torch.ones(4, dtype=torch.float64))


@given(priors, st.integers(0, 2**32 - 1))
def test_the_prior_that_logits_answer_for_changes_nothing(two, seed):
    fed, _ = two
    logits = torch.randn(4, len(fed), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = DecisionRule(LogitPrior(fed), fed).probabilities(logits)
    torch.testing.assert_close(found, logits.softmax(1), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("tau", [0.0, 1.0, 2.0])
def test_classes_of_share_zero_have_probability_zero(tau):
    logits = torch.tensor([[5.0, 1.0, 0.0]])
    never_fed = posterior(LogitPrior((0.0, 0.5, 0.5), tau).evidence(logits), (0.2, 0.4, 0.4)).exp()
    not_expected = posterior(LogitPrior((0.2, 0.4, 0.4), tau).evidence(logits), (0.0, 0.5, 0.5)).exp()
    for found in (never_fed, not_expected):
        assert found[0, 0] == 0
        torch.testing.assert_close(found[0, 1:], torch.tensor([1.0, 0.0], dtype=torch.float64).softmax(0))
    with pytest.raises(InputError, match="never trained"):
        posterior(LogitPrior((0.0, 0.5, 0.5)).evidence(logits), (1.0, 0.0, 0.0))


def test_uniform_is_over_the_classes_that_have_rows():
    assert stated_prior("uniform", [5, 0, 3]) == (0.5, 0.0, 0.5)
    assert stated_prior("data", torch.tensor([5, 0, 15])) == (0.25, 0.0, 0.75)


@pytest.mark.parametrize(
    ("stated", "line"),
    [
        ((0.5, 0.6), "sum to 1.1"),
        ((0.5, 0.5 - 3e-6), "must sum to 1"),
        ((1.0,), "1 shares for 2 classes"),
        ((0.2, 0.3, 0.5), "3 shares for 2 classes"),
        ((-0.5, 1.5), "share of 0 to 1"),
        ((math.nan, 1.0), "share of 0 to 1"),
        ("unifrom", "did you mean uniform"),
        ("0.5,x", "unknown prior"),
        ([[0.5, 0.5]], "list of numbers"),
    ],
)
def test_what_is_no_prior_is_said_in_a_line(stated, line):
    with pytest.raises(InputError, match=line) as raised:
        stated_prior(stated, [9, 1])
    assert "\n" not in str(raised.value)


def test_a_share_for_a_class_never_trained_is_refused():
    with pytest.raises(InputError, match=r"class 'fox' has share 0\.5, but no row"):
        stated_prior([0.5, 0.5], [9, 0], ["dog", "fox"])


def test_shares_within_rounding_are_taken():
    assert stated_prior((0.5, 0.5 - 5e-7), [9, 1])[0] == 0.5


@pytest.mark.parametrize("tau", [-0.1, math.inf, math.nan, "1"])
def test_tau_must_be_a_number(tau):
    with pytest.raises(InputError, match="tau"):
        LogitPrior((0.5, 0.5), tau)


def test_logits_must_fit():
    with pytest.raises(InputError, match="3 a row"):
        LogitPrior((0.5, 0.5)).evidence(torch.zeros(1, 3))
    with pytest.raises(InputError, match="not finite"):
        LogitPrior((0.5, 0.5)).evidence(torch.tensor([[math.nan, 0.0]]))

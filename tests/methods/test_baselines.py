"""Baselines against the formulas that their docstrings state, naively."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from midmix.errors import InputError
from midmix.methods import BASELINES, Method


@pytest.fixture
def rows():
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([0] * 40 + [1] * 12 + [2] * 5)
    return torch.randn(len(labels), 4, generator=generator) + 1.5 * torch.eye(3, 4)[labels], labels


def weights_of(labels):
    counts = labels.bincount()
    return (len(labels) / (len(counts) * counts[labels])).double()


def test_ridge_is_the_weighted_normal_equations(rows):
    features, labels = rows
    found = Method.parse("ridge:alpha=3").make_baseline().fit(features, labels, 3, 0)
    z, w = features.double(), weights_of(labels)
    targets = 2.0 * torch.nn.functional.one_hot(labels).double() - 1
    share = w / w.sum()
    mean, target_mean = (share[:, None] * z).sum(0), (share[:, None] * targets).sum(0)
    z, targets = z - mean, targets - target_mean
    solved = torch.linalg.solve(z.T @ (w[:, None] * z) + 3 * torch.eye(4), z.T @ (w[:, None] * targets))
    expected = (features.double() - mean) @ solved + target_mean
    assert torch.allclose(found(features).double(), expected, atol=1e-4)


def test_logistic_is_where_its_objective_has_no_slope(rows):
    features, labels = rows
    head = Method.parse("logistic:C=0.5").make_baseline().fit(features, labels, 3, 0)
    weight = head.weight.detach().double().requires_grad_()
    bias = head.bias.detach().double().requires_grad_()
    losses = torch.nn.functional.cross_entropy(features.double() @ weight.T + bias, labels, reduction="none")
    objective = weight.square().sum() / 2 + 0.5 * (weights_of(labels) * losses).sum()
    for slope in torch.autograd.grad(objective, (weight, bias)):
        assert slope.abs().max() < 0.02


def test_lda_is_the_gaussian_posterior_with_a_uniform_prior(rows):
    features, labels = rows
    found = Method.parse("lda:shrinkage=0.4").make_baseline().fit(features, labels, 3, 0)
    z = features.double().numpy()
    means = np.stack([z[labels == c].mean(0) for c in range(3)])
    pooled = np.zeros((4, 4))
    for c in range(3):
        own = np.cov(z[labels == c].T, bias=True)
        pooled += (0.6 * own + 0.4 * np.trace(own) / 4 * np.eye(4)) / 3
    away = z[:, None] - means
    expected = -0.5 * np.einsum("ncd,de,nce->nc", away, np.linalg.inv(pooled), away)
    ours = found(features).detach().log_softmax(1)
    assert torch.allclose(ours.double(), torch.from_numpy(expected).log_softmax(1), atol=1e-4)


@pytest.mark.parametrize("name", BASELINES.names())
def test_every_baseline(name, rows):
    """Two classes or more, a class of one row, the same seed the same bits, the caller's tensors untouched."""
    features, labels = rows
    before = features.clone()
    rounds = ":max_iter=10" if "boosting" in name else ""
    baseline = Method.parse(name + rounds).make_baseline()
    for drawn, classes in ((labels, 3), (labels.clamp(max=1), 2), (labels.where(labels < 2, 1), 2)):
        logits = [baseline.fit(features, drawn, classes, 5)(features).detach() for _ in range(2)]
        assert logits[0].shape == (len(labels), classes)
        assert torch.equal(*logits)
        assert (logits[0].argmax(1) == drawn).double().mean() > 0.6
    single = torch.tensor([0] * 56 + [1])
    assert baseline.fit(features, single, 2, 0)(features).isfinite().all()
    assert torch.equal(features, before)
    assert isinstance(baseline.fit(features, labels, 3, 0), torch.nn.Linear) == baseline.linear
    with pytest.raises(InputError, match=r"class 3 has no training rows"):
        baseline.fit(features, labels, 4, 0)


def test_text_and_plain_data():
    method = Method.parse("logistic:C=0.01")
    assert str(method) == "logistic:C=0.01"
    assert Method.from_dict(method.as_dict()) == method
    assert method.make_baseline().C == 0.01
    assert Method.parse("erm").make_baseline() is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ridge+ldam", "fitted by itself"),
        ("lda >> crt", "fitted by itself"),
        ("ridge:alhpa=1", "did you mean alpha"),
        ("ridge:alpha=0", "above 0"),
        ("lda:shrinkage=2", "between 0 and 1"),
        ("lda:shrinkage=some", "finite number"),
        ("hist-gradient-boosting:max_iter=0", "1 or more"),
    ],
)
def test_what_cannot_be(text, said):
    with pytest.raises(InputError, match=said):
        Method.parse(text)

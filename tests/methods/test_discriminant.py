"""The discriminant for long tails: against a loop over rows, scikit-learn's, and what it is for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from midmix.errors import InputError
from midmix.methods import Method, StageData
from midmix.methods.stages.discriminant import discriminant
from midmix.methods.stages.stage import linear

COUNTS = (300, 80, 20, 4)


def clouds(counts, generator, *, size=12, seed=5):
    centres = torch.randn(len(counts), size, generator=torch.Generator().manual_seed(seed)) * 0.6
    labels = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
    return centres[labels] + torch.randn(len(labels), size, generator=generator), labels


def by_loop(features, labels, weighting):
    """The formulas of the docstring, row by row and direction by direction."""
    z, y = features.double().numpy(), labels.numpy()
    counts = np.bincount(y)
    means = np.stack([z[y == c].mean(0) for c in range(len(counts))])
    centre, size = means.mean(0), z.shape[1]
    covariance, total, squares = np.zeros((size, size)), 0.0, 0.0
    for row, label in zip(z, y, strict=True):
        weight = counts[label] ** -weighting
        covariance += weight * np.outer(row - means[label], row - means[label])
        total, squares = total + weight, squares + weight**2
    covariance /= total
    share = size / (size + total**2 / squares)
    shrunk = (1 - share) * covariance + share * np.trace(covariance) / size * np.eye(size)
    inverse = np.linalg.inv(shrunk)
    noise = np.trace(inverse @ covariance)
    between, trusted = 0.0, 0.0
    for mean, count in zip(means, counts, strict=True):
        weight = count / (count + 1)
        between += weight * ((mean - centre) @ inverse @ (mean - centre) - noise / count)
        trusted += weight
    pull = noise / (between / trusted)
    pulled = centre + (counts / (counts + pull))[:, None] * (means - centre)
    return z @ (pulled @ inverse).T - 0.5 * np.einsum("cd,de,ce->c", pulled, inverse, pulled)


@pytest.mark.parametrize("weighting", [0.0, 0.5, 1.0])
def test_as_a_loop_over_rows(weighting, generator):
    features, labels = clouds(COUNTS, generator)
    ours = (
        discriminant(features, labels, len(COUNTS), weighting=weighting)(features).detach().double().numpy()
    )
    theirs = by_loop(features, labels, weighting)
    np.testing.assert_allclose(
        ours - ours.mean(1, keepdims=True), theirs - theirs.mean(1, keepdims=True), rtol=1e-4, atol=1e-4
    )


def test_without_pull_and_shrinkage_as_scikit_learns_with_classes_alike(generator):
    features, labels = clouds(COUNTS, generator)
    ours = discriminant(features.double(), labels, 4, pull=0, shrinkage=0, weighting=1)
    theirs = LinearDiscriminantAnalysis(solver="lsqr", priors=np.full(4, 0.25)).fit(features, labels)
    np.testing.assert_allclose(
        ours(features.double()).softmax(1).detach(), theirs.predict_proba(features), rtol=1e-6, atol=1e-9
    )


def test_units_of_the_features_do_not_matter_and_the_same_rows_twice_change_nothing_with_a_given_pull(
    generator,
):
    features, labels = clouds(COUNTS, generator)
    decided = discriminant(features, labels, 4)(features).argmax(1)
    assert torch.equal(discriminant(1000 * features + 3, labels, 4)(1000 * features + 3).argmax(1), decided)
    once = discriminant(features.double(), labels, 4, pull=0, shrinkage=0.1)
    twice = discriminant(features.double().repeat(2, 1), labels.repeat(2), 4, pull=0, shrinkage=0.1)
    torch.testing.assert_close(once.weight, twice.weight)


def test_rare_classes_gain_and_the_others_do_not_pay(generator):
    test, truth = clouds((2000, 2000, 2000, 2000), generator)
    gains = []
    for seed in range(20):
        features, labels = clouds((2000, 200, 20, 3), torch.Generator().manual_seed(seed))
        ours = Method.parse("discriminant").make_baseline().fit(features, labels, 4, 0)
        theirs = Method.parse("lda").make_baseline().fit(features, labels, 4, 0)
        right = [(head(test).argmax(1) == truth).double().view(4, -1).mean(1) for head in (ours, theirs)]
        gains.append(torch.stack([right[0].mean() - right[1].mean(), right[0][3] - right[1][3]]))
    overall, rarest = torch.stack(gains).mean(0).tolist()
    assert overall > 0.005
    assert rarest > 0.05


@pytest.mark.parametrize(("rows", "size"), [(3, 50), (40, 400)])
def test_fewer_rows_than_features_and_a_constant_one(rows, size, generator):
    features = torch.randn(rows, size, generator=generator)
    features[:, 0] = 7.0
    head = discriminant(features, torch.arange(rows) % 3, 3)
    assert bool(head.weight.isfinite().all())
    assert bool(head(features).isfinite().all())


def test_classes_that_are_one_and_features_that_are_all_alike_are_decided_by_nobody():
    same = discriminant(torch.ones(6, 3), torch.arange(6) % 2, 2)(torch.ones(1, 3))
    assert same.detach().flatten().tolist() == pytest.approx([same[0, 0].item()] * 2)


def test_a_blend_lies_between_the_two(generator):
    features, labels = clouds(COUNTS, generator)
    data = StageData(features, labels, torch.tensor(COUNTS), None, 0)
    trained = linear(torch.randn(4, 12, generator=generator), torch.randn(4, generator=generator))
    heads = [
        Method.parse(f"erm>>discriminant:blend={share}").make_stages()[0].apply(trained, data)
        for share in (0, 0.5, 1)
    ]
    first, half, second = (head(features).detach() for head in heads)
    centred = first - first.mean(1, keepdim=True)
    torch.testing.assert_close(2 * half, centred + second, rtol=1e-4, atol=1e-4)
    assert torch.equal(second.argmax(1), trained(features).argmax(1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("discriminant:pull=-1", "discriminant:pull=-1: must be a finite number of 0 or more"),
        ("discriminant:shrinkage=1.5", "discriminant:shrinkage=1.5: must be between 0 and 1"),
        ("erm>>discriminant:blend=2", "discriminant:blend=2: must be between 0 and 1"),
        ("erm>>discriminant:pul=2", "did you mean pull"),
    ],
)
def test_options_that_cannot_be(text, message):
    with pytest.raises(InputError, match=message):
        Method.parse(text)


def test_a_class_without_rows():
    data = StageData(torch.rand(4, 2), torch.tensor([0, 0, 1, 1]), torch.tensor([2, 2, 0]), None, 0)
    with pytest.raises(InputError, match="class 2 has no training rows"):
        Method.parse("erm>>discriminant").make_stages()[0].apply(torch.nn.Linear(2, 3), data)
    with pytest.raises(InputError, match="class 2 has no training rows"):
        Method.parse("discriminant").make_baseline().fit(data.features, data.labels, 3, 0)

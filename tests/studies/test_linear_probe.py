"""The probes against scikit-learn's classifiers, and on features that try them."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from midmix.studies.linear_probe import STRENGTHS, LinearProbe, linear_probe
from midmix.studies.neighbours_probe import neighbour_votes


def rows(n, seed, width=24, classes=7):
    """Features like a network's: not negative, correlated, on unequal scales; and labels they half know."""
    draw = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(classes, width))
    mixing = np.random.default_rng(1).normal(size=(width, width)) * np.geomspace(1, 0.01, width)
    labels = draw.integers(0, classes, n)
    features = np.maximum((centres[labels] + 1.5 * draw.normal(size=(n, width))) @ mixing, 0)
    return torch.tensor(features, dtype=torch.float32), torch.tensor(labels)


def theirs(features, labels, strength, **options) -> tuple[LogisticRegression, StandardScaler]:
    scaler = StandardScaler().fit(features.double().numpy())
    model = LogisticRegression(C=strength, max_iter=5000, **options)
    return model.fit(scaler.transform(features.double().numpy()), labels.numpy()), scaler


@pytest.mark.parametrize("strength", [1e-4, 1e-2, 1.0, 100.0])
def test_accuracy_is_that_of_scikit_learn(strength):
    features, labels = rows(900, seed=2)
    unseen, truth = rows(2000, seed=3)
    model, scaler = theirs(features, labels, strength)
    (probe,) = linear_probe(features, labels, 7, [strength])
    expected = model.score(scaler.transform(unseen.double().numpy()), truth.numpy())
    assert abs(probe.accuracy(unseen, truth) - expected) <= 0.003


@pytest.mark.parametrize("strength", [1e-2, 1.0])
def test_probabilities_are_those_of_scikit_learn(strength):
    features, labels = rows(300, seed=4)
    model, scaler = theirs(features, labels, strength, tol=1e-8)
    (probe,) = linear_probe(features, labels, 7, [strength], tolerance=1e-6)
    expected = model.predict_proba(scaler.transform(features.double().numpy()))
    assert np.abs(probe.logits(features).softmax(1).numpy() - expected).max() < 2e-3


def test_each_strength_of_a_path_is_what_it_is_alone():
    features, labels = rows(300, seed=5)
    path = linear_probe(features, labels, 7, [1.0, 0.01], tolerance=1e-6)
    for strength, probe in zip([1.0, 0.01], path, strict=True):
        (alone,) = linear_probe(features, labels, 7, [strength], tolerance=1e-6)
        assert torch.allclose(probe.logits(features).softmax(1), alone.logits(features).softmax(1), atol=2e-3)
    assert path[0].weight.norm() > path[1].weight.norm(), "in the order asked for"


def test_a_path_takes_less_time_than_scikit_learn():
    """Each best of three, one thread, interleaved; the margin is wide, because machines are noisy."""
    features, labels = rows(2000, seed=6, width=64, classes=40)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        ours, sklearns = [], []
        for _ in range(3):
            start = time.process_time()
            linear_probe(features, labels, 40, STRENGTHS)
            ours.append(time.process_time() - start)
            start = time.process_time()
            for strength in STRENGTHS:
                theirs(features, labels, strength)
            sklearns.append(time.process_time() - start)
    finally:
        torch.set_num_threads(threads)
    assert min(ours) < min(sklearns)


def test_constant_features_and_absent_classes_do_no_harm():
    features, labels = rows(100, seed=7)
    features[:, 3] = 1e6
    features[:, 4] = 0
    labels[labels == 2] = 1
    (probe,) = linear_probe(features, labels, 7, [1.0])
    assert torch.isfinite(probe.logits(features)).all()
    assert not probe.weight[:, 3:5].any()
    assert not (probe.logits(features).argmax(1) == 2).any()


def test_callers_tensors_stay():
    features, labels = rows(50, seed=8)
    before = features.clone(), labels.clone()
    linear_probe(features, labels, 7, [1.0])
    neighbour_votes(features, labels, 7, features)
    assert torch.equal(features, before[0])
    assert torch.equal(labels, before[1])


def test_a_probe_by_hand():
    probe = LinearProbe(torch.tensor([[1.0], [-1.0]]).double(), torch.tensor([0.0, 0.5]).double())
    features = torch.tensor([[1.0], [0.0]])
    assert probe.logits(features).tolist() == [[1.0, -0.5], [0.0, 0.5]]
    assert probe.accuracy(features, torch.tensor([0, 0])) == 0.5


@pytest.mark.parametrize("k", [1, 5, 20])
def test_neighbours_are_those_of_scikit_learn(k):
    features, labels = rows(200, seed=9)
    unseen, _ = rows(100, seed=10)
    expected = (
        KNeighborsClassifier(k, metric="cosine").fit(features.numpy(), labels.numpy()).predict(unseen.numpy())
    )
    assert (neighbour_votes(features, labels, 7, unseen)[k].numpy() == expected).all()


def test_more_neighbours_than_rows():
    features, labels = rows(3, seed=11)
    votes = neighbour_votes(features, labels, 7, features, (1, 20))
    assert torch.equal(votes[1], labels)
    assert len(votes[20]) == 3


def test_neighbours_are_the_same_however_many_votes_are_counted_together(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(50, 4, generator=generator)
    labels = torch.randint(7, (50,), generator=generator)
    whole = neighbour_votes(features, labels, 7, features)
    monkeypatch.setattr("midmix.studies.neighbours_probe.MOST_VOTES", 3 * 20 * 7)
    for k, votes in neighbour_votes(features, labels, 7, features).items():
        assert votes.equal(whole[k])

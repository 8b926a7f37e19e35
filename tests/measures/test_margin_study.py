"""The study of docs/margin-law.md finds what the laws say, on few seeds and settings."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "docs" / "studies" / "margin.py"


@pytest.fixture(scope="module")
def study():
    spec = importlib.util.spec_from_file_location("margin_study", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        del sys.modules[spec.name]


def test_two_scores_follow_the_exact_law_at_any_imbalance(study):
    found = study.check_rate()
    for finding in (f for f in found if f.quantity == "D at the end"):
        assert finding.measured == pytest.approx(finding.predicted, rel=1e-4), finding
    small = [f for f in found if f.quantity == "exponent" and f.setting.endswith("0.1")]
    assert len(small) == 4
    for finding in small:
        assert finding.measured == pytest.approx(finding.predicted, rel=1e-3), finding
    large = [f for f in found if f.quantity == "exponent" and f.setting.endswith("= 4")]
    assert all(f.measured < 0.999 * f.predicted for f in large)  # the power law is that of small imbalance


def test_a_head_that_descends_shows_its_own_exponent(study):
    first, second = torch.tensor([[1.0, 1.0], [-1.0, 1.0]], dtype=torch.float64)
    assert study.descend(first, second, 0.75, 0.01) == pytest.approx(
        8.0, rel=0.01
    )  # twice that of a centred pair


def test_mixed_set_is_every_pair_signed_towards_its_owner(study):
    first, second = study.gaussians(0, (3, 2), 4, 1.0, 0.1)
    mixed = study.mixed_set(first, second, 0.7, owner_ratio=5.0)
    rows = [0.7 * i + 0.3 * j for i in first for j in second]
    rows += [-(0.7 * j + 0.3 * i) for i in first for j in second]
    np.testing.assert_allclose(mixed.rows[:, :-1], rows)
    np.testing.assert_allclose(mixed.rows[:, -1], [1] * 6 + [-1] * 6)
    np.testing.assert_allclose(mixed.share, [5 / 36] * 6 + [1 / 36] * 6)


def test_the_hard_margin_is_one_on_its_supports_and_least_in_norm(study):
    first, second = study.gaussians(0, (20, 8), 4, 1.0, 0.1)
    mixed = study.mixed_set(first, second, 0.8)
    head = study.hard_margin(mixed)
    scores = mixed.rows @ head
    assert scores.min() == pytest.approx(1, abs=1e-8)
    supports = mixed.rows[scores < 1 + 1e-7]
    shares, left = study.nnls(
        supports.T, head
    )  # a positive combination of supports: the optimality condition
    assert left < 1e-7
    assert shares.sum() > 0


@pytest.mark.parametrize(("width", "spread"), [(1, 0.3), (3, 0.3), (3, 1.5), (30, 1.0)])
def test_the_mixed_set_is_separable_from_the_predicted_weight(study, width, spread):
    first, second = study.gaussians(1, (12, 6), width, 1.0, spread)
    law = study.predicted_from(first, second)
    assert study.separable_from(first, second) == pytest.approx(law, abs=3e-5)
    if width == 30:
        assert law == pytest.approx(0.5, abs=1e-5)  # more dimensions than rows: scores collapse by themselves
    if spread == 1.5:
        assert law == 1  # the rows themselves are not separable


def test_owners_decide_below_the_transition_and_not_above(study):
    found = study.experiment(1, weights=(0.8, 0.512))
    by = {(f.setting, f.weight, f.quantity): f for f in found}
    for weight in (0.8, 0.512):
        for owners in ("one owner", "both owners"):
            right = by[owners, weight, "pairs right"]
            assert right.predicted == right.measured  # theorem 1 is exact, pair by pair
            edge = by[owners, weight, "separable"]
            assert edge.predicted == edge.measured == (weight == 0.8)
    ratio = {key[:2]: f.measured for key, f in by.items() if key[2] == "ratio"}
    assert ratio["one owner", 0.8] == pytest.approx(ratio["both owners", 0.8], abs=1e-6)
    assert ratio["both owners", 0.512] == pytest.approx(1, abs=0.02)
    assert ratio["one owner", 0.512] > 1.05


def test_a_fitted_head_has_the_margins_of_the_law(study):
    found = [f for f in study.check_equilibrium(1) if f.setting.startswith("population")]
    assert len(found) == 36
    for finding in found:
        assert finding.measured == pytest.approx(finding.predicted, abs=1e-6), finding

"""Intervals over seeds and rows: laws, a naive reference, and coverage where the truth is known."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from midmix.errors import InputError
from midmix.studies.statistics import crossed, holm, nested, over_seeds, rows_to_decide, seeds_to_decide


def _naive(values, weights, classes):
    """V_A and V_B - V_E, cell by cell, for weights that all seeds share."""
    s = len(values)
    a = (values * weights).sum(1).var(ddof=1) / s
    b = e = 0.0
    for c in np.unique(classes):
        y = values[:, classes == c]
        share = weights[0, classes == c].sum()
        rows = y.shape[1]
        b += share**2 * y.mean(0).var(ddof=1) / rows
        rest = sum(
            (y[i, r] - y[i].mean() - y[:, r].mean() + y.mean()) ** 2 for i in range(s) for r in range(rows)
        )
        e += share**2 * rest / ((s - 1) * (rows - 1)) / (s * rows)
    return a, b - e


@pytest.fixture
def cells(seed):
    draw = np.random.default_rng(seed)
    classes = np.repeat([0, 1, 2], [40, 25, 10])
    values = draw.normal(size=(4, 1)) * 0.2 + draw.normal(size=75) + draw.normal(size=(4, 75))
    weights = np.broadcast_to((1 / 3 / np.array([40, 25, 10]))[classes], values.shape)
    return values, weights, classes


def test_the_parts_are_those_of_the_naive_two_way_analysis(cells):
    a, rows = _naive(*cells)
    found = crossed(*cells)
    assert found.seeds_error**2 / 4 == pytest.approx(a, rel=1e-10)
    assert found.rows_error**2 == pytest.approx(rows, rel=1e-9)
    df = 3 * (a + rows) / a
    expected = stats.t.interval(0.95, df, found.mean, np.sqrt(a + rows))
    assert (found.low, found.high) == pytest.approx(expected, rel=1e-9)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(found.mean) / np.sqrt(a + rows), df))


def test_the_order_of_rows_and_seeds_does_not_matter(cells, seed):
    values, weights, classes = cells
    draw = np.random.default_rng(seed)
    rows, seeds = draw.permutation(75), draw.permutation(4)
    moved = crossed(values[seeds][:, rows], weights[:, rows], classes[rows])
    assert moved.low == pytest.approx(crossed(*cells).low, rel=1e-10)


def test_rows_without_variance_leave_students_interval():
    values = np.repeat([[0.1], [0.2], [0.4]], 6, axis=1)
    found = crossed(values, np.full((3, 6), 1 / 6), np.zeros(6, int))
    alone = over_seeds(np.array([0.1, 0.2, 0.4]))
    assert (found.low, found.high, found.p) == pytest.approx((alone.low, alone.high, alone.p))


def test_seeds_that_agree_to_the_row_still_have_the_error_of_the_rows():
    values = np.tile(np.arange(50) % 2, (3, 1))
    found = crossed(values, np.full((3, 50), 1 / 50), np.zeros(50, int))
    assert over_seeds(values.mean(1)).standard_error == 0
    assert found.standard_error == pytest.approx(np.sqrt((np.arange(50) % 2).var(ddof=1) / 50))


def test_a_group_of_classes_may_differ_between_seeds(cells):
    values, _, classes = cells
    weights = np.zeros(values.shape)
    for s, few in enumerate((0, 1, 2, 0)):
        weights[s, classes == few] = 1 / (classes == few).sum()
    found = crossed(values, weights, classes)
    assert found.mean == pytest.approx(
        np.mean([values[s, classes == few].mean() for s, few in enumerate((0, 1, 2, 0))])
    )
    assert found.standard_error >= over_seeds((weights * values).sum(1)).standard_error


def test_rows_of_each_seeds_own_are_independent_and_a_pool_is_not(seed):
    draw = np.random.default_rng(seed)
    values = [draw.normal(size=n) for n in (30, 40, 50)]
    weights = [np.full(len(y), 1 / len(y)) for y in values]
    classes = [np.zeros(len(y), int) for y in values]
    fresh, pooled = nested(values, weights, classes), nested(values, weights, classes, pool=100)
    alone = over_seeds(np.array([y.mean() for y in values]))
    assert (fresh.low, fresh.high) == pytest.approx((alone.low, alone.high))
    shared = np.mean([y.var(ddof=1) / 100 for y in values])
    assert pooled.standard_error**2 == pytest.approx(alone.standard_error**2 + shared)


def test_one_seed_has_no_interval():
    found = crossed(np.ones((1, 3)), np.full((1, 3), 1 / 3), np.zeros(3, int))
    assert (found.n, found.mean) == (1, 1.0)
    assert np.isnan([found.low, found.p]).all()


def test_holm_is_the_step_down_by_hand():
    assert holm(np.array([0.01, 0.02, 0.03])) == pytest.approx([0.03, 0.04, 0.04])
    assert holm(np.array([0.5, 0.9])) == pytest.approx([1.0, 1.0])


def test_seeds_and_rows_that_would_decide(seed):
    draw = np.random.default_rng(seed)
    noisy = over_seeds(np.array([0.05, -0.02, 0.03]))
    needed = seeds_to_decide(noisy)
    assert needed is not None
    t = stats.t.isf(0.025, needed - 1)
    assert abs(noisy.mean) > t * noisy.seeds_error / np.sqrt(needed)
    assert abs(noisy.mean) <= stats.t.isf(0.025, needed - 2) * noisy.seeds_error / np.sqrt(needed - 1)
    few_rows = crossed(
        np.tile(0.3 + draw.normal(size=20), (5, 1)) + 1e-3 * draw.normal(size=(5, 20)),
        np.full((5, 20), 1 / 20),
        np.zeros(20, int),
    )
    if few_rows.p > 0.05:
        assert seeds_to_decide(few_rows) is None, "more seeds do not help where the rows are the doubt"
        assert (rows_to_decide(few_rows) or 0) > 1


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(InputError, match="do not belong together"):
        crossed(np.ones((2, 3)), np.ones((2, 2)), np.zeros(3))


def test_intervals_hold_the_truth_as_often_as_they_say():
    file = Path(__file__).parents[2] / "benchmarks" / "coverage.py"
    spec = importlib.util.spec_from_file_location("coverage_benchmark", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    for splits, repetitions in (("fixed", 250), ("drawn", 150)):
        found = module.coverage(seeds=5, rows=40, repetitions=repetitions, splits=splits)
        slack = 3 * np.sqrt(0.05 * 0.95 / repetitions)
        for name, (ours, _, _) in found.items():
            assert 0.95 - slack <= ours <= 0.97 + slack / 2, (splits, name)
        if (
            splits == "fixed"
        ):  # seeds that share no test rows have most of their luck in what differs between them
            assert np.mean([alone for _, alone, _ in found.values()]) < 0.92


def test_what_splits_of_one_table_share_is_the_covariance_on_their_common_rows():
    draw = np.random.default_rng(3)
    classes = np.repeat([0, 1], [30, 20])
    numbers = [
        np.sort(np.concatenate([draw.choice(30, 12, False), 30 + draw.choice(20, 8, False)]))
        for _ in range(3)
    ]
    values = [draw.random(20) for _ in range(3)]
    weights, strata = [np.full(20, 1 / 20)] * 3, [classes[rows] for rows in numbers]
    expected = 0.0
    for c, size in ((0, 30), (1, 20)):
        total, freedom = 0.0, 0
        for s, t in ((0, 1), (0, 2), (1, 2)):
            common = [row for row in numbers[s] if row in numbers[t] and classes[row] == c]
            pair = np.array([[values[k][list(numbers[k]).index(row)] for row in common] for k in (s, t)])
            total += float(((pair[0] - pair[0].mean()) * (pair[1] - pair[1].mean())).sum())
            freedom += len(common) - 1
        expected += (size / 50) ** 2 * total / freedom / size
    found = nested(values, weights, strata, pool=50, numbers=numbers)
    assert found.rows_error**2 == pytest.approx(max(expected, 0.0))
    assert found.seeds_error == pytest.approx(np.std([one.mean() for one in values], ddof=1))


def test_rows_that_are_the_same_in_every_seed_are_all_the_doubt():
    """Each row has one outcome, whoever is trained: what two seeds share is the whole variance of a row."""
    draw = np.random.default_rng(4)
    outcome, classes = draw.random(400), np.zeros(160, int)
    numbers = [np.sort(draw.choice(400, 160, False)) for _ in range(8)]
    found = nested(
        [outcome[rows] for rows in numbers],
        [np.full(160, 1 / 160)] * 8,
        [classes] * 8,
        pool=400,
        numbers=numbers,
    )
    assert found.rows_error == pytest.approx(np.std(outcome, ddof=1) / 20, rel=0.05)

"""Differences between any two lines."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from midmix.reports import read_comparison, summarise
from midmix.reports import tested_runs as outputs_of  # else taken for a test
from midmix.reports.columns import Column
from midmix.reports.pairs import pairs_of

ACCURACY, NLL = Column.of("accuracy"), Column.of("nll")


def _runs(**values):
    """A results table from each line's accuracies, one a seed."""
    rows = [
        {"method": line.replace("_", "-"), "seed": seed, "split_hash": str(seed), "epoch_choice": "last",
         "accuracy": value, "nll": 1 - value}
        for line, found in values.items()
        for seed, value in enumerate(found)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_any_two_lines_are_paired_as_scipy_pairs_them():
    generator = np.random.default_rng(0)
    values = {line: generator.normal(0.8, 0.05, 5) for line in ("erm", "mixup", "am_mixup")}
    (pairs,) = pairs_of(_runs(**values), [ACCURACY])
    expected = stats.ttest_rel(values["am_mixup"], values["mixup"])
    found = pairs.differences["am-mixup", "mixup"].interval
    np.testing.assert_allclose(found.p, expected.pvalue, rtol=1e-9)
    np.testing.assert_allclose([found.low, found.high], expected.confidence_interval(0.95), rtol=1e-9)


def test_the_correction_is_over_all_pairs_and_the_order_turns_the_sign():
    generator = np.random.default_rng(1)
    values = {line: generator.normal(0.8, 0.01, 4) + i / 50 for i, line in enumerate("abcd")}
    (pairs,) = pairs_of(_runs(**values), [ACCURACY])
    assert pairs.count == 6
    once = [pairs.differences[a, b] for i, a in enumerate("abcd") for b in "abcd"[:i]]
    raw = sorted(one.interval.p for one in once)
    steps = np.minimum(np.maximum.accumulate(np.array(raw) * np.arange(6, 0, -1)), 1)
    np.testing.assert_allclose(sorted(one.corrected for one in once), steps)
    one, other = pairs.differences["a", "d"], pairs.differences["d", "a"]
    assert (one.interval.mean, one.interval.low) == (-other.interval.mean, -other.interval.high)
    assert one.corrected == other.corrected


def test_better_follows_the_measure():
    table = _runs(good=[0.9, 0.91, 0.905], bad=[0.5, 0.512, 0.503])
    for pairs in pairs_of(table, [ACCURACY, NLL]):
        assert pairs.verdict("good", "bad") == "better"
        assert pairs.verdict("bad", "good") == "worse"
        assert pairs.ranked() == ["good", "bad"]


@pytest.mark.parametrize("order", [("erm", "mixup"), ("mixup", "erm")])
def test_with_the_baseline_they_are_those_of_the_table(comparison_folder, order):
    comparison = read_comparison(comparison_folder)
    tested = outputs_of(comparison)
    (pairs,) = pairs_of(comparison.results, [ACCURACY], tested=tested)
    summary = summarise(comparison.results, measures=["accuracy"], tested=tested)
    (row,) = summary[(summary["line"] == "mixup") & (summary["epoch_choice"] == "last")].to_dict("records")
    found = pairs.differences[order].interval
    sign = 1 if order[0] == "mixup" else -1
    assert found.kind == row["difference_interval"]
    assert sign * found.mean == pytest.approx(row["difference"])
    assert found.p == pytest.approx(row["difference_p"])


def test_a_line_without_a_value_is_in_no_pair():
    table = _runs(erm=[0.5, 0.6], mixup=[0.6, 0.8], odd=[np.nan, np.nan])
    (pairs,) = pairs_of(table, [ACCURACY])
    assert pairs.lines == ["erm", "mixup"]


def test_one_seed_has_a_difference_and_no_claim():
    (pairs,) = pairs_of(_runs(erm=[0.5], mixup=[0.9]), [ACCURACY])
    found = pairs.differences["mixup", "erm"]
    assert found.interval.mean == pytest.approx(0.4)
    assert not found.holds
    assert pairs.verdict("mixup", "erm") == ""

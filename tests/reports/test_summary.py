import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from scipy import stats

from midmix.errors import InputError
from midmix.reports import markdown_table, summarise, terminal_table


def _row(summary, line, measure="accuracy", choice="last"):
    chosen = (summary["line"] == line) & (summary["measure"] == measure) & (summary["epoch_choice"] == choice)
    (row,) = summary[chosen].to_dict("records")
    return row


def _values(results, method, measure="accuracy", choice="last"):
    chosen = (results["method"] == method) & (results["criterion"] == "cross_entropy")
    return results[chosen & (results["epoch_choice"] == choice)].sort_values("seed")[measure].to_numpy()


@pytest.mark.parametrize("confidence", [0.95, 0.8])
@pytest.mark.parametrize("measure", ["accuracy", "few", "nll"])
def test_mean_and_interval_are_those_of_scipy(results, measure, confidence):
    row = _row(summarise(results, confidence=confidence), "mixup", measure)
    values = _values(results, "mixup", measure)
    expected = stats.ttest_1samp(values, 0).confidence_interval(confidence)
    assert row["n"] == 3
    np.testing.assert_allclose(
        [row["mean"], row["low"], row["high"]], [values.mean(), expected.low, expected.high], rtol=1e-12
    )


def test_difference_is_scipys_paired_one(results):
    row = _row(summarise(results.sample(frac=1, random_state=0)), "am-mixup")
    ours, baseline = _values(results, "am-mixup"), _values(results, "erm")
    expected = stats.ttest_rel(ours, baseline).confidence_interval(0.95)
    assert row["difference_n"] == 3
    np.testing.assert_allclose(
        [row["difference"], row["difference_low"], row["difference_high"]],
        [(ours - baseline).mean(), expected.low, expected.high],
        rtol=1e-9,
    )


def test_pairs_need_the_same_seed_and_the_same_split(results):
    other_split = (results["method"] == "mixup") & (results["seed"] == 1)
    results.loc[other_split, "split_hash"] = "another"
    without_seed = results[~((results["method"] == "erm") & (results["seed"] == 2))]
    row = _row(summarise(without_seed), "mixup")
    assert (row["n"], row["difference_n"]) == (3, 1)
    assert row["difference"] == pytest.approx(_values(results, "mixup")[0] - _values(results, "erm")[0])
    assert np.isnan(row["difference_low"])


def test_the_baseline_comes_first_and_has_no_difference(results):
    summary = summarise(results.iloc[::-1])
    assert summary["line"].iloc[0] == "erm"
    assert _row(summary, "erm")["difference_n"] == 0
    assert np.isnan(_row(summary, "erm")["difference"])


def test_epoch_choices_are_kept_apart(results):
    summary = summarise(results)
    assert list(summary["epoch_choice"].unique()) == ["last", "validation", "test_oracle"]
    last, oracle = _row(summary, "erm"), _row(summary, "erm", choice="test_oracle")
    assert oracle["mean"] - last["mean"] == pytest.approx(0.012)


def test_one_seed_has_a_mean_and_no_interval(results):
    row = _row(summarise(results[results["seed"] == 0]), "mixup")
    assert (row["n"], row["difference_n"]) == (1, 1)
    assert np.isfinite([row["mean"], row["difference"]]).all()
    assert np.isnan([row["low"], row["high"], row["difference_low"], row["difference_high"]]).all()


def test_an_empty_group_has_no_value(results):
    results["medium"] = np.nan
    row = _row(summarise(results), "mixup", "medium")
    assert (row["n"], row["difference_n"]) == (0, 0)
    assert np.isnan(row["mean"])


def test_a_seed_that_diverged_is_left_out_of_the_means_and_counted(results):
    broken = (
        (results["method"] == "mixup") & (results["criterion"] == "cross_entropy") & (results["seed"] == 1)
    )
    results = results[~broken | (results["epoch_choice"] == "last")].assign(diverged=broken)
    results.loc[broken, ["accuracy", "few", "nll"]] = np.nan
    table = summarise(results, measures=["accuracy", "few", "nll"])
    row = _row(table, "mixup")
    values = _values(results, "mixup")
    assert (row["n"], row["diverged"], row["difference_n"]) == (2, 1, 2)
    assert row["mean"] == pytest.approx(np.nanmean(values))
    assert _row(table, "erm")["diverged"] == 0
    assert "2 (1 diverged)" in markdown_table(table)


def test_a_criterion_other_than_cross_entropy_is_a_line_of_its_own(results):
    summary = summarise(results)
    assert {"balanced-am-mixup", "balanced-am-mixup+balanced_softmax"} <= set(summary["line"])


def test_errors_say_what_is_wrong(results):
    with pytest.raises(InputError, match="columns are missing: few, ece"):
        summarise(results.drop(columns=["few", "ece"]), measures=["few", "ece"])
    with pytest.raises(InputError, match=r"two rows for method erm, .* seed 0"):
        summarise(pd.concat([results, results.iloc[:1]]))


def _printed(results, width):
    written = io.StringIO()
    Console(width=width, file=written, force_terminal=False).print(terminal_table(results))
    return written.getvalue()


def test_the_terminal_shows_the_last_epoch(results):
    text = _printed(results, 130)
    summary = summarise(results)
    for line in ("erm", "mixup", "balanced-am-mixup+balanced_softmax"):
        assert f"{100 * _row(summary, line)['mean']:.1f} ±" in text
    assert "Left out" not in text


@pytest.mark.parametrize("width", [70, 80, 100, 130])
def test_the_terminal_never_cuts_a_number(results, width):
    text = _printed(results, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert "overall %" in text
    assert "few %" in text
    assert "Brier" not in text, "a measure of two classes, which nothing leaves out here"


def test_the_terminal_says_why_there_is_no_difference(results):
    assert "No differences" in _printed(results[results["method"] != "erm"], 130)
    assert "n = 1" in _printed(results[results["seed"] == 0], 130)


def test_names_are_not_markup_in_the_terminal(results):
    results["method"] = results["method"].replace("mixup", "[red]mixup[/nothing]")
    assert "[red]mixup[/nothing]" in _printed(results, 200)

"""Where each seed tests on rows of its own, the tables say so, and intervals count the table that all rows are of."""

from __future__ import annotations

import numpy as np
import pytest

from midmix.data import from_arrays
from midmix.methods import parse_methods
from midmix.reports import flags_of, read_comparison, summarise, write_report
from midmix.reports import tested_runs as outputs_of  # else taken for a test
from midmix.studies import compare
from midmix.training import Settings


@pytest.mark.parametrize(("splits", "kind"), [("drawn", "nested"), ("fixed", "crossed")])
def test_intervals_know_whose_the_test_rows_are(splits, kind, tmp_path):
    draw = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [60, 40, 30])
    source = from_arrays((draw.normal(size=(130, 3)) + np.eye(3)[labels]).astype(np.float32), labels)
    settings = Settings(network="mlp-8", epochs=3, evaluate_every=3)
    compare(source, parse_methods(["erm", "mixup"]), tmp_path, settings, seeds=3, jobs=1, splits=splits)
    comparison = read_comparison(tmp_path)
    assert {run.about["splits"] for run in comparison.runs} == {splits}
    found = summarise(comparison.results, measures=["accuracy", "nll"], tested=outputs_of(comparison))
    found = found[found["epoch_choice"] == "last"]
    assert set(found["interval"]) == {kind}
    assert set(found.loc[found["line"] == "mixup", "difference_interval"]) == {kind}
    assert (found["test_rows"] == 26).all()
    page = write_report(tmp_path).read_text()
    said = {"drawn": "anew by each seed", "fixed": "one split for all seeds"}
    assert said[splits] in page
    assert ("--splits" in flags_of(comparison.about)) == (splits == "fixed")

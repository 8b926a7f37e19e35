"""A baseline's run: its folder, its model, and what it is refused for."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from midmix.data import Labelled, Source
from midmix.errors import InputError
from midmix.methods import BASELINES, Method
from midmix.reports import write_report, write_tables
from midmix.studies import compare
from midmix.training import Callback, Run, load_model, predict, read_predictions, train_run
from midmix.training.run import check_runs
from midmix.training.run_folder import MODEL, result_rows


@pytest.mark.parametrize("name", BASELINES.names())
def test_a_run_ends_with_results_and_where_it_is_linear_with_a_model(name, blobs, short, tmp_path):
    run = Run(Method.parse(name), 0, short)
    record = train_run(run, blobs, tmp_path)
    again = train_run(run, blobs, tmp_path)  # finished: not run again
    assert again["seconds"] == record["seconds"]
    tested, row = read_predictions(tmp_path), result_rows(tmp_path)[0]
    assert row["accuracy"] == pytest.approx(tested.accuracy())
    assert (row["nll"] == row["nll"]) == record["probabilities"] == (name != "ridge")
    if not run.method.make_baseline().linear:
        assert not (tmp_path / MODEL).exists()
        with pytest.raises(InputError, match="holds results only"):
            load_model(tmp_path)
        return
    model, _ = load_model(tmp_path)
    assert torch.allclose(predict(model, blobs.test).logits, tested.logits, atol=1e-5)


def test_images_are_refused_before_anything_is_written(short, tmp_path):
    images = Labelled(torch.zeros(8, 3, 4, 4, dtype=torch.uint8), torch.arange(8) % 2, ("a", "b"))
    run = Run(Method.parse("ridge"), 0, replace(short, network="resnet-8"))
    with pytest.raises(InputError, match=r"^ridge: takes rows of features"):
        check_runs([run], Source("pictures", images, images))


def test_what_a_fit_warns_of_is_said(blobs, short, tmp_path):
    said: list[str] = []
    run = Run(Method.parse("logistic:C=100:max_iter=1"), 0, short)
    train_run(run, blobs, tmp_path, callback=Callback(say=said.append))
    assert any("not at its optimum" in line for line in said)


def test_baselines_stand_in_the_table_and_on_the_page(blobs, short, tmp_path):
    lines = [Method.parse(text) for text in ("erm", "ridge", "lda", "hist-gradient-boosting:max_iter=5")]
    results = compare(blobs, lines, tmp_path, short, seeds=2, jobs=1)
    assert set(results["method"]) == {str(line) for line in lines}
    assert results.groupby("seed")["split_hash"].nunique().eq(1).all()
    table = write_tables(tmp_path).read_text()
    row = next(line for line in table.splitlines() if line.startswith("| ridge"))
    assert "–" in row  # scores that are no probabilities have no likelihood
    page = write_report(tmp_path).read_text()
    assert "learns no features" in page

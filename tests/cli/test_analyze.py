"""`midmix analyze`: any features, ours or not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from midmix.measures import alignment, margins, nc3


@pytest.fixture
def arrays():
    draw = np.random.default_rng(1)
    features = draw.normal(size=(60, 5)).astype(np.float32)
    labels = np.repeat([0, 1, 2], [30, 20, 10])
    features[np.arange(60), labels] += 3
    weight, bias = np.eye(3, 5, dtype=np.float32), np.zeros(3, np.float32)
    return {"features": features, "labels": labels, "logits": features @ weight.T + bias, "head_weight": weight,
            "head_bias": bias, "classes": np.array(["<script>", "b", "c"])}  # fmt: skip


def test_measures_of_a_file_are_those_of_the_library(midmix, arrays, tmp_path):
    import torch

    np.savez(tmp_path / "f.npz", **arrays)
    outcome = midmix("analyze", tmp_path / "f.npz", "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    table = pd.read_parquet(tmp_path / "out" / "measures.parquet")
    assert table["count"].tolist() == [60, 30, 20, 10]
    total = table[table["class"].isna()].iloc[0]
    features, labels, logits, weight = (
        torch.from_numpy(arrays[name]) for name in ("features", "labels", "logits", "head_weight")
    )
    assert total["alignment"] == pytest.approx(float(alignment(features, labels)))
    assert total["nc3"] == pytest.approx(float(nc3(features, labels, weight)))
    assert total["margin_balance"] == pytest.approx(float(margins(logits, labels).balance))
    page = (tmp_path / "out" / "report.html").read_text()
    assert "&lt;script&gt;" in page
    assert "<script>" not in page


def test_logits_in_columns_of_a_table_are_ordered_by_class(midmix, arrays, tmp_path):
    names = ["cat", "ape", "dog"]
    frame = pd.DataFrame(arrays["features"], columns=[f"f{i}" for i in range(5)])
    for column, name in enumerate(names):
        frame[f"logit_{name}"] = arrays["logits"][:, column]
    frame["label"] = [names[label] for label in arrays["labels"]]
    frame.to_parquet(tmp_path / "f.parquet")
    outcome = midmix("analyze", tmp_path / "f.parquet", "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    by_class = pd.read_parquet(tmp_path / "out" / "measures.parquet").set_index("class")
    logits = arrays["logits"]
    mine = logits[:30, 0] - np.maximum(logits[:30, 1], logits[:30, 2])
    assert by_class.loc["cat", "margin_mean"] == pytest.approx(mine.mean(), rel=1e-5)


def test_a_finished_run_with_its_head(midmix, table, tmp_path):
    assert midmix("train", table, "--epochs", 5, "--out", tmp_path / "run").code == 0
    outcome = midmix("analyze", tmp_path / "run", "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    for name in ("nc3", "nc4", "class_uniformity", "margin_balance"):
        assert name in outcome.out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": np.zeros(59, np.int64)}, ["59", "60"]),
        ({"head_weight": np.zeros((3, 4), np.float32)}, ["head_weight", "[3, 4]", "[3, 5]"]),
        ({"logits": np.full((60, 3), np.nan, np.float32)}, ["logits", "row 0"]),
        ({"features": np.full((60, 5), np.inf, np.float32)}, ["finite"]),
    ],
)
def test_parts_that_do_not_fit(midmix, arrays, tmp_path, change, said):
    np.savez(tmp_path / "f.npz", **{**arrays, **change})
    outcome = midmix("analyze", tmp_path / "f.npz", "--out", tmp_path / "out")
    assert outcome.code == 2
    for part in said:
        assert part in outcome.complaint
    assert not (tmp_path / "out").exists()


def test_named_classes_without_a_row(midmix, arrays, tmp_path):
    given = {**arrays, "labels": np.repeat([0, 2], 30)}
    np.savez(tmp_path / "f.npz", **given)
    outcome = midmix("analyze", tmp_path / "f.npz", "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert "classes without a row, whose measures stay unknown: 'b'" in outcome.err
    table = pd.read_parquet(tmp_path / "out" / "measures.parquet").set_index("class")
    assert table.loc[["<script>", "b", "c"], "count"].tolist() == [30, 0, 30]
    assert table["alignment"].isna()["b"]


def test_of_many_rows_a_sample_stands_for_pairs_and_it_is_said(midmix, arrays, tmp_path, monkeypatch):
    monkeypatch.setattr("midmix.cli.analyze.EXACT", 59)
    monkeypatch.setattr("midmix.cli.analyze.SAMPLED", 16)
    np.savez(tmp_path / "f.npz", **arrays)
    outcome = midmix("analyze", tmp_path / "f.npz", "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert "measures over pairs: of at most 16 rows a class, drawn at random" in outcome.err
    exact = midmix("analyze", tmp_path / "f.npz", "--out", tmp_path / "exact", "--max-rows", "60")
    assert "measures over pairs" not in exact.err
    found, whole = (pd.read_parquet(tmp_path / name / "measures.parquet") for name in ("out", "exact"))
    assert found["class_uniformity"].equals(whole["class_uniformity"])
    assert not found["alignment"].equals(whole["alignment"])

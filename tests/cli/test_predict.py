"""`midmix predict` on rows like those that the model was trained on."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file


@pytest.fixture
def rows() -> np.ndarray:
    """Two classes, 10 rows each, told apart by their first number."""
    rows = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    rows[10:, 0] += 8
    return rows


def predicted(midmix, run, source, out):
    outcome = midmix("predict", run, source, "--out", out)
    assert outcome.code == 0, outcome.err
    return pd.read_csv(out)


def test_an_array_with_its_own_name(midmix, rows, tmp_path):
    source = tmp_path / "a.npz"
    np.savez(source, x=np.zeros((20, 4)), emb=rows, kind=np.repeat(["cat", "dog"], 10))
    flags = ("--features", "emb", "--label", "kind", "--epochs", 20, "--out", tmp_path / "run")
    assert midmix("train", source, *flags).code == 0
    found = predicted(midmix, tmp_path / "run", source, tmp_path / "P.CSV")
    assert found["class"].tolist() == ["cat"] * 10 + ["dog"] * 10


def test_a_column_of_embeddings(midmix, rows, tmp_path):
    source = tmp_path / "embeddings.parquet"
    frame = pd.DataFrame({"emb": list(rows), "age": range(20), "label": np.repeat(["cat", "dog"], 10)})
    frame.to_parquet(source)
    flags = ("--features", "emb", "--epochs", 20, "--out", tmp_path / "run")
    assert midmix("train", source, *flags).code == 0
    frame.drop(columns="label").to_parquet(source)
    found = predicted(midmix, tmp_path / "run", source, tmp_path / "p.csv")
    assert found["class"].tolist() == ["cat"] * 10 + ["dog"] * 10


def test_images_that_are_not_square(midmix, tmp_path):
    folder = tmp_path / "images"
    for shade, label in enumerate(("dark", "light")):
        (folder / label).mkdir(parents=True)
        for k in range(4):
            Image.new("RGB", (12, 8), (200 * shade + k,) * 3).save(folder / label / f"{k}.png")
    flags = ("--network", "resnet-8", "--width", 4, "--epochs", 1, "--out", tmp_path / "run")
    assert midmix("train", folder, *flags).code == 0
    assert len(predicted(midmix, tmp_path / "run", folder, tmp_path / "p.csv")) == 8


@pytest.fixture
def trained(midmix, rows, tmp_path):
    """The folder of a run, on a CSV file of rows `a` … `d` with the labels `=1+1`, `-2+3`, `01` and `1`."""
    frame = pd.DataFrame(rows, columns=list("abcd"))
    frame["label"] = ["=1+1", "-2+3", "01", "1"] * 5
    frame.to_csv(tmp_path / "d.csv", index=False)
    assert midmix("train", tmp_path / "d.csv", "--epochs", 1, "--out", tmp_path / "run").code == 0
    return tmp_path / "run"


def test_labels_are_read_alike_by_train_evaluate_and_predict(midmix, trained, tmp_path):
    outcome = midmix("evaluate", trained, tmp_path / "d.csv")
    assert outcome.code == 0, outcome.err
    other = tmp_path / "copy.csv"
    other.write_bytes((tmp_path / "d.csv").read_bytes())
    outcome = midmix("evaluate", trained, other)  # all of its rows
    assert outcome.code == 0, outcome.err
    assert "4 classes" in outcome.err
    assert midmix("predict", trained, other, "--out", tmp_path / "p.parquet", "--all-classes").code == 0
    found = pd.read_parquet(tmp_path / "p.parquet")
    assert list(found.columns[3:]) == [f"probability:{name}" for name in ("-2+3", "01", "1", "=1+1")]


def test_no_cell_is_a_formula(midmix, trained, tmp_path):
    outcome = midmix("predict", trained, tmp_path / "d.csv", "--out", tmp_path / "p.csv", "--all-classes")
    assert outcome.code == 0, outcome.err
    table = pd.read_csv(tmp_path / "p.csv", dtype=str)
    assert midmix("predict", trained, tmp_path / "d.csv", "--out", tmp_path / "p.parquet").code == 0
    raw = pd.read_parquet(tmp_path / "p.parquet")
    formulas = raw["class"].isin(["=1+1", "-2+3"])
    assert formulas.any()
    assert table["class"].tolist() == [
        "'" * bad + name for name, bad in zip(raw["class"], formulas, strict=True)
    ]
    assert f"{formulas.sum()} texts that a spreadsheet would compute begin with '" in outcome.err
    cells = [*table.columns, *table["name"], *table["class"]]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t"))]


def test_names_of_files_that_are_formulas(midmix, tmp_path):
    folder = tmp_path / "images"
    for shade, label in enumerate(("@dark", "+light")):
        (folder / label).mkdir(parents=True)
        for k in range(4):
            Image.new("RGB", (8, 8), (200 * shade + k,) * 3).save(folder / label / f"{k}.png")
    flags = ("--network", "resnet-8", "--width", 4, "--epochs", 1, "--out", tmp_path / "run")
    assert midmix("train", folder, *flags).code == 0
    found = predicted(midmix, tmp_path / "run", folder, tmp_path / "p.csv")
    assert found["name"][0] == "'+light/0.png"
    assert found["name"].str.startswith("'").all()
    assert found["class"].str.startswith(("'@", "'+")).all()


def test_probabilities_hold_for_the_prior_stated_and_classes_are_best_for_the_aim(midmix, tmp_path):
    draw = np.random.default_rng(0)
    x = np.concatenate([draw.normal(0, 1, 300), draw.normal(1.5, 1, 30)])
    source = tmp_path / "d.csv"
    pd.DataFrame({"x": x, "y": x**2, "label": ["no"] * 300 + ["yes"] * 30}).to_csv(source, index=False)
    flags = (
        "--method",
        "erm",
        "--epochs",
        8,
        "--validation",
        0.3,
        "--network",
        "mlp-8",
        "--out",
        tmp_path / "run",
    )
    assert midmix("train", source, *flags).code == 0

    def found(*flags):
        outcome = midmix(
            "predict", tmp_path / "run", source, "--out", tmp_path / "p.csv", "--all-classes", *flags
        )
        assert outcome.code == 0, outcome.err
        return pd.read_csv(tmp_path / "p.csv"), outcome.err

    data, uniform, balanced = (
        found(*flags)[0] for flags in [(), ("--prior", "uniform"), ("--aim", "balanced")]
    )
    odds = [table["probability:yes"] / table["probability:no"] for table in (data, uniform)]
    np.testing.assert_allclose(odds[1] / odds[0], 168 / 17, rtol=1e-3)  # so many of each were trained on
    assert (data["probability"] >= 0.5 - 1e-6).all()
    assert (balanced["class"] == uniform["class"]).all()  # the likeliest of classes that are alike
    assert (balanced["class"] == "yes").sum() > (data["class"] == "yes").sum()
    for aim in ("f1", "recall@precision=0.3"):
        assert set(found("--aim", aim, "--calibrate", "temperature")[0]["class"]) == {"no", "yes"}
    (tmp_path / "costs.csv").write_text(",yes,no\nno,1,0\nyes,0,1e6\n")
    costly = found("--aim", f"costs={tmp_path / 'costs.csv'}")[0]
    assert (costly["class"] == "yes").all()  # a missed one costs a million
    assert "prior, estimated from 330 rows: no" in found("--prior", "estimate")[1]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--prior", "0.5,0.6,0,0"), "sum to 1.1; the shares of the classes must sum to 1"),
        (("--prior", "0.5,0.3,0.2"), "3 shares for 4 classes"),
        (("--prior", "unifrom"), "did you mean uniform"),
        (("--aim", "balance"), "did you mean balanced"),
        (("--aim", "f1"), "was trained without; train with --validation 0.2"),
        (("--calibrate", "bias"), "was trained without; train with --validation 0.2"),
        (("--aim", "recall@precision=0.9"), "is for two classes, there are 4"),
        (("--aim", "costs=none.csv"), "none.csv: cannot be read"),
        (("--positive", "01"), "is for two classes, there are 4"),
    ],
)
def test_what_is_stated_wrongly_is_said_before_anything_is_written(midmix, trained, tmp_path, flags, message):
    outcome = midmix("predict", trained, tmp_path / "d.csv", "--out", tmp_path / "p.csv", *flags)
    assert outcome.code == 2
    assert message in outcome.complaint
    assert not (tmp_path / "p.csv").exists()


def test_a_run_of_before_priors_were_written_down_gives_softmax(midmix, trained, tmp_path):
    record = json.loads((trained / "run.json").read_text())
    del record["logit_prior"]
    (trained / "run.json").write_text(json.dumps(record))
    outcome = midmix("predict", trained, tmp_path / "d.csv", "--out", tmp_path / "p.parquet")
    assert outcome.code == 0, outcome.err
    assert "which prior its logits answer for is not known" in outcome.err
    outcome = midmix("predict", trained, tmp_path / "d.csv", "--out", tmp_path / "q.csv", "--aim", "balanced")
    assert outcome.code == 2
    assert "its record is of before it was written down" in outcome.complaint
    assert midmix("evaluate", trained, tmp_path / "d.csv").code == 0


@pytest.mark.parametrize("link", [False, True])
def test_the_file_that_is_read_is_not_written(midmix, trained, tmp_path, link):
    source = out = tmp_path / "d.csv"
    before = source.read_bytes()
    if link:
        out = tmp_path / "link.csv"
        out.symlink_to(source)
    outcome = midmix("predict", trained, source, "--out", out)
    assert outcome.code == 2
    assert "is the file that is read; choose another" in outcome.complaint
    assert source.read_bytes() == before


@pytest.mark.parametrize(
    ("factor", "feature", "message"),
    [
        (
            10,
            3e38,
            r"far.csv: predictions that are not finite (1 of 20 rows), the first for row '7', class '",
        ),
        (
            torch.nan,
            1,
            "far.csv: predictions that are not finite (20 of 20 rows), the first for row '0', class '-2+3'",
        ),
    ],
)
def test_predictions_that_are_not_finite(midmix, trained, rows, tmp_path, factor, feature, message):
    frame = pd.DataFrame(rows, columns=list("abcd"), dtype=float)
    frame.loc[7, "c"] = feature
    frame.to_csv(tmp_path / "far.csv", index=False)
    weights = load_file(trained / "model.safetensors")
    save_file({name: factor * value for name, value in weights.items()}, trained / "model.safetensors")
    outcome = midmix("predict", trained, tmp_path / "far.csv", "--out", tmp_path / "p.csv")
    assert outcome.code == 2
    assert message in outcome.complaint
    assert (f"its largest feature is {feature:g}, in column 'c'" in outcome.complaint) == (feature > 1)
    assert "are the model's weights finite?" in outcome.complaint
    assert not (tmp_path / "p.csv").exists()

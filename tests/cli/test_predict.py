"""`midmix predict` on rows like those that the model was trained on."""

from __future__ import annotations

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

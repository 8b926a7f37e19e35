"""`midmix predict` on rows like those that the model was trained on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image


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

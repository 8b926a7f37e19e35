"""A table as a customer has it, from training to the prediction of new rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def customers(tmp_path: Path) -> Path:
    draw, rows = np.random.default_rng(0), 200
    leaves = np.arange(rows) % 5 == 0
    frame = pd.DataFrame(
        {
            "customer_id": np.sort(draw.permutation(5000)[:rows]),
            "age": np.where(draw.random(rows) < 0.1, np.nan, draw.integers(18, 90, rows) + 30 * leaves),
            "city": np.where(draw.random(rows) < 0.3 + 0.5 * leaves, "Rome", "Oslo"),
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(draw.integers(0, 900, rows), "D"),
            "label": np.where(leaves, "leaves", "stays"),
        }
    )
    frame.to_csv(tmp_path / "customers.csv", index=False)
    return tmp_path / "customers.csv"


def test_from_training_to_new_rows(midmix, customers: Path, tmp_path: Path) -> None:
    trained = midmix("train", customers, "--epochs", 8, "--width", 16, "--out", tmp_path / "run")
    assert trained.code == 0
    assert "like ids, a value of its own in each row, left out: 'customer_id'" in trained.err
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["columns"] == ["age", "city", "since"]
    assert record["shape"] == [2 + 2 + 5]
    evaluated = midmix("evaluate", tmp_path / "run", customers)
    measured = [
        [line for line in said.out.splitlines() if line.startswith("│")] for said in (trained, evaluated)
    ]
    assert measured[0] == measured[1]

    new = tmp_path / "new.csv"
    new.write_text("city,since,age\nBonn,,\nRome,2021-01-01,30\n")
    assert midmix("predict", tmp_path / "run", new, "--out", tmp_path / "p.csv").code == 0
    found = pd.read_csv(tmp_path / "p.csv")
    assert found["probability"].between(0, 1).all()

    new.write_text("city,since,age\nBonn,2021-01-01,old\nRome,2021-01-01,30\n")
    spoilt = midmix("predict", tmp_path / "run", new, "--out", tmp_path / "p.csv")
    assert spoilt.code == 2
    assert "column 'age': holds numbers, but 'old' in row 0" in spoilt.complaint
    other = midmix("evaluate", tmp_path / "run", new, "--keep", "age")
    assert "--keep: " in other.complaint
    assert midmix("train", customers, "--exclude", "aeg", "--out", tmp_path / "b").complaint.count("age") == 2


def test_a_comparison_says_in_its_command_what_was_chosen(midmix, customers: Path, tmp_path: Path) -> None:
    done = midmix(
        "compare", customers, "--methods", "erm", "--seeds", 1, "--epochs", 1, "--jobs", 1, "--out", tmp_path / "c",
        "--keep", "customer_id", "--exclude", "since",
    )  # fmt: skip
    assert done.code == 0
    assert "--keep customer_id" in done.out
    assert "--exclude since" in done.out
    record = json.loads((tmp_path / "c" / "runs" / "erm-seed0" / "run.json").read_text())
    assert record["columns"] == ["customer_id", "age", "city"]


def test_columns_are_chosen_of_tables_only(midmix, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.eye(4), y=[0, 1, 0, 1])
    assert (
        "leave out --keep"
        in midmix("train", tmp_path / "a.npz", "--keep", "x", "--out", tmp_path / "a").complaint
    )

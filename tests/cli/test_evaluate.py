"""`midmix evaluate`: which rows are measured, and by which columns."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image


@pytest.fixture
def trained(midmix, table, tmp_path):
    """A model of half of the rows; the others are its test rows."""
    out = tmp_path / "run"
    outcome = midmix("train", table, "--test-fraction", 0.5, "--epochs", 10, "--out", out)
    assert outcome.code == 0, outcome.err
    return out


def accuracy(outcome) -> str:
    """The first cell of the table of totals."""
    assert outcome.code == 0, outcome.err
    found = re.search(r"│ +([0-9.]+) │", outcome.out)
    assert found is not None, outcome.out
    return found[1]


def test_what_was_trained_on_is_read_as_it_was_then(midmix, trained, table, monkeypatch):
    with np.load(trained / "test.npz") as kept:
        expected = 100 * (kept["logits"].argmax(1) == kept["labels"]).mean()
    monkeypatch.chdir(table.parent)
    for name in (table, table.name, f"./{table.name}"):
        outcome = midmix("evaluate", trained, name)
        assert accuracy(outcome) == f"{expected:.1f}"
        assert f"measured: the 50 rows of {name} that were held out in training" in outcome.err


def test_flags_that_would_test_rows_of_training_are_refused(midmix, trained, table):
    outcome = midmix("evaluate", trained, table, "--test-fraction", 0.2)
    assert outcome.code == 2
    assert "rows which it was trained on could be measured" in outcome.complaint


def test_what_was_changed_since_training_is_refused(midmix, trained, table):
    with table.open("a") as file:
        file.write("\n0.1,0.1,cat\n")
    outcome = midmix("evaluate", trained, table)
    assert outcome.code == 2
    assert "was changed" in outcome.complaint


def test_all_rows_of_a_file_of_its_own_are_measured(midmix, trained, table):
    fresh = table.with_name("fresh.csv")
    frame = pd.read_csv(table)
    pd.concat([frame[frame.label == "cat"][:7], frame[frame.label == "dog"][:1]]).to_csv(fresh, index=False)
    outcome = midmix("evaluate", trained, fresh)  # one class has a single row, one has none
    assert outcome.code == 0, outcome.err
    assert f"measured: all 8 rows of {fresh}" in outcome.err
    outcome = midmix("evaluate", trained, table.with_name("fresh.csv"), "--test-fraction", 0.5)
    assert outcome.code == 2, "a single row cannot be divided"


def test_a_test_split_of_its_own_is_measured(midmix, trained, table, tmp_path):
    (tmp_path / "parts").mkdir()
    frame = pd.read_csv(table)
    frame.to_csv(tmp_path / "parts" / "train.csv", index=False)
    frame[::10].to_csv(tmp_path / "parts" / "test.csv", index=False)
    outcome = midmix("evaluate", trained, tmp_path / "parts")
    assert outcome.code == 0, outcome.err
    assert f"measured: the 10 test rows of {tmp_path / 'parts'}" in outcome.err


def test_features_are_found_by_their_names(midmix, trained, table):
    frame = pd.read_csv(table)
    frame.to_csv(table.with_name("same.csv"), index=False)
    frame.assign(extra=1.0)[["label", "extra", "height", "weight"]].to_csv(
        table.with_name("other.csv"), index=False
    )
    same, other = (midmix("evaluate", trained, table.with_name(f"{name}.csv")) for name in ("same", "other"))
    assert accuracy(same) == accuracy(other)
    assert same.out.split("accuracy", 1)[1] == other.out.split("accuracy", 1)[1]


def test_a_record_of_old_says_nothing_of_its_reading(midmix, trained, table):
    path = trained / "run.json"
    record = json.loads(path.read_text())
    for name in ("reading", "train_rows", "test_rows", "splits"):
        del record[name]
    path.write_text(json.dumps(record))
    outcome = midmix("evaluate", trained, table, "--test-fraction", 0.5)
    assert outcome.code == 0, outcome.err
    assert f"the 50 test rows of {table}" in outcome.err


def test_built_in_sets_have_their_test_rows_always(midmix, tmp_path):
    assert midmix("train", "digits", "--epochs", 1, "--out", tmp_path / "run").code == 0
    outcome = midmix("evaluate", tmp_path / "run", "digits")
    assert outcome.code == 0, outcome.err
    assert "the 719 rows of digits that were held out in training" in outcome.err


def test_views_stand_beside_the_plain_figures_and_serve_predictions(midmix, tmp_path):
    folder = tmp_path / "images"
    draw = np.random.default_rng(0)
    for label, column in (("left", 1), ("right", 6)):
        (folder / label).mkdir(parents=True)
        for k in range(20):
            pixels = draw.integers(0, 60, (8, 8, 3), dtype=np.uint8)
            pixels[:, column] += 120
            Image.fromarray(pixels).save(folder / label / f"{k}.png")
    run = tmp_path / "run"
    trained = midmix(
        "train",
        folder,
        "--network",
        "resnet-8",
        "--width",
        4,
        "--epochs",
        3,
        "--augment",
        "none",
        "--out",
        run,
    )
    assert trained.code == 0, trained.err
    plain = midmix("evaluate", run, folder)
    both = midmix("evaluate", run, folder, "--test-views", 2)
    assert accuracy(plain) == accuracy(both)
    assert "largest logit, 2 views" in both.out
    assert "for the prior of these rows, 2 views" in both.out
    assert "2 views" not in plain.out
    tables = []
    for views in (1, 2):
        out = tmp_path / f"{views}.csv"
        assert midmix("predict", run, folder, "--test-views", views, "--all-classes", "--out", out).code == 0
        tables.append(pd.read_csv(out))
    assert not np.allclose(tables[0]["probability:left"], tables[1]["probability:left"])


def test_views_of_rows_that_are_no_images_are_refused_before_anything_is_read(midmix, trained, tmp_path):
    for command in ("evaluate", "predict"):
        outcome = midmix(command, trained, tmp_path / "nothing", "--test-views", 2)
        assert outcome.code == 2
        assert "test views: 2 of rows [2], which are no images; leave them out" in outcome.complaint


def test_rows_of_one_class_are_measured(midmix, trained, table, tmp_path):
    rows = table.read_text().splitlines()
    one = tmp_path / "cats.csv"
    one.write_text("\n".join([rows[0], *(row for row in rows if row.endswith(",cat"))]))
    outcome = midmix("evaluate", trained, one)
    assert outcome.code == 0, outcome.err
    assert re.search(r"│ dog +│ +\d+ +│ +– │", outcome.out)
    assert "only one class" in midmix("train", one, "--out", tmp_path / "none").complaint

"""What is stated of priors, costs and aims, and rows that are not as in training: one clear line for each bad input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from midmix import load


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    """200 rows, 40 of them late: a number, a category, a date."""
    draw, late = np.random.default_rng(0), np.arange(200) % 5 == 0
    frame = pd.DataFrame(
        {
            "amount": draw.normal(size=200) + 2 * late,
            "city": np.where(draw.random(200) < 0.5, "Rome", "Oslo"),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(draw.integers(0, 300, 200), "D"),
            "label": np.where(late, "late", "paid"),
        }
    )
    frame.to_csv(tmp_path / "orders.csv", index=False)
    return tmp_path / "orders.csv"


def test_each_bad_input_is_one_clear_line(midmix: Callable[..., Any], orders: Path, tmp_path: Path) -> None:
    flags = ("--epochs", 2, "--network", "mlp-8", "--out", tmp_path / "run")
    assert midmix("train", orders, *flags).code == 0
    out = tmp_path / "p.csv"
    frame = pd.read_csv(orders).drop(columns="label").head(20)

    def costs(text: str) -> str:
        (tmp_path / "costs.csv").write_text(text)
        return f"costs={tmp_path / 'costs.csv'}"

    stated = [
        (("--aim", costs("0,1,2\n5,0,1\n")), "a square matrix is needed"),
        (("--prior", "0.9,0.2"), "sum to 1.1; the shares of the classes must sum to 1"),
        (("--prior", "1"), "1 shares for 2 classes; give one for each class"),
        (("--prior", "dat"), "did you mean data?"),
        (("--aim", "f1"), "is fitted on validation rows"),
        (("--aim", "balance"), "did you mean balanced?"),
        (("--calibrate", "bias"), "train with --validation 0.2"),
        (("--positive", "lat"), "did you mean late?"),
    ]
    new = tmp_path / "new.csv"
    frame.to_csv(new, index=False)
    for arguments, said in stated:
        outcome = midmix("predict", tmp_path / "run", new, "--out", out, *arguments)
        assert outcome.code == 2, arguments
        assert said in outcome.complaint
    changed: list[tuple[dict[str, Any], str]] = [
        ({"amount": "much"}, "column 'amount': holds numbers, but 'much' in row 0"),
        ({"day": "soon"}, "column 'day': held dates in training"),
        ({"city": 1.5}, "column 'city': held names of categories in training"),
    ]
    for values, said in changed:
        frame.assign(**values).to_csv(new, index=False)
        outcome = midmix("predict", tmp_path / "run", new, "--out", out)
        assert outcome.code == 2, values
        assert said in outcome.complaint
    frame.drop(columns="day").to_csv(new, index=False)
    assert "'day'" in midmix("predict", tmp_path / "run", new, "--out", out).complaint
    assert not out.exists()

    frame.assign(city=["Bonn"] * 3 + ["Rome"] * 17).to_csv(new, index=False)
    outcome = midmix(
        "predict", tmp_path / "run", new, "--out", out, "--aim", costs(",late,paid\nlate,0,5\npaid,1,0\n")
    )
    assert outcome.code == 0, outcome.err
    assert "column 'city': 3 of 20 rows hold a category that was rare or not seen in training" in outcome.err
    frame.assign(city=["Bonn"] * 3 + ["Rome"] * 17, label=["late", "paid"] * 10).to_csv(new, index=False)
    assert "column 'city': 3 of 20 rows hold a category" in midmix("evaluate", tmp_path / "run", new).err


def test_a_prior_is_estimated_with_its_doubts(
    midmix: Callable[..., Any], orders: Path, tmp_path: Path
) -> None:
    flags = ("--epochs", 2, "--network", "mlp-8", "--validation", 0.3, "--out", tmp_path / "run")
    assert midmix("train", orders, *flags).code == 0
    new = tmp_path / "new.csv"
    pd.read_csv(orders).drop(columns="label").head(20).to_csv(new, index=False)
    outcome = midmix("predict", tmp_path / "run", new, "--out", tmp_path / "p.csv", "--prior", "estimate")
    assert outcome.code == 0, outcome.err
    assert "prior, estimated from 20 rows: late " in outcome.err
    assert "prior: estimated from 20 rows, 100 or more are advised" in outcome.err


def test_an_evaluation_has_a_page_of_what_was_stated(
    midmix: Callable[..., Any], orders: Path, tmp_path: Path
) -> None:
    """On another table, whose labels are found by the name that they had in training."""
    orders.write_text(orders.read_text().replace("late", "<b>late").replace(",label", ",state"))
    flags = ("--label", "state", "--epochs", 2, "--network", "mlp-8", "--out", tmp_path / "run")
    assert midmix("train", orders, *flags).code == 0
    (tmp_path / "costs.csv").write_text("0,30\n1,0\n")  # rows: <b>late, paid
    other, page = tmp_path / "other.csv", tmp_path / "page"
    other.write_text(orders.read_text())
    stated = ("--aim", f"costs={tmp_path / 'costs.csv'}", "--out", page)
    outcome = midmix("evaluate", tmp_path / "run", other, *stated)
    assert outcome.code == 0, outcome.err
    assert "all 200 rows" in outcome.err
    text = (page / "report.html").read_text(encoding="utf-8")
    assert "Stated: aim costs; prior &lt;b&gt;late 0.2, paid 0.8." in text
    assert "<b>late" not in text
    points = pd.read_csv(page / "figures" / "precision-recall.csv").set_index("point")
    (row,) = (line for line in outcome.out.splitlines() if "recall %" in line)
    recall = float(points[points.index != "curve"]["recall"].to_dict()["aim costs"])
    assert f"{100 * recall:.1f}" == row.split("│")[-2].strip()
    assert recall == 1  # a miss costs thirty false alarms
    for name in ("cost-by-threshold", "reliability"):
        assert f'id="{name}"' in text
    (page / "report.html").unlink()
    (page / "mine.txt").write_text("mine")
    refused = midmix("evaluate", tmp_path / "run", other, *stated)
    assert "is not an empty folder and holds no evaluation" in refused.complaint


def test_a_frame_is_as_its_file_and_rows_of_one_class_are_of_one_class(
    midmix: Callable[..., Any], orders: Path, tmp_path: Path
) -> None:
    flags = ("--epochs", 1, "--network", "mlp-8", "--out", tmp_path / "run")
    assert midmix("train", orders, *flags).code == 0
    frame = pd.read_csv(orders)  # its days are text, and those of the file are dates
    loaded = load(tmp_path / "run")
    assert np.array_equal(loaded.predict_proba(frame), loaded.predict_proba(orders))
    frame[frame["label"] == "paid"].to_csv(tmp_path / "paid.csv", index=False)
    outcome = midmix("evaluate", tmp_path / "run", tmp_path / "paid.csv", "--out", tmp_path / "page")
    assert outcome.code == 0, outcome.err
    assert "features, 1 class\n" in outcome.err
    assert 'id="precision-recall"' not in (tmp_path / "page" / "report.html").read_text(encoding="utf-8")

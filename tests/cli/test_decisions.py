"""What is stated of priors, costs and aims, and rows that are not as in training: one clear line for each bad input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest


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

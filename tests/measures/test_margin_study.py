"""The experiment of docs/margin-law.md does what the law says, at a few λ."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from midmix.measures import margin_band, required_margin

SCRIPT = Path(__file__).parents[2] / "docs" / "studies" / "margin.py"


@pytest.fixture(scope="module")
def rows():
    spec = importlib.util.spec_from_file_location("margin_study", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
        return {row.weight: row for row in module.study((1.0, 0.8, 0.6, 0.5), seeds=1, steps=250)}
    finally:
        del sys.modules[spec.name]


def test_the_band_tells_which_pairs_are_right(rows):
    for weight, row in rows.items():
        assert row.in_band == row.both_right, weight  # part 1 is exact, pair by pair


def test_margins_balance_and_broaden_as_the_weight_falls(rows):
    assert rows[1.0].ratio > 1.5  # nothing asked for balance: the small class stays behind
    for weight in (0.8, 0.6):
        row, (low, high) = rows[weight], margin_band(weight)
        assert low < row.ratio < high
        assert row.confidence >= 0.9
        assert row.breadth >= required_margin(weight, 0.9)
    assert rows[0.6].breadth > rows[0.8].breadth > rows[1.0].breadth
    assert rows[0.6].ratio == pytest.approx(1, abs=0.1)


def test_at_the_midpoint_confidence_is_out_of_reach(rows):
    assert rows[0.5].confidence == pytest.approx(0.5, abs=1e-3)
    assert rows[0.5].both_right == 0

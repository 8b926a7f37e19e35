"""A comparison of two classes: its page, its curves, and what is decided for an aim, against naive counts."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score, precision_recall_curve, precision_score

from midmix.decisions import LogitPrior, for_own_prior
from midmix.measures import expected_calibration_error, threshold_curve
from midmix.reports import read_comparison, write_report, write_tables
from midmix.reports.comparison import Comparison
from midmix.reports.decisions import HEADINGS, decided_tables, scored_lines
from midmix.reports.figures.cost_by_threshold import cost_by_threshold, prices
from midmix.reports.figures.precision_recall import precision_recall
from midmix.reports.figures.reliability import reliability
from midmix.reports.outcomes import tested_runs as outputs_of_runs

HOSTILE = "<script>alert(1)</script>"
LINES = (("erm", "cross_entropy"), ("mixup", "cross_entropy"), ("erm", "ldam"))
PRIOR = (0.8, 0.2)  # what the first two lines' logits answer for


@pytest.fixture(scope="module")
def folder(make_comparison: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three lines, two seeds; of the last which prior its logits answer for is not known."""
    place = tmp_path_factory.mktemp("two")
    shots: dict[str, list[int]] = {"many": [0], "medium": [], "few": [1]}
    folder = make_comparison(place, lines=LINES, seeds=2, rows=200, names=["no", HOSTILE], shots=shots)
    for path in folder.glob("runs/*/run.json"):
        about = json.loads(path.read_text())
        if about["criterion"] != "ldam":
            about["logit_prior"] = PRIOR
        path.write_text(json.dumps(about))
    results = pd.read_parquet(folder / "results.parquet").assign(average_precision=0.5)
    results.to_parquet(folder / "results.parquet")
    return folder


@pytest.fixture(scope="module")
def comparison(folder: Path) -> Comparison:
    return read_comparison(folder)


def _outputs(comparison: Comparison, line: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """(logits, labels) of each seed."""
    found = [run.output for run in comparison.runs_of(line)]
    return [
        (one.logits.double().numpy(), one.labels.numpy()) for one in found if one and one.logits is not None
    ]


def test_the_page_is_made_for_two_classes(folder: Path) -> None:
    page = write_report(folder)
    text = page.read_text(encoding="utf-8")
    assert "From scores to decisions" in text
    assert all(heading in text for heading in HEADINGS.values())
    assert "is not known: erm+ldam." in text
    assert not any(words in text for words in (">many", ">few", "thirds of the classes"))
    assert HOSTILE not in text
    assert "&lt;script&gt;" in text
    for name in ("precision-recall", "cost-by-threshold"):
        assert f'id="{name}"' in text
        assert (page.parent / "figures" / f"{name}.csv").exists()
    for name in ("accuracy-by-count", "centres"):
        assert f'id="{name}"' not in text
    assert "Decisions for balanced accuracy" in write_tables(folder).read_text(encoding="utf-8")


def test_a_comparison_of_more_classes_has_neither(comparison_folder: Path) -> None:
    several = read_comparison(comparison_folder)
    assert decided_tables(several, outputs_of_runs(several)) == []
    assert scored_lines(several) is None


def test_decisions_for_an_aim_are_those_by_the_formula(comparison: Comparison) -> None:
    data = np.array([100, 2]) / 102
    tables = decided_tables(comparison, outputs_of_runs(comparison))
    for table, extra in zip(tables, (np.log(data), np.zeros(2)), strict=True):
        assert table.unknown == ["erm+ldam"]
        assert [row.line for row in table.rows] == ["erm", "mixup"]
        means = table.summary.set_index(["line", "measure"])["mean"]
        for line in ("erm", "mixup"):
            f1s, balanced = [], []
            for logits, labels in _outputs(comparison, line):
                decided = (logits - np.log(PRIOR) + extra).argmax(1)
                f1s.append(f1_score(labels, decided, zero_division=0.0))
                balanced.append(balanced_accuracy_score(labels, decided))
            assert means[line, "f1"] == pytest.approx(np.mean(f1s))
            assert means[line, "balanced_accuracy"] == pytest.approx(np.mean(balanced))


def test_precision_and_recall_are_those_of_scikit_learn(comparison: Comparison) -> None:
    found = scored_lines(comparison)
    assert found is not None
    drawing = precision_recall(found)
    numbers = drawing.numbers[drawing.numbers["line"] == "mixup"]
    curve = numbers[numbers["point"] == "curve"]
    expected = []
    for logits, labels in _outputs(comparison, "mixup"):
        precision, recall, _ = precision_recall_curve(labels, logits[:, 1] - logits[:, 0])
        # of the thresholds that reach a recall, the highest: theirs rise, so it is the last
        expected.append(
            [precision[np.flatnonzero(recall >= wanted - 1e-9)[-1]] for wanted in curve["recall"]]
        )
    np.testing.assert_allclose(curve["precision"], np.mean(expected, axis=0), atol=1e-12)
    (mark,) = numbers.loc[numbers["point"] == "aim balanced", "precision"]
    decided = [
        ((logits - np.log(PRIOR)).argmax(1), labels) for logits, labels in _outputs(comparison, "mixup")
    ]
    assert mark == pytest.approx(np.mean([precision_score(own, one) for one, own in decided]))
    unknown = drawing.numbers[drawing.numbers["line"] == "erm+ldam"]
    assert set(unknown["point"]) == {"curve", "largest logit"}


def test_costs_are_counted_row_by_row(comparison: Comparison) -> None:
    found = scored_lines(comparison)
    assert found is not None
    drawing = cost_by_threshold(found)
    assert drawing is not None
    assert "Not known, and left out: erm+ldam." in drawing.caption
    numbers = drawing.numbers[(drawing.numbers["line"] == "erm") & (drawing.numbers["a miss costs"] == 10)]
    data = np.array([100, 2]) / 102
    for threshold, cost in numbers[["threshold", "relative cost"]].to_numpy()[::20]:
        expected = []
        for logits, labels in _outputs(comparison, "erm"):
            score = logits - np.log(PRIOR) + np.log(data)
            total = 0.0
            for (none, some), label in zip(score, labels, strict=True):
                decided = 1 / (1 + math.exp(none - some)) > threshold
                total += 10 * (label == 1 and not decided) + (label == 0 and decided)
            expected.append(total / min(10 * (labels == 1).sum(), (labels == 0).sum()))
        assert cost == pytest.approx(np.mean(expected))


@pytest.mark.parametrize(
    ("positives", "found"), [(25, [1, 3, 10]), (10, [1, 9]), (1, [1, 10, 99]), (0, [1, 10, 100])]
)
def test_a_miss_is_priced_at_one_ten_and_what_evens_the_classes(positives: int, found: list[float]) -> None:
    curve = threshold_curve(torch.arange(100.0), torch.arange(100) < positives)
    assert prices(curve) == found


def test_the_reliability_diagram_has_the_probabilities_of_the_table(comparison: Comparison) -> None:
    drawing = reliability(comparison.subjects)
    assert drawing is not None
    bins = drawing.numbers[drawing.numbers["line"] == "erm"].fillna(0.0)
    gap = (bins["rows"] * (bins["accuracy"] - bins["confidence"]).abs()).sum() / bins["rows"].sum()
    logits, labels = (np.concatenate(parts) for parts in zip(*_outputs(comparison, "erm"), strict=True))
    log = for_own_prior(LogitPrior(PRIOR), torch.from_numpy(logits), torch.from_numpy(labels))
    assert gap == pytest.approx(expected_calibration_error(log, torch.from_numpy(labels)), abs=1e-6)

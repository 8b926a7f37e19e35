"""The numbers behind the figures, and the page about one set of features."""

import sys

import numpy as np
import pandas as pd
import pytest
import torch

from midmix.errors import InputError
from midmix.measures import collapse_report
from midmix.reports import Output, collapse_measures, read_comparison, summarise, write_analysis
from midmix.reports.figures.accuracy_by_count import accuracy_by_count
from midmix.reports.figures.centres import centres
from midmix.reports.figures.confusion import confusion
from midmix.reports.figures.margins import margins
from midmix.reports.figures.projection import projection
from midmix.reports.figures.reliability import reliability
from midmix.reports.subjects import Classes, Subject
from midmix.reports.theme import COLOURS, LINE_COLOURS, line_colour, line_marker


def _output(rows=60, classes=4, width=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(rows) % classes
    features = torch.randn(rows, width, generator=generator)
    return Output(features, labels, torch.randn(rows, classes, generator=generator))


@pytest.fixture
def subject():
    return Subject(0, "erm", [_output(seed=0), _output(seed=1)])


CLASSES = Classes(["a", "b", "c", "d"], np.array([5, 50, 500, 1]))


def test_confusion_is_the_mean_share_by_true_class(subject):
    table = confusion([subject], CLASSES).numbers
    expected = []
    for _, labels, logits, *_ in subject.outputs:
        mine = labels.numpy() == 2
        expected.append(100 * (logits.numpy().argmax(1)[mine] == 0).mean())
    cell = table[(table["true class"] == "c") & (table["predicted class"] == "a")]
    assert cell["share of the true class's rows, %"].item() == pytest.approx(np.mean(expected))
    assert list(table["true class"].unique()) == ["c", "b", "a", "d"], "from most to fewest rows"


def test_margins_are_the_true_logit_minus_the_largest_other(subject):
    table = margins([subject], CLASSES, pd.DataFrame({"line": ["erm"], "margin_balance": [0.5]})).numbers
    expected = []
    for _, labels, logits, *_ in subject.outputs:
        rows = logits.double().numpy()[labels.numpy() == 1]
        expected.append((rows[:, 1] - np.delete(rows, 1, axis=1).max(axis=1)).mean())
    assert table.set_index("class")["margin"]["b"] == pytest.approx(np.mean(expected))


def test_distances_are_between_mean_directions(subject):
    numbers = centres([subject], CLASSES).numbers
    expected = []
    for features, labels, *_ in subject.outputs:
        unit = features.double().numpy() / np.linalg.norm(features.double().numpy(), axis=1, keepdims=True)
        means = np.stack([unit[labels.numpy() == c].mean(axis=0) for c in range(4)])
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        expected.append(np.linalg.norm(means[0] - means[3]))
    cell = numbers[(numbers["class"] == "a") & (numbers["other class"] == "d")]
    assert cell["distance of the centres (2 is opposite)"].item() == pytest.approx(np.mean(expected))


def test_reliability_takes_all_rows_of_all_seeds(subject):
    assert reliability([subject]).numbers["rows"].sum() == 120


def test_figures_without_logits_are_left_out_and_the_others_stay():
    bare = [Subject(0, "x", [_output()._replace(logits=None)])]
    assert confusion(bare, CLASSES) is None
    assert reliability(bare) is None
    assert accuracy_by_count(bare, CLASSES) is None
    assert centres(bare, CLASSES) is not None
    assert projection(bare, CLASSES) is not None


@pytest.mark.parametrize(("rows", "width"), [(1, 4), (2, 1), (60, 1), (60, 2), (3, 200)])
def test_any_shape_of_features_is_projected(rows, width):
    drawn = projection([Subject(0, "x", [_output(rows=rows, width=width)])], CLASSES)
    assert len(drawn.numbers) == rows
    assert np.isfinite(drawn.numbers[["x", "y"]]).all(axis=None)


def test_identical_rows_are_a_point():
    same = Output(torch.ones(20, 5), torch.arange(20) % 4, torch.zeros(20, 4))
    numbers = projection([Subject(0, "x", [same])], CLASSES).numbers
    np.testing.assert_allclose(numbers[["x", "y"]], 0, atol=1e-9)
    assert (centres([Subject(0, "x", [same])], CLASSES).numbers.iloc[:, -1].dropna() < 1e-6).all()


def test_a_class_without_test_rows_has_no_numbers():
    features, labels, logits, *_ = _output()
    seen = labels != 3
    subject = Subject(0, "x", [Output(features[seen], labels[seen], logits[seen])])
    assert sorted(accuracy_by_count([subject], CLASSES).numbers["class"]) == ["a", "b", "c"]
    numbers = confusion([subject], CLASSES).numbers
    assert numbers[numbers["true class"] == "d"].iloc[:, -1].isna().all()


def test_large_test_splits_are_thinned_in_the_projection_only():
    drawn = projection([Subject(0, "x", [_output(rows=2000)])], CLASSES)
    assert len(drawn.numbers) == 700
    assert "700 of 2,000 rows are drawn" in drawn.caption


def test_umap_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(InputError, match=r"pip install 'midmix\[umap\]', or use pca"):
        projection([Subject(0, "x", [_output()])], CLASSES, "umap")


def test_many_lines_differ_in_colour_or_marker():
    assert len({(line_colour(i), line_marker(i)) for i in range(64)}) == 64


def test_colours_stand_out_from_the_page():
    """Marks need a contrast of 3 : 1, text one of 4.5 : 1 (WCAG 2.1)."""
    light, dark = "#ffffff", "#1a1d20"
    for pair in LINE_COLOURS:
        assert _contrast(pair[0], light) > 3
        assert _contrast(pair[1], dark) > 3
    for name in ("ink", "muted", "accent"):
        assert _contrast(COLOURS[name][0], light) > 4.5
        assert _contrast(COLOURS[name][1], dark) > 4.5


def _contrast(one, other):
    def luminance(colour):
        channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_measures_of_collapse_summarise_like_results(make_comparison, tmp_path):
    lines = (("erm", "cross_entropy"), ("mixup", "cross_entropy"))
    measured = collapse_measures(read_comparison(make_comparison(tmp_path, lines=lines, seeds=2, rows=60)))
    assert len(measured) == 4
    with np.load(next(tmp_path.glob("runs/0-erm*-0/test.npz"))) as arrays:
        features, labels = (torch.from_numpy(arrays[name]) for name in ("features", "labels"))
    assert measured["alignment"][0] == pytest.approx(collapse_report(features, labels).totals["alignment"])
    summary = summarise(measured, measures=["alignment", "nc1"])
    assert list(summary["difference_n"]) == [0, 0, 2, 2]


@pytest.mark.parametrize("logits", [True, False])
def test_features_alone_make_a_page(tmp_path, logits):
    output = _output() if logits else _output()._replace(logits=None)
    found = collapse_report(output.features, output.labels, output.logits, classes=["a", "<b>", "c", "d"])
    page = write_analysis(tmp_path / "new", output, found, title="<i>some</i>.npz")
    text = page.read_text()
    assert "<i>" not in text
    assert "&lt;b&gt;" in text
    assert f"{found.totals['alignment']:.4f}" in text
    assert ('id="confusion"' in text) == logits
    assert (tmp_path / "new" / "figures" / "centres.csv").exists()

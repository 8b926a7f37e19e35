import html
import html.parser
import json
import re
import shlex
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from midmix.errors import InputError
from midmix.reports import read_comparison, write_report

LINES = (("erm", "cross_entropy"), ("mixup", "cross_entropy"))
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def page(make_comparison, tmp_path_factory):
    """An everyday report, kept small: a figure takes a tenth of a second."""
    folder = tmp_path_factory.mktemp("page")
    return write_report(
        make_comparison(folder, lines=LINES, seeds=2, rows=60, names=["zero", "one", "two", "three"])
    )


class _Parser(html.parser.HTMLParser):
    """Collects what a page loads, runs and says."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.ids, self.text = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_is_one_file_that_loads_nothing(page):
    text = page.read_text()
    parsed = _Parser(text)
    assert not {"script", "link", "iframe", "object", "img"} & set(parsed.tags)
    outside = [
        link for link in parsed.links if not link.startswith(("#", "data:image/png;base64", "figures/"))
    ]
    assert outside == []
    assert not re.search(r"@import|url\((?!#)", text)
    assert 'name="viewport"' in text
    assert "prefers-color-scheme: dark" in text


def test_ids_are_unique_and_what_they_point_to_is_there(page):
    parsed = _Parser(page.read_text())
    assert len(parsed.ids) == len(set(parsed.ids))
    pointed = set(re.findall(r"url\(#([^)]+)\)", page.read_text()))
    pointed |= {link[1:] for link in parsed.links if link.startswith("#")}
    assert pointed <= set(parsed.ids)


def test_figures_follow_the_theme_on_the_page_and_not_in_their_files(page):
    svg = re.search(r"<svg.*?</svg>", page.read_text(), re.DOTALL).group()
    assert "var(--line-1)" in svg
    assert not re.search(r"#000000|#ffffff|black|white", svg)
    assert "var(--" not in (page.parent / "figures" / "accuracy-by-count.svg").read_text()


def test_every_figure_has_its_files(page):
    linked = {link for link in _Parser(page.read_text()).links if link.startswith("figures/")}
    written = {f"figures/{file.name}" for file in (page.parent / "figures").iterdir()}
    assert linked == written
    for file in sorted(written):
        if file.endswith(".svg"):
            ET.parse(page.parent / file)
        else:
            assert not pd.read_csv(page.parent / file).empty


def test_the_same_folder_gives_the_same_bytes(page):
    before = {file: file.read_bytes() for file in [page, *(page.parent / "figures").iterdir()]}
    write_report(page.parent)
    assert before == {file: file.read_bytes() for file in before}


def test_the_page_says_how_it_was_made(page):
    text = " ".join(" ".join(_Parser(page.read_text()).text).split())
    for fact in (
        "mlp 64-128-64, 17,226 parameters",
        "imbalance 50, profile exp, ranks fixed, 0.1 of them held out",
        "thirds of the classes by training count",
        f"{1:016x}",
        "torch 2.13.0",
        "2 × Xeon",
        "an oracle",
        "Epoch chosen on the validation split",
    ):
        assert fact in text


def test_accuracy_per_class_is_the_mean_over_seeds(page):
    table = pd.read_csv(page.parent / "figures" / "accuracy-by-count.csv")
    shown = table[(table["line"] == "mixup") & (table["class"] == "three")]["accuracy"].item()
    expected = []
    for run in sorted((page.parent / "runs").glob("1-mixup-*")):
        with np.load(run / "test.npz") as arrays:
            rows = arrays["labels"] == 3
            expected.append((arrays["logits"].argmax(1) == 3)[rows].mean())
    assert shown == pytest.approx(np.mean(expected))


def test_names_are_shown_and_never_run(make_comparison, tmp_path):
    names = [HOSTILE, "$x_1$ and $", "&amp; <b>", "back\\slash", 'quote"s', "a" * 300]
    lines = (("erm", "cross_entropy"), (HOSTILE, "<i>"))
    page = write_report(make_comparison(tmp_path, names=names, lines=lines, seeds=1, rows=60))
    parsed = _Parser(page.read_text())
    assert "script" not in parsed.tags
    assert HOSTILE in "".join(parsed.text)
    for file in (tmp_path / "figures").glob("*.svg"):
        tree = ET.parse(file)
        assert not [element for element in tree.iter() if element.tag.endswith("script")]


@pytest.mark.parametrize("missing", [("history",), ("test",), ("history", "test")])
def test_figures_without_their_data_are_left_out(make_comparison, tmp_path, missing):
    page = write_report(make_comparison(tmp_path, lines=LINES[:1], missing=missing, seeds=1, rows=60))
    text = page.read_text()
    assert ("Over the epochs" in text) == ("history" not in missing)
    assert ("Accuracy per class against" in text) == ("test" not in missing)


def test_results_alone_make_a_page(make_comparison, tmp_path):
    make_comparison(tmp_path / "whole", lines=LINES, seeds=2, rows=60)
    (tmp_path / "bare").mkdir()
    (tmp_path / "whole" / "results.parquet").rename(tmp_path / "bare" / "results.parquet")
    text = write_report(tmp_path / "bare").read_text()
    assert "Results at the last epoch" in text
    assert 'id="projection"' not in text


def test_one_seed_no_baseline_and_an_empty_group(make_comparison, tmp_path):
    shots = {"many": [0, 1, 2], "medium": [], "few": [3, 4, 5, 6, 7, 8, 9]}
    lines = (("mixup", "cross_entropy"), ("am-mixup", "balanced_softmax"))
    page = write_report(make_comparison(tmp_path, lines=lines, seeds=1, rows=60, shots=shots))
    text = page.read_text()
    assert "n = 1" in text
    assert "was not run, so there are no differences" in text
    assert "nan" not in _visible(text).lower().split()


def test_a_line_with_fewer_seeds_says_so(make_comparison, tmp_path):
    make_comparison(tmp_path, lines=LINES, seeds=2, rows=60, missing=("test", "history"))
    path = tmp_path / "results.parquet"
    results = pd.read_parquet(path)
    results[~((results["method"] == "mixup") & (results["seed"] > 0))].to_parquet(path)
    assert "n = 1" in write_report(tmp_path).read_text()


def _visible(text):
    return " ".join(_Parser(re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)).text)


def test_folders_that_are_no_comparison_are_named(make_comparison, tmp_path):
    with pytest.raises(InputError, match=r"no results\.parquet here"):
        write_report(tmp_path)
    make_comparison(tmp_path / "broken", lines=LINES, seeds=1, rows=60)
    run = sorted((tmp_path / "broken" / "runs").iterdir())[0] / "run.json"
    run.write_text(run.read_text()[:50])
    with pytest.raises(InputError, match=r"run\.json: not a whole run description"):
        write_report(tmp_path / "broken")
    assert not (tmp_path / "broken" / "report.html").exists()


def _said(page):
    """The page's words, with single spaces."""
    return " ".join(_visible(page.read_text()).split())


def _marked(page):
    """How many cells of the page's tables have each mark."""
    cells = re.findall(r"<td>.*?</td>", page.read_text(), re.DOTALL)
    return {mark: sum(mark in cell for cell in cells) for mark in "†‡"}


def test_the_verdict_comes_first_and_ends_with_a_command(page):
    text = _said(page)
    assert text.index("Verdict") < text.index("Results at the last epoch")
    assert "midmix train digits --method" in text
    assert "--imbalance 50 --ranks fixed --validation 0.1 --epochs 12 --learning-rate 0.1" in text


def test_the_page_says_what_became_of_the_runs_health(page):
    assert "No sign of failure in 4 runs." in page.read_text()


def test_a_command_is_quoted_for_the_shell_and_escaped_for_the_page(make_comparison, tmp_path):
    make_comparison(tmp_path, lines=LINES[:1], seeds=1, rows=60)
    for file in tmp_path.glob("runs/*/run.json"):
        about = json.loads(file.read_text())
        file.write_text(json.dumps({**about, "reading": {"source": f"{HOSTILE}; rm 'x'"}}))
    text = write_report(tmp_path).read_text()
    assert "<script" not in text
    (command,) = re.findall(r"<pre[^>]*>(.*?)</pre>", text, re.DOTALL)
    arguments = shlex.split(html.unescape(command))
    assert arguments[:5] == ["midmix", "train", f"{HOSTILE}; rm 'x'", "--method", "erm"]


def test_any_two_lines_stand_in_a_table_for_every_headline_measure(make_comparison, tmp_path):
    lines = (*LINES, ("am-mixup", "cross_entropy"))
    text = write_report(make_comparison(tmp_path, lines=lines, seeds=2, rows=60)).read_text()
    section = text[text.index('<section id="pairs">') :]
    section = section[: section.index("</section>")]
    tables = re.findall(r"<details>.*?</details>", section, re.DOTALL)
    headings = [re.search(r"<summary>(.*?)</summary>", table).group(1) for table in tables]
    assert [heading.split(" ")[0].rstrip(",") for heading in headings] == [
        "overall", "balanced", "many", "medium", "few", "NLL", "ECE",
    ]  # fmt: skip
    results = pd.read_parquet(tmp_path / "results.parquet")
    last = results[results["epoch_choice"] == "last"].groupby("method")["accuracy"].mean()
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", tables[0], re.DOTALL)
    shown = [re.findall(r"([+−][\d.]+)", re.sub(r"<[^>]*>", "", row)) for row in rows]
    less_mixup = 100 * (last["am-mixup"] - last["mixup"])
    assert shown[2][1] == f"{less_mixup:+.1f}".replace("-", "−")
    assert shown[1][1].translate(str.maketrans("+−", "−+")) == shown[2][1]


def test_a_measure_on_few_test_rows_is_marked(make_comparison, tmp_path):
    # 60 rows of 10 classes: 18 or 24 a group; 60 in all are enough
    few = write_report(make_comparison(tmp_path / "few", lines=LINES, seeds=2, rows=60))
    assert _marked(few)["†"] == 6
    assert "† stands on fewer than 30 test rows." in _said(few)
    enough = write_report(make_comparison(tmp_path / "enough", lines=LINES, seeds=2, rows=200))
    assert _marked(enough)["†"] == 0
    assert "†" not in _said(enough)


def test_a_value_that_is_the_same_in_every_seed_is_marked(make_comparison, tmp_path):
    make_comparison(tmp_path, lines=LINES, seeds=3, rows=200)
    path = tmp_path / "results.parquet"
    results = pd.read_parquet(path)
    results.loc[results["method"] == "mixup", "few"] = 0.5
    results.to_parquet(path)
    page = write_report(tmp_path)
    assert "‡ every seed has the same value" in _said(page)
    row = re.search(r"<th scope=\"row\">mixup.*?</tr>", page.read_text(), re.DOTALL).group()
    assert [("‡" in cell) for cell in re.findall(r"<td>.*?</td>", row, re.DOTALL)] == [
        False, False, False, False, True, False, False,
    ]  # fmt: skip


def test_without_test_outputs_intervals_are_over_seeds_and_the_page_says_so(make_comparison, tmp_path):
    whole = write_report(make_comparison(tmp_path / "whole", lines=LINES, seeds=3, rows=60))
    bare = write_report(make_comparison(tmp_path / "bare", lines=LINES, seeds=3, rows=60, missing=("test",)))
    seeds_alone = "over the seeds alone, as the runs' test outputs were not kept"
    assert seeds_alone in _said(bare)
    assert seeds_alone not in _said(whole)
    assert "which counts both the seeds and the 60 test rows" in _said(whole)
    # rows that are not known are neither few nor shown
    assert _marked(bare)["†"] == 0
    assert "then its test rows" not in _said(bare)

    accuracy = pd.read_parquet(tmp_path / "bare" / "results.parquet").query(
        "epoch_choice == 'last' and method == 'mixup'"
    )["accuracy"]
    half = stats.t.ppf(0.975, 2) * accuracy.std() / np.sqrt(3)
    assert f"{100 * accuracy.mean():.1f} ±{100 * half:.1f}" in _said(bare)


def test_the_classes_are_shown_with_their_training_and_test_rows(page):
    said = _said(page)
    assert "then its test rows, both of the first run" in said
    # 60 rows of four classes in turn; training rows from 100 down to 2
    for name, rows in {"zero": 100, "three": 2}.items():
        assert f"{name} {rows} · 15" in said


def test_figures_by_class_go_by_rank_where_ranks_are_drawn(make_comparison, tmp_path):
    make_comparison(tmp_path, lines=LINES[:1], seeds=2, rows=60, names=["a", "b", "c", "d"])
    for file in tmp_path.glob("runs/*/run.json"):
        about = json.loads(file.read_text())
        if about["seed"] == 1:
            about["class_counts"].reverse()
            about["shots"] = {"many": [3], "medium": [1, 2], "few": [0]}
            file.write_text(json.dumps(about))
    comparison = read_comparison(tmp_path)
    first, second = comparison.runs
    assert list(comparison.classes.names) == ["rank 1", "rank 2", "rank 3", "rank 4"]
    assert comparison.classes.counts.tolist() == first.counts.tolist()
    turned = comparison.subjects[0].outputs[1]
    assert torch.equal(turned.labels, 3 - second.output.labels)
    assert turned.logits is not None
    assert torch.equal(turned.logits, second.output.logits.flip(1))
    assert "go by rank" in write_report(tmp_path).read_text()

"""`midmix transfer`, as a shell would call it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pandas as pd
import pytest

QUICK = (
    "--epochs",
    2,
    "--seeds",
    2,
    "--methods",
    "erm,am-mixup:clean_weight=1",
    "--jobs",
    1,
    "--network",
    "mlp-16",
)


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """Features of six classes in three groups, whose names are none to be trusted."""
    groups = {
        "<b>beagle</b>": "dog",
        "husky": "dog",
        "tabby": "cat",
        "lion": "cat",
        "carp": "<i>fish",
        "eel": "<i>fish",
    }
    rows = [
        {"x": 10 * g + c + row / 10, "y": row % 3, "fine_label": fine, "coarse_label": coarse}
        for c, (fine, coarse) in enumerate(groups.items())
        for g in [sorted(set(groups.values())).index(coarse)]
        for row in range(20)
    ]
    path = tmp_path / "animals.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def test_digits(midmix, tmp_path):
    outcome = midmix("transfer", "digits", "--out", tmp_path / "out", "--finetune-epochs", 1, *QUICK)
    assert outcome.code == 0, outcome.err
    assert "3 groups of 3 to 4 classes" in outcome.err
    for name in (
        "erm",
        "am-mixup:clean_weight=1",
        "fine-labels",
        "random-encoder",
        "k-NN %",
        "fine-tuned %",
        "spread",
    ):
        assert name in outcome.out
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Inside one group: round (PCA)" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    tables = (tmp_path / "out" / "tables.md").read_text()
    assert "| fine-labels |" in tables
    assert "spread" in tables
    figures = {path.name for path in (tmp_path / "out" / "figures").iterdir()}
    assert {"one-group.csv", "fine-accuracy.csv", "members.csv", "members-spread.svg"} <= figures
    inside = pd.read_csv(tmp_path / "out" / "figures" / "one-group.csv", dtype=str)
    assert set(inside["class"]) == {"0", "6", "8", "9"}
    assert inside["line"].nunique() == 4


def test_it_ends_with_a_verdict_whose_command_runs(midmix, animals, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    out = tmp_path / "out"
    outcome = midmix("transfer", animals, "--out", out, "--validation", 0.3, *QUICK)
    assert outcome.code == 0, outcome.err
    verdict = outcome.out[outcome.out.rindex("\nVerdict") :]
    for aim in (
        "Linear probe: ",
        "Nearest neighbours: ",
        "Likelihood of the linear probe: ",
        "The groups themselves: ",
    ):
        assert aim in verdict
    assert "random-encoder" not in verdict
    assert "fine-labels" not in verdict
    page = (out / "report.html").read_text()
    assert page.index('id="verdict"') < page.index("Fine classes at the last epoch")
    command = shlex.split(outcome.out[outcome.out.rindex("\nmidmix ") :].replace("\\\n", " "))
    assert command[1] in ("transfer", "analyze")
    if command[1] == "transfer":
        assert command[command.index("--validation") + 1] == "0.3"
        command = [*command, "--jobs", "1"]
    before = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/transfer.json")}
    extra = ["--out", str(tmp_path / "analysis")] if command[1] == "analyze" else []
    again = midmix(*command[1:], *extra)
    assert again.code == 0, again.err
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_names_are_shown_as_text(midmix, animals, tmp_path):
    outcome = midmix("transfer", animals, "--out", tmp_path / "out", *QUICK)
    assert outcome.code == 0
    assert "3 groups of 2 classes" in outcome.err
    page = (tmp_path / "out" / "report.html").read_text()
    assert "&lt;b&gt;beagle" in page
    assert "<b>beagle" not in page
    assert "<i>fish" not in page


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"coarse_label": "dog"}, "'tabby' is in two groups"),
        ({"fine_label": "whale", "coarse_label": "whales"}, "a single fine class, 'whales'"),
    ],
)
def test_bad_columns(midmix, animals, tmp_path, change, complaint):
    rows = pd.read_csv(animals)
    first = rows.index[rows["fine_label"] == "tabby"][:5]
    rows.loc[first, list(change)] = list(change.values())
    rows.to_csv(animals, index=False)
    outcome = midmix("transfer", animals, "--out", tmp_path / "out", *QUICK)
    assert outcome.code == 2
    assert complaint in outcome.complaint
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (["0,a", "1,a", "2,b", "3,b", "2,a"], "line 6: the fine class '2' is in two groups, 'b' and 'a'"),
        (["0,a", "1,a", "2,b"], "7 of 10 classes have no group: '3', '4'"),
        ([*(f"{c},a" for c in range(9)), "9,b"], "a single fine class, 'b'"),
        ([f"{c},a" for c in range(10)], "all classes are in one group"),
        (["0,"], "line 2 has an empty cell"),
    ],
)
def test_bad_mappings(midmix, tmp_path, lines, complaint):
    path = tmp_path / "groups.csv"
    path.write_text("\n".join(["fine,coarse", *lines]))
    outcome = midmix("transfer", "digits", "--hierarchy", path, "--out", tmp_path / "out", *QUICK)
    assert outcome.code == 2
    assert complaint in outcome.complaint
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("--hierarchy", "living-71"), "did you mean living-17"),
        (("--hierarchy", "living-17", "--wordnet", "."), "holds neither data.noun"),
        (("--classes-per-group", 1), "at least 2"),
        (("--classes-per-group", 4), "fewer than two groups"),
        (("--validation", 0), "the probes need a share"),
        (("--coarse", "shape"), "is always the same"),
    ],
)
def test_bad_flags(midmix, tmp_path, flags, complaint):
    outcome = midmix("transfer", "digits", *flags, "--out", tmp_path / "out", *QUICK)
    assert outcome.code == 2
    assert complaint in outcome.complaint


def test_tiny_imagenet_in_miniature(midmix, midmix_data, tmp_path):
    """The study of docs/transfer.md, with everything in it and next to no rows."""
    source = midmix_data / "tiny-imagenet-32" / "test.parquet"
    outcome = midmix(
        "transfer", source, "--classes-per-group", 15, "--images-per-class", 4, "--validation", 0.25,
        "--network", "resnet-8", "--width", 4, "--epochs", 1, "--precision", "bf16", "--seeds", 1,
        "--methods", "erm,am-mixup:clean_weight=1", "--out", tmp_path / "out",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    results = pd.read_parquet(tmp_path / "out" / "results.parquet")
    assert list(results["method"]) == ["erm", "am-mixup:clean_weight=1", "fine-labels", "random-encoder"]

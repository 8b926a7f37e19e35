"""Somebody else's parts: from an installed wheel by their entry points, and as code in a file."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "theirs"
version = "1"
[project.entry-points."midmix.losses"]
their_loss = "theirs:their_loss"
[project.entry-points."midmix.recipes"]
their-mix = "theirs:their_mix"
[project.entry-points."midmix.networks"]
their-network = "theirs:their_network"
[project.entry-points."midmix.readers"]
theirs = "theirs:Theirs"
[project.entry-points."midmix.measures"]
their_measure = "theirs:their_measure"
[project.entry-points."midmix.figures"]
their-figure = "theirs:their_figure"
"""
CODE = '''
import numpy as np
import pandas as pd
import torch
from torch import nn
from midmix.data import LabelColumn, RawSource, RawSplit, Reader
from midmix.losses import ComposedLoss
from midmix.measures import Measure
from midmix.mixing import FixedRatio, InterClassPairs, Mix, TwoSided

class Learnt(nn.Module):
    def __init__(self, start):
        super().__init__()
        self.log = nn.Parameter(torch.tensor(start))
    def __call__(self, logits, labels, context):
        return logits / self.log.exp()

def their_loss(start: float = 0.0):
    """Theirs."""
    return ComposedLoss(adjust=[Learnt(start)])

def their_mix(num_classes, *, ratio: float = 0.6, **settings):
    """Theirs."""
    return Mix(InterClassPairs(), FixedRatio(ratio), TwoSided(), num_classes=num_classes, **settings)

def their_network(num_classes, shape):
    return nn.Sequential(nn.Linear(shape[0], 16), nn.ReLU(), nn.Linear(16, num_classes))

class Theirs(Reader):
    what, suffixes = "one of their files", (".theirs",)
    def read(self, place, options):
        rows = [line.split() for line in place.path.read_text().splitlines()]
        numbers = torch.tensor([[float(number) for number in numbers] for _, *numbers in rows])
        labels = LabelColumn(np.array([label for label, *_ in rows], dtype=object))
        return RawSource(RawSplit(place.name, numbers, labels))

their_measure = Measure(
    "their_measure", "theirs", "higher", "number", frozenset({"logits"}),
    lambda outputs: float(outputs.right.float().mean()) + 7, table="outcomes",
)

def _draw(material):
    from midmix.reports.drawing import Drawing, panel
    numbers = pd.DataFrame({"line": [line.label for line in material.subjects]})
    drawn = [panel("their-figure", "", 2.0, lambda figure: figure.subplots())]
    return Drawing("their-figure", "Their figure", "Theirs.", drawn, numbers)

def __getattr__(name):  # a figure needs the reports, which a worker that trains does not load
    if name != "their_figure":
        raise AttributeError(name)
    from midmix.reports.plots import Plot
    return Plot("their-figure", "outcomes", 60, _draw)
'''


def midmix(*arguments: str, folder: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ)
    if path is not None:
        environment["PYTHONPATH"] = os.pathsep.join([str(path), environment.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-m", "midmix", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which a wheel of theirs was installed."""
    source, site = tmp_path_factory.mktemp("theirs"), tmp_path_factory.mktemp("site")
    (source / "pyproject.toml").write_text(PROJECT)
    (source / "theirs.py").write_text(CODE)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "wheel", *options, "--wheel-dir", str(source), str(source)], check=True)
    wheel = next(source.glob("*.whl"))
    subprocess.run(
        [*pip, "install", "--no-deps", "--no-index", "--target", str(site), str(wheel)], check=True
    )
    return site


def test_parts_of_an_installed_package_run_in_workers_and_from_another_folder(installed, tmp_path):
    lines = "erm,their-mix:ratio=0.7+their_loss:start=0.1"
    done = midmix(
        "compare", "digits", "--methods", lines, "--network", "their-network", "--epochs", "2", "--seeds", "1",
        "--jobs", "2", "--out", "out", folder=tmp_path, path=installed,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = next(path for path in (tmp_path / "out" / "runs").iterdir() if "their" in path.name)
    record = json.loads((run / "run.json").read_text())
    assert record["method"] == "their-mix:ratio=0.7+their_loss:start=0.1"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for command in (["evaluate", str(run), "digits"], ["predict", str(run), "digits", "--out", "p.csv"]):
        done = midmix(*command, folder=elsewhere, path=installed)
        assert done.returncode == 0, done.stderr
    without = midmix("evaluate", str(run), "digits", folder=elsewhere)
    assert without.returncode == 2
    assert "their" in without.stderr
    assert "Traceback" not in without.stderr


def test_readers_measures_and_figures_of_an_installed_package_are_used_by_all_commands(installed, tmp_path):
    rows = "\n".join(f"{'abc'[i % 3]} {i % 3} {(7 * i) % 5}" for i in range(60))
    (tmp_path / "rows.theirs").write_text(rows + "\n")
    done = midmix(
        "compare", "rows.theirs", "--methods", "erm", "--network", "mlp-8", "--epochs", "2", "--seeds", "2",
        "--jobs", "2", "--no-controls", "--out", "out", folder=tmp_path, path=installed,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = pd.read_parquet(tmp_path / "out" / "results.parquet")
    assert results["their_measure"].tolist() == pytest.approx(list(results["accuracy"] + 7))
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "theirs" in page
    assert "Their figure" in page
    measured = midmix("evaluate", "out/runs/erm-seed0", "rows.theirs", folder=tmp_path, path=installed)
    assert measured.returncode == 0, measured.stderr
    assert "theirs" in measured.stdout


def test_the_estimator_takes_parts_of_an_installed_package(installed, tmp_path):
    fit = (
        "from sklearn.datasets import load_iris; from midmix.integrations import MidmixClassifier;"
        "X, y = load_iris(return_X_y=True);"
        "method = 'their-mix:ratio=0.7+their_loss:start=0.1';"
        "found = MidmixClassifier(method, epochs=5, random_state=0).fit(X, y);"
        "assert float(found.mix_.ratio.value) == 0.699999988079071, found.mix_.ratio.value;"
        "print(found.score(X, y))"
    )
    environment = {**os.environ, "PYTHONPATH": f"{installed}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(
        [sys.executable, "-c", fit],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 0.5


def test_code_that_a_model_names_is_run_only_with_trust_and_as_it_was(tmp_path):
    (tmp_path / "own.py").write_text(CODE + "\nprint('own code ran')\n")
    network = "own.py:their_network"
    done = midmix(
        "train", "digits", "--method", "erm+own.py:their_loss", "--network", network, "--epochs", "1",
        "--out", "run", folder=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    refused = midmix("evaluate", "../run", "digits", folder=elsewhere)
    assert refused.returncode == 2
    assert "own code ran" not in refused.stdout
    assert re.search(r"own\.py:their_network \(.*own\.py\), .*--trust", refused.stderr)
    trusted = midmix("evaluate", "../run", "digits", "--trust", folder=elsewhere)
    assert trusted.returncode == 0, trusted.stderr
    (tmp_path / "own.py").write_text(CODE.replace("ReLU", "Hardtanh"))
    changed = midmix("evaluate", "../run", "digits", "--trust", folder=elsewhere)
    assert changed.returncode == 2
    assert "has changed" in changed.stderr
    again = midmix(
        "train", "digits", "--method", "erm+own.py:their_loss", "--network", network, "--epochs", "1",
        "--out", "run", folder=tmp_path,
    )  # fmt: skip
    assert again.returncode == 2
    assert "holds another run" in again.stderr


def test_a_folder_of_a_model_executes_nothing_by_itself(tmp_path):
    done = midmix(
        "train",
        "digits",
        "--method",
        "erm",
        "--network",
        "mlp-8",
        "--epochs",
        "1",
        "--out",
        "run",
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    run = tmp_path / "run"
    (run / "payload.py").write_text("import pathlib\npathlib.Path('executed').touch()\ndef build(**_): ...\n")
    record = json.loads((run / "run.json").read_text())
    record["settings"]["network"] = record["network"] = "payload:build"
    (run / "run.json").write_text(json.dumps(record))
    refused = midmix("predict", ".", "digits", folder=run)
    assert refused.returncode == 2
    assert "payload:build" in refused.stderr
    assert not (run / "executed").exists()

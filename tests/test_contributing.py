"""CONTRIBUTING's examples, carried out to the letter on a copy of the package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n# (at the end of )?(src/\S+\.py)\n(.*?)```", GUIDE, re.DOTALL)
MOST_LINES = {"mixing/recipes.py": 12, "losses/recipes": 15}
"""How few lines the parts that are added most take, imports and docstrings of a file left out."""


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as it is after all of them."""
    folder = tmp_path_factory.mktemp("extended")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for appended, name, code in EXAMPLES:
        file = folder / name
        assert file.exists() == bool(appended), name
        file.write_text(
            (file.read_text(encoding="utf-8") + "\n\n" if appended else "") + code, encoding="utf-8"
        )
    return folder


def run(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder / "src")}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_there_is_an_example_of_each_kind_of_part():
    assert len(EXAMPLES) == GUIDE.count("```python\n") == 5


@pytest.mark.parametrize(("place", "most"), MOST_LINES.items())
def test_methods_and_losses_take_few_lines(place, most):
    code = next(code for _, name, code in EXAMPLES if place in name)
    body = code[code.index("@") if "class " not in code else code.index("class ") :]
    lines = [line for line in re.sub(r'"""(.*?)"""', "", body, flags=re.DOTALL).splitlines() if line.strip()]
    assert len(lines) <= most, "\n".join(lines)


def test_every_example_runs(extended):
    rows = "\n".join(f"{'abc'[i % 3]} {i % 3} {(7 * i) % 5}" for i in range(60))
    (extended / "own.lines").write_text(rows + "\n")
    assert "late-am-mixup" in run(extended, "-m", "midmix", "methods", "mixes")
    method = "late-am-mixup:exponent=3+learnt_temperature:start=0.2"
    shown = run(
        extended, "-m", "midmix", "compare", "own.lines", "--methods", method, "--no-controls", "--seeds", "1",
        "--jobs", "1", "--epochs", "2", "--network", "mlp-8", "--out", "out",
    )  # fmt: skip
    assert "late-am-mixup" in shown
    results = pd.read_parquet(extended / "out" / "results.parquet")
    assert set(results["method"]) == {method}
    assert results["certainty"].between(1 / 3, 1).all()
    page = (extended / "out" / "report.html").read_text(encoding="utf-8")
    assert "certainty" in page
    assert "Length of features" in page
    assert (extended / "out" / "figures" / "lengths.csv").is_file()


def test_examples_obey_what_all_parts_obey(extended):
    """Each docstring's example, and the laws of every recipe."""
    laws = str(ROOT / "tests" / "mixing" / "test_laws.py")
    run(
        extended, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "late", "--rootdir", str(ROOT),
        "-c", str(ROOT / "pyproject.toml"), laws,
    )  # fmt: skip
    examine = (
        "import doctest, importlib, sys; recipes = importlib.import_module('midmix.mixing.recipes');"
        "names = vars(recipes) | {'torch': __import__('torch')};"
        "found = doctest.DocTestFinder().find(recipes.late_am_mixup, globs=names);"
        "runs = [doctest.DocTestRunner().run(one) for one in found]; sys.exit(sum(run.failed for run in runs))"
    )
    run(extended, "-c", examine)

"""Every example runs as it stands, and learns something."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
# What each needs beside midmix, and the accuracy that it must reach.
NEEDS = {
    "pytorch_loop": (None, 0.8),
    "sklearn_classifier": (None, 0.5),
    "timm_task": ("timm", 0.5),
    "lightning_module": ("lightning", 0.6),
    "transformers_trainer": ("transformers", 0.3),
}


def test_every_example_is_run():
    assert {file.stem for file in EXAMPLES.glob("*.py")} == set(NEEDS)


@pytest.mark.filterwarnings("default")  # of the stacks'
@pytest.mark.parametrize("name", NEEDS)
def test_example(name, tmp_path, monkeypatch, capsys):
    needed, least = NEEDS[name]
    if needed is not None:
        pytest.importorskip(needed)
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    accuracy = re.search(r"accuracy (\d\.\d+)", capsys.readouterr().out)
    assert accuracy is not None
    assert float(accuracy[1]) >= least

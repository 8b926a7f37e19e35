"""`midmix export`: models and cards out of the tool, from the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import midmix as package


@pytest.fixture
def trained(midmix: Callable[..., Any], table: Path, tmp_path: Path) -> Path:
    flags = ("--epochs", 1, "--network", "mlp-8", "--out", tmp_path / "run")
    assert midmix("train", table, *flags).code == 0
    return tmp_path / "run"


def test_both_programs_give_the_models_logits(midmix: Callable[..., Any], trained: Path, table: Path) -> None:
    model = package.load(trained)
    rows = model.features(table)
    expected = model.logits(table).numpy()
    outcome = midmix("export", trained, "--to", "torch")
    assert outcome.code == 0, outcome.err
    assert "takes rows of shape [2], gives logits of '<b>emu</b>', 'cat', 'dog', in this order" in outcome.err
    assert f"checked on 100 rows of {table}" in outcome.err
    program = torch.export.load(trained / "model.pt2").module()
    np.testing.assert_allclose(program(rows).detach().numpy(), expected, atol=1e-5)
    runtime = pytest.importorskip("onnxruntime")
    outcome = midmix("export", trained, table, "--out", trained.parent / "m.onnx")
    assert outcome.code == 0, outcome.err
    session = runtime.InferenceSession(trained.parent / "m.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"rows": rows.numpy()})[0], expected, atol=1e-5)


def test_images_are_checked_by_the_first_of_them(midmix: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "images"
    for shade, label in enumerate(("dark", "light")):
        (folder / label).mkdir(parents=True)
        for k in range(4):
            Image.new("RGB", (8, 8), (200 * shade + k,) * 3).save(folder / label / f"{k}.png")
    flags = ("--network", "resnet-8", "--width", 4, "--epochs", 1, "--out", tmp_path / "run")
    assert midmix("train", folder, *flags).code == 0
    outcome = midmix("export", tmp_path / "run", "--to", "torch", "--out", tmp_path / "m.pt2")
    assert outcome.code == 0, outcome.err
    assert "takes rows of shape [3, 8, 8]" in outcome.err
    assert package.load(tmp_path / "run").features(folder, most=3).shape == (3, 3, 8, 8)


def test_a_card_is_a_file_of_markdown(midmix: Callable[..., Any], trained: Path) -> None:
    assert midmix("export", trained, "--to", "card").code == 0
    text = (trained / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# erm+balanced\\_softmax on animals.csv")
    assert "<b>emu" not in text


def test_what_cannot_be_is_one_line_and_nothing_is_written(
    midmix: Callable[..., Any], trained: Path, table: Path, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in trained.iterdir()}
    one = tmp_path / "one.csv"
    one.write_text("weight,height\n1,2\n")
    other = tmp_path / "other.csv"
    other.write_text("length\n1\n2\n")
    cases = [
        ((tmp_path / "none",), "holds no finished run"),
        ((trained, "--to", "coreml"), "coreml"),
        ((trained, "--to", "torch", "--out", trained), "is a folder; name a file with --out"),
        ((trained, "--to", "torch", "--out", tmp_path / "no" / "m"), "there is no folder"),
        ((trained, "--to", "torch", "--out", trained / "model.safetensors"), "is a file of the run"),
        ((trained, table, "--to", "torch", "--out", table), "is a file of the run, or of the rows"),
        ((trained, "--to", "card", "--out", trained / "run.json"), "is a file of the run"),
        ((trained, one, "--to", "torch"), "rows: 1; at least two are needed"),
        ((trained, other, "--to", "torch"), "weight"),
        ((trained, tmp_path / "gone.csv", "--to", "torch"), "gone.csv"),
    ]
    for arguments, said in cases:
        outcome = midmix("export", *arguments)
        assert outcome.code == 2, arguments
        assert said in outcome.complaint, outcome.err
    assert {path: path.read_bytes() for path in trained.iterdir()} == before

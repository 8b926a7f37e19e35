"""Trackers are told what a run writes down, change nothing of it, and cannot stop it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from accelerate.state import AcceleratorState

from midmix.errors import InputError
from midmix.methods import Method
from midmix.training import Callback, Run, Tracking, train_run

OWN = '''
import json
from pathlib import Path
from typing import Any
from accelerate.logging import get_logger
from accelerate.tracking import GeneralTracker

class Lines(GeneralTracker):
    """What it is told, a line each, in a file of the run's name."""
    name, requires_logging_directory = "lines", True

    def __init__(self, run, folder):
        super().__init__()
        self.file = Path(folder, run + ".jsonl")

    @property
    def tracker(self):
        return self.file

    def _say(self, kind, values, step=None):
        with self.file.open("a") as file:
            file.write(json.dumps([kind, values, step]) + "\\n")

    def store_init_configuration(self, values):
        self._say("about", values)

    def log(self, values, step=None):
        self._say("log", values, step)

    def finish(self):
        self._say("finish", {})

class Failing(Lines):
    name = "failing"

    def log(self, values, step=None):
        raise OSError("the service\\nis gone")

class OnEvery(Lines):
    """As Weights & Biases' tracker."""
    name, main_process_only = "every", False

    def start(self):
        get_logger("own").debug("started")

class NeverStarts(Lines):
    name = "never"

    def start(self):
        raise OSError("no key")

class NoTracker:
    pass
'''


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own_trackers.py"
    path.write_text(OWN)
    return path


@pytest.fixture
def run(short) -> Run:
    return Run(Method.parse("balanced-am-mixup"), 3, replace(short, epochs=4, evaluate_every=2))


def lines(path: Path) -> list[list[Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_tensorboard_shows_what_the_run_wrote_down(run, blobs, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "out"
    record = train_run(run, blobs, out, tracking=Tracking.read("tensorboard", out))
    shown = EventAccumulator(str(out / "tracked" / run.name)).Reload()
    history = pd.read_parquet(out / "history.parquet")
    for tag, column in [("epoch/train_loss", "train_loss"), ("epoch/few", "few"), ("epoch/ratio", "ratio")]:
        events = shown.Scalars(tag)
        assert [event.step for event in events] == [12, 24]  # 88 rows in batches of 16, after 2 and 4 epochs
        np.testing.assert_allclose([event.value for event in events], history[column], rtol=1e-6)
    steps = {event.step: event.value for event in shown.Scalars("step/loss")}
    assert max(steps) == 24
    assert {"step/lambda", "step/clean_accuracy"} <= set(shown.Tags()["scalars"])
    assert [event.value for event in shown.Scalars("health/findings")] == [len(record["health"])]
    (classes,) = shown.Tensors("classes/text_summary")
    text = classes.tensor_proto.string_val[0].decode()
    assert text.startswith("| class | training rows | test rows | overall % |\n| --- |")
    assert "| ant | 60 | 30 |" in text


def test_steps_losses_make_those_of_the_epochs(run, blobs, own, tmp_path):
    tracking = Tracking((f"{own}:Lines",), tmp_path / "told")
    train_run(run, blobs, tmp_path / "out", callback=Callback(every=1), tracking=tracking)
    told = lines(tmp_path / "told" / f"{run.name}.jsonl")
    assert told[0][1]["method"] == "balanced-am-mixup"
    assert told[0][1]["run"] == run.name
    assert told[-1][0] == "finish"
    losses = {step: values["step/loss"] for _, values, step in told if "step/loss" in values}
    assert list(losses) == list(range(1, 25))
    history = pd.read_parquet(tmp_path / "out" / "history.parquet")
    means = np.reshape([*losses.values()], (4, 6)).mean(1)[[1, 3]]
    np.testing.assert_allclose(means, history["train_loss"], rtol=1e-12)
    values = [value for _, told, _ in told for value in told.values() if isinstance(value, float)]
    assert all(map(math.isfinite, values))


def test_a_run_is_the_same_with_and_without_trackers(run, blobs, own, tmp_path):
    train_run(run, blobs, tmp_path / "alone")
    train_run(
        run, blobs, tmp_path / "told", tracking=Tracking((f"{own}:Lines",), tmp_path / "told" / "tracked")
    )
    with np.load(tmp_path / "alone" / "test.npz") as alone, np.load(tmp_path / "told" / "test.npz") as told:
        np.testing.assert_array_equal(alone["logits"], told["logits"])


def test_trackers_that_speak_on_every_process_find_accelerate_ready(run, blobs, own, tmp_path):
    AcceleratorState._reset_state(reset_partial_state=True)  # as in a fresh process
    tracking = Tracking((f"{own}:OnEvery",), tmp_path / "told")
    train_run(run, blobs, tmp_path / "out", tracking=tracking)
    assert lines(tmp_path / "told" / f"{run.name}.jsonl")[-1][0] == "finish"


def test_a_finished_run_is_told_to_nobody_again(run, blobs, own, tmp_path):
    tracking = Tracking((f"{own}:Lines",), tmp_path / "told")
    for _ in range(2):
        train_run(run, blobs, tmp_path / "out", tracking=tracking)
    assert [kind for kind, *_ in lines(tmp_path / "told" / f"{run.name}.jsonl")].count("finish") == 1


def test_a_tracker_that_fails_is_left_out_and_said_once(run, blobs, own, tmp_path):
    said: list[str] = []
    tracking = Tracking((f"{own}:Failing", f"{own}:Lines"), tmp_path / "told")
    record = train_run(run, blobs, tmp_path / "out", callback=Callback(say=said.append), tracking=tracking)
    assert record["seed"] == 3
    (complaint,) = [line for line in said if "tracker" in line]
    assert complaint == "tracker 'failing': is told no more, for it failed: OSError: the service is gone"
    assert any("epoch/few" in values for _, values, _ in lines(tmp_path / "told" / f"{run.name}.jsonl"))


def test_a_run_that_is_interrupted_ends_its_trackers(run, blobs, own, tmp_path):
    tracking = Tracking((f"{own}:Lines",), tmp_path / "told")
    with pytest.raises(KeyboardInterrupt):
        train_run(run, blobs, tmp_path / "out", callback=Callback(stop=lambda: True), tracking=tracking)
    assert lines(tmp_path / "told" / f"{run.name}.jsonl")[-1][0] == "finish"


def test_what_cannot_be_a_tracker_is_said_in_one_line_before_anything_is_written(run, blobs, own, tmp_path):
    for name, message in [
        ("tensorbord", "unknown tracker 'tensorbord': did you mean tensorboard?"),
        ("comet_ml", "tracker 'comet_ml': its package is not installed; pip install comet-ml"),
        (f"{own}:NoTracker", "is no subclass of accelerate.tracking.GeneralTracker"),
        (f"{own}:Linse", "did you mean Lines?"),
    ]:
        with pytest.raises(InputError, match=message.replace("?", r"\?")):
            Tracking((name,), tmp_path / "told")
    tracking = Tracking((f"{own}:Lines", f"{own}:NeverStarts"), tmp_path / "told")
    with pytest.raises(InputError, match="NeverStarts': cannot be started: OSError: no key"):
        train_run(run, blobs, tmp_path / "out", tracking=tracking)
    assert not (tmp_path / "out" / "run.json").exists()
    assert lines(tmp_path / "told" / f"{run.name}.jsonl")[-1][0] == "finish"

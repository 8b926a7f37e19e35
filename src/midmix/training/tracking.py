"""Trackers of experiments, Accelerate's and one's own, that are told of runs as they go on."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from accelerate.state import PartialState
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker, get_available_trackers

from midmix.errors import InputError
from midmix.measures import MEASURES
from midmix.registry import Registry
from midmix.training.callback import Callback, StepInfo
from midmix.training.history import Epoch
from midmix.training.predict import Predictions

TRACKED = "tracked"
"""Where in an output folder trackers that write files do so."""

TRACKERS: Registry[Callable[..., GeneralTracker]] = Registry("tracker", "midmix.trackers")
"""What makes a tracker, by name: Accelerate's, those of installed packages, and `module:Class`."""
for _name, _kind in LOGGER_TYPE_TO_CLASS.items():
    TRACKERS.register(name=str(_name))(_kind)

RUN_NAME = {"wandb": "name", "trackio": "name", "mlflow": "run_name", "swanlab": "experiment_name"}
"""By which option a tracker that keeps runs under a project is told a run's name."""


@dataclass(frozen=True)
class Tracking:
    """Which trackers are told of runs. Nothing of it changes a number.

    Attributes:
        names: of trackers, as `TRACKERS` finds them. A class of one's own is a subclass of Accelerate's
            `GeneralTracker`, and made as Accelerate makes its own: with a name, and with a folder where it
            `requires_logging_directory`.
        folder: of those that write files, each run in a folder of its own.
        project: what others keep runs under.

    Raises:
        InputError: for a name that nobody knows, with the nearest ones; for a tracker whose package is not installed.

    Example:
        >>> Tracking(("tensorbord",), Path("runs"))
        Traceback (most recent call last):
        ...
        midmix.errors.UnknownNameError: unknown tracker 'tensorbord': did you mean tensorboard? Known: ...
    """

    names: tuple[str, ...]
    folder: Path
    project: str = "midmix"

    def __post_init__(self) -> None:
        installed = {str(kind) for kind in get_available_trackers()}
        for name in self.names:
            kind = TRACKERS.find(name)
            if name in LOGGER_TYPE_TO_CLASS and name not in installed:
                extra = "'midmix[track]'" if name == "tensorboard" else name.replace("_", "-")
                raise InputError(f"tracker {name!r}: its package is not installed; pip install {extra}")
            if not (isinstance(kind, type) and issubclass(kind, GeneralTracker)):
                raise InputError(
                    f"tracker {name!r}: is no subclass of accelerate.tracking.GeneralTracker; make it one"
                )

    @classmethod
    def read(cls, text: str | None, out: Path) -> Tracking:
        """Of names separated by commas, for what is written into an output folder; of None, no tracker at all."""
        names = [name.strip() for name in (text or "").split(",") if name.strip()]
        return cls(tuple(dict.fromkeys(names)), out / TRACKED)

    @contextmanager
    def watch(self, name: str, about: Mapping[str, Any], callback: Callback) -> Iterator[Callback]:
        """A callback that does what this one does, and tells the trackers of a run.

        Told are loss, λ, accuracy on clean rows and speed after steps; all that is written down of an evaluated epoch;
        at the end health, and a table of the classes. A tracker that fails on the way is left out of it from then on,
        and said: it is no reason to stop a training.

        Args:
            name: of the run.
            about: what it is: plain data, stored at its beginning.
            callback: is called first.

        Raises:
            InputError: for a tracker that cannot be started.
        """
        if not self.names or int(os.environ.get("RANK", "0")):  # of several processes, the first one speaks
            yield callback
            return
        told = _Told(self._started(name, callback.say), callback.say)
        told.each(lambda tracker: tracker.store_init_configuration({"run": name, **_plain(about)}))
        try:
            yield replace(
                callback,
                on_step=_both(callback.on_step, told.step),
                on_epoch=_both(callback.on_epoch, told.epoch),
                on_end=_both(callback.on_end, told.end),
            )
        finally:
            told.finish()

    def tables(self, name: str, tables: Mapping[str, pd.DataFrame], say: Callable[[str], None]) -> None:
        """Tells the trackers of finished tables, as of a whole comparison, under a name of their own."""
        if self.names:
            told = _Told(self._started(name, say), say)
            for title, table in tables.items():
                told.table(title, table)
            told.finish()

    def _started(self, run: str, say: Callable[[str], None]) -> list[GeneralTracker]:
        PartialState()  # by which Accelerate's trackers know that they may speak
        started: list[GeneralTracker] = []
        for name in self.names:
            kind: Any = TRACKERS.find(name)
            try:
                if kind.requires_logging_directory:
                    self.folder.mkdir(parents=True, exist_ok=True)
                    tracker = kind(run, str(self.folder))
                else:
                    tracker = kind(self.project, **({RUN_NAME[name]: run} if name in RUN_NAME else {}))
                tracker.start()
            except Exception as error:  # another's code, and a service that may be out of reach
                _Told(started, say).finish()
                raise InputError(f"tracker {name!r}: cannot be started: {_short(error)}") from error
            started.append(tracker)
        return started


@dataclass
class _Told:
    """Trackers that have been started, and how far their run is."""

    trackers: list[GeneralTracker]
    say: Callable[[str], None]
    done: int = field(default=0, init=False)

    def step(self, info: StepInfo) -> None:
        self.done = (info.epoch - 1) * info.steps + info.step
        self.log(
            {
                "step/loss": info.loss,
                "step/lambda": info.ratio,
                "step/clean_accuracy": info.train_accuracy,
                "step/rows_per_second": info.rate,
            }
        )

    def epoch(self, epoch: Epoch) -> None:
        self.log({f"epoch/{name}": value for name, value in epoch.items()})

    def end(self, record: Mapping[str, Any], tested: Predictions) -> None:
        findings = record.get("health") or []
        self.log({"health/findings": len(findings)})
        columns = ("heading", "seen", "remedy")
        self.table(
            "health", pd.DataFrame([[one[name] for name in columns] for one in findings], columns=columns)
        )
        self.table("classes", _classes(record, tested))

    def log(self, values: Mapping[str, Any]) -> None:
        """The finite ones of these numbers; nobody can draw the others."""
        finite = {name: float(value) for name, value in values.items() if math.isfinite(value)}
        self.each(lambda tracker: tracker.log(finite, step=self.done))

    def table(self, title: str, table: pd.DataFrame) -> None:
        """A table where the tracker has such a thing, else its text."""

        def show(tracker: GeneralTracker) -> None:
            if hasattr(tracker, "log_table"):
                tracker.log_table(title, dataframe=table)
            else:
                tracker.log({title: _markdown(table)}, step=self.done)

        self.each(show)

    def each(self, tell: Callable[[GeneralTracker], object]) -> None:
        for tracker in list(self.trackers):
            try:
                tell(tracker)
            except Exception as error:  # another's code; the run is worth more
                self.trackers.remove(tracker)
                self.say(f"tracker {tracker.name!r}: is told no more, for it failed: {_short(error)}")
                with suppress(Exception):
                    tracker.finish()

    def finish(self) -> None:
        self.each(lambda tracker: tracker.finish())


def _classes(record: Mapping[str, Any], tested: Predictions) -> pd.DataFrame:
    """Rows and accuracy by class, in %, most training rows first."""
    right = (tested.logits.argmax(1) == tested.labels).double()
    size = len(record["classes"])
    rows = torch.bincount(tested.labels, minlength=size).double()
    accuracy = torch.bincount(tested.labels, weights=right, minlength=size) / rows
    heading = MEASURES.find("accuracy").heading
    table = pd.DataFrame(
        {
            "class": record["classes"],
            "training rows": record["class_counts"],
            "test rows": rows.long().tolist(),
            f"{heading} %": (100 * accuracy).tolist(),
        }
    )
    return table.sort_values("training rows", ascending=False, kind="stable")


def _markdown(table: pd.DataFrame) -> str:
    lines = [list(map(str, table.columns)), ["---"] * len(table.columns)]
    lines += [
        [f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row]
        for row in table.itertuples(index=False)
    ]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _plain(about: Mapping[str, Any]) -> dict[str, bool | str | float | int]:
    """What trackers take as a configuration; anything else as text, and nothing for None."""
    return {
        name: value if isinstance(value, bool | str | float | int) else str(value)
        for name, value in about.items()
        if value is not None
    }


def _both(first: Callable[..., None] | None, second: Callable[..., None]) -> Callable[..., None]:
    def call(*told: Any) -> None:
        if first is not None:
            first(*told)
        second(*told)

    return call


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:160]

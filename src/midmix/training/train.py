"""One run, trained into a folder that is finished or goes on."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from midmix.data import Source
from midmix.errors import DivergedError, InputError
from midmix.files import atomic_write
from midmix.measures import shot_groups
from midmix.models import describe, trained_weights
from midmix.training.callback import UNWATCHED, Callback
from midmix.training.health import RULES, Evidence, Finding, examine
from midmix.training.identity import differences
from midmix.training.record import RunRecord
from midmix.training.rule import VALIDATION
from midmix.training.run import Run
from midmix.training.run_folder import CHECKPOINTS, HISTORY, MODEL, TEST, check_run, finished, save_model
from midmix.training.split import Split
from midmix.training.tracking import Tracking
from midmix.training.trained import Trained, trained_by_method
from midmix.training.tuned import asked

VERSIONS = ("midmix", "torch", "numpy", "accelerate", "datasets", "scikit-learn")


def train_run(
    run: Run,
    source: Source,
    folder: Path,
    *,
    callback: Callback = UNWATCHED,
    checkpoint_seconds: float = 30.0,
    tracking: Tracking | None = None,
) -> dict[str, Any]:
    """Trains one run into its folder, from its last whole checkpoint where it was interrupted; returns its record.

    A run that has finished there is not run again.

    The folder holds `run.json` (the record, written last: its presence says that the run is finished),
    `history.parquet` (a row an evaluated epoch), `test.npz` (logits, features, labels of the test rows at the last
    epoch, and which rows of the source they are where each seed draws its own), `validation.npz` (logits and labels of
    held-out rows, where there are some) and `model.safetensors`; while the run goes on, `checkpoints/`.

    Args:
        tracking: which trackers are told of it; none where it has finished before.

    Raises:
        DivergedError: where training diverges; `write_diverged` makes a record of it.
        InputError: for data that cannot be split so, a folder that holds another run or the same one on other rows; as
            `Fit` and `Tracking` do.

    Example:
        >>> import torch
        >>> from tempfile import TemporaryDirectory
        >>> from midmix.data import from_arrays
        >>> from midmix.methods import Method
        >>> from midmix.training import Settings
        >>> source = from_arrays(torch.eye(3).repeat(20, 1), torch.arange(3).repeat(20))
        >>> run = Run(Method.parse("am-mixup"), seed=0, settings=Settings(network="mlp-8", epochs=2))
        >>> with TemporaryDirectory() as folder:
        ...     record = train_run(run, source, Path(folder))
        ...     sorted(path.name for path in Path(folder).iterdir())
        ['history.parquet', 'model.safetensors', 'run.json', 'test.npz']
        >>> record["class_counts"]
        [16, 16, 16]
    """
    check_run(folder)
    specification = run.specification(source)
    if (record := finished(folder)) is not None:
        _same(run, specification, record, folder)
        return record
    split = run.split(source)
    about = {"method": str(run.method), "seed": run.seed, **run.chosen.settings.as_dict()}
    with (tracking or Tracking((), folder)).watch(run.name, about, callback) as told:
        trained = trained_by_method(run.chosen, split, folder, told, checkpoint_seconds)
        return write_run(run, source, split, trained, folder, told)


def write_run(
    run: Run, source: Source, split: Split, trained: Trained, folder: Path, callback: Callback = UNWATCHED
) -> dict[str, Any]:
    """Writes what a run came to into its folder, the record last; returns the record."""
    record = {
        **_described(run, source, split),
        "network": trained.network,
        "classifier": trained.classifier,
        "parameters": _parameters(trained.model, source),
        "trained_parameters": 0 if trained.model is None else trained_weights(trained.model),
        "probabilities": trained.probabilities,
        "logit_prior": None if trained.prior is None else list(trained.prior.shares),
        "seconds": trained.seconds,
        "hardware": trained.hardware,
    }
    tested = trained.predict(split.test)  # by all processes
    held_out = None if split.validation is None else trained.predict(split.validation)
    if trained.writes:
        folder.mkdir(parents=True, exist_ok=True)
        evidence = Evidence.of(
            trained.mix,
            trained.history,
            tested,
            split.train.classes,
            split.train.counts().tolist(),
            stages=bool(run.method.stages),
        )
        record["health"] = [finding.as_dict() for finding in examine(evidence)]
        callback.still_ours()
        if trained.model is not None:
            save_model(trained.model, folder / MODEL)
        with atomic_write(folder / HISTORY) as path:
            pd.DataFrame(trained.history).to_parquet(path)
        with atomic_write(folder / TEST) as path, path.open("wb") as file:
            arrays = {"logits": tested.logits, "features": tested.features, "labels": tested.labels}
            if split.test_rows is not None:
                arrays["rows"] = split.test_rows
            np.savez(file, **{name: tensor.numpy() for name, tensor in arrays.items()})  # type: ignore[arg-type]
        if held_out is not None:  # what thresholds and calibrations are chosen on
            with atomic_write(folder / VALIDATION) as path, path.open("wb") as file:
                np.savez(file, logits=held_out.logits, labels=held_out.labels)
        callback.still_ours()
        RunRecord(**record).write(folder)
        if callback.on_end is not None:
            callback.on_end(record, tested)
    trained.close()
    return record


def write_diverged(run: Run, source: Source, folder: Path, error: DivergedError) -> None:
    """Writes the record of a run whose training broke off: it has ended, and left nothing else."""
    split = run.split(source)
    model = run.chosen.network(split)
    rule = RULES.find("diverged")
    seen, _, remedy = str(error).partition("; ")
    record = {
        **_described(run, source, split),
        "network": run.chosen.settings.network,
        "parameters": _parameters(model, source),
        "seconds": 0.0,
        "diverged": seen,
        "health": [Finding(rule.name, rule.heading, seen, remedy or rule.remedy).as_dict()],
    }
    RunRecord(**record).write(folder)
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)


def _described(run: Run, source: Source, split: Split) -> dict[str, Any]:
    """What the record of a run says before it is trained."""
    specification, chosen = run.specification(source), run.chosen
    counts = split.train.counts()
    shots = shot_groups(counts)
    return {
        "method": str(run.method),
        "specification": chosen.method.as_dict(),
        "code": [asdict(code) for code in run.code()],
        "seed": run.seed,
        "source": source.name,
        "reading": dict(source.reading),
        "columns": list(source.columns),
        "preparation": None if split.preparation is None else split.preparation.to_dict(),
        "shape": list(split.train.shape if source.encoding is None else source.encoding.shape),
        "classes": list(split.train.classes),
        "class_counts": counts.tolist(),
        "imbalance": run.imbalance,
        "profile": run.profile,
        "ranks": run.ranks,
        "validation": run.validation,
        "splits": run.splits if source.drawn else "own",
        "shot_rule": shots.rule,
        "shots": {"many": shots.many, "medium": shots.medium, "few": shots.few},
        "split_hash": split.hash,
        **{name: specification[name] for name in ("train_rows", "test_rows", "groups", "class_names")},
        "encoder": specification.get("encoder"),
        "settings": chosen.settings.as_dict(),
        "search": {} if run.tuned is None else {**run.tuned.as_dict(), "given": run.settings.as_dict()},
        "versions": {name: version(name) for name in VERSIONS},
    }


def _parameters(model: nn.Module | None, source: Source) -> int:
    """Of the whole network; 0 where it is not kept."""
    if model is None:
        return 0
    before = 0 if source.encoding is None else int(source.encoding.encoder["parameters"])
    return before + describe(model).parameters


def _same(run: Run, specification: dict[str, Any], record: dict[str, Any], folder: Path) -> None:
    ours = {
        "method": str(run.method),
        "seed": run.seed,
        **specification,
    }
    theirs = asked(record)
    # What a record of old does not say was not written down in its time.
    theirs = {name: value for name, value in theirs.items() if value is not None or ours.get(name) is None}
    differ = differences({name: theirs[name] for name in ours if name in theirs}, ours)
    if differ:
        raise InputError(
            f"{folder}: holds another run ({'; '.join(differ)}); choose another folder with --out"
        )

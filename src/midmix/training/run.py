"""One run of a comparison: a line and a seed, trained into a folder that is finished or goes on."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from midmix.data import Hierarchy, LabelledFeatures, Source
from midmix.errors import InputError
from midmix.files import atomic_write, check_folder, read_json
from midmix.measures import shot_groups
from midmix.models import build, describe, fit_normalization
from midmix.training.checkpoint import Checkpoints
from midmix.training.evaluate import Answers, answer, features_of
from midmix.training.fit import Fit, Moment
from midmix.training.history import Epoch, chosen_epochs
from midmix.training.identity import differences, groups_digest, rows_digest
from midmix.training.line import Line
from midmix.training.settings import Settings
from midmix.training.split import Split, draw_split

RECORD, MODEL, HISTORY, TEST = "run.json", "model.safetensors", "history.parquet", "test.npz"
CHECKPOINTS = "checkpoints"
WORKING = {"claim.json", "claim.json.lock", "progress.json"}
"""What a runner keeps in the folder while it works there."""
RECORDED = {
    "method", "criterion", "seed", "source", "settings", "classes", "class_counts", "shape", "columns", "split_hash",
    "network", "parameters", "seconds",
}  # fmt: skip
VERSIONS = ("midmix", "torch", "numpy", "accelerate", "datasets", "scikit-learn")


@dataclass(frozen=True)
class Run:
    """What one run is: everything that its numbers depend on, besides the source's rows.

    Attributes:
        line: method and criterion.
        seed: of the split, the network's weights, and all draws in training.
        settings: how the network is trained.
        imbalance, profile, validation, groups: as `draw_split` takes them.

    Example:
        >>> Run(Line("am-mixup:beta=0.5"), seed=3, settings=Settings(), imbalance=100).name
        'am-mixup_beta=0.5-seed3'
    """

    line: Line
    seed: int
    settings: Settings
    imbalance: float | None = None
    profile: Literal["exp", "step"] = "exp"
    validation: float = 0.0
    groups: Hierarchy | None = None

    @property
    def name(self) -> str:
        """Name of the run's folder."""
        return f"{self.line.slug}-seed{self.seed}"

    def specification(self, source: Source) -> dict[str, Any]:
        """What its numbers depend on, besides line and seed: plain data, by which a folder is known."""
        return {
            "train_rows": rows_digest(source.train),
            "test_rows": rows_digest(source.test),
            "groups": None if self.groups is None else groups_digest(self.groups),
            "imbalance": self.imbalance,
            # Without an imbalance a profile is of no account.
            **({} if self.imbalance is None else {"profile": self.profile}),
            "validation": self.validation,
            **self.settings.as_dict(),
        }

    def split(self, source: Source) -> Split:
        """The run's rows of a source."""
        return draw_split(
            source,
            seed=self.seed,
            imbalance=self.imbalance,
            profile=self.profile,
            validation=self.validation,
            groups=self.groups,
        )

    def network(self, split: Split) -> nn.Module:
        """The run's network for these rows, with its first weights."""
        return build(
            self.settings.network,
            split.train.shape,
            len(split.train.classes),
            width=self.settings.width,
            seed=self.seed,
        )


@dataclass(frozen=True)
class Watching:
    """Who is told what while a run goes on."""

    moment: Callable[[Moment], None] | None = None
    say: Callable[[str], None] = field(default=print)


def finished(folder: Path) -> dict[str, Any] | None:
    """The record of the run in this folder, or None where none has finished there.

    Raises:
        InputError: where there is a record that is none of midmix's.
    """
    path = folder / RECORD
    if not path.is_file():
        return None
    record = read_json(path, "a run's record", RECORDED)
    # A setting that the record does not name came later than it, and stood at its default.
    return {**record, "settings": {**Settings().as_dict(), **record["settings"]}}


def check_run(folder: Path) -> None:
    """Sees that a run, old or new, may be written into this folder.

    Raises:
        InputError: as `check_folder` does.
    """
    check_folder(folder, "run", RECORD, {MODEL, HISTORY, TEST, CHECKPOINTS, *WORKING})


def check_runs(runs: Sequence[Run], source: Source) -> None:
    """Sees that runs which differ in their lines only can begin, before anything is written.

    Raises:
        InputError: for rows that cannot be split so, and a network that cannot be built for them, not be mixed, or not
            be measured because its classifier cannot be told.
    """
    run = runs[0]
    split = run.split(source)
    model = run.network(split)
    num_classes = len(split.train.classes)
    for run in runs:
        mix = run.line.mix(num_classes, split.train.counts())
        try:
            mix.attach(model).remove()
            features_of(model, num_classes, run.line.classifier)
        except InputError as error:
            raise InputError(f"{run.line}: {error}") from error


def train_run(
    run: Run,
    source: Source,
    folder: Path,
    *,
    watching: Watching = Watching(),
    checkpoint_seconds: float = 30.0,
) -> dict[str, Any]:
    """Trains one run into its folder, from its last whole checkpoint where it was interrupted; returns its record.

    A run that has finished there is not run again.

    The folder holds `run.json` (the record, written last: its presence says that the run is finished),
    `history.parquet` (a row an evaluated epoch), `test.npz` (logits, features, labels of the test rows at the last
    epoch) and `model.safetensors`; while the run goes on, `checkpoints/`.

    Raises:
        InputError: for data that cannot be split so, training that diverges, a folder that holds another run or the
            same one on other rows; as `Fit` does.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from midmix.data import from_arrays
        >>> source = from_arrays(torch.eye(3).repeat(20, 1), torch.arange(3).repeat(20))
        >>> run = Run(Line("am-mixup"), seed=0, settings=Settings(network="mlp-8", epochs=2))
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
    classes, counts = split.train.classes, split.train.counts()
    model = run.network(split)
    fit_normalization(model, split.train.inputs)
    checkpoints = Checkpoints(folder / CHECKPOINTS, watching.say)
    fit = Fit(
        model,
        run.line.mix(len(classes), counts),
        run.line.per_sample_loss(),
        split,
        run.settings,
        seed=run.seed,
        checkpoints=checkpoints,
        checkpoint_seconds=checkpoint_seconds,
        watch=watching.moment,
    )
    history = fit.run()
    shots = shot_groups(counts)
    record = {
        "method": run.line.method,
        "criterion": run.line.criterion,
        "seed": run.seed,
        "source": source.name,
        "reading": dict(source.reading),
        "columns": list(source.columns),
        "shape": list(split.train.shape),
        "classes": list(classes),
        "class_counts": counts.tolist(),
        "imbalance": run.imbalance,
        "profile": run.profile,
        "validation": run.validation,
        "shot_rule": shots.rule,
        "shots": {"many": shots.many, "medium": shots.medium, "few": shots.few},
        "split_hash": split.hash,
        **{name: specification[name] for name in ("train_rows", "test_rows", "groups")},
        "network": run.settings.network,
        "classifier": fit.classifier,
        "parameters": describe(model).parameters,
        "settings": run.settings.as_dict(),
        "seconds": fit.seconds,
        "versions": {name: version(name) for name in VERSIONS},
        "hardware": hardware(fit.accelerator.device),
    }
    if fit.accelerator.is_main_process:
        folder.mkdir(parents=True, exist_ok=True)
        tested = answer(model, split.test, classifier=fit.classifier)
        _save_model(model, folder / MODEL)
        pd.DataFrame(history).to_parquet(folder / HISTORY)
        with atomic_write(folder / TEST) as path, path.open("wb") as file:
            np.savez(file, logits=tested.logits, features=tested.features, labels=tested.labels)
        with atomic_write(folder / RECORD) as path:
            path.write_text(json.dumps(record, indent=1))
        checkpoints.clear()
    fit.accelerator.wait_for_everyone()
    fit.mix.remove()
    return record


def read_answers(folder: Path) -> Answers:
    """What a finished run's model made of the test rows at the last epoch.

    Raises:
        InputError: where they are not there, or cannot be read.
    """
    path = folder / TEST
    try:
        with np.load(path, allow_pickle=False) as file:
            return Answers(*(torch.from_numpy(file[name]) for name in ("logits", "features", "labels")))
    except (FileNotFoundError, ValueError, KeyError, EOFError, BadZipFile) as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else "is cut off, or of another kind"
        raise InputError(
            f"{path}: {reason}; bring it back from a copy, or train again into another folder"
        ) from error


def read_features(folder: Path) -> LabelledFeatures:
    """The test rows' features, labels and logits at a finished run's last epoch, and its linear classifier."""
    answers = read_answers(folder)
    model, record = load_model(folder)
    num_classes = len(record["classes"])
    head = features_of(model, num_classes, record.get("classifier")).classifier(model, num_classes)
    weights = None
    if isinstance(head, nn.Linear):
        weights = head.weight.detach(), None if head.bias is None else head.bias.detach()
    return LabelledFeatures(
        answers.features, answers.labels, tuple(record["classes"]), answers.logits, weights
    )


def result_rows(folder: Path) -> list[dict[str, Any]]:
    """A finished run's rows of the results table, one an epoch choice.

    Accuracies are shares; `ratio` is the mean λ of the epoch; `seconds` are those of training, evaluations left out.
    """
    record = finished(folder)
    if record is None:
        raise InputError(f"{folder}: no finished run there")
    history: list[Epoch] = pd.read_parquet(folder / HISTORY).to_dict("records")  # type: ignore[assignment]
    return [
        {
            "method": record["method"],
            "criterion": record["criterion"],
            "seed": record["seed"],
            "split_hash": record["split_hash"],
            "epoch_choice": choice,
            "epoch": int(row["epoch"]),
            "accuracy": row["test_accuracy"],
            "balanced_accuracy": row["test_balanced_accuracy"],
            **{
                name: row[name] for name in ("many", "medium", "few", "nll", "ece", "train_accuracy", "ratio")
            },
            "network": record["network"],
            "parameters": record["parameters"],
            "seconds": record["seconds"],
        }
        for choice, row in chosen_epochs(history).items()
    ]


def load_model(folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The trained network of a finished run, in evaluation mode, and the run's record. Executes no code of the files.

    Raises:
        InputError: where there is no finished run, or its model file is of another network.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from midmix.data import from_arrays
        >>> source = from_arrays(torch.eye(3).repeat(20, 1), torch.arange(3).repeat(20))
        >>> run = Run(Line("erm"), seed=0, settings=Settings(network="mlp-8", epochs=1))
        >>> with TemporaryDirectory() as folder:
        ...     _ = train_run(run, source, Path(folder))
        ...     model, record = load_model(Path(folder))
        >>> model(torch.eye(3)).shape, record["classes"]
        (torch.Size([3, 3]), ['0', '1', '2'])
    """
    record = finished(folder)
    if record is None:
        raise InputError(
            f"{folder}: holds no finished run (no {RECORD}); name a run's folder, such as DIR/runs/erm-seed0"
        )
    settings = record["settings"]
    model = build(
        settings["network"], tuple(record["shape"]), len(record["classes"]), width=settings["width"], seed=0
    )
    try:
        model.load_state_dict(load_file(folder / MODEL))
    except (RuntimeError, SafetensorError, OSError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{folder / MODEL}: is not a {describe(model)} of this run: {reason}") from error
    return model.eval(), record


def _same(run: Run, specification: dict[str, Any], record: dict[str, Any], folder: Path) -> None:
    ours = {
        "method": run.line.method,
        "criterion": run.line.criterion,
        "seed": run.seed,
        **specification,
    }
    theirs = {**record, **record["settings"]}
    differ = differences({name: theirs[name] for name in ours if name in theirs}, ours)
    if differ:
        raise InputError(
            f"{folder}: holds another run ({'; '.join(differ)}); choose another folder with --out"
        )


def hardware(device: torch.device) -> str:
    """The machine in words, for tables."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_processor()}, {torch.get_num_threads()} threads of {os.cpu_count()} cores"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for text in info.read_text().splitlines():
            if text.startswith("model name"):
                return text.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _save_model(model: nn.Module, path: Path) -> None:
    # Copies: tied weights share their memory, which the file's form does not know; the network ties them anew.
    tensors = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in model.state_dict().items()
    }
    with atomic_write(path) as part:
        save_file(tensors, part)

"""Coarse-to-fine transfer: train on groups, then tell their members apart on the features that this has made."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from midmix.data import Grouped, Source, Splits
from midmix.errors import InputError, RunsFailedError
from midmix.files import atomic_write, read_json
from midmix.losses import loss
from midmix.measures import classification, within_groups
from midmix.methods import Method, Spec
from midmix.mixing import Mix, recipe
from midmix.models import describe, fit_normalization
from midmix.studies.compare import check_seeds
from midmix.studies.linear_probe import STRENGTHS, LinearProbe, linear_probe
from midmix.studies.neighbours_probe import neighbour_votes
from midmix.studies.options import Progress, RunnerOptions
from midmix.studies.runner import gather, run_all
from midmix.studies.task import Attempt, Rows
from midmix.training.callback import Callback
from midmix.training.checkpoint import Checkpoints
from midmix.training.fit import Fit
from midmix.training.history import read_history
from midmix.training.load import load_model
from midmix.training.predict import features_of, predict
from midmix.training.run import Run, check_runs
from midmix.training.run_folder import HISTORY
from midmix.training.settings import Settings
from midmix.training.split import Split
from midmix.training.train import train_run

OUTCOME, FINE = "transfer.json", "fine.npz"
_ROWS = 2000
"""Measures over pairs take this many rows of a fine class with more."""
_MEASURED = ("accuracy", "balanced_accuracy", "many", "medium", "few", "nll", "ece")


@dataclass(frozen=True)
class Bound(Method):
    """What is no method: it shows between which accuracies the methods' stand.

    Attributes:
        site: name of the network's classifier, where the methods say it.
    """

    site: str | None = field(default=None, compare=False)

    @property
    def classifier(self) -> str | None:
        return self.site

    def make_mix(self, num_classes: int, class_counts: Sequence[float] | Tensor | None = None) -> Mix:
        """Nothing is mixed."""
        return recipe("erm", num_classes, site=self.site)


UPPER = Bound(Spec("fine-labels"))
"""An encoder that was trained on the fine labels themselves."""
LOWER = Bound(Spec("random-encoder"))
"""The encoder as it was before training."""


@dataclass(frozen=True)
class Transfer:
    """Train an encoder on the groups, freeze it, and measure what its features know of the fine classes.

    The folder of a run holds what `train_run` leaves there (of the training on groups), and `transfer.json` (results
    and measures by group; its presence says that the run is finished) and `fine.npz` (logits of the linear
    probe, features and fine labels of the test rows).

    Attributes:
        grouped: rows with fine labels, and their groups.
        finetune_epochs: epochs in which the whole network is then trained on the fine labels; 0 for none.
    """

    grouped: Grouped
    finetune_epochs: int = 0

    @property
    def source(self) -> Source:
        return self.grouped.source

    def specification(self) -> dict[str, Any]:
        return {"finetune_epochs": self.finetune_epochs}

    def carry_out(self, run: Run, folder: Path, attempt: Attempt) -> None:
        callback, checkpoint_seconds = attempt.callback(), attempt.checkpoint_seconds
        model, pretraining = self._encoder(run, folder, callback, checkpoint_seconds)
        split = replace(run, groups=None).split(self.source)
        probed = _probe(split, *(self._features(model, run, data) for data in _parts(split)))
        row = {
            "method": str(run.method),
            "seed": run.seed,
            "split_hash": split.hash,
            "epoch_choice": "last",
            **pretraining,
            **probed.row,
            "network": run.settings.network,
            "parameters": describe(model).parameters,
        }
        if self.finetune_epochs:
            row["finetuned_accuracy"] = self._finetuned(
                model, run, split, folder, callback, checkpoint_seconds
            )
        measured = within_groups(
            probed.features,
            split.test.labels,
            self.grouped.hierarchy.group,
            logits=probed.logits,
            head=(probed.head.weight, probed.head.bias),
            groups=self.grouped.hierarchy.coarse,
            max_rows=_ROWS,
        )
        row |= {f"within_{name}": value for name, value in measured.totals.items()}
        outcome = {
            "row": row,
            "per_group": measured.per_group,
            "fine": list(self.grouped.hierarchy.fine),
            "coarse": list(self.grouped.hierarchy.coarse),
            "group": self.grouped.hierarchy.group.tolist(),
            "class_counts": split.train.counts().tolist(),
        }
        attempt.still_ours()
        arrays = {"logits": probed.logits.float(), "features": probed.features, "labels": split.test.labels}
        if split.test_rows is not None:
            arrays["rows"] = split.test_rows
        with atomic_write(folder / FINE) as path, path.open("wb") as file:
            np.savez(file, **{name: tensor.numpy() for name, tensor in arrays.items()})  # type: ignore[arg-type]
        with atomic_write(folder / OUTCOME) as path:
            path.write_text(json.dumps(outcome, indent=1))

    def rows(self, folder: Path) -> Rows:
        return transfer_rows(folder)

    def _encoder(
        self, run: Run, folder: Path, callback: Callback, checkpoint_seconds: float
    ) -> tuple[nn.Module, dict[str, Any]]:
        """The network after its training on the groups, and what the results say of that."""
        if run.method == LOWER:
            split = run.split(self.source)
            model = run.network(split)
            fit_normalization(model, split.train.inputs)
            return model.eval(), {
                "epoch": 0, "coarse_accuracy": math.nan, "train_accuracy": math.nan, "ratio": math.nan, "seconds": 0.0,
            }  # fmt: skip
        record = train_run(run, self.source, folder, callback=callback, checkpoint_seconds=checkpoint_seconds)
        model, _ = load_model(folder, trust=True)  # what this very run was made by
        last = read_history(folder / HISTORY).iloc[-1]
        return model, {
            "epoch": int(last["epoch"]),
            "coarse_accuracy": math.nan if run.method == UPPER else float(last["test_accuracy"]),
            "train_accuracy": float(last["train_accuracy"]),
            "ratio": float(last["ratio"]),
            "seconds": record["seconds"],
        }

    def _features(self, model: nn.Module, run: Run, data: Any) -> Tensor:
        """What enters the classifier, which has an output a group, or for the upper bound a fine class."""
        coarse = data if run.groups is None else run.groups.coarsened(data)
        return predict(model, coarse, classifier=run.method.classifier).features

    def _finetuned(
        self,
        encoder: nn.Module,
        run: Run,
        split: Split,
        folder: Path,
        callback: Callback,
        checkpoint_seconds: float,
    ) -> float:
        """Test accuracy after training all on the fine labels: a fresh classifier, a tenth of the rate."""
        settings = replace(
            run.settings,
            epochs=self.finetune_epochs,
            learning_rate=run.settings.learning_rate / 10,
            warmup_epochs=min(run.settings.warmup_epochs, self.finetune_epochs / 5),
            evaluate_every=self.finetune_epochs,
        )
        model = replace(run, groups=None).network(split)
        outputs = len(split.train.classes) if run.groups is None else len(run.groups.coarse)
        classifier = features_of(encoder, outputs, run.method.classifier).classifier(encoder, outputs)
        head = next(name for name, module in encoder.named_modules() if module is classifier)
        fresh = model.state_dict()
        kept = {
            name: value
            for name, value in encoder.state_dict().items()
            # An auxiliary head has other outputs for other classes, too.
            if not name.startswith(f"{head}.") and value.shape == fresh[name].shape
        }
        model.load_state_dict(kept, strict=False)
        checkpoints = Checkpoints(folder / "finetuning", callback.say)
        fit = Fit(
            model,
            recipe("erm", len(split.train.classes), site=run.method.classifier),
            loss("cross_entropy"),
            split,
            settings,
            seed=run.seed,
            checkpoints=checkpoints,
            checkpoint_seconds=checkpoint_seconds,
            callback=callback,
        )
        history = fit.run()
        fit.mix.remove()
        checkpoints.clear()
        return history[-1]["test_accuracy"]


def transfer(
    grouped: Grouped,
    lines: Sequence[Method],
    folder: Path,
    settings: Settings,
    *,
    seeds: int = 3,
    validation: float = 0.2,
    splits: Splits = "drawn",
    finetune_epochs: int = 0,
    jobs: int | None = None,
    watch: Callable[[Progress], None] = lambda progress: None,
    say: Callable[[str], None] = print,
    checkpoint_seconds: float = 30.0,
    executor: Executor | Callable[[int], Executor] | None = None,
    part: tuple[int, int] | None = None,
    threads: int | None = None,
) -> pd.DataFrame:
    """Trains an encoder on the groups with every line and seed, and measures it on the fine classes.

    Protocol, resumption and files are those of `compare`. Each seed holds out validation rows, a share of every fine
    class; encoders and probes learn from the others; the probes' regularisation is chosen on the held-out rows. To the
    lines come the two bounds, `fine-labels` and `random-encoder`.

    Args:
        grouped: rows with fine labels, and their groups.
        lines: methods with their criteria, which train on the groups.
        folder: made if it is not there.
        settings: how each encoder is trained.
        seeds: how many.
        validation: share of the training rows of each fine class held out, above 0.
        splits: as `compare` takes them.
        finetune_epochs: see `Transfer`.
        jobs, watch, say, checkpoint_seconds, executor, part, threads: as `RunnerOptions` has them.

    Returns:
        A row a line and seed, with the columns of a comparison, where `accuracy` … `ece` are those of the linear probe
        on the fine classes, and `probe_strength` (its C), `knn_accuracy`, `neighbours` (its k), `coarse_accuracy` (of
        the training on groups), `finetuned_accuracy` where that was asked for, and `within_…` as `within_groups` has
        them, of test features at the last epoch.

    Raises:
        InputError: as `compare` does, and for a validation share or a number of epochs that cannot be.
    """
    check_seeds(seeds)
    if not 0 < validation < 1:
        raise InputError(
            f"validation: {validation:g}; the probes need a share of the rows between 0 and 1, such as 0.2"
        )
    if finetune_epochs < 0:
        raise InputError(f"finetune_epochs: {finetune_epochs} is too small; 0 leaves fine-tuning out")
    for line in lines:
        if line.baseline is not None:
            raise InputError(f"{line}: learns no features, which is what transfer measures; leave it out")
    template = Run(lines[0], 0, settings, validation=validation, groups=grouped.hierarchy, splits=splits)
    everything = (*lines, *_bounds(lines))
    runs = [
        replace(template, method=line, seed=seed, groups=None if line == UPPER else template.groups)
        for seed in range(seeds)
        for line in everything
    ]
    first = runs[: len(everything)]
    check_runs([run for run in first if run.groups is not None], grouped.source)
    # Fine-tuning trains the network of the upper bound.
    check_runs([run for run in first if run.groups is None], grouped.source)
    task = Transfer(grouped, finetune_epochs)
    try:
        run_all(
            task, runs, folder, RunnerOptions(jobs, watch, say, checkpoint_seconds, executor, part, threads)
        )
    except RunsFailedError:
        gather(transfer_rows, folder, everything)
        raise
    return gather(transfer_rows, folder, everything, empty=part is not None)


def _bounds(lines: Sequence[Method]) -> tuple[Bound, Bound]:
    """The bounds' lines: all have one network, whose classifier has the name that every method's line says."""
    names = {line.classifier for line in lines}
    site = names.pop() if len(names) == 1 else None
    return replace(UPPER, site=site), replace(LOWER, site=site)


def transfer_rows(folder: Path) -> Rows:
    """A finished run's row of the results table; none where it has not finished."""
    path = folder / OUTCOME
    return [read_json(path, "a run's outcome", {"row"})["row"]] if path.is_file() else []


@dataclass(frozen=True)
class _Probed:
    """What the probes found: the numbers of a results row; features and logits of the test rows; the linear head."""

    row: dict[str, Any]
    features: Tensor
    logits: Tensor
    head: LinearProbe


def _probe(split: Split, train: Tensor, validation: Tensor, test: Tensor) -> _Probed:
    """Fits the probes on training features; the validation features choose C and k, the first of equals."""
    assert split.validation is not None
    labels, held_out, classes = split.train.labels, split.validation.labels, len(split.train.classes)
    probes = linear_probe(train, labels, classes, STRENGTHS)
    strength, probe = max(
        zip(STRENGTHS, probes, strict=True), key=lambda pair: pair[1].accuracy(validation, held_out)
    )
    votes = neighbour_votes(train, labels, classes, torch.cat([validation, test]))
    agree = {k: float((vote[: len(held_out)] == held_out).double().mean()) for k, vote in votes.items()}
    neighbours = max(agree, key=lambda k: agree[k])
    knn = votes[neighbours][len(held_out) :] == split.test.labels
    logits = probe.logits(test)
    found = classification(logits, split.test.labels, split.train.counts())
    row: dict[str, Any] = {
        **{name: getattr(found, name) for name in _MEASURED},
        "probe_strength": strength,
        "knn_accuracy": float(knn.double().mean()),
        "neighbours": neighbours,
    }
    return _Probed(row, test, logits, probe)


def _parts(split: Split) -> tuple[Any, ...]:
    return split.train, split.validation, split.test

"""One run of a comparison: a line and a seed, trained into a folder that is finished or goes on."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
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

from midmix.data import Hierarchy, Labelled, LabelledFeatures, Ranks, Source, Splits
from midmix.decisions import LogitPrior
from midmix.errors import InputError
from midmix.files import atomic_write, check_folder
from midmix.measures import measures_of, shot_groups
from midmix.measures.table import Table
from midmix.methods import Method, Spec
from midmix.mixing import Mix
from midmix.models import (
    Encoder,
    build,
    describe,
    fit_normalization,
    is_encoder,
    prepare_tuning,
    replace_module,
    trained_weights,
)
from midmix.models.tuning import ALL, HEAD
from midmix.registry import Code, code_of, is_reference
from midmix.training.augment import augmentation, prepare_loss
from midmix.training.baseline import LINEAR, check_baseline, fit_baseline
from midmix.training.callback import UNWATCHED, Callback
from midmix.training.checkpoint import Checkpoints
from midmix.training.encoders import Headed, encoder_of, encoder_record
from midmix.training.fit import Fit
from midmix.training.health import Evidence, examine
from midmix.training.history import REMEDY, TESTED, Epoch, chosen_epochs, read_history
from midmix.training.identity import differences, groups_digest, names_digest, rows_digest
from midmix.training.predict import Predictions, features_of, predict
from midmix.training.record import RECORD, RunRecord, read_record
from midmix.training.rule import VALIDATION
from midmix.training.settings import Settings
from midmix.training.split import Split, draw_split
from midmix.training.stages import apply_stages, measured_again, rehearse_stages, start_head
from midmix.training.tracking import TRACKED, Tracking
from midmix.training.tuned import Tuned, asked

MODEL, HISTORY, TEST = "model.safetensors", "history.parquet", "test.npz"
CHECKPOINTS = "checkpoints"
OWN_PRIOR, RAW = "for the prior of the test rows", "softmax of the logits"
"""Of which probabilities a result's NLL and ECE are."""
SEEDS = 2**63
"""Seeds are below it."""
WORKING = {"claim.json", "claim.json.lock", "progress.json"}
"""What a runner keeps in the folder while it works there."""
VERSIONS = ("midmix", "torch", "numpy", "accelerate", "datasets", "scikit-learn")


@dataclass(frozen=True)
class Run:
    """What one run is: everything that its numbers depend on, besides the source's rows.

    Attributes:
        method: what is trained, and how.
        seed: of the split, the network's weights, and all draws in training.
        settings: how the network is trained.
        imbalance, profile, ranks, validation, groups, splits: as `draw_split` takes them.
        tuned: what a search chose for this method, to be set in place of its options and of the settings.

    Example:
        >>> Run(Method.parse("am-mixup:beta=0.5"), seed=3, settings=Settings(), imbalance=100).name
        'am-mixup_beta=0.5-seed3'
    """

    method: Method
    seed: int
    settings: Settings
    imbalance: float | None = None
    profile: Literal["exp", "step"] = "exp"
    validation: float = 0.0
    groups: Hierarchy | None = None
    ranks: Ranks = "fixed"
    splits: Splits = "fixed"
    tuned: Tuned | None = None

    @property
    def chosen(self) -> Run:
        """The same run with what the search chose in its method and settings."""
        if self.tuned is None:
            return self
        return replace(
            self,
            method=self.tuned.method(self.method),
            settings=self.tuned.settings(self.settings),
            tuned=None,
        )

    def __post_init__(self) -> None:
        if not 0 <= self.seed < SEEDS:
            raise InputError(f"seed: {self.seed}; a whole number of 0 … 2**63 - 1 is needed")

    @property
    def name(self) -> str:
        """Name of the run's folder."""
        return f"{self.method.slug}-seed{self.seed}"

    def specification(self, source: Source) -> dict[str, Any]:
        """What its numbers depend on, besides method and seed: plain data, by which a folder is known."""
        encoder: Mapping[str, Any] | None
        if source.encoding is not None:
            encoder, rows = source.encoding.encoder, (source.encoding.train_rows, source.encoding.test_rows)
        else:
            encoder, rows = (
                encoder_record(self.settings),
                (rows_digest(source.train), rows_digest(source.test)),
            )
        return {
            "train_rows": rows[0],
            "test_rows": rows[1],
            "class_names": names_digest(source.train.classes),
            "groups": None if self.groups is None else groups_digest(self.groups),
            "imbalance": self.imbalance,
            # Without an imbalance a profile is of no account.
            **({} if self.imbalance is None else {"profile": self.profile, "ranks": self.ranks}),
            "validation": self.validation,
            **({"splits": self.splits} if source.drawn else {}),
            **({"code": [asdict(code) for code in found]} if (found := self.code()) else {}),
            **({} if self.tuned is None else {"search_draws": self.tuned.draws}),
            **({} if encoder is None else {"encoder": dict(encoder)}),
            **self.settings.as_dict(),
        }

    def code(self) -> tuple[Code, ...]:
        """Whose own code it runs, with digests."""
        network = code_of(self.settings.network, "network")
        return (*self.method.code(), *(() if network is None else (network,)))

    def split(self, source: Source) -> Split:
        """The run's rows of a source."""
        return draw_split(
            source,
            seed=self.seed,
            imbalance=self.imbalance,
            profile=self.profile,
            validation=self.validation,
            groups=self.groups,
            ranks=self.ranks,
            splits=self.splits,
        )

    def network(self, split: Split) -> nn.Module:
        """The run's network for these rows, with its first weights."""
        return _network(self.settings, self.method, split.train.shape, len(split.train.classes), self.seed)


def finished(folder: Path) -> dict[str, Any] | None:
    """The record of the run in this folder, or None where none has finished there.

    Raises:
        InputError: where there is a record that is none of midmix's.
    """
    record = read_record(folder)
    return None if record is None else record.as_dict()


def check_run(folder: Path) -> None:
    """Sees that a run, old or new, may be written into this folder.

    Raises:
        InputError: as `check_folder` does.
    """
    check_folder(folder, "run", RECORD, {MODEL, HISTORY, TEST, VALIDATION, CHECKPOINTS, TRACKED, *WORKING})


def check_runs(runs: Sequence[Run], source: Source) -> None:
    """Sees that runs which differ in their lines only can begin, before anything is written.

    Raises:
        InputError: for rows that cannot be split so, and a network that cannot be built for them, not be mixed, or not
            be measured because its classifier cannot be told.
    """
    split = runs[0].split(source)
    num_classes = len(split.train.classes)
    augmented = augmentation(runs[0].settings, split.train) is not None
    for run in runs:
        if run.method.needs_validation and split.validation is None:
            raise InputError(
                f"{run.method}: a stage chooses on held-out rows; give a share, validation=0.2 (--validation)"
            )
        if run.method.baseline is not None:
            check_baseline(run.method, split.train)
            continue
        try:
            model = run.network(split)
            mix, loss = run.method.make_mix(num_classes, split.train.counts()), run.method.make_loss()
            features_of(model, num_classes, run.method.classifier)
            prepare_loss(
                loss, model, num_classes, classifier=run.method.classifier, augmented=augmented, seed=run.seed
            )
            mix.attach(model, loss=loss).remove()
            rehearse_stages(run.method, model, split)
        except InputError as error:
            raise InputError(f"{run.method}: {error}") from error


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
        InputError: for data that cannot be split so, training that diverges, a folder that holds another run or the
            same one on other rows; as `Fit` and `Tracking` do.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from midmix.data import from_arrays
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
        trained = _trained(run.chosen, split, folder, told, checkpoint_seconds)
        return write_run(run, source, split, trained, folder, told)


def write_run(
    run: Run, source: Source, split: Split, trained: Trained, folder: Path, callback: Callback = UNWATCHED
) -> dict[str, Any]:
    """Writes what a run came to into its folder, the record last; returns the record."""
    specification, chosen = run.specification(source), run.chosen
    counts = split.train.counts()
    shots = shot_groups(counts)
    record = {
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
        "network": trained.network,
        "classifier": trained.classifier,
        "parameters": _parameters(trained.model, source),
        "trained_parameters": 0 if trained.model is None else trained_weights(trained.model),
        "probabilities": trained.probabilities,
        "logit_prior": None if trained.prior is None else list(trained.prior.shares),
        "settings": chosen.settings.as_dict(),
        "search": {} if run.tuned is None else {**run.tuned.as_dict(), "given": run.settings.as_dict()},
        "seconds": trained.seconds,
        "versions": {name: version(name) for name in VERSIONS},
        "hardware": trained.hardware,
    }
    if trained.writes:
        folder.mkdir(parents=True, exist_ok=True)
        tested = trained.predict(split.test)
        evidence = Evidence.of(
            trained.mix,
            trained.history,
            tested,
            split.train.classes,
            counts.tolist(),
            stages=bool(run.method.stages),
        )
        record["health"] = [finding.as_dict() for finding in examine(evidence)]
        callback.still_ours()
        if trained.model is not None:
            _save_model(trained.model, folder / MODEL)
        with atomic_write(folder / HISTORY) as path:
            pd.DataFrame(trained.history).to_parquet(path)
        with atomic_write(folder / TEST) as path, path.open("wb") as file:
            arrays = {"logits": tested.logits, "features": tested.features, "labels": tested.labels}
            if split.test_rows is not None:
                arrays["rows"] = split.test_rows
            np.savez(file, **{name: tensor.numpy() for name, tensor in arrays.items()})  # type: ignore[arg-type]
        if split.validation is not None:  # what thresholds and calibrations are chosen on
            held_out = trained.predict(split.validation)
            with atomic_write(folder / VALIDATION) as path, path.open("wb") as file:
                np.savez(file, logits=held_out.logits, labels=held_out.labels)
        callback.still_ours()
        RunRecord(**record).write(folder)
        if callback.on_end is not None:
            callback.on_end(record, tested)
    trained.close()
    return record


@dataclass(frozen=True)
class Trained:
    """What a run came to, however it was trained.

    Attributes:
        mix: what its rows were mixed by; None where there is no such thing.
        model: None where it cannot be kept as plain data.
        predict: what it makes of rows.
        prior: that its logits answer for; None where it is not known.
        probabilities: whether softmax of its logits are probabilities.
        seconds: of training, evaluations left out.
        hardware: on which it was trained, in words.
        writes: whether this process writes the run's files.
        close: what is left to do once they are written.
    """

    network: str
    mix: Mix | None
    model: nn.Module | None
    classifier: str | None
    history: list[Epoch]
    predict: Callable[[Labelled], Predictions]
    prior: LogitPrior | None
    probabilities: bool
    seconds: float
    hardware: str
    writes: bool
    close: Callable[[], None]


def _trained(run: Run, split: Split, folder: Path, callback: Callback, checkpoint_seconds: float) -> Trained:
    """Trains as the method says: a network by steps, a baseline by itself."""
    baseline = run.method.make_baseline()
    if baseline is not None:
        fitted = fit_baseline(run.method, baseline, split, run.seed, callback.say)
        if callback.on_epoch is not None:
            callback.on_epoch(fitted.history[-1])
        return Trained(
            mix=None,
            network=LINEAR if fitted.model is not None else run.method.parts[0][1].name,
            model=fitted.model,
            classifier=None,
            history=fitted.history,
            predict=fitted.predict,
            prior=fitted.prior,
            probabilities=baseline.probabilities,
            seconds=fitted.seconds,
            hardware=hardware(torch.device("cpu")),
            writes=int(os.environ.get("RANK", "0")) == 0,
            close=lambda: None,
        )
    model = run.network(split)
    rehearse_stages(run.method, model, split)
    fit_normalization(model, split.train.inputs)
    start_head(run.method, model, split)
    checkpoints = Checkpoints(folder / CHECKPOINTS, callback.say, callback.still_ours)
    fit = Fit(
        model,
        run.method.make_mix(len(split.train.classes), split.train.counts()),
        run.method.make_loss(),
        split,
        run.settings,
        order=run.method.make_order(),
        seed=run.seed,
        checkpoints=checkpoints,
        checkpoint_seconds=checkpoint_seconds,
        callback=callback,
    )
    history, prior = fit.run(), fit.fed()
    if run.method.stages:
        prior = apply_stages(run.method, model, split, prior, classifier=fit.classifier, seed=run.seed)
        history[-1] = measured_again(model, split, fit.classifier, history[-1], prior)

    def close() -> None:
        if fit.accelerator.is_main_process:
            checkpoints.clear()
        fit.accelerator.wait_for_everyone()
        fit.mix.remove()

    return Trained(
        network=run.settings.network,
        mix=fit.mix,
        model=model,
        classifier=fit.classifier,
        history=history,
        predict=lambda rows: predict(model, rows, classifier=fit.classifier),
        probabilities=True,
        prior=prior,
        seconds=fit.seconds,
        hardware=hardware(fit.accelerator.device),
        writes=fit.accelerator.is_main_process,
        close=close,
    )


def read_predictions(folder: Path) -> Predictions:
    """What a finished run's model made of the test rows at the last epoch.

    Raises:
        InputError: where they are not there, cannot be read, or are no predictions.
    """
    path = folder / TEST
    try:
        with np.load(path, allow_pickle=False) as file:
            found = Predictions(*(torch.from_numpy(file[name]) for name in ("logits", "features", "labels")))
        sizes = {len(tensor) for tensor in (found.logits, found.features, found.labels)}
        if (found.logits.dim(), found.features.dim(), found.labels.dim(), len(sizes)) != (2, 2, 1, 1):
            raise ValueError("shapes that do not go together")
        if not found.logits.isfinite().all() or found.labels.is_floating_point():
            raise ValueError("logits that are not finite, or labels that are no whole numbers")
        if (
            len(found.labels)
            and not 0 <= int(found.labels.min()) <= int(found.labels.max()) < found.logits.shape[1]
        ):
            raise ValueError("labels that are no classes")
        record = read_record(folder)
        if record is not None and found.logits.shape[1] != len(record.classes):
            raise ValueError("other classes than the record's")
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else "is cut off, or of another kind"
        raise InputError(f"{path}: {reason}; {REMEDY}") from error
    return found


def read_features(folder: Path, *, trust: bool = False) -> LabelledFeatures:
    """The test rows' features, labels and logits at a finished run's last epoch, and its linear classifier."""
    predictions = read_predictions(folder)
    model, record = load_model(folder, trust=trust, whole=False)
    num_classes = len(record["classes"])
    head = features_of(model, num_classes, record.get("classifier")).classifier(model, num_classes)
    weights = None
    if isinstance(head, nn.Linear):
        weights = head.weight.detach(), None if head.bias is None else head.bias.detach()
    return LabelledFeatures(
        predictions.features, predictions.labels, tuple(record["classes"]), predictions.logits, weights
    )


def result_rows(folder: Path) -> list[dict[str, Any]]:
    """A finished run's rows of the results table, one an epoch choice.

    Accuracies are shares; `ratio` is the mean λ of the epoch; `seconds` are those of training, evaluations left out.
    """
    record = finished(folder)
    if record is None:
        raise InputError(f"{folder}: no finished run there")
    history: list[Epoch] = read_history(folder / HISTORY).to_dict("records")  # type: ignore[assignment]
    return [
        {
            "method": record["method"],
            "seed": record["seed"],
            "split_hash": record["split_hash"],
            "epoch_choice": choice,
            "epoch": int(row["epoch"]),
            **_measured(row, "outcomes"),
            "train_accuracy": row["train_accuracy"],
            "ratio": row["ratio"],
            **_measured(row, "two classes"),
            "network": record["network"],
            "parameters": record["parameters"],
            "seconds": record["seconds"],
            "probabilities_for": RAW if record["logit_prior"] is None else OWN_PRIOR,
        }
        for choice, row in chosen_epochs(history).items()
    ]


def _measured(epoch: Epoch, table: Table) -> dict[str, Any]:
    """The measures of a table that an epoch has."""
    names = {one.name: TESTED.get(one.name, one.name) for one in measures_of(table)}
    return {name: value for name, column in names.items() if (value := epoch.get(column)) is not None}


def load_model(folder: Path, *, trust: bool = False, whole: bool = True) -> tuple[nn.Module, dict[str, Any]]:
    """The trained network of a finished run, in evaluation mode, and the run's record.

    Of a classifier that was trained on an encoder's features (`tune` "head") it is both, or without `whole` the
    classifier alone.

    Executes no code of the files. A network that `module:function` or a file made is made by that code again, where it
    lay then and only as it was then, and only with `trust`.

    Raises:
        InputError: where there is no finished run, or its model file is of another network; where it needs code that is
            not trusted, or has changed.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from midmix.data import from_arrays
        >>> source = from_arrays(torch.eye(3).repeat(20, 1), torch.arange(3).repeat(20))
        >>> run = Run(Method.parse("erm"), seed=0, settings=Settings(network="mlp-8", epochs=1))
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
    known = Settings().as_dict()
    settings = Settings(**{name: value for name, value in record["settings"].items() if name in known})
    method = Method.read(record["method"])
    references = [
        name for name in (settings.network, *(part.name for _, part in method.parts)) if is_reference(name)
    ]
    if references and not trust:
        files = ", ".join(f"{code['reference']} ({code['file']})" for code in record["code"]) or ", ".join(
            references
        )
        raise InputError(
            f"{folder}: this model is made by code of its own, {files}, which would be run; look at it, and say "
            "--trust (trust=True) if you trust it"
        )
    if references:
        settings, method = _where_it_lay(settings, method, record["code"])
    if not record["parameters"]:
        raise InputError(
            f"{folder}: holds results only, for what {method} fits cannot be kept as plain data; train another method "
            "to predict with, such as ridge or erm+balanced_softmax"
        )
    encoder = _encoder(folder, settings, record) if settings.tune == HEAD else None
    if encoder is None and is_encoder(settings.network):  # its weights are the model file's
        settings = replace(settings, weights="none")
    shape = tuple(record["shape"]) if encoder is None else (encoder.width,)
    model = _network(settings, method, shape, len(record["classes"]), seed=0)
    try:
        model.load_state_dict(load_file(folder / MODEL))
    except (RuntimeError, SafetensorError, OSError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{folder / MODEL}: is not a {describe(model)} of this run: {reason}") from error
    if encoder is not None and whole:
        model = Headed(encoder, model)
    return model.eval(), record


def _encoder(folder: Path, settings: Settings, record: dict[str, Any]) -> Encoder:
    """The encoder on whose features the run's classifier was trained."""
    encoder, known = encoder_of(settings), record["encoder"]
    if encoder is None or known is None or encoder.digest() != known["digest"]:
        raise InputError(
            f"{folder}: was trained on features of {settings.network}, whose weights have changed since; bring them "
            "back as they were, or train again"
        )
    return encoder


def _parameters(model: nn.Module | None, source: Source) -> int:
    """Of the whole network; 0 where it is not kept."""
    if model is None:
        return 0
    before = 0 if source.encoding is None else int(source.encoding.encoder["parameters"])
    return before + describe(model).parameters


def _network(
    settings: Settings, method: Method, shape: tuple[int, ...], num_classes: int, seed: int
) -> nn.Module:
    """The network with its first weights, and the method's head in place of its own where it has one."""
    if method.baseline is not None:
        return build(LINEAR, shape, num_classes, seed=seed)
    if settings.tune == HEAD:
        if len(shape) != 1:
            raise InputError(
                f"tune {HEAD}: trains on an encoder's features, and rows have shape {list(shape)}; make features of "
                "them first (midmix.training.embedded, midmix embed)"
            )
        settings = replace(settings, network=LINEAR, weights=None)
    model = build(
        settings.network, shape, num_classes, width=settings.width, seed=seed, weights=settings.weights
    )
    if (head := method.make_head()) is not None:
        own = features_of(model, num_classes, method.classifier).classifier(model, num_classes)
        width = getattr(own, "in_features", None)
        if not isinstance(width, int):
            raise InputError(f"{method.head}: needs a network with a linear classifier to take the place of")
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            replace_module(model, own, head.make(width, num_classes))
    if settings.tune not in (ALL, HEAD):
        if not isinstance(model, Encoder):
            raise InputError(
                f"tune {settings.tune}: is for pretrained encoders, and {settings.network} is trained from the "
                "beginning; leave it out, or name an encoder, such as timm:NAME"
            )
        prepare_tuning(model, settings.tune, seed=seed)
    return model


def _where_it_lay(settings: Settings, method: Method, code: list[dict[str, str]]) -> tuple[Settings, Method]:
    """The same with own code named by its file, once that is seen to be as it was."""
    files: dict[str, str] = {}
    names = [settings.network, *([] if method.head is None else [method.head.name])]
    for entry in code:
        file = Path(entry["file"])
        digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16] if file.is_file() else None
        if digest != entry["digest"]:
            change = "is gone" if digest is None else "has changed"
            raise InputError(f"{file}: the code that made this model {change}; bring it back as it was")
        module, _, function = entry["reference"].rpartition(":")
        files[entry["reference"]] = f"{file}:{function}"
        files |= {
            name: f"{file}:{function}" for name in names if _file_of(name) == (Path(module).name, function)
        }
    head = method.head
    if head is not None:
        head = Spec(files.get(head.name, head.name), head.options)
    return replace(settings, network=files.get(settings.network, settings.network)), replace(
        method, head=head
    )


def _file_of(reference: str) -> tuple[str, str]:
    """The file's own name and the function of `path/to/file.py:function`."""
    module, _, function = reference.rpartition(":")
    return Path(module).name, function


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

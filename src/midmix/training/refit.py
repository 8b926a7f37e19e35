"""Second stages on a run that has finished: its network is taken as it is, and nothing is trained again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from midmix.data import Labelled, Source, Splits
from midmix.errors import InputError
from midmix.methods import Method
from midmix.models.tuning import HEAD
from midmix.training.embed import embedded
from midmix.training.encoders import encoder_of
from midmix.training.history import Epoch, read_history
from midmix.training.identity import differences
from midmix.training.load import load_model
from midmix.training.predict import Predictions, accuracy_of, predict
from midmix.training.rule import trained_prior
from midmix.training.run import Run
from midmix.training.run_folder import HISTORY, check_run, finished
from midmix.training.settings import Settings
from midmix.training.stages import apply_stages, measured_again, rehearse_stages
from midmix.training.train import write_run
from midmix.training.trained import Trained


def refit_run(
    trained: Path, stages: str, source: Source, folder: Path, *, trust: bool = False
) -> dict[str, Any]:
    """Does second stages on a finished run, and writes what comes of it as a run of its own; returns its record.

    The rows are drawn anew as the run drew them, and what a stage chooses it chooses on the run's validation rows: the
    result is that of training `METHOD >> STAGES`, to the bit on the machine that trained. The last epoch is measured
    again; the epochs before are the run's.

    Args:
        trained: folder of the run; it is left as it is.
        stages: as they stand behind a method's `>>`, such as `tau_norm:tau=auto >> temperature`.
        source: the rows that it was trained on.
        folder: to write into.
        trust: whether code that is not midmix's may make the network again.

    Raises:
        InputError: where there is no finished run; it was of other rows, or of groups of classes; a stage does not
            exist, cannot be done with its classifier, or needs validation rows that were not held out; `folder` holds
            another run.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> import torch
        >>> from midmix.data import from_arrays
        >>> from midmix.training import train_run
        >>> source = from_arrays(torch.eye(3).repeat(20, 1), torch.arange(3).repeat(20))
        >>> run = Run(Method.parse("erm"), seed=0, settings=Settings(network="mlp-8", epochs=1))
        >>> with TemporaryDirectory() as name:
        ...     _ = train_run(run, source, Path(name) / "erm")
        ...     refit_run(Path(name) / "erm", "tau_norm", source, Path(name) / "tau")["method"]
        'erm >> tau_norm'
    """
    fresh = Method.parse(f"erm >> {stages}").stages
    model, record = load_model(trained, trust=trust, whole=False)
    begun = _run_of(record, trained)
    if begun.settings.tune == HEAD and source.encoding is None and (encoder := encoder_of(begun.settings)):
        source = embedded(source, encoder)
    if differ := differences(_rows(record), _rows(begun.specification(source))):
        raise InputError(
            f"{source.name}: is not what {trained} was trained on ({'; '.join(differ)}); bring it back as it was"
        )
    run = replace(begun, method=replace(begun.method, stages=(*begun.method.stages, *fresh)))
    check_run(folder)
    if (done := finished(folder)) is not None:
        if (done["method"], done["seed"], done["split_hash"]) != (
            str(run.method),
            run.seed,
            record["split_hash"],
        ):
            raise InputError(
                f"{folder}: holds another run ({done['method']}, seed {done['seed']}); choose another"
            )
        return done
    split = run.split(source)
    only = replace(run.method, stages=fresh)
    if only.needs_validation and split.validation is None:
        raise InputError(
            f"{stages.strip()}: chooses on held-out rows, and {trained} held out none; train it with a share, "
            "validation=0.2 (--validation)"
        )
    rehearse_stages(only, model, split)

    def predictions(rows: Labelled) -> Predictions:
        return predict(model, rows, classifier=record["classifier"])

    prior = apply_stages(
        only, model, split, trained_prior(record), predictions, classifier=record["classifier"], seed=run.seed
    )
    model.eval()
    history: list[Epoch] = read_history(trained / HISTORY).to_dict("records")  # type: ignore[assignment]
    history[-1] = measured_again(
        split, predictions, lambda rows: accuracy_of(model, rows), history[-1], prior
    )
    came_to = Trained(
        mix=run.method.make_mix(len(split.train.classes), split.train.counts()),
        network=record["network"],
        model=model,
        classifier=record["classifier"],
        history=history,
        predict=predictions,
        prior=prior,
        probabilities=record["probabilities"],
        seconds=record["seconds"],
        hardware=record["hardware"],
        writes=True,
        close=lambda: None,
    )
    return write_run(run, source, split, came_to, folder)


def _run_of(record: dict[str, Any], folder: Path) -> Run:
    method = Method.parse(record["method"]).with_options(record["search"].get("chosen", {}))
    if method.baseline is not None:
        raise InputError(
            f"{folder}: is of {method}, which fits itself; a second stage goes with a trained network"
        )
    if record["groups"] is not None:
        raise InputError(
            f"{folder}: was trained on groups of classes; write the stage behind the method, "
            f"{method} >> …, in midmix transfer"
        )
    known = Settings().as_dict()
    settings = Settings(**{name: value for name, value in record["settings"].items() if name in known})
    parts = {name: record[name] for name in ("imbalance", "profile", "ranks", "validation")}
    splits: Splits = "drawn" if record["splits"] == "drawn" else "fixed"
    return Run(method, record["seed"], settings, splits=splits, **parts)


def _rows(of: dict[str, Any]) -> dict[str, Any]:
    """What says which rows a run was trained and tested on; digests that a record of old lacks are left out."""
    return {name: of[name] for name in ("train_rows", "test_rows") if of.get(name) is not None}

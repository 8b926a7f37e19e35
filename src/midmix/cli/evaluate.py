"""`midmix evaluate`: a trained model on labelled data."""

from __future__ import annotations

from pathlib import Path

from midmix import data
from midmix.cli.console import console, introduce
from midmix.cli.flags import Config, SourceFlags
from midmix.cli.tables import measured
from midmix.errors import InputError
from midmix.measures import classification
from midmix.training import answer, load_model


def evaluate(
    run: Path,
    source: str,
    /,
    *,
    config: Config = None,
    reading: SourceFlags = SourceFlags(),  # noqa: B008  (frozen)
) -> None:
    """Measure a trained model on the test split of a source: accuracy by class and by shot, calibration.

    Parameters
    ----------
    run
        Folder of a finished run: that of `midmix train`, or `DIR/runs/NAME` of `midmix compare`.
    source
        As for `midmix compare`; the classes must be those that the model was trained on.
    """
    model, record = load_model(run)
    loaded = data.load(source, **reading.options())
    introduce(loaded)
    if list(loaded.test.classes) != record["classes"] or list(loaded.test.shape) != record["shape"]:
        raise InputError(
            f"{source}: {len(loaded.test.classes)} classes of rows {list(loaded.test.shape)} are not what {run} was "
            f"trained on: {len(record['classes'])} classes ({', '.join(record['classes'][:5])}, …) "
            f"of rows {record['shape']}"
        )
    answers = answer(model, loaded.test, classifier=record.get("classifier"))
    found = classification(answers.logits, answers.labels, record["class_counts"])
    console.print(measured(found, record, f"{run} on the test split of {loaded.name}"))

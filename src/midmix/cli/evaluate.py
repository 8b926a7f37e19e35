"""`midmix evaluate`: a trained model on labelled data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from midmix import data
from midmix.cli.console import console, introduce, note
from midmix.cli.flags import Config, DecisionFlags, SourceFlags, Trust, Views
from midmix.cli.measured import judged_tables
from midmix.data import Labelled, Source, place_of
from midmix.data.labels import listing
from midmix.data.readers.builtin import BUILTIN
from midmix.errors import InputError
from midmix.files import check_folder
from midmix.training import load_model, predict, predict_logits, preparation_of, run_rule
from midmix.training.identity import rows_digest
from midmix.training.judged import judge
from midmix.training.split import with_test_rows_of


def evaluate(
    run: Path,
    source: str,
    /,
    *,
    out: Path | None = None,
    test_views: Views = 1,
    trust: Trust = False,
    config: Config = None,
    reading: SourceFlags = SourceFlags(),  # noqa: B008  (frozen)
    decisions: DecisionFlags = DecisionFlags(),  # noqa: B008
) -> None:
    """Measure a trained model on labelled rows: its decisions, its probabilities, accuracy by class.

    With `--test-views`, figures of the averaged views stand beside those of the rows as they are.

    The rows are a source's test split. Where it has none, they are all of its rows, save that of the source which the
    model was trained on they are those that were held out then.

    Parameters
    ----------
    run
        Folder of a finished run: that of `midmix train`, or `DIR/runs/NAME` of `midmix compare`.
    source
        As for `midmix compare`, with classes that the model was trained on. What the model was trained on is read as it
        was then; features of other tables are found by their names, and so are the labels.
    out
        Folder for a page of it: `report.html` with its `figures/`.
    """
    if out is not None:
        check_folder(out, "evaluation", "report.html", {"figures"})
    model, record = load_model(run, trust=trust)
    data.check_views(test_views, record["shape"])
    rule = run_rule(run, record, **decisions.options()) if decisions != DecisionFlags() else None
    loaded, rows = _load(run, source, record, reading.options())
    tested = _labelled(run, loaded, record)
    note(f"measured: {rows}")
    predictions = predict(model, tested, classifier=record.get("classifier"))
    beside = {}
    if test_views > 1:
        averaged = predict_logits(model, tested.inputs, views=test_views)
        beside[f"{test_views} views"] = replace(predictions, logits=averaged)
    found, title = judge(predictions, record, rule, beside), f"{run} on {rows}"
    console.print(judged_tables(found, title))
    if out is not None:
        from midmix.reports import write_evaluation  # matplotlib takes a second

        page = write_evaluation(out, predictions, record, found, title=title, rule=rule)
        console.print(f"Report: {page}", highlight=False, soft_wrap=True)


def _load(run: Path, source: str, record: dict[str, Any], given: dict[str, Any]) -> tuple[Source, str]:
    """The source, and in words which of its rows are its test rows."""
    known = {**record.get("reading", {})}  # records of old have none
    trained_on = place_of(source) == known.pop("source", place_of(record["source"]))
    preparation = preparation_of(record)
    columns = record["columns"]
    options = {**given, "prepare": preparation is not None}
    if trained_on:
        options |= {**known, **{name: value for name, value in given.items() if value}}
    elif preparation is not None:
        if chosen := [f"--{name}" for name in ("features", "keep", "exclude") if given[name]]:
            raise InputError(
                f"{', '.join(chosen)}: {run} has its own columns, {listing(columns)}; leave it out"
            )
        options["known"] = preparation.columns
        options["label"] = given["label"] or known.get("label")
    elif record.get("encoder") is not None and options["image_size"] is None:
        scaling = ("image_size", "interpolation", "crop", "scaled_later", "text")
        options |= {name: known[name] for name in scaling if name in known}
    by_name = len(columns) > 1 or record["shape"] == [1]  # one name of many features is that of an array
    if (
        by_name
        and preparation is None
        and options["features"] is None
        and source not in BUILTIN
        and not source.lower().endswith(".npz")
    ):
        options["features"] = columns
    split = trained_on or options["test_fraction"] is not None
    loaded = data.load(source, **options, split=split)
    introduce(loaded)
    count = f"{len(loaded.test):,}"
    if not len(loaded.train):
        return loaded, f"all {count} rows of {source}"
    if trained_on and loaded.drawn and record["train_rows"] is not None:
        if rows_digest(loaded.train) != record["train_rows"]:
            raise InputError(
                f"{source}: was changed, or is read or split otherwise, since {run} was trained on it, so that rows "
                "which it was trained on could be measured; leave out flags that differ, or give other rows in a file "
                "of their own"
            )
        if record["splits"] == "drawn":
            loaded, _ = with_test_rows_of(loaded, record["seed"])
        return loaded, f"the {count} rows of {source} that were held out in training"
    return loaded, f"the {count} test rows of {source}"


def _labelled(run: Path, source: Source, record: dict[str, Any]) -> Labelled:
    """The test rows as the model takes them, with its own numbers of their classes."""
    tested, classes = source.test, record["classes"]
    if source.table and (preparation := preparation_of(record)) is not None:
        assert isinstance(tested.inputs, torch.Tensor)
        for line in preparation.pooled(tested.inputs, source.table):
            note(line)
        tested = preparation.applied(tested, source.table)
    others = [name for name in tested.classes if name not in classes]
    if others:
        raise InputError(
            f"{source.name}: has classes that {run} was not trained on: {listing(others)}; "
            f"it knows {listing(classes)}; name the labels with --label, or leave the rows of other classes out"
        )
    if list(tested.shape) != record["shape"]:
        raise InputError(
            f"{source.name}: has rows {list(tested.shape)}, but {run} was trained on rows {record['shape']}; choose "
            "features with --features, or the size of images with --image-size"
        )
    numbers = torch.tensor([classes.index(name) for name in tested.classes])
    return replace(tested, labels=numbers[tested.labels], classes=tuple(classes))

"""`midmix predict`: a trained model on rows without labels."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import torch
from cyclopts import Parameter
from torch import Tensor

from midmix import data
from midmix.cli.console import console, note
from midmix.cli.flags import DATA, Config, DecisionFlags, Trust, Views
from midmix.decisions import DecisionRule
from midmix.errors import InputError
from midmix.files import atomic_write, check_file
from midmix.training import (
    estimated_prior,
    load_model,
    predict_logits,
    preparation_of,
    reading_of,
    run_rule,
    trained_prior,
)

WRITERS: dict[str, Callable[..., Any]] = {".parquet": pd.DataFrame.to_parquet, ".csv": pd.DataFrame.to_csv}
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How the text of a cell begins that a spreadsheet would compute rather than show."""


def predict(
    run: Path,
    source: str,
    /,
    *,
    out: Path = Path("predictions.parquet"),
    all_classes: Annotated[bool, Parameter(negative=())] = False,
    image: Annotated[str | None, Parameter(group=DATA)] = None,
    skip_broken: Annotated[bool, Parameter(group=DATA, negative=())] = False,
    test_views: Views = 1,
    trust: Trust = False,
    config: Config = None,
    decisions: DecisionFlags = DecisionFlags(),  # noqa: B008  (frozen)
) -> None:
    """Predict the class of each image or row of features, with its probability.

    Probabilities hold where classes are as frequent as `--prior` says; with `--prior estimate` that is estimated from
    the rows themselves. The class is the best for `--aim`, and need not be the likeliest.

    Parameters
    ----------
    run
        Folder of a finished run: that of `midmix train`, or `DIR/runs/NAME` of `midmix compare`.
    source
        An image, a folder of images at any depth, or a Parquet, CSV or NPZ file; labels are not needed.
    out
        File to write, .parquet or .csv: `name` (an image's path in the folder, or a row's number), `class`,
        `probability`. In a .csv file, text that a spreadsheet would compute as a formula begins with `'`.
    all_classes
        Write the probability of every class too, in columns `probability:CLASS`.
    image
        Column of the images. [default: the only column of image bytes]
    skip_broken
        Go on without images that cannot be decoded, instead of stopping.
    """
    write = WRITERS.get(out.suffix.lower())
    if write is None:
        raise InputError(f"--out {out}: must end in {' or '.join(WRITERS)}")
    check_file(out)
    if out.exists() and Path(source).expanduser().exists() and out.samefile(Path(source).expanduser()):
        raise InputError(f"--out {out}: is the file that is read; choose another")
    model, record = load_model(run, trust=trust)
    data.check_views(test_views, record["shape"])
    if decisions.prior != "estimate":
        rule = run_rule(run, record, **decisions.options())  # says what cannot be, before anything is read
    if trained_prior(record) is None and decisions.calibrate == "none":
        note(f"{run}: which prior its logits answer for is not known; probabilities are softmax over them")
    rows = data.load_unlabelled(
        source,
        shape=record["shape"],
        columns=record["columns"],
        preparation=preparation_of(record),
        image=image,
        skip_broken=skip_broken,
        **reading_of(record),
    )
    for line in rows.notes:
        note(line)
    logits = predict_logits(model, rows.inputs, views=test_views)
    _check_finite(logits, rows, record, source)
    if decisions.prior == "estimate":
        rule = _rule(run, record, decisions, logits)
    probabilities, decided = rule.probabilities(logits), rule.decide(logits)
    if not record["probabilities"] and decisions.calibrate == "none":
        note(f"{run}: the scores of {record['method']} are no probabilities, so these are left empty")
        probabilities = torch.full_like(probabilities, math.nan)
    table = pd.DataFrame(
        {
            "name": rows.names,
            "class": [record["classes"][index] for index in decided.tolist()],
            "probability": probabilities.gather(1, decided[:, None])[:, 0].numpy(),
        }
    )
    if all_classes:
        columns = [f"probability:{name}" for name in record["classes"]]
        table = pd.concat([table, pd.DataFrame(probabilities.numpy(), columns=columns)], axis=1)
    if out.suffix.lower() == ".csv":
        table = _without_formulas(table, out)
    with atomic_write(out) as part:
        write(table, part, index=False)
    console.print(f"{len(table):,} predictions: {out}", highlight=False, soft_wrap=True)


def _rule(run: Path, record: dict[str, Any], decisions: DecisionFlags, logits: Tensor) -> DecisionRule:
    """The rule for the prior that is estimated from these rows, which is said with what speaks against it."""
    found = estimated_prior(run, record, logits, calibrate=decisions.calibrate)
    shares = ", ".join(
        f"{name} {share:.3g}" for name, share in zip(record["classes"], found.prior, strict=True)
    )
    note(f"prior, estimated from {len(logits):,} rows: {shares}")
    for warning in found.warnings:
        note(warning)
    return run_rule(run, record, **{**decisions.options(), "prior": found.prior})


def _check_finite(logits: Tensor, rows: data.Unlabelled, record: dict[str, Any], source: str) -> None:
    """Refuse logits that are NaN or infinite, of which no class is the largest."""
    bad = ~logits.isfinite()
    if not bool(bad.any()):
        return
    row, column = bad.nonzero()[0].tolist()
    hint = "are the model's weights finite?"
    if isinstance(rows.inputs, Tensor) and rows.inputs.dim() == 2:
        place = int(rows.inputs[row].abs().argmax())
        names = record["columns"]
        name = repr(names[place]) if len(names) == rows.inputs.shape[1] else place
        hint = f"its largest feature is {rows.inputs[row, place]:g}, in column {name}; {hint}"
    raise InputError(
        f"{source}: predictions that are not finite ({int(bad.any(1).sum())} of {len(rows)} rows), the first for row "
        f"{rows.names[row]!r}, class {record['classes'][column]!r} ({logits[row, column]:g}); {hint}"
    )


def _without_formulas(table: pd.DataFrame, out: Path) -> pd.DataFrame:
    """The table with a `'` before text that a spreadsheet would compute."""
    cells = 0
    for column in ("name", "class"):
        formulas = table[column].str.startswith(FORMULA)
        cells += int(formulas.sum())
        table[column] = table[column].where(~formulas, "'" + table[column])
    if cells:
        note(
            f"{out}: {cells:,} texts that a spreadsheet would compute begin with '; a .parquet file has them unchanged"
        )
    return table

"""`midmix predict`: a trained model on rows without labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from cyclopts import Parameter

from midmix import data
from midmix.cli.console import console, note
from midmix.cli.flags import DATA, Config
from midmix.errors import InputError
from midmix.files import atomic_write, check_file
from midmix.training import load_model, predict_logits

WRITERS: dict[str, Callable[..., Any]] = {".parquet": pd.DataFrame.to_parquet, ".csv": pd.DataFrame.to_csv}


def predict(
    run: Path,
    source: str,
    /,
    *,
    out: Path = Path("predictions.parquet"),
    all_classes: Annotated[bool, Parameter(negative=())] = False,
    image: Annotated[str | None, Parameter(group=DATA)] = None,
    skip_broken: Annotated[bool, Parameter(group=DATA, negative=())] = False,
    config: Config = None,
) -> None:
    """Predict the class of each image or row of features, with its probability.

    Parameters
    ----------
    run
        Folder of a finished run: that of `midmix train`, or `DIR/runs/NAME` of `midmix compare`.
    source
        An image, a folder of images at any depth, or a Parquet, CSV or NPZ file; labels are not needed.
    out
        File to write, .parquet or .csv: `name` (an image's path in the folder, or a row's number), `class`,
        `probability`.
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
    model, record = load_model(run)
    rows = data.load_unlabelled(
        source, shape=record["shape"], columns=record["columns"], image=image, skip_broken=skip_broken
    )
    for line in rows.notes:
        note(line)
    probabilities = predict_logits(model, rows.inputs).softmax(1)
    best = probabilities.max(1)
    table = pd.DataFrame(
        {
            "name": rows.names,
            "class": [record["classes"][index] for index in best.indices.tolist()],
            "probability": best.values.numpy(),
        }
    )
    if all_classes:
        columns = [f"probability:{name}" for name in record["classes"]]
        table = pd.concat([table, pd.DataFrame(probabilities.numpy(), columns=columns)], axis=1)
    with atomic_write(out) as part:
        write(table, part, index=False)
    console.print(f"{len(table):,} predictions: {out}", highlight=False, soft_wrap=True)

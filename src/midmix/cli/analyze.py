"""`midmix analyze`: collapse and margins, of any features."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from cyclopts import Parameter

from midmix import data
from midmix.cli.console import console, note
from midmix.cli.flags import DATA, Config, Out, Trust, Whole, check_projection, names_in
from midmix.cli.tables import collapse_tables
from midmix.files import atomic_write, check_folder
from midmix.measures import collapse_report
from midmix.training import finished, read_features

MEASURES = "measures.parquet"
EXACT, SAMPLED = 100_000, 1000
"""Rows up to which measures over pairs are exact unless it is said otherwise, and rows a class that stand for more."""


def analyze(
    source: str,
    /,
    *,
    out: Out = Path("analysis"),
    neighbors: Whole = 1,
    max_rows: Whole | None = None,
    projection: Literal["pca", "umap"] = "pca",
    label: Annotated[str | None, Parameter(group=DATA)] = None,
    features: Annotated[str | None, Parameter(group=DATA)] = None,
    trust: Trust = False,
    config: Config = None,
) -> None:
    """Measure how features fall together, and how balanced the margins are; in total and by class.

    Writes `measures.parquet` (a row a class, and one for the total), and `report.html` with its `figures/` into the
    output folder.

    Parameters
    ----------
    source
        Folder of a finished run (its test rows at the last epoch), or a file of features with labels: NPZ (arrays
        `features` and `labels`; `logits`, `head_weight` and `head_bias` if there), Parquet or CSV (columns that begin
        with `logit` are logits).
    neighbors
        k of neighborhood uniformity.
    max_rows
        Rows a class above which measures over pairs are estimated from a sample, with a standard error.
        [default: exact up to 100,000 rows, else 1000]
    projection
        Of the features to two dimensions; `umap` needs the extra `midmix[umap]`.
    label
        Column or array of the labels. [default: label or labels]
    features
        Columns of the features, separated by commas, or array. [default: every numeric column but the label]
    """
    check_projection(projection)
    check_folder(out, "analysis", MEASURES, {"report.html", "figures"})
    record = finished(Path(source)) if Path(source).is_dir() else None
    if record is not None:
        found, counts = read_features(Path(source), trust=trust), np.array(record["class_counts"])
        title = f"{record['method']}, seed {record['seed']}, test rows of {record['source']}"
    else:
        columns = names_in(features)
        found, counts, title = data.load_features(source, label=label, features=columns), None, source
    for line in found.notes:
        note(line)
    if max_rows is None and len(found.labels) > EXACT:
        max_rows = SAMPLED
        note(
            f"measures over pairs: of at most {SAMPLED:,} rows a class, drawn at random, with a standard error, for "
            f"there are {len(found.labels):,} rows (--max-rows)"
        )
    report = collapse_report(
        found.features, found.labels, found.logits, found.head, found.classes, k=neighbors, max_rows=max_rows
    )
    from midmix.reports import Output, write_analysis  # after the checks: matplotlib takes a second

    output = Output(found.features, found.labels, found.logits)
    page = write_analysis(out, output, report, title=title, counts=counts, projection=projection)
    by_class = pd.DataFrame(report.per_class)
    total = pd.DataFrame([{"class": None, "count": len(found.labels), **report.totals}])
    with atomic_write(out / MEASURES) as part:
        pd.concat([total, by_class], ignore_index=True).to_parquet(part)
    console.print(collapse_tables(report, title))
    console.print(f"Report: {page}", highlight=False, soft_wrap=True)

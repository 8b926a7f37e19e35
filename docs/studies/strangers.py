"""Rows of classes that were never trained on, and corrupted rows: does mixing tell the first and stand the second?

    python docs/studies/strangers.py SETS --out OUT     # SETS as docs/studies/sets.py writes them; two minutes

Two of ten classes, drawn with the seed, are strangers: they are taken out of the training rows and stay among the test
rows. Three scores tell a stranger: the largest probability, the energy `log Σ exp z` (Liu et al. 2020, arXiv
2010.03759) and the distance to the nearest centre of the training rows' features. AUROC counts each stranger against
each known test row; FPR95 is the share of strangers that pass where 95 % of the known ones do. Corrupted test rows have
normal noise added, of so many standard deviations of each column. `docs/studies/noise.md` says what came out.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from midmix.data import Labelled, Source, load
from midmix.measures import Outputs, evaluate_all
from midmix.methods import Method
from midmix.studies.statistics import holm, over_seeds
from midmix.training import Run, Settings, load_model, train_run
from midmix.training.predict import Predictions, predict

LOSS = "+balanced_softmax"
LINES = (
    f"erm{LOSS}", "erm", f"mixup{LOSS}", f"balanced-am-mixup{LOSS}", f"balanced-midpoint:ratio=0.52{LOSS}",
    f"balanced-midpoint:ratio=0.8{LOSS}", f"balanced-midpoint:ratio=1{LOSS}",
)  # fmt: skip
NOISES = (0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Ground:
    """Where networks are trained."""

    source: str
    settings: Settings
    imbalance: float


def grounds(sets: Path) -> Mapping[str, Ground]:
    """Digits, and features with little and with much weight decay, which does some of what mixing does."""
    digits = Settings(network="mlp-64", epochs=60, learning_rate=0.05, weight_decay=0.001, evaluate_every=60)
    cifar = Settings(
        network="mlp-128-128",
        epochs=15,
        batch_size=256,
        learning_rate=0.05,
        weight_decay=0.001,
        evaluate_every=15,
    )
    source = str(sets / "cifar")
    return {
        "digits": Ground("digits", digits, 50),
        "cifar": Ground(source, cifar, 100),
        "cifar-decay-0.02": Ground(source, replace(cifar, weight_decay=0.02), 100),
    }


def without(rows: Labelled, strangers: list[int]) -> Labelled:
    """The rows of the other classes, which are counted anew."""
    known = [c for c in range(len(rows.classes)) if c not in strangers]
    place = torch.full((len(rows.classes),), -1)
    place[known] = torch.arange(len(known))
    kept = rows.select((place[rows.labels] >= 0).nonzero().flatten())
    return Labelled(kept.inputs, place[kept.labels], tuple(rows.classes[c] for c in known))


def scores(found: Predictions, centres: Tensor) -> Mapping[str, Tensor]:
    """How well each row is known, by each score."""
    return {
        "probability": found.logits.softmax(1).max(1).values,
        "energy": found.logits.logsumexp(1),
        "centre": -torch.cdist(found.features, centres).min(1).values,
    }


def balanced(found: Predictions) -> float:
    """Balanced accuracy."""
    return evaluate_all(Outputs(found.labels, found.logits), ["balanced_accuracy"])["balanced_accuracy"]


def measure(name: str, ground: Ground, line: str, seed: int, out: Path) -> dict[str, float]:
    """All figures of a line and seed."""
    whole = load(ground.source)
    classes = len(whole.train.classes)
    drawn = torch.randperm(classes, generator=torch.Generator().manual_seed(seed))[:2].tolist()
    source = Source(f"{whole.name} without {drawn}", without(whole.train, drawn), without(whole.test, drawn))
    run = Run(Method.parse(line), seed, ground.settings, ground.imbalance, "exp", 0.0, ranks="drawn")
    folder = out / f"{name}-{run.name}"
    train_run(run, source, folder)
    model, _ = load_model(folder)
    train = predict(model, run.split(source).train)
    centres = torch.stack([train.features[train.labels == c].mean(0) for c in range(classes - 2)])
    known = predict(model, source.test)
    strange = whole.test.select(torch.isin(whole.test.labels, torch.tensor(drawn)).nonzero().flatten())
    stranger = predict(
        model, Labelled(strange.inputs, torch.zeros(len(strange), dtype=torch.long), source.test.classes)
    )
    figures = {"clean": balanced(known)}
    for score, inside in scores(known, centres).items():
        outside = scores(stranger, centres)[score]
        truth = np.r_[np.ones(len(inside)), np.zeros(len(outside))]
        figures[f"auroc_{score}"] = float(roc_auc_score(truth, torch.cat([inside, outside]).numpy()))
        figures[f"fpr95_{score}"] = float((outside >= inside.quantile(0.05)).double().mean())
    inputs = source.test.inputs
    assert isinstance(inputs, Tensor)
    noise = torch.randn(inputs.shape, generator=torch.Generator().manual_seed(seed)) * inputs.float().std(0)
    for size in NOISES:
        seen = predict(model, Labelled(inputs + size * noise, source.test.labels, source.test.classes))
        figures[f"noise_{size:g}"] = balanced(seen)
    return figures


def report(runs: pd.DataFrame) -> None:
    """Prints a table for each ground: means, and differences from the first line that hold after Holm's correction."""
    for ground, found in runs.groupby("ground", sort=False):
        print(f"\n## {ground}\n")
        names = [name for name in found.columns if name not in ("ground", "line", "seed")]
        by_line = {line: part.sort_values("seed")[names] for line, part in found.groupby("line", sort=False)}
        first = by_line[LINES[0]]
        rows: dict[str, list[str]] = {str(line): [] for line in by_line}
        for name in names:
            apart = {
                line: over_seeds(100 * (part[name].to_numpy() - first[name].to_numpy()))
                for line, part in by_line.items()
                if line != LINES[0]
            }
            corrected = dict(zip(apart, holm(np.array([one.p for one in apart.values()])), strict=True))
            for line, part in by_line.items():
                text = f"{100 * part[name].mean():.1f}"
                if line in apart:
                    one = apart[line]
                    difference = f"{one.mean:+.1f} ±{(one.high - one.low) / 2:.1f}".replace("-", "−")
                    text += f" [**{difference}**]" if corrected[line] < 0.05 else f" [{difference}]"
                rows[str(line)].append(text)
        print(f"| line | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
        for line, cells in rows.items():
            print(f"| {line} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=8)
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = [
        {"ground": name, "line": line, "seed": seed, **measure(name, ground, line, seed, given.out)}
        for name, ground in grounds(given.sets).items()
        for line in LINES
        for seed in range(given.seeds)
    ]
    runs = pd.DataFrame(found)
    runs.round(4).to_csv(given.out / "strangers.csv", index=False)
    report(runs)


if __name__ == "__main__":
    main()

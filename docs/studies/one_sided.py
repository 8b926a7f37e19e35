"""One-sided labels against two-sided, with one owner and with both: what they do to the spread of a class.

    python docs/studies/one_sided.py --out OUT    # three minutes of one core; goes on where it was interrupted

Pairs, λ and network are the same in all lines; only the labels of mixed rows differ. Encoders learn groups of digits
(and, in the long tail, the digits themselves); measured are the digits inside the groups. `docs/studies/one-sided.md`
says what came out.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from midmix.data import load_grouped
from midmix.measures import alignment, class_uniformity, nc1
from midmix.methods import Method
from midmix.mixing import BothOwners, FixedRatio, InterClassPairs, Mix, OneSided, TwoSided
from midmix.mixing.classifier import find_classifier
from midmix.mixing.labels import Labels
from midmix.studies.linear_probe import linear_probe
from midmix.studies.statistics import holm, over_seeds
from midmix.training import Run, Settings, load_model, train_run
from midmix.training.predict import predict

SEEDS, RATIO = 8, 0.6
SIDES: Mapping[str, Labels] = {
    "one": OneSided(),
    "two": TwoSided(),
    "both_one": BothOwners(),
    "both_two": BothOwners(TwoSided()),
}


def sided(num_classes: int, *, labels: str = "one", ratio: float = RATIO, **settings: Any) -> Mix:
    """Pairs of two classes at one λ, under the labels of this name."""
    return Mix(InterClassPairs(), FixedRatio(ratio), SIDES[labels], num_classes=num_classes, **settings)


LINES = ("erm", *(f"{Path(__file__).resolve()}:sided:labels={name}" for name in SIDES))
NAMES = dict(
    zip(
        LINES,
        ("unmixed", "one-sided", "two-sided", "one-sided, both owners", "two-sided, both owners"),
        strict=True,
    )
)
COMPARED = (
    ("one-sided", "two-sided"),
    ("one-sided, both owners", "two-sided, both owners"),
    ("one-sided, both owners", "one-sided"),
    ("one-sided", "unmixed"),
    ("two-sided", "unmixed"),
)


@dataclass(frozen=True)
class Ground:
    """Where encoders are trained."""

    epochs: int
    grouped: bool = True
    imbalance: float | None = None


GROUNDS = {
    "transfer": Ground(40),
    "long-tail": Ground(40, grouped=False, imbalance=50),
    "collapse": Ground(90),
}


def measured(run: Run, folder: Path, grouped: Any) -> dict[str, float]:
    """Trains the run and measures its features."""
    train_run(run, grouped.source, folder)
    model, _ = load_model(folder, trust=True)
    split, fine = run.split(grouped.source), replace(run, groups=None).split(grouped.source)
    classes = len(split.train.classes)
    train, test = (predict(model, rows).features for rows in (split.train, split.test))
    probe = linear_probe(train, fine.train.labels, len(fine.train.classes), [1.0])[0]
    head = find_classifier(model, classes)
    assert isinstance(head, nn.Linear)
    found = {
        "accuracy on training rows, %": 100
        * float((head(train).argmax(1) == split.train.labels).double().mean()),
        "probe on the digits, %": 100 * probe.accuracy(test, fine.test.labels),
        "accuracy on what was trained, %": 100
        * float((head(test).argmax(1) == split.test.labels).double().mean()),
        "alignment of the digits": float(alignment(test, fine.test.labels)),
        "alignment of the classes trained": float(alignment(test, split.test.labels)),
        "uniformity of the classes trained": float(class_uniformity(test, split.test.labels)),
        "NC1, test rows": nc1(test, split.test.labels),
        "NC1, training rows": nc1(train, split.train.labels),
    }
    return found | scores(head, train, split.train.labels, classes)


@torch.no_grad()
def scores(head: nn.Linear, features: Tensor, labels: Tensor, classes: int) -> dict[str, float]:
    """Of training rows over pairs of classes, scores s = (w_i - w_j)·z + b_i - b_j: mean, deviation and their ratio;
    and the deviation of features from their class mean along the heads' directions and across them."""
    logits = head(features)
    means, spreads, relative = [], [], []
    for i in range(classes):
        mine = logits[labels == i]
        if len(mine) < 2:
            continue
        for j in range(classes):
            if j != i:
                s = mine[:, i] - mine[:, j]
                means.append(float(s.mean()))
                spreads.append(float(s.std()))
                relative.append(float(s.std() / s.mean().clamp_min(1e-6)))
    basis = torch.linalg.qr((head.weight - head.weight.mean(0)).T)[0][:, : classes - 1]
    centred = torch.cat(
        [rows - rows.mean(0) for c in range(classes) if len(rows := features[labels == c]) > 1]
    )
    along = centred @ basis
    across = centred - along @ basis.T
    return {
        "mean score": float(np.mean(means)),
        "spread of scores": float(np.median(spreads)),
        "spread of scores / mean score": float(np.median(relative)),
        "spread along the heads": float(along.square().sum(1).mean().sqrt()),
        "spread across the heads": float(across.square().sum(1).mean().sqrt()),
        "norm of features": float(features.norm(dim=1).mean()),
    }


def gradient() -> None:
    """What pulls on the two rows of one pair, each towards its own class, as the mixed score grows (λ = 0.6)."""
    print(
        "\nPull on the owner towards its class, and on its partner towards the *partner's* class (λ = 0.6)\n"
    )
    print(
        "| mixed score of the owner | one-sided: owner | one-sided: partner | two-sided: owner | two-sided: partner |"
    )
    print("|---|---|---|---|---|")
    for score in (-2.0, 0.0, float(np.log(RATIO / (1 - RATIO))), 2.0, 5.0):
        row = []
        for share in (1.0, RATIO):  # of the owner's label
            s = torch.tensor([(score + (1 - RATIO) * 1.0) / RATIO, 1.0], requires_grad=True)  # s_i, s_j
            mixed = RATIO * s[0] - (1 - RATIO) * s[1]
            loss = share * nn.functional.softplus(-mixed) + (1 - share) * nn.functional.softplus(mixed)
            (pull,) = torch.autograd.grad(-loss, s)
            row += [f"{float(value):+.3f}" for value in pull]
        print(f"| {score:.3f} | {' | '.join(row)} |")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("one-sided"))
    parser.add_argument("--grounds", nargs="+", choices=list(GROUNDS), default=list(GROUNDS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    grouped = load_grouped("digits")
    for name in given.grounds:
        ground = GROUNDS[name]
        settings = Settings(
            network="mlp-64-32", epochs=ground.epochs, evaluate_every=ground.epochs, learning_rate=0.05
        )
        groups = grouped.hierarchy if ground.grouped else None
        rows = []
        for line in LINES:
            for seed in range(SEEDS):
                run = Run(Method.parse(line), seed, settings, ground.imbalance, groups=groups, ranks="drawn")
                folder = given.out / name / f"{NAMES[line].replace(', ', '-').replace(' ', '-')}-{seed}"
                rows.append({"line": NAMES[line], "seed": seed, **measured(run, folder, grouped)})
        table = pd.DataFrame(rows)
        table.to_csv(given.out / f"{name}.csv", index=False, float_format="%.6g")
        show(name, table)
    gradient()


def show(name: str, table: pd.DataFrame) -> None:
    """Means, and paired differences with 95 % intervals, corrected after Holm over measures and pairs of a ground."""
    measures = [column for column in table if column not in ("line", "seed")]
    mine = table.sort_values("seed")
    values = {
        (measure, line): mine[mine["line"] == line][measure].to_numpy(float)
        for measure in measures
        for line in NAMES.values()
    }
    print(f"\n## {name}\n\n| measure | {' | '.join(NAMES.values())} |\n|{'---|' * (len(NAMES) + 1)}")
    for measure in measures:
        means = (values[measure, line].mean() for line in NAMES.values())
        print(f"| {measure} | {' | '.join(f'{mean:.3g}' for mean in means)} |")
    found = {
        (measure, first, second): over_seeds(values[measure, first] - values[measure, second])
        for measure in measures
        for first, second in COMPARED
    }
    corrected = dict(zip(found, holm(np.array([interval.p for interval in found.values()])), strict=True))
    heads = (f"{first} − {second}" for first, second in COMPARED)
    print(f"\n| difference | {' | '.join(heads)} |\n|{'---|' * (len(COMPARED) + 1)}")
    for measure in measures:
        cells = []
        for first, second in COMPARED:
            interval = found[measure, first, second]
            text = f"{interval.mean:+.3g} ± {(interval.high - interval.low) / 2:.2g}"
            cells.append(f"**{text}**" if corrected[measure, first, second] < 0.05 else text)
        print(f"| {measure} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()

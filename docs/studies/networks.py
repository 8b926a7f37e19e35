"""How λ relates to margins in a network that is trained: the laws of docs/margin-law.md where features move.

    python docs/studies/networks.py --out OUT    # a minute of one core

A small network learns long-tailed digits at one λ from the first step, pairs of two classes, one owner or both. After
every second epoch the margins of all pairs of classes on clean training rows are measured.
`docs/studies/lambda-and-margin.md` says what came out.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from margin import predicted_from  # type: ignore[import-not-found]  # the program beside this one
from torch import Tensor, nn

from midmix.data import Labelled, load
from midmix.mixing import BothOwners, FixedRatio, InterClassPairs, Labels, Mix, OneSided
from midmix.mixing.classifier import find_classifier
from midmix.models import build, fit_normalization
from midmix.studies.statistics import holm, over_seeds
from midmix.training.split import draw_split

SEEDS, EPOCHS, BATCH, EVERY = 6, 60, 64, 2
RATIOS = (1.0, 0.9, 0.75, 0.6, 0.52)
OWNERS: dict[str, Labels] = {"one": OneSided(), "both": BothOwners()}
PAIRS = ((0, 9), (0, 5), (4, 5), (0, 1), (8, 9))
"""Pairs of ranks whose λ* is computed at the end: it takes a linear program each."""

HEADINGS = (
    "λ", "owners", "1/(2λ−1)²", "exponent", "margin, large", "small", "large / small, half-way", "at the end", "p, end",
    "λ that this head needs", "λ* of the features", "pairs of rows right", "balanced %", "ranks 5 to 10 %",
)  # fmt: skip


def trained(
    train: Labelled, test: Labelled, owners: str, ratio: float, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One run: margins of every pair of ranks by epoch, and what is known at the end."""
    assert isinstance(train.inputs, Tensor)
    assert isinstance(test.inputs, Tensor)
    torch.manual_seed(seed)
    model = build("mlp-64-32", train.shape, 10)
    fit_normalization(model, train.inputs)
    mix = Mix(InterClassPairs(), FixedRatio(ratio), OWNERS[owners], num_classes=10).attach(model)
    steps = -(-len(train) // BATCH)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=EPOCHS * steps, pct_start=0.1)
    draw = torch.Generator().manual_seed(seed)
    rank = torch.argsort(torch.argsort(-train.counts(), stable=True))[train.labels]
    order = torch.argsort(-train.counts(), stable=True)
    found = []
    for epoch in range(1, EPOCHS + 1):
        for rows in torch.split(torch.randperm(len(train), generator=draw), BATCH):
            with mix(train.labels[rows], draw):
                logits = model(train.inputs[rows])
            optimizer.zero_grad()
            torch.autograd.backward(mix.loss(logits))
            optimizer.step()
            schedule.step()
        if epoch % EVERY == 0:
            found += [
                {"epoch": epoch, **row}
                for row in pairs(logits_of(model, train.inputs)[:, order], rank, ratio)
            ]
    mix.remove()
    head = find_classifier(model, 10)
    kept: list[Tensor] = []
    handle = head.register_forward_pre_hook(lambda module, given: kept.append(given[0]))
    logits_of(model, train.inputs)
    handle.remove()
    right = logits_of(model, test.inputs).argmax(1) == test.labels
    by_class = torch.stack([right[test.labels == c].double().mean() for c in order])
    end = [
        {
            "pair": f"{i}, {j}",
            "critical": predicted_from(
                kept[0][rank == i].double().numpy(), kept[0][rank == j].double().numpy(), 1e-3
            ),
        }
        for i, j in PAIRS
    ]
    last = pd.DataFrame(end).assign(balanced=float(by_class.mean()), few=float(by_class[4:].mean()))
    return pd.DataFrame(found), last


@torch.no_grad()
def logits_of(model: nn.Module, inputs: Tensor) -> Tensor:
    """Of clean rows, in evaluation mode."""
    model.eval()
    logits: Tensor = model(inputs)
    model.train()
    return logits


def pairs(logits: Tensor, rank: Tensor, ratio: float) -> list[dict[str, float]]:
    """Of each pair of ranks i < j: mean margins, and the λ above which this head has the whole mixed set right."""
    rows = []
    for i in range(10):
        for j in range(i + 1, 10):
            one = (logits[rank == i, i] - logits[rank == i, j]).double()
            two = (logits[rank == j, j] - logits[rank == j, i]).double()
            least = min(float(one.min()), float(two.min()))
            kappa = (
                max(float(two.max() / one.min()), float(one.max() / two.min())) if least > 0 else float("inf")
            )
            large, small = float(one.mean()), float(two.mean())
            mixed = (2 * ratio - 1) * (large + small) / 2
            both = (ratio * one[:, None] > (1 - ratio) * two) & (ratio * two > (1 - ratio) * one[:, None])
            rows.append(
                {
                    "i": i, "j": j, "large": large, "small": small,
                    "imbalance": (large - small) / (abs(large) + abs(small)), "confidence": 1 / (1 + np.exp(-mixed)),
                    "needed": 1.0 if np.isinf(kappa) else kappa / (1 + kappa), "right": float(both.double().mean()),
                }
            )  # fmt: skip
    return rows


def exponent(run: pd.DataFrame) -> float:
    """Slope of ln |D| on ln (1 - p) over the training, within pairs, from the epoch of the largest |D| on."""
    x, y = [], []
    for _, pair in run.groupby(["i", "j"]):
        gap = (pair["large"] - pair["small"]).abs().to_numpy()
        left = np.log1p(-pair["confidence"].clip(upper=1 - 1e-9).to_numpy())
        start = int(gap.argmax())
        if len(gap) - start >= 4:
            x.append(left[start:] - left[start:].mean())
            y.append(np.log(gap[start:] + 1e-9) - np.log(gap[start:] + 1e-9).mean())
    if not x:
        return float("nan")
    one, two = np.concatenate(x), np.concatenate(y)
    return float((one * two).sum() / (one**2).sum())


def text(values: Sequence[float]) -> str:
    """Mean over seeds ± half the 95 % interval."""
    interval = over_seeds(np.asarray(values))
    return f"{interval.mean:.3g} ± {(interval.high - interval.low) / 2:.2g} ({interval.n})"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("networks"))
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    source = load("digits")
    paths, ends = [], []
    for seed in range(SEEDS):
        split = draw_split(source, seed=seed, imbalance=50, ranks="drawn")
        for owners in OWNERS:
            for ratio in RATIOS:
                path, end = trained(split.train, split.test, owners, ratio, seed)
                paths.append(path.assign(owners=owners, ratio=ratio, seed=seed))
                ends.append(end.assign(owners=owners, ratio=ratio, seed=seed))
    path, end = pd.concat(paths), pd.concat(ends)
    measures = ["large", "small", "imbalance", "confidence", "needed", "right"]
    medians = path.groupby(["owners", "ratio", "seed", "epoch"], as_index=False)[measures].median()
    medians.to_csv(out / "medians.csv", index=False, float_format="%.4g")
    print(f"| {' | '.join(HEADINGS)} |")
    print(f"|{'---|' * len(HEADINGS)}")
    for owners in OWNERS:
        for ratio in RATIOS:
            mine = path[(path["owners"] == owners) & (path["ratio"] == ratio)]
            last = end[(end["owners"] == owners) & (end["ratio"] == ratio)]
            late, middle = (mine[mine["epoch"] == epoch] for epoch in (EPOCHS, EPOCHS // 2))
            law = 1 / (2 * ratio - 1) ** 2
            cells = [
                [exponent(run) for _, run in mine.groupby("seed")],
                *(list(late.groupby("seed")[name].median()) for name in ("large", "small")),
                *(
                    [float((run["large"] / run["small"]).median()) for _, run in rows.groupby("seed")]
                    for rows in (middle, late)
                ),
                *(list(late.groupby("seed")[name].median()) for name in ("confidence", "needed")),
                list(last.groupby("seed")["critical"].median()),
                list(late.groupby("seed")["right"].mean()),
                *(list(100 * last.groupby("seed")[name].first()) for name in ("balanced", "few")),
            ]  # fmt: skip
            print(f"| {ratio} | {owners} | {law:.3g} | {' | '.join(map(text, cells))} |")
    compare(path[path["epoch"] == EPOCHS], end)


COMPARED = (
    *(((ratio, owners), (1.0, owners)) for owners in OWNERS for ratio in RATIOS[1:]),
    *(((ratio, "both"), (ratio, "one")) for ratio in RATIOS),
)


def compare(late: pd.DataFrame, end: pd.DataFrame) -> None:
    """Paired differences with 95 % intervals, bold where they hold after Holm's correction over the whole table."""
    runs = ["ratio", "owners", "seed"]
    table = late.groupby(runs)[["imbalance", "large", "small"]].median()
    table = table.join(100 * end.groupby(runs)[["balanced", "few"]].first())
    names = [str(name) for name in table]
    values = {of: rows[names] for of, rows in table.reset_index().groupby(["ratio", "owners"])}
    found = {
        (pair, name): over_seeds(values[pair[0]][name].to_numpy() - values[pair[1]][name].to_numpy())
        for pair in COMPARED
        for name in names
    }
    corrected = holm(np.array([interval.p for interval in found.values()]))
    holds = dict(zip(found, corrected < 0.05, strict=True))
    print(f"\n| λ, owners | against | {' | '.join(names)} |\n|{'---|' * (2 + len(names))}")
    for pair in COMPARED:
        cells = []
        for name in names:
            one = found[pair, name]
            cell = f"{one.mean:+.3g} ± {(one.high - one.low) / 2:.2g}"
            cells.append(f"**{cell}**" if holds[pair, name] else cell)
        lines = (f"{ratio:g}, {owners}" for ratio, owners in pair)
        print(f"| {' | '.join(lines)} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()

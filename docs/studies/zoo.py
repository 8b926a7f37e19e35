"""Every part that a method can have, on one source and under one protocol: who is ahead of what.

    python docs/studies/zoo.py digits --imbalance 50 --seeds 10 --out zoo/digits
    python docs/studies/zoo.py digits --imbalance 50 --seeds 10 --augment noise --contrast --out zoo/digits-noise
    python docs/studies/zoo.py FEATURES/cifar10 --imbalance 100 --out zoo/cifar10

The lines are those that the registries name: every mix with cross-entropy and with balanced softmax, every loss
unmixed, with mixup and with `balanced-am-mixup`, every order of rows, every head, every second stage, and the
baselines that are no networks. Folders are those of `midmix compare`: what is finished there is not run again.
Prints Markdown: a table for each kind, with paired differences from `--baseline`, bold where they hold after Holm's
correction over all lines; then the best line of each aim, and those that it is not told from.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pandas as pd

from midmix import data
from midmix.losses import LOSSES
from midmix.methods import BASELINES, HEADS, ORDERS, STAGES, Method, controls_of
from midmix.mixing.recipes import RECIPES
from midmix.reports import health_of, markdown_table, read_comparison, summarise, tested_runs
from midmix.reports.columns import Column
from midmix.studies import compare
from midmix.training.settings import Settings

LOSS = "balanced_softmax"
MIXED = ("erm", "mixup", "balanced-am-mixup")
"""What every loss and stage is tried with, unless `--mixes` says less."""
CONTRASTIVE = ("supcon", "bcl", "proco")
"""Losses that compare two views of a row, and need an augmentation."""
SAME = ("cross_entropy", "logit_adjustment")
"""Losses that stand in the table by another name."""
BESIDE = {"ride": "experts"}
"""Loss → the head that it judges."""
PICTURES = ("resize-mix",)
"""Mixes of images alone."""
NEED_VALIDATION = ("temperature",)
"""Stages that choose on held-out rows, and change no decision."""
SHOWN = ("balanced_accuracy", "few", "nll")


def lines(
    *, contrast: bool, baselines: tuple[str, ...], mixed: tuple[str, ...] = MIXED
) -> dict[str, list[str]]:
    """Kind of part → methods."""
    if contrast:
        beside = [f"{mix}+{LOSS}" for mix in mixed]
        return {"Contrastive": [*mixed, *beside, *(f"{mix}+{loss}" for loss in CONTRASTIVE for mix in mixed)]}
    mixes = [name + loss for loss in ("", f"+{LOSS}") for name in RECIPES.names() if name not in PICTURES]
    resampled = [
        str(control)
        for mix in ("balanced-am-mixup", f"balanced-am-mixup+{LOSS}")
        for control in controls_of(Method.parse(mix))
    ]
    losses = [
        f"{mix}+{loss}{'+' + BESIDE[loss] if loss in BESIDE else ''}"
        for loss in LOSSES.names()
        if loss not in (*CONTRASTIVE, *SAME)
        for mix in mixed
    ]
    orders = [
        f"erm+{order}{loss}" for order in ORDERS.names() if order != "shuffled" for loss in ("", f"+{LOSS}")
    ]
    heads = [f"erm+{head}{loss}" for head in HEADS.names() for loss in ("", f"+{LOSS}")]
    stages = [
        f"{mix} >> {stage}" for stage in STAGES.names() if stage not in NEED_VALIDATION for mix in mixed
    ]
    found = {
        "Mixes": [*mixes, *resampled],
        "Losses": losses,
        "Orders of rows": orders,
        "Heads": heads,
        "Second stages": stages,
        "No networks": [name for name in baselines if name in BASELINES.names()],
    }
    known: list[str] = []
    for kind, texts in found.items():
        found[kind] = [
            text for text in dict.fromkeys(str(Method.parse(text)) for text in texts) if text not in known
        ]
        known += found[kind]
    return found


def table(summary: pd.DataFrame, texts: list[str], *, beside: list[str]) -> str:
    """The lines of one kind, best balanced accuracy first."""
    last = summary[summary["epoch_choice"] == "last"]
    mine = last[last["line"].isin([*texts, *beside])]
    means = mine[mine["measure"] == SHOWN[0]].set_index("line")["mean"].sort_values(ascending=False)
    order = {line: place for place, line in enumerate(means.index)}
    mine = mine.sort_values("line", key=lambda column: column.map(order), kind="stable")
    return markdown_table(mine, columns=[Column.of(name) for name in SHOWN])


def best(results: pd.DataFrame, measure: str, **how: object) -> str:
    """The line with the best mean, and what it is not told from after Holm's correction over the lines."""
    column = Column.of(measure)
    means = results[results["epoch_choice"] == "last"].groupby("method")[measure].mean().dropna()
    line = str(means.idxmax() if column.better == "higher" else means.idxmin())
    found = summarise(results, measures=[measure], baseline=line, **how)  # type: ignore[arg-type]
    found = found[(found["epoch_choice"] == "last") & (found["difference_n"] > 0)]
    level = found[~(found["difference_corrected"] < 0.05)]["line"]  # no p-value tells nothing
    ahead = len(found) - len(level)
    names = ", ".join(f"`{name}`" for name in level[:12]) + (" …" if len(level) > 12 else "")
    said = (
        f"told from all {ahead} others"
        if level.empty
        else f"ahead of {ahead}; not told from {len(level)}: {names}"
    )
    return f"- **{column.heading}:** `{line}`, {column.text(float(means[line]))}; {said}."


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--label")
    parser.add_argument("--imbalance", type=float)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--augment", choices=("none", "noise"), default="none")
    parser.add_argument(
        "--contrast", action="store_true", help="the losses on two views, with --augment noise"
    )
    parser.add_argument(
        "--mixes", nargs="+", default=list(MIXED), help="what losses and stages are tried with"
    )
    parser.add_argument("--kinds", nargs="+", help="of parts, the headings of the tables [default: all]")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--baselines", nargs="*", default=list(BASELINES.names()))
    parser.add_argument("--baseline", default=f"erm+{LOSS}")
    parser.add_argument("--csv", type=Path, help="a row a line and seed, at the last epoch")
    given = parser.parse_args()
    source = data.load(given.source, label=given.label)
    kinds = lines(contrast=given.contrast, baselines=tuple(given.baselines), mixed=tuple(given.mixes))
    if given.kinds is not None:
        kinds = {kind: texts for kind, texts in kinds.items() if kind in given.kinds}
        first = [text for text in [given.baseline] if not any(text in texts for texts in kinds.values())]
        kinds = {"Baseline": first, **kinds} if first else kinds
    wanted = {"epochs": given.epochs, "batch_size": given.batch_size, "augment": given.augment}
    settings = Settings.for_rows(source.train, **wanted)
    settings = Settings(**{**settings.as_dict(), "evaluate_every": max(9 * settings.epochs // 10, 1)})
    begun = time.perf_counter()
    results = compare(
        source,
        [Method.parse(text) for texts in kinds.values() for text in texts],
        given.out,
        settings,
        seeds=given.seeds,
        imbalance=given.imbalance,
        jobs=given.jobs,
    )
    comparison = read_comparison(given.out, given.baseline)
    tested = tested_runs(comparison)
    if given.csv:
        last = results[results["epoch_choice"] == "last"]
        last[["method", "seed", "split_hash", "accuracy", *SHOWN, "ece"]].round(4).to_csv(
            given.csv, index=False
        )
    summary = summarise(results, measures=SHOWN, baseline=given.baseline, tested=tested)
    count = sum(len(texts) for texts in kinds.values())
    print(f"{count} lines, {given.seeds} seeds, {time.perf_counter() - begun:.0f} s.\n\n{settings}\n")
    for measure in SHOWN:
        print(best(results, measure, tested=tested))
    for kind, texts in kinds.items():
        print(f"\n### {kind}\n\n{table(summary, texts, beside=[given.baseline])}")
    health = health_of(comparison)
    print(f"\n### Rules of health, {health.examined} runs\n")
    for sign in health.signs:
        print(f"- {sign.heading}: {', '.join(sign.lines)}")


if __name__ == "__main__":
    main()

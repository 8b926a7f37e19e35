"""Lines of which every seed is tuned anew, so that an interval over seeds counts the luck of the tuning as well.

    python docs/studies/tunings.py FEATURES/cifar10 --label label --imbalance 100 --out tunings/cifar10

`midmix compare --search N` tunes a line once, on the rows of seed 0, and trains all seeds with what it chose: its
interval holds for that choice. Here each seed tunes by its own training rows, its own folds and its own random draws,
and then trains and tests with what *it* chose. Prints Markdown: outcomes with paired differences from `--baseline`,
bold where they hold after Holm's correction over the lines, and what each seed chose. What is finished is kept.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from midmix import data
from midmix.methods import Method, parse_methods
from midmix.reports import health_of, markdown_table, read_comparison, summarise, tested_runs
from midmix.reports.columns import Column
from midmix.studies.compare import Classify, collect
from midmix.studies.options import RunnerOptions
from midmix.studies.runner import run_all, settle
from midmix.studies.search import FOLDS, search
from midmix.training.run import Run
from midmix.training.settings import Settings
from midmix.training.tuned import Tuned

METHODS = (
    "erm+balanced_softmax,mixup+balanced_softmax,balanced-am-mixup+balanced_softmax,"
    "balanced-am-mixup:beta=0+balanced_softmax,balanced-midpoint+balanced_softmax,"
    "erm+balanced_softmax >> discriminant,discriminant,logistic,ridge,lda"
)
MEASURES = ("balanced_accuracy", "many", "medium", "few", "nll", "ece")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--label")
    parser.add_argument("--imbalance", type=float)
    parser.add_argument("--network", default="linear")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--search", type=int, default=10)
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--baseline", default="erm+balanced_softmax")
    parser.add_argument("--csv", type=Path, help="a row a line and seed, at the last epoch")
    given = parser.parse_args()
    source = data.load(given.source, label=given.label)
    settings = Settings.for_rows(
        source.train,
        network=given.network,
        epochs=given.epochs,
        batch_size=given.batch_size,
        learning_rate=0.05,
        weight_decay=0.0005,
        warmup_epochs=5,
        evaluate_every=2 * given.epochs,
    )
    methods = parse_methods(given.methods.split(","))
    options = RunnerOptions(jobs=1, say=lambda line: None)
    chosen = []
    for seed in range(given.seeds):
        template = Run(methods[0], seed, settings, given.imbalance, "exp", 0.0, ranks="drawn")
        first = [replace(template, method=method) for method in methods]
        settle(Classify(source), replace(template, tuned=Tuned(given.search, FOLDS)), given.out)
        tuned = search(template, first, source, given.search, given.out, options)
        run_all(
            Classify(source),
            [replace(run, tuned=tuned[str(run.method)]) for run in first],
            given.out,
            options,
        )
        chosen += [(text, seed, one) for text, one in tuned.items()]
        print(f"seed {seed}", flush=True)
    report(given, methods, chosen)


def report(
    given: argparse.Namespace, methods: tuple[Method, ...], chosen: list[tuple[str, int, Tuned]]
) -> None:
    """Prints the tables."""
    results = collect(given.out, methods)
    comparison = read_comparison(given.out, given.baseline)
    names = [name for name in MEASURES if name in results.columns]
    if given.csv:
        last = results[results["epoch_choice"] == "last"]
        last[["method", "seed", "split_hash", *names]].round(4).to_csv(given.csv, index=False)
    summary = summarise(results, measures=names, baseline=given.baseline, tested=tested_runs(comparison))
    print(markdown_table(summary, columns=[Column.of(name) for name in names]))
    print("\n| method | seed | held-out balanced accuracy, given → chosen | chosen |\n|---|---|---|---|")
    for text, seed, one in sorted(chosen, key=lambda row: (list(map(str, methods)).index(row[0]), row[1])):
        values = ", ".join(f"{name.rpartition(':')[2]} {value}" for name, value in (one.chosen or {}).items())
        print(f"| {text} | {seed} | {one.score_before:.3f} → {one.score:.3f} | {values or 'as given'} |")
    for sign in health_of(comparison).signs:
        print(f"\n{sign.heading}: {', '.join(sign.lines)}")


if __name__ == "__main__":
    main()

"""The linear probe of `midmix transfer` beside scikit-learn's LogisticRegression: accuracy, and time by its time.

    python benchmarks/linear_probe.py                 # digits: half a minute
    MIDMIX_DATA=… python benchmarks/linear_probe.py   # Tiny-ImageNet at 32×32 as well: two minutes

Prints Markdown. The same features (of an encoder trained on coarse labels), the same regularisation C; both standardise
the features. In one process on one thread, the two in turn; a time is the best of five, of the process's own clock.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from midmix.data import Grouped, load_grouped
from midmix.methods import Method
from midmix.models import fit_normalization
from midmix.studies.linear_probe import STRENGTHS, linear_probe
from midmix.training import Fit, Run, Settings, predict
from midmix.training.hardware import hardware

ROUNDS = 5


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    torch.set_num_threads(1)
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "scipy", "scikit-learn"))
    print(f"{hardware(torch.device('cpu'))}; Python {platform.python_version()}, {versions}.")
    digits = Settings.for_kind("features", epochs=25, evaluate_every=25)
    compare("digits", *features(load_grouped("digits"), digits))
    if "MIDMIX_DATA" in os.environ:
        path = Path(os.environ["MIDMIX_DATA"]) / "tiny-imagenet-32" / "test.parquet"
        images = Settings.for_kind("images", network="resnet-8", epochs=5, evaluate_every=5, precision="bf16")
        compare("tiny-imagenet-32", *features(load_grouped(path, classes_per_group=5), images))


def features(grouped: Grouped, settings: Settings) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training features and fine labels, test features and fine labels."""
    run = Run(Method.parse("erm"), 0, settings, groups=grouped.hierarchy)
    split = run.split(grouped.source)
    model = run.network(split)
    fit_normalization(model, split.train.inputs)
    mix = run.method.make_mix(len(split.train.classes), split.train.counts())
    fit = Fit(model, mix, run.method.make_loss(), split, settings, seed=0)
    fit.run()
    fit.mix.remove()
    train, test = predict(model, split.train), predict(model, split.test)
    return train.features, grouped.source.train.labels, test.features, grouped.source.test.labels


def compare(name: str, train: Tensor, labels: Tensor, test: Tensor, truth: Tensor) -> None:
    classes = int(labels.max()) + 1

    def ours(strengths: Sequence[float]) -> Any:
        return linear_probe(train, labels, classes, strengths)

    def theirs(strengths: Sequence[float]) -> list[Pipeline]:
        scaler = StandardScaler()
        standard = scaler.fit_transform(train.numpy())  # float32, in which it is fastest
        models = [LogisticRegression(C=c, max_iter=5000).fit(standard, labels.numpy()) for c in strengths]
        return [Pipeline([("scale", scaler), ("classify", model)]) for model in models]

    print(f"\n{name}: {len(train):,} rows, {train.shape[1]} features, {classes} classes\n")
    print("| C | accuracy % | scikit-learn's | seconds | scikit-learn's | ratio |")
    print("|---|---|---|---|---|---|")
    for strengths in (*((c,) for c in STRENGTHS), STRENGTHS):
        times: dict[Callable[[Sequence[float]], Any], list[float]] = {ours: [], theirs: []}
        found = {}
        for _ in range(ROUNDS):
            for solve, taken in times.items():
                start = time.process_time()
                found[solve] = solve(strengths)
                taken.append(time.process_time() - start)
        if len(strengths) == 1:
            accuracy = 100 * found[ours][0].accuracy(test, truth)
            expected = 100 * found[theirs][0].score(test.numpy(), truth.numpy())
            what = f"{strengths[0]:g} | {accuracy:.2f} | {expected:.2f}"
        else:
            what = "all, as a probe's is chosen | | "
        best, reference = min(times[ours]), min(times[theirs])
        print(f"| {what} | {best:.3f} | {reference:.3f} | {best / reference:.2f} |")


if __name__ == "__main__":
    main()

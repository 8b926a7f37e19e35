"""False alarms and hits of the rules of health: runs that are healthy by construction, and runs planted to fail.

Healthy are runs of the demo's kind: scikit-learn's digits, the default MLP, ten methods, ratios of 5 and 10 with ranks
drawn by the seed, 60 epochs. Each planted failure is trained with several seeds and methods.

    python benchmarks/health.py [--healthy 100] [--planted 10]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from midmix.data import Source, from_arrays, load
from midmix.errors import InputError
from midmix.methods import Method
from midmix.training import Run, Settings, train_run

METHODS = (
    "erm", "mixup", "manifold-mixup", "am-mixup", "balanced-am-mixup", "balanced-am-mixup:beta=0",
    "erm+balanced_softmax", "mixup+balanced_softmax", "balanced-midpoint+balanced_softmax", "erm+ldam",
)  # fmt: skip
EPOCHS = 60


@dataclass(frozen=True)
class Planted:
    """One way to fail: the rule that should see it, what it is, and how to make it of a seed."""

    rule: str
    what: str
    make: Callable[[int], tuple[Source, Run]]


def run_of(method: str, seed: int, imbalance: float | None = None, **settings: Any) -> Run:
    """A run on features with the defaults, save for what is given."""
    chosen = Settings.for_kind("features", **{"epochs": EPOCHS, **settings})
    return Run(Method.parse(method), seed, chosen, imbalance, ranks="drawn")


def noise(seed: int, classes: int = 4) -> Source:
    """Features that know nothing of their labels."""
    draw = np.random.default_rng(seed)
    return from_arrays(draw.normal(size=(600, 16)).astype(np.float32), draw.integers(classes, size=600))


def rare(seed: int) -> Source:
    """Two classes, 950 rows and 50, not easily told apart: who always says the frequent one is right 19 times of 20."""
    draw = np.random.default_rng(seed)
    labels = np.repeat([0, 1], [950, 50])
    features = draw.normal(size=(1000, 16)) + 1.2 * labels[:, None] * (np.arange(16) < 8)
    return from_arrays(features.astype(np.float32), labels)


def planted() -> Iterator[Planted]:
    """Every way to fail."""
    digits = load("digits")
    for method in ("am-mixup", "balanced-am-mixup"):
        yield Planted(
            "ratio_ends_early",
            f"{method}, two classes 19 : 1, a rate of 0.01",
            lambda seed, method=method: (rare(seed), run_of(method, seed, learning_rate=0.01)),  # type: ignore[misc]
        )
        yield Planted(
            "ratio_stuck",
            f"{method} on all digits, a rate of 0.000001",
            lambda seed, method=method: (digits, run_of(method, seed, learning_rate=1e-6)),  # type: ignore[misc]
        )
        yield Planted(
            "weak_features",
            f"{method} on noise",
            lambda seed, method=method: (noise(seed), run_of(method, seed)),  # type: ignore[misc]
        )
    for method in ("erm", "mixup", "am-mixup+balanced_softmax"):
        yield Planted(
            "not_converged",
            f"{method} on digits, six epochs",
            lambda seed, method=method: (digits, run_of(method, seed, 10, epochs=6)),  # type: ignore[misc]
        )
        yield Planted(
            "diverged",
            f"{method} on digits, a rate of 5 after a warm-up",
            lambda seed, method=method: (  # type: ignore[misc]
                digits,
                run_of(method, seed, 10, learning_rate=5.0, warmup_epochs=20),
            ),
        )
        yield Planted(
            "learned_nothing",
            f"{method} on digits, a rate of 0.00001",
            lambda seed, method=method: (digits, run_of(method, seed, 10, learning_rate=1e-5)),  # type: ignore[misc]
        )
    for method in ("erm", "mixup", "am-mixup"):
        yield Planted(
            "ignored_class",
            f"{method} on digits, ratio 100",
            lambda seed, method=method: (digits, run_of(method, seed, 100)),  # type: ignore[misc]
        )


def findings(source: Source, run: Run) -> list[dict[str, Any]] | None:
    """What the rules find in a run; None where it ended with the error that says that it has diverged."""
    with TemporaryDirectory() as folder:
        try:
            found: list[dict[str, Any]] = train_run(run, source, Path(folder))["health"]
        except InputError:
            return None
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--healthy", type=int, default=100)
    parser.add_argument("--planted", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.perf_counter()
    digits = load("digits")
    alarms = []
    for number in range(options.healthy):
        method, seed = METHODS[number % len(METHODS)], number // len(METHODS)
        found = findings(digits, run_of(method, seed, (5, 10)[seed % 2]))
        assert found is not None
        alarms += [f"{method}, seed {seed}: {one['heading']}: {one['seen']}" for one in found]
    print(f"Healthy runs: {options.healthy}; alarms: {len(alarms)}")
    print("\n".join(f"- {alarm}" for alarm in alarms))
    print("\n| planted | rule | runs | hits | ended with an error | other rules |\n|---|---|---|---|---|---|")
    for case in planted():
        outcomes = [findings(*case.make(seed)) for seed in range(options.planted)]
        ended = [found for found in outcomes if found is not None]
        hits = sum(any(one["rule"] == case.rule for one in found) for found in ended)
        others = sorted({one["rule"] for found in ended for one in found} - {case.rule})
        print(
            f"| {case.what} | {case.rule} | {len(outcomes)} | {hits} | {len(outcomes) - len(ended)} | "
            f"{', '.join(others) or 'none'} |",
            flush=True,
        )
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()

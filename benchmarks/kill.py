"""Kills a training process (SIGKILL) at random moments until it has finished; its weights must come out the same.

    python benchmarks/kill.py --kills 20

Each life is a process of its own, forked from one that has imported everything and computed nothing. It trains on
long-tailed digits, saves a checkpoint after every step, and is killed a random number of steps and milliseconds later;
the next one goes on. The model file of the last must equal, byte for byte, that of a run that nobody interrupted. The
kills are shared out over kinds of runs, which keep different things in their checkpoints. The seed that is printed
repeats the moments as far as the machine does.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import tempfile
import time
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sklearn.datasets import load_digits

from midmix.data import Source, from_arrays, load
from midmix.methods import Method
from midmix.training import Run, Settings, train_run

EPOCHS = 200


class Kind(NamedTuple):
    """A run, and how its rows are taken."""

    method: str
    rows: Literal["features", "images"]
    settings: dict[str, Any]


KINDS = {
    # λ, class counts, priors of targets
    "features": Kind("balanced-am-mixup:clean_weight=1+balanced_softmax", "features", {"network": "mlp-32"}),
    # batch statistics, draws of layers and of crops
    "images": Kind(
        "manifold-mixup", "images", {"network": "resnet-8", "width": 4, "batch_size": 64, "precision": "bf16"}
    ),
    # a loss that goes by progress, another optimizer, steps of two batches, a head and a stage of their own
    "stages": Kind(
        "erm+ldam+drw+cosine >> ncm:cosine=true",
        "features",
        {"network": "mlp-32", "optimizer": "adamw", "learning_rate": 1e-3, "batch_size": 32, "accumulate": 2},
    ),
}


def rows_of(kind: Kind) -> Source:
    """The digits, as features or as images."""
    if kind.rows == "features":
        return load("digits")
    images, labels = load_digits(return_X_y=True)
    return from_arrays((images * 15).astype("uint8").reshape(-1, 8, 8), labels, name="digits")


def train(name: str, folder: Path, *, epochs: int, checkpoint_seconds: float) -> None:
    """One life: the run of this kind from its last checkpoint, or from the beginning."""
    kind = KINDS[name]
    settings = Settings.for_kind(
        kind.rows, **{"epochs": epochs, "warmup_epochs": 1, "evaluate_every": 5, **kind.settings}
    )
    run = Run(Method.parse(kind.method), seed=0, settings=settings, imbalance=50, validation=0.1)
    train_run(run, rows_of(kind), folder, checkpoint_seconds=checkpoint_seconds)


def kill_until_finished(name: str, folder: Path, *, kills: int, epochs: int, draw: random.Random) -> None:
    """Starts and kills lives, then lets the last one end.

    A life dies some steps after those that the ones before it saved, and a part of a step later: so many that the run
    lasts for all kills on a machine of any speed.

    Raises:
        RuntimeError: where a life ends by itself before all kills were dealt, or the last one fails.
    """
    most = max(1, 2 * epochs // (kills + 1))  # an epoch has five steps or more
    for number in range(1, kills + 1):
        goal = saved_step(folder) + draw.randint(0, most)
        life = begin(name, folder, epochs=epochs)
        while saved_step(folder) < goal and life.is_alive():
            time.sleep(0.002)
        time.sleep(draw.uniform(0, 0.02))
        life.kill()
        life.join()
        if life.exitcode is None or life.exitcode >= 0:
            raise RuntimeError(
                f"{name}: life {number} ended by itself (exit code {life.exitcode}); give more epochs"
            )
        half = " while it saved" if (folder / "checkpoints" / "part").exists() else ""
        print(f"{name}: kill {number} of {kills}, step {saved_step(folder)}{half}", flush=True)
    finish(begin(name, folder, epochs=epochs))


def begin(name: str, folder: Path, *, epochs: int, checkpoint_seconds: float = 0) -> ForkProcess:
    """A life, begun."""
    given = {"epochs": epochs, "checkpoint_seconds": checkpoint_seconds}
    life = multiprocessing.get_context("fork").Process(target=train, args=(name, folder), kwargs=given)
    life.start()
    return life


def finish(life: ForkProcess) -> None:
    """Lets a life end by itself.

    Raises:
        RuntimeError: where it fails.
    """
    life.join()
    if life.exitcode:
        raise RuntimeError("the last life failed")


def saved_step(folder: Path) -> int:
    """The step of the newest checkpoint."""
    saved = (folder / "checkpoints").glob("step-*.pt")
    return max((int(path.stem.removeprefix("step-")) for path in saved), default=0)


def main() -> int:
    """Prints what was done, in Markdown; exit code 1 where the weights differ."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20, help="how many (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="length of the run (default: %(default)s)")
    parser.add_argument(
        "--kinds", default=",".join(KINDS), help="of runs, separated by commas (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, help="of the moments (default: drawn)")
    given = parser.parse_args()
    kinds = given.kinds.split(",")
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    draw = random.Random(seed)
    print(f"seed {seed}", flush=True)
    rows, all_same = [], True
    for place, kind in enumerate(kinds):
        kills = given.kills // len(kinds) + (place < given.kills % len(kinds))
        with tempfile.TemporaryDirectory() as name:
            killed, whole = Path(name) / "killed", Path(name) / "whole"
            kill_until_finished(kind, killed, kills=kills, epochs=given.epochs, draw=draw)
            finish(begin(kind, whole, epochs=given.epochs, checkpoint_seconds=1e9))
            same = (killed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
            left = sorted(path.name for path in killed.iterdir())
        rows.append(f"| {kind} | {kills} | {same} | {', '.join(left)} |")
        all_same &= same
    print("\n| kind | kills | weights bit-equal | files left |\n|---|---|---|---|")
    print("\n".join(rows))
    return 0 if all_same else 1


if __name__ == "__main__":
    sys.exit(main())

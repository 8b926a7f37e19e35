"""How long a whole training of CIFAR-10-LT takes on an accelerator: ResNet-32, 200 epochs, imbalance 100.

    python benchmarks/accelerator.py /data/cifar10            # a folder, file or name as `midmix train` takes them
    python benchmarks/accelerator.py digits --epochs 2        # anywhere, to see that it runs

Prints Markdown: seconds from the first step to the last epoch's end, evaluations beside them, and the last epoch's
accuracies, for each form of the arithmetic in its turn. Rows lie on the device, and are cropped and flipped there. What
compiling takes counts. The target, 60 s on one H100, is for the quickest form; with --check the exit code is 1 where it
is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from midmix.data import load
from midmix.methods import Method
from midmix.training import Run, Settings, train_run
from midmix.training.hardware import hardware
from midmix.training.history import read_history
from midmix.training.run_folder import HISTORY

TARGET = 60.0
FORMS: dict[str, dict[str, Any]] = {
    "fp32": {"precision": "fp32", "channels_last": False},
    "bf16, channels last": {"precision": "bf16", "channels_last": True},
    "bf16, channels last, compiled": {"precision": "bf16", "channels_last": True, "compile": True},
}


def main() -> int:
    """Trains each form; exit code 1 where a target that was asked for is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "source", nargs="?", default="digits", help="what is trained on (default: %(default)s)"
    )
    parser.add_argument(
        "--method", default="balanced-am-mixup+balanced_softmax", help="(default: %(default)s)"
    )
    parser.add_argument("--epochs", type=int, help="(default: 200 on an accelerator, else 2)")
    parser.add_argument("--forms", default=None, help=f"separated by semicolons, of {'; '.join(FORMS)}")
    parser.add_argument("--check", action="store_true", help=f"exit with 1 above {TARGET:g} s")
    given = parser.parse_args()
    there = torch.cuda.is_available()
    device = torch.device("cuda" if there else "cpu")
    epochs = given.epochs or (200 if there else 2)
    source, method = load(given.source), Method.parse(given.method)
    images = source.train.kind == "images"
    forms = list(FORMS if there and images else ["fp32"]) if given.forms is None else given.forms.split(";")
    print(f"{given.source}, {given.method}, {epochs} epochs, {hardware(device)}, torch {torch.__version__}\n")
    print("| form | seconds of training | with evaluations | rows a second | accuracy | balanced |")
    print("|---|---|---|---|---|---|")
    quickest = float("inf")
    for form in map(str.strip, forms):
        network = "resnet-32" if images else "mlp"
        wanted = {
            "network": network,
            "epochs": epochs,
            "evaluate_every": epochs,
            **FORMS[form],
        }
        run = Run(method, 0, Settings.for_rows(source.train, **wanted), imbalance=100)
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            record = train_run(run, source, Path(folder) / "run", checkpoint_seconds=1e9)
            whole = time.perf_counter() - began
            last = read_history(Path(folder) / "run" / HISTORY).iloc[-1]
        rows = sum(record["class_counts"]) * epochs / record["seconds"]
        print(
            f"| {form} | {record['seconds']:.1f} | {whole:.1f} | {rows:,.0f} | {last['test_accuracy']:.3f} "
            f"| {last['test_balanced_accuracy']:.3f} |",
            flush=True,
        )
        quickest = min(quickest, record["seconds"])
    return 1 if given.check and quickest > TARGET else 0


if __name__ == "__main__":
    sys.exit(main())

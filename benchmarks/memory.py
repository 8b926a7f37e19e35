"""Memory for training a head on features that are larger than memory should hold.

    python benchmarks/memory.py --folder FOLDER                                   # 1,000,000 rows of 768: 3 GB
    python benchmarks/memory.py --folder FOLDER --rows 100000 --width 768 --classes 20

Writes an NPZ file of random features as `midmix embed` does, a part at a time, unless it is there already, and trains a
linear head on it by `midmix train`, in a process of its own. Prints Markdown: the file's size, and of that process,
from `/proc`, the largest resident memory (`VmHWM`) and what it was made of then: its own (`RssAnon`) and pages of
mapped files (`RssFile`), which are the system's cache of the features and are given back where memory is wanted.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from midmix.data import Labelled
from midmix.data.features_file import write_features
from midmix.training.hardware import hardware

FIELDS = ("VmHWM", "VmRSS", "RssAnon", "RssFile")


@dataclass(frozen=True)
class Drawn:
    """Features that are drawn when they are asked for: a centre for each class, and noise."""

    labels: Tensor
    centres: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        return tuple(self.centres.shape[1:])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Tensor) -> Tensor:
        noise = torch.Generator().manual_seed(int(rows[0]))
        return self.centres[self.labels[rows]] + torch.randn(len(rows), *self.shape, generator=noise)

    def select(self, rows: Tensor) -> Drawn:
        """These rows."""
        return Drawn(self.labels[rows], self.centres)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--method", default="erm+balanced_softmax")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    path = given.folder / f"features-{given.rows}x{given.width}.npz"
    if not path.is_file():
        write(path, given.rows, given.width, given.classes)
    size = path.stat().st_size
    arguments = [
        "train",
        str(path),
        "--method",
        given.method,
        "--network",
        "linear",
        "--epochs",
        str(given.epochs),
    ]
    arguments += ["--out", str(given.folder / f"run-{time.time_ns()}")]
    started = time.perf_counter()
    peak = watched([sys.executable, "-m", "midmix", *arguments])
    seconds = time.perf_counter() - started
    print(
        f"{hardware(torch.device('cpu'))}. {given.rows:,} rows of {given.width} features, {given.classes} classes, "
    )
    print(f"{given.epochs} epoch(s), {seconds:.0f} s.\n")
    print("| | MB | of the file |\n|---|---|---|")
    for name, bytes_ in (("file", size), *peak.items()):
        print(f"| {name} | {bytes_ / 1e6:,.0f} | {bytes_ / size:.2f} |")


def write(path: Path, rows: int, width: int, classes: int) -> None:
    """Features with names and labels."""
    draws = torch.Generator().manual_seed(0)
    labels = torch.randint(classes, (rows,), generator=draws)
    inputs = Drawn(labels, 0.1 * torch.randn(classes, width, generator=draws))
    names = tuple(f"class {number}" for number in range(classes))
    write_features(path, (Labelled(inputs, labels, names), [f"{row}.jpg" for row in range(rows)]))


def watched(command: list[str]) -> dict[str, float]:
    """The largest resident memory of a command in bytes, and what it was made of when it was largest."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    found = {"largest resident memory": 0.0, "its own then": 0.0, "pages of files then": 0.0}
    own = 0.0
    while process.poll() is None:
        time.sleep(0.1)
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            break
        now = {
            key: 1024.0 * int(value) for key, value in re.findall(r"^(\w+):\s+(\d+) kB", status, re.MULTILINE)
        }
        if not all(name in now for name in FIELDS):
            continue
        own = max(own, now["RssAnon"])
        if now["VmRSS"] > found["largest resident memory"]:
            found |= {"its own then": now["RssAnon"], "pages of files then": now["RssFile"]}
        found["largest resident memory"] = max(found["largest resident memory"], now["VmHWM"])
    if process.wait():
        raise SystemExit(f"{' '.join(command)}: ended with {process.returncode}")
    return {**found, "largest of its own at any time": own}


if __name__ == "__main__":
    main()

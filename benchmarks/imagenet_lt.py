"""A made-up set of ImageNet-LT's shape, trained from its list: start, memory over an epoch, and two kills.

    python benchmarks/imagenet_lt.py              # a fiftieth of it: seconds
    python benchmarks/imagenet_lt.py --whole      # 1,000 classes, 115,846 training and 50,000 test images: minutes
    python benchmarks/imagenet_lt.py --whole --only-make --folder made     # the set alone

Images are small JPEGs of which a few hundred differ; every path is a file of its own (a hard link). The run is a
process of its own, whose memory is that of it and its workers, each page counted once (PSS), looked at five times a
second. Then the same run is killed (SIGKILL) at two moments of its epoch, goes on each time, and its weights are
compared with those of the first, byte for byte. Exit code 1 where they differ, or a target is missed with `--whole`.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Thread
from typing import IO

import numpy as np
from PIL import Image

TRAIN, CLASSES, LARGEST, SMALLEST = 115_846, 1000, 1280, 5
TESTS_A_CLASS, DIFFERENT, QUICK = 50, 300, 50
TARGETS = {"start to first step, s": 10.0, "peak memory, GiB": 2.0, "growth of memory over the epoch": 1.05}


def counts(classes: int, total: int) -> list[int]:
    """Rows of each class, falling by a power of its rank from the largest to the smallest, with this sum."""
    low, high = 0.01, 100.0
    for _ in range(60):
        power = (low + high) / 2
        shares = np.linspace(1, 0, classes) ** power
        found = np.round(SMALLEST + (LARGEST - SMALLEST) * shares).astype(int)
        low, high = (power, high) if found.sum() > total else (low, power)
    found[1 : 1 + abs(total - int(found.sum()))] += np.sign(total - found.sum())
    return [int(one) for one in found]


def make(folder: Path, classes: int, total: int, side: int = 64) -> None:
    """The set: `train/CLASS/N.jpg`, `test/CLASS/N.jpg` and the two lists."""
    random = np.random.default_rng(0)
    kept = folder / "kept"
    kept.mkdir(parents=True)
    for number in range(DIFFERENT):
        small = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        file = io.BytesIO()
        small.resize((side, side), Image.Resampling.BICUBIC).save(file, "JPEG", quality=85)
        (kept / f"{number}.jpg").write_bytes(file.getvalue())
    originals = [str(kept / f"{number}.jpg") for number in range(DIFFERENT)]
    wanted = {"train": counts(classes, total), "test": [TESTS_A_CLASS] * classes}
    for split, rows in wanted.items():
        lines = []
        for label, many in enumerate(rows):
            place = folder / split / f"n{label:08d}"
            place.mkdir(parents=True)
            for number, one in enumerate(random.integers(0, DIFFERENT, many)):
                os.link(originals[one], place / f"{number}.jpg")
                lines.append(f"{split}/n{label:08d}/{number}.jpg {label}\n")
        (folder / f"ImageNet_LT_{split}.txt").write_text("".join(lines))


def train(folder: Path, out: Path, whole: bool, workers: int) -> None:
    """The run of one process; a line of JSON for each step that is looked at."""
    import torch

    from midmix.data import load
    from midmix.methods import Method
    from midmix.training import Callback, Run, Settings, StepInfo, train_run

    torch.set_num_threads(1)
    source = load(
        "imagenet-lt" if whole else folder / "ImageNet_LT_train.txt",
        root=str(folder), list_test=str(folder / "ImageNet_LT_test.txt"), image_size=32, lazy=True, workers=workers,
    )  # fmt: skip
    settings = Settings(
        network="resnet-8", width=4, epochs=1, batch_size=256, warmup_epochs=0,
        augment="random-resized-crop+flip", evaluate_every=1,
    )  # fmt: skip

    def told(step: StepInfo) -> None:
        processor = time.process_time()
        print(json.dumps({"step": step.step, "time": time.time(), "processor": processor}), flush=True)

    run = Run(Method.parse("erm+balanced_softmax"), seed=0, settings=settings)
    record = train_run(run, source, out, callback=Callback(on_step=told, every=1), checkpoint_seconds=2.0)
    print(json.dumps({"classes": len(record["classes"]), "rows": sum(record["class_counts"])}), flush=True)


def memory(process: int) -> int:
    """Bytes of a process and those below it, pages that several share counted once."""
    total, waiting = 0, [process]
    while waiting:
        one = waiting.pop()
        try:
            found = Path(f"/proc/{one}/smaps_rollup").read_text()
            total += 1024 * int(
                next(line for line in found.splitlines() if line.startswith("Pss:")).split()[1]
            )
            for task in Path(f"/proc/{one}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except (OSError, StopIteration):  # it has ended meanwhile
            continue
    return total


class Life:
    """One process of the run, watched until it ends or has done so many steps."""

    def __init__(self, arguments: Sequence[str], kill_at: int | None = None) -> None:
        self.started = time.time()
        self.steps: list[tuple[float, int]] = []
        self.memory: list[tuple[float, int]] = []
        self.processor = 0.0  # seconds of the process itself, to its first step
        with subprocess.Popen(
            [sys.executable, __file__, "--run", *arguments], stdout=subprocess.PIPE, text=True
        ) as process:
            reading = Thread(target=self._read, args=(process.stdout,))
            reading.start()
            while process.poll() is None:
                self.memory.append((time.time(), memory(process.pid)))
                if kill_at is not None and self.steps and self.steps[-1][1] >= kill_at:
                    process.send_signal(signal.SIGKILL)
                    break
                time.sleep(0.2)
            process.wait()
            reading.join()
            if kill_at is None and process.returncode:
                raise SystemExit(f"the run ended with {process.returncode}")

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            if "step" in (said := json.loads(line)):
                self.steps.append((said["time"], said["step"]))
                self.processor = self.processor or said["processor"]

    def growth(self) -> float:
        """Mean memory in the last quarter of the epoch's steps, by that in the second."""
        first, last = self.steps[0][0], self.steps[-1][0]

        def mean(low: float, high: float) -> float:
            times = (first + low * (last - first), first + high * (last - first))
            return float(np.mean([size for at, size in self.memory if times[0] <= at <= times[1]]))

        return mean(0.75, 1) / mean(0.25, 0.5)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--whole", action="store_true", help="all of it")
    parser.add_argument("--only-make", action="store_true", help="make the set and stop")
    parser.add_argument("--folder", type=Path, help="where the set is, or is made (default: a temporary one)")
    parser.add_argument("--workers", type=int, default=2, help="processes that decode (default: %(default)s)")
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run is not None:
        train(Path(given.run[0]), Path(given.run[1]), given.whole, given.workers)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = given.folder or Path(name) / "made"
        classes, total = (CLASSES, TRAIN) if given.whole else (CLASSES // QUICK, TRAIN // QUICK)
        if not folder.exists():
            began = time.time()
            make(folder, classes, total)
            print(f"made in {time.time() - began:.0f} s: {folder}", file=sys.stderr)
        if given.only_make:
            return
        flags = ["--whole"] * given.whole + ["--workers", str(given.workers)]
        sys.exit(measure(folder, Path(name), flags, given.whole))


def measure(folder: Path, out: Path, flags: list[str], whole: bool) -> int:
    """Runs, kills and compares; prints the table."""
    import torch

    from midmix.training.hardware import hardware

    one = Life([str(folder), str(out / "one"), *flags])
    steps = one.steps[-1][1]
    seconds = one.steps[-1][0] - one.steps[0][0]
    images = sum(json.loads((out / "one" / "run.json").read_text())["class_counts"])
    print(f"{hardware(torch.device('cpu'))}. {images:,} training images, {steps} steps.\n")
    found = {
        "start to first step, s": one.steps[0][0] - one.started,
        "peak memory, GiB": max(size for _, size in one.memory) / 2**30,
        "growth of memory over the epoch": one.growth(),
    }
    print("| | | to reach |\n|---|---|---|")
    for name, value in found.items():
        print(f"| {name} | {value:.2f} | ≤ {TARGETS[name]:g} |")
    print(f"| processor seconds of the process to its first step | {one.processor:.1f} | |")
    print(f"| peak memory in the epoch's steps, GiB | {one_epoch(one):.2f} | |")
    print(f"| images a second of training | {images * (steps - 1) / steps / seconds:.0f} | |", flush=True)
    lives = [
        Life([str(folder), str(out / "two"), *flags], kill_at=int(steps * share)) for share in (0.3, 0.7)
    ]
    lives.append(Life([str(folder), str(out / "two"), *flags]))
    same = len({(out / run / "model.safetensors").read_bytes() for run in ("one", "two")}) == 1
    print(f"| steps that the lives began at | {', '.join(str(life.steps[0][1]) for life in lives)} | |")
    print(f"| weights after two kills | {'the same bits' if same else 'differ'} | the same bits |")
    return int(not same or (whole and any(value > TARGETS[name] for name, value in found.items())))


def one_epoch(life: Life) -> float:
    """Peak memory between the first step and the last, GiB."""
    return max(size for at, size in life.memory if life.steps[0][0] <= at <= life.steps[-1][0]) / 2**30


if __name__ == "__main__":
    main()

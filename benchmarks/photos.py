"""From photos to a report: EfficientNet-Lite0, a head, five lines and five seeds; and the rate of its features.

    python benchmarks/photos.py                      # 2,000 photos of 10 classes: minutes
    python benchmarks/photos.py --photos 200 --seeds 2

Photos are CIFAR-10's training images, enlarged to 320×240 and saved as JPEG, where `MIDMIX_DATA` names a folder with
them; else noise. Prints Markdown: seconds and processor seconds of the whole command, twice, the second time with the
features of the first, and how many features each computed; then the images a second by `midmix.training.embedded`, from
files, over those of the bare encoder on batches that are decoded already: in one process, in turns, with the same
threads, sizes of batches and order of channels in memory, by the clock and by processor time.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from midmix.data import load
from midmix.models import find_encoder, to_float
from midmix.training import embedded
from midmix.training.embed import CHUNK, FEATURES
from midmix.training.hardware import hardware

LINES = "erm,erm+balanced_softmax,mixup+balanced_softmax,balanced-am-mixup+balanced_softmax,ridge"
NETWORK = f"{Path(__file__).parents[1] / 'docs' / 'efficientnet_lite0.py'}:lite0"
CLASSES = 10
CLOCKS = ("by the clock", "of processor time")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=2000, help="how many (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=5, help="of each line (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of the rate (default: %(default)s)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kind = draw(folder / "photos", given.photos)
        print(f"{hardware(torch.device('cpu'))}. {given.photos:,} photos ({kind}), {CLASSES} classes.\n")
        print("| | seconds | processor seconds | features computed |\n|---|---|---|---|")
        before = kept(folder)
        for place in ("first", "second"):
            wall, processor = command(folder, place, given.seeds)
            after = kept(folder)
            fresh = sum(rows for name, rows in after.items() if name not in before)
            print(
                f"| {place} comparison, 5 lines × {given.seeds} seeds | {wall:.0f} | {processor:.0f} | {fresh:,} |",
                flush=True,
            )
            before = after
        print(f"\nImages a second, medians of {given.rounds}, {torch.get_num_threads()} thread(s):\n")
        print("| | features, from files | bare encoder, decoded | ratio |\n|---|---|---|---|")
        for clock, (ours, bare, ratio) in zip(CLOCKS, rate(folder, given.rounds), strict=True):
            print(f"| {clock} | {ours:.1f} | {bare:.1f} | {ratio:.3f} |")


def draw(folder: Path, photos: int) -> str:
    """Writes the photos; says what they are."""
    random = np.random.default_rng(0)
    data = os.environ.get("MIDMIX_DATA")
    source = load(Path(data) / "cifar10", lazy=True) if data else None
    for label in range(CLASSES):
        (folder / f"class {label}").mkdir(parents=True)
        rows = None if source is None else (source.train.labels == label).nonzero().flatten()
        for number in range(photos // CLASSES):
            if source is None or rows is None:
                pixels = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            else:
                pixels = source.train.inputs[rows[number : number + 1]][0].permute(1, 2, 0).numpy()
            image = Image.fromarray(pixels).resize((320, 240), Image.Resampling.BICUBIC)
            image.save(folder / f"class {label}" / f"{number}.jpg", quality=90)
    return "noise" if source is None else "CIFAR-10, enlarged to 320×240, JPEG"


def command(folder: Path, out: str, seeds: int) -> tuple[float, float]:
    """Seconds, and processor seconds of all its processes, of the whole command."""
    arguments = [
        "compare",
        "photos",
        "--network",
        NETWORK,
        "--methods",
        LINES,
        "--seeds",
        str(seeds),
        "--out",
        out,
    ]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "midmix", *arguments],
        cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "MIDMIX_CACHE": str(folder / "cache")},
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (
        time.perf_counter() - started,
        after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    )


def kept(folder: Path) -> dict[tuple[str, int], int]:
    """Rows of each file of features in the cache; one that is written again has another time, and so another name."""
    return {
        (str(path), path.stat().st_mtime_ns): len(np.load(path, mmap_mode="r"))
        for path in (folder / "cache").rglob(FEATURES)
    }


def rate(folder: Path, rounds: int, most: int = 320) -> list[tuple[float, float, float]]:
    """Images a second of the features of some photos and of the bare encoder on them, and the ratio: by each clock."""
    encoder = find_encoder(NETWORK)
    source = load(folder / "photos", lazy=True, **encoder.inputs.reading())  # type: ignore[union-attr]
    rows = torch.arange(min(most, len(source.train)))
    few = type(source)("photos", source.train.select(rows), source.test.select(rows[:0]))
    batches = [few.train.inputs[part] for part in torch.split(rows, CHUNK)]

    def bare() -> None:
        with torch.inference_mode():
            for batch in batches:
                encoder(to_float(batch).contiguous(memory_format=torch.channels_last))

    found = []
    for number in range(rounds + 1):
        ours = timed(lambda: embedded(few, encoder, folder=folder / f"cache{number}"))  # noqa: B023  (called here)
        if number:  # the first warms up
            found.append(len(rows) / np.array([ours, timed(bare)]))
        else:
            bare()
    times = np.array(found)  # [rounds, ours and bare, clocks]
    ratios = np.median(times[:, 0] / times[:, 1], axis=0)
    ours_rate, bare_rate = np.median(times, axis=0)
    return [tuple(map(float, row)) for row in zip(ours_rate, bare_rate, ratios, strict=True)]  # type: ignore[misc]


def timed(do: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of the processor."""
    wall, processor = time.perf_counter(), time.process_time()
    do()
    return time.perf_counter() - wall, time.process_time() - processor


if __name__ == "__main__":
    main()

"""From photos to a report: EfficientNet-Lite0, a head, five lines and five seeds; and the rate of its features.

    python benchmarks/photos.py                      # 2,000 photos of 10 classes: minutes
    python benchmarks/photos.py --photos 200 --seeds 2

Photos are CIFAR-10's training images, enlarged to 320×240 and saved as JPEG, where `MIDMIX_DATA` names a folder with
them; else noise. Prints Markdown: seconds and processor seconds of the whole command, twice, the second time with the
features of the first; then the images a second of processor time by `midmix.training.embedded` over those of the bare
encoder on batches that are decoded already, in one process and in turns.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from midmix.data import load
from midmix.models import find_encoder, to_float
from midmix.training import embedded
from midmix.training.embed import CHUNK
from midmix.training.hardware import hardware

LINES = "erm,erm+balanced_softmax,mixup+balanced_softmax,balanced-am-mixup+balanced_softmax,ridge"
NETWORK = f"{Path(__file__).parents[1] / 'docs' / 'efficientnet_lite0.py'}:lite0"
CLASSES = 10


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
        print("| | seconds | processor seconds |\n|---|---|---|")
        for place in ("first", "second"):
            wall, processor = command(folder, place, given.seeds)
            print(
                f"| {place} comparison, 5 lines × {given.seeds} seeds | {wall:.0f} | {processor:.0f} |",
                flush=True,
            )
        ours, bare = rate(folder, given.rounds)
        print(
            f"\nFeatures: {ours:.1f} images a processor second, the bare encoder {bare:.1f}: "
            f"{ours / bare:.3f} (median of {given.rounds})."
        )


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


def rate(folder: Path, rounds: int, most: int = 320) -> tuple[float, float]:
    """Images a processor second: of the features of some photos, and of the bare encoder on them, decoded already."""
    encoder = find_encoder(NETWORK)
    source = load(folder / "photos", lazy=True, **encoder.inputs.reading())  # type: ignore[union-attr]
    rows = torch.arange(min(most, len(source.train)))
    few = type(source)("photos", source.train.select(rows), source.test.select(rows[:0]))
    batches = [few.train.inputs[part].contiguous() for part in torch.split(rows, CHUNK)]
    found: list[tuple[float, float]] = []
    for number in range(rounds + 1):
        started = time.process_time()
        with torch.inference_mode():
            for batch in batches:
                encoder(to_float(batch))
        bare = time.process_time() - started
        started = time.process_time()
        embedded(few, encoder, folder=folder / f"cache{number}")
        if number:  # the first warms up
            found.append((len(rows) / (time.process_time() - started), len(rows) / bare))
    ours, plain = np.median(np.array(found), axis=0)
    return float(ours), float(plain)


if __name__ == "__main__":
    main()

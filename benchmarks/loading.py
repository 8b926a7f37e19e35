"""Images a second by the loader, with random parts of 224² JPEGs, by bare decoding and by torchvision's way.

    python benchmarks/loading.py
    python benchmarks/loading.py --images 4000 --rounds 7

Each way decodes the same files, in turns: bare decoding is Pillow's, to an array, without and with the same random
part scaled by Pillow; torchvision's is `DataLoader` over `ImageFolder` with `RandomResizedCrop` and tensors of 8 bits,
with as many workers as ours. Rates are by processor seconds of a process and all that it started, which stay true on a
machine that others use, and by seconds of the clock. The table has the median ratio of ours to each.
"""

from __future__ import annotations

import argparse
import importlib
import io
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

from midmix.data.crops import crop_box, row_draws
from midmix.data.encoded import ImageFiles, Scaling
from midmix.data.images import LazyImages
from midmix.data.loading import Loader, Request, usable_cores
from midmix.training.hardware import hardware

SIDE, DIFFERENT, BATCH = 224, 200, 100


def draw(folder: Path, images: int) -> list[Path]:
    """JPEGs of some 20 KB in `class/`, of which a few hundred differ."""
    random = np.random.default_rng(0)
    (folder / "class").mkdir(parents=True)
    paths = [folder / "class" / f"{number:05d}.jpg" for number in range(images)]
    for number, path in enumerate(paths):
        if number >= DIFFERENT:
            os.link(paths[number % DIFFERENT], path)
            continue
        small = Image.fromarray(random.integers(0, 256, (20, 20, 3), dtype=np.uint8))
        pixels = np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC)).astype(float)
        noisy = (pixels + random.normal(0, 8, (SIDE, SIDE, 1))).clip(0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(noisy).save(file, "JPEG", quality=90)
        path.write_bytes(file.getvalue())
    return paths


def ways(folder: Path, paths: list[Path], workers: int) -> dict[str, Callable[[], int]]:
    """What is compared; each returns how many images it decoded."""
    inputs = LazyImages(
        ImageFiles(folder, paths), torch.arange(len(paths)), (SIDE, SIDE), Scaling(), workers=workers
    )
    requests = [
        Request(rows, (1,), place * BATCH)
        for place, rows in enumerate(torch.arange(len(paths)).split(BATCH))  # type: ignore[no-untyped-call]
    ]
    draws = row_draws(1, 0, len(paths)).tolist()

    def ours() -> int:
        with Loader(inputs, workers=workers) as loader:
            return sum(len(views[0]) for views in loader.read(requests))

    def bare(cropped: bool) -> int:
        def one(number: int) -> int:
            image = Image.open(paths[number]).convert("RGB")
            if cropped:
                top, left, tall, wide = crop_box(SIDE, SIDE, draws[number])
                image = image.crop((left, top, left + wide, top + tall))
                image = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            return int(len(np.asarray(image)) > 0)

        with ThreadPoolExecutor(usable_cores()) as pool:
            return sum(pool.map(one, range(len(paths))))

    found: dict[str, Callable[[], int]] = {
        "ours": ours,
        "bare decoding": lambda: bare(False),
        "bare decoding, with the same part by Pillow": lambda: bare(True),
    }
    try:
        importlib.import_module("step").declare_torchvision_operators()  # of the file beside this one
        from torchvision import datasets, transforms
    except (ImportError, RuntimeError) as error:
        print(f"torchvision: not there ({error})", file=sys.stderr)
        return found
    transform = transforms.Compose([transforms.RandomResizedCrop(SIDE), transforms.PILToTensor()])
    theirs = datasets.ImageFolder(str(folder), transform)

    def torchvision() -> int:
        loader = DataLoader(theirs, BATCH, shuffle=True, num_workers=workers)
        return sum(len(images) for images, _ in loader)

    return {**found, "DataLoader over torchvision's ImageFolder": torchvision}


def timed(way: Callable[[], int]) -> tuple[float, float]:
    """Images a processor second and a second, in a process of its own."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    parent, child = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=lambda: child.send(way()))
    process.start()
    images = parent.recv()
    process.join()
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return images / used, images / seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=1000, help="how many (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="in turns (default: %(default)s)")
    parser.add_argument(
        "--workers", type=int, default=usable_cores(), help="processes (default: %(default)s)"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        found = ways(Path(name), draw(Path(name), given.images), given.workers)
        rates: dict[str, list[tuple[float, float]]] = {way: [] for way in found}
        for _ in range(given.rounds):
            for way, run in found.items():
                rates[way].append(timed(run))
    print(
        f"{hardware(torch.device('cpu'))}. {given.images:,} images of {SIDE}², {given.workers} workers, "
        f"medians of {given.rounds} rounds.\n"
    )
    print(
        "| | images a processor second | ours by it | images a second | ours by it |\n|---|---|---|---|---|"
    )
    for way, seen in rates.items():
        row = [way]
        for place in (0, 1):
            own = [one[place] for one in rates["ours"]]
            other = [one[place] for one in seen]
            ratio = statistics.median(a / b for a, b in zip(own, other, strict=True))
            row += [f"{statistics.median(other):.0f}", f"{ratio:.2f}"]
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()

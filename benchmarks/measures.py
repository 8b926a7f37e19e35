"""What the exact measures cost: against a bare tiled matrix product, in memory, by size, against one-liners.

    python benchmarks/measures.py                     # small sizes, under a minute
    python benchmarks/measures.py --full              # the sizes that the documentation quotes

Prints Markdown. Ratios are of times in one process, taken in turns; times are the best of the repetitions.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from midmix import measures
from midmix.measures._pairs import SIDE

CLASSES, IMBALANCE = 10, 100


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[2_000, 5_000], help="N of the table of times")
    parser.add_argument("--ratio-rows", type=int, default=5_000, help="N of the ratio to a matrix product")
    parser.add_argument("--memory-rows", type=int, default=10_000, help="N of the peak memory")
    parser.add_argument("--width", type=int, default=512, help="D, columns of the features")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions, of which the best counts")
    parser.add_argument("--one-liner-gb", type=float, default=4.0, help="N×N matrices up to this size, in GB")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="processor threads")
    parser.add_argument(
        "--full", action="store_true", help="N = 5,000 to 100,000; ratio at 20,000; memory at 50,000"
    )
    settings = parser.parse_args()
    if settings.full:
        settings.rows, settings.ratio_rows, settings.memory_rows = (
            [5_000, 10_000, 20_000, 50_000, 100_000],
            20_000,
            50_000,
        )
    torch.set_num_threads(settings.threads)

    print(
        f"{processor()}, {settings.threads} threads; Python {platform.python_version()}, torch {torch.__version__}."
    )
    print(
        f"Random float32 features, D = {settings.width}; {CLASSES} classes, exponential profile, ratio {IMBALANCE}.\n"
    )
    ratios(settings.ratio_rows, settings.width, settings.repeat)
    memory(settings.memory_rows, settings.width)
    times(settings.rows, settings.width, settings.repeat, settings.one_liner_gb)
    digits(settings.width)


def ratios(n: int, width: int, repeat: int) -> None:
    """Exact pair measures against a matrix product that forms the same tiles and drops them."""
    features, labels = long_tailed(n, width)
    one_class = torch.zeros_like(labels)
    u = normalize(features, dim=1)
    by_class = [u[labels == c] for c in range(CLASSES)]
    found = [
        ("`uniformity_wi`", lambda: measures.uniformity_wi(features), lambda: tiled_product([u])),
        (
            "`alignment`, one class",
            lambda: measures.alignment(features, one_class),
            lambda: tiled_product([u]),
        ),
        (
            f"`alignment`, {CLASSES} classes",
            lambda: measures.alignment(features, labels),
            lambda: tiled_product(by_class),
        ),
    ]
    print(f"### Against a tiled matrix product over the same pairs, N = {n:,}\n")
    print("| measure | seconds | product alone | ratio |\n|---|---|---|---|")
    for name, measure, product in found:
        seconds = [(clock(measure), clock(product)) for _ in range(repeat)]
        ours, bare = (min(column) for column in zip(*seconds, strict=True))
        print(f"| {name} | {ours:.2f} | {bare:.2f} | {ours / bare:.2f} |", flush=True)
    print()


def memory(n: int, width: int) -> None:
    """High-water mark of the process above where it stood with the input in memory."""
    features, labels = long_tailed(n, width)
    one_class = torch.zeros_like(labels)
    measures.uniformity_wi(features[:2000])  # buffers of the matrix library
    print(f"### Peak memory above the input, N = {n:,} (its N×N matrix: {n * n * 4 / 1e9:.1f} GB)\n")
    print("| measure | MB |\n|---|---|")
    for name, measure in {
        "`uniformity_wi`": lambda: measures.uniformity_wi(features),
        "`alignment`, one class": lambda: measures.alignment(features, one_class),
        f"`alignment`, {CLASSES} classes": lambda: measures.alignment(features, labels),
    }.items():
        print(f"| {name} | {peak_memory(measure) / 1e6:.0f} |", flush=True)
    print()


def times(sizes: list[int], width: int, repeat: int, one_liner_gb: float) -> None:
    """Seconds by size; the one-liners as far as their matrices fit."""
    calls: dict[str, tuple[Callable[[Tensor, Tensor], object], Callable[[Tensor], float]]] = {
        "`uniformity_wi`": (lambda x, y: measures.uniformity_wi(x), lambda y: 0.0),
        "… by `torch.pdist`": (pdist_uniformity, lambda y: len(y) ** 2 / 2 * 4),
        "`alignment`": (lambda x, y: measures.alignment(x, y), lambda y: 0.0),
        "… by `torch.cdist`": (cdist_alignment, lambda y: int(y.bincount().max()) ** 2 * 4),
        "`alignment_wi`, α = 2": (lambda x, y: measures.alignment_wi(x, y), lambda y: 0.0),
        "`class_uniformity`": (lambda x, y: measures.class_uniformity(x, y), lambda y: 0.0),
        "`nc1`": (lambda x, y: measures.nc1(x, y), lambda y: 0.0),
        "`uniformity_wi`, max_rows = 5,000": (
            lambda x, y: measures.uniformity_wi(x, max_rows=5000),
            lambda y: 0.0,
        ),
    }
    print("### Seconds by N\n")
    print("| N | " + " | ".join(calls) + " |\n" + "|---" * (len(calls) + 1) + "|")
    for n in sizes:
        features, labels = long_tailed(n, width)
        cells = []
        for call, needs in calls.values():
            if needs(labels) > one_liner_gb * 1e9:
                cells.append("–")
                continue
            repetitions = repeat if n <= 20_000 else 1
            cells.append(f"{min(clock(partial(call, features, labels)) for _ in range(repetitions)):.2f}")
        print(f"| {n:,} | " + " | ".join(cells) + " |", flush=True)
    print(f"\n–: its distances alone take more than {one_liner_gb:g} GB.\n")


def digits(width: int) -> None:
    """What the one-liners lose on collapsed features."""
    g = torch.Generator().manual_seed(0)
    labels = torch.arange(600) % 3
    print("### Error of `alignment` as classes collapse (against float64, N = 600)\n")
    print("| spread within a class | value | ours | `torch.cdist`, float32 |\n|---|---|---|---|")
    for spread in (1.0, 1e-2, 1e-4):
        features = torch.randn(3, width, generator=g)[labels] + spread * torch.randn(600, width, generator=g)
        u = normalize(features.double(), dim=1)
        exact = torch.stack([_pairwise(u[labels == c]).mean() for c in range(3)]).mean().item()
        ours, theirs = (
            abs(measures.alignment(features, labels) - exact),
            abs(cdist_alignment(features, labels) - exact),
        )
        print(f"| {spread:g} | {exact:.6f} | {ours:.0e} | {theirs:.0e} |")


def tiled_product(groups: list[Tensor]) -> None:
    side = SIDE["cpu"]
    for u in groups:
        for i in range(0, len(u), side):
            for j in range(i, len(u), side):
                u[i : i + side] @ u[j : j + side].T


def pdist_uniformity(features: Tensor, labels: Tensor) -> float:
    return float(torch.pdist(normalize(features, dim=1)).pow(2).mul(-2).exp().mean().log())


def cdist_alignment(features: Tensor, labels: Tensor) -> float:
    u = normalize(features, dim=1)
    groups = [u[labels == c] for c in range(CLASSES) if (labels == c).any()]
    means = [torch.cdist(group, group).mean() for group in groups]
    return float(torch.stack(means).mean())


def _pairwise(u: Tensor) -> Tensor:
    return torch.cdist(u, u, compute_mode="donot_use_mm_for_euclid_dist")


def long_tailed(n: int, width: int) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    weights = IMBALANCE ** -torch.linspace(0, 1, CLASSES)
    labels = torch.multinomial(weights, n, replacement=True, generator=g)
    return torch.randn(n, width, generator=g), labels


def clock(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def peak_memory(call: Callable[[], object]) -> float:
    """Bytes; Linux only: the kernel's high-water mark, reset before the call."""
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    call()
    return _status("VmHWM") - before


def _status(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()

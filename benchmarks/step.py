"""What mixing costs in a training step, beside a step without it and beside timm's and torchvision's.

    python benchmarks/step.py                         # about five minutes
    python benchmarks/step.py --losses                # the losses without mixing, in its place
    python benchmarks/step.py --only cutmix CutMix    # lines whose name has one of these, and unmixed ones
    python benchmarks/step.py --repetitions 400       # narrower intervals

Prints Markdown. In one process every line has its own copy of one network, and each repetition takes a step of every
line, in an order drawn anew. A ratio is the median over repetitions of the line's time by the other's in the same
repetition, with a 95 % interval from the bootstrap. A step is forward, loss, backward and optimizer, over a batch that
lies ready; steps before the clock starts are not counted.
"""

from __future__ import annotations

import argparse
import copy
import gc
import importlib.util
import platform
import random
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import midmix
from midmix.methods import ExpertHeads
from midmix.models import build, describe, replace_module
from midmix.training.step import can_divide, mixed_step

CLASSES = 10
SHAPE = (3, 32, 32)
BARE = "bare step, no mixing"
ERM = "midmix erm"
TWICE = {"midmix regmixup", "midmix saliency-mix", "loss supcon", "loss bcl", "loss proco"}
"""They pass rows through the network twice by what they are; their factor is told, and is no target."""
RIVALS = {"midmix cutmix": "timm Mixup, CutMix"}
"""Of these the ratio is told as well."""
TARGETS = {"midmix am-mixup": 1.02, "midmix balanced-am-mixup": 1.03}
EVERY = 1.05
"""The target of every recipe and loss that is not named above."""

# Inputs and labels to mixed rows and a function from logits to the loss.
Step = Callable[[nn.Module, Tensor, Tensor], Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--network", default="resnet-8", help="a network of midmix.models (default: %(default)s)"
    )
    parser.add_argument("--batch", type=int, default=128, help="rows a batch (default: %(default)s)")
    parser.add_argument(
        "--repetitions", type=int, default=100, help="steps of every line (default: %(default)s)"
    )
    parser.add_argument("--warm-up", type=int, default=5, help="steps before those (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="processor threads")
    parser.add_argument("--losses", action="store_true", help="time the losses, not the recipes")
    parser.add_argument("--only", nargs="+", metavar="TEXT", help="only lines in whose name one of these is")
    parser.add_argument("--bf16", action="store_true", help="bfloat16 autocast and channels_last")
    parser.add_argument("--seed", type=int, default=0, help="of the data, the order and the bootstrap")
    parser.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="cpu counts the process's own time: for a machine that others use too (default: %(default)s)",
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 where a ratio is above its target")
    settings = parser.parse_args()
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    random.seed(settings.seed)

    model = build(settings.network, SHAPE, CLASSES, seed=settings.seed)
    lines, absent = (losses(), []) if settings.losses else steps()
    if settings.only:
        kept = [name for name in lines if name in (BARE, ERM) or any(text in name for text in settings.only)]
        lines, absent = {name: lines[name] for name in kept}, []
    times = measure(lines, model, settings)
    print(
        f"{processor()}, {settings.threads} thread(s); Python {platform.python_version()}, torch {torch.__version__}"
        f"{versions()}.\n{describe(model)}, batches of {settings.batch} × {'×'.join(map(str, SHAPE))}, "
        f"{'bfloat16, channels_last' if settings.bf16 else 'float32'}, SGD with momentum; "
        f"n = {settings.repetitions} repetitions, {settings.clock} time.\n"
    )
    held = table(times, absent, settings.seed)
    if settings.check and not held:
        sys.exit(1)


def steps() -> tuple[dict[str, Callable[[nn.Module], Step]], list[str]]:
    """For each line what makes its step, given the model; and the lines whose package is not installed."""
    lines: dict[str, Callable[[nn.Module], Step]] = {BARE: lambda model: bare}
    for name in midmix.recipes():
        lines[f"midmix {name}"] = lambda model, name=name: mixed(recipe(name).attach(model))  # type: ignore[misc]
    others = {
        "timm Mixup": ("timm", partial(timm_mixup, mixup_alpha=1.0)),
        "timm Mixup, CutMix": ("timm", partial(timm_mixup, mixup_alpha=0.0, cutmix_alpha=1.0)),
        "torchvision v2.MixUp": ("torchvision", partial(torchvision_mixup, "MixUp")),
        "torchvision v2.CutMix": ("torchvision", partial(torchvision_mixup, "CutMix")),
    }
    for name, (package, make) in others.items():
        if importlib.util.find_spec(package) is not None:
            declare_torchvision_operators()
            step = make()
            lines[name] = lambda model, step=step: step  # type: ignore[misc]
    return lines, [name for name in others if name not in lines]


def losses() -> dict[str, Callable[[nn.Module], Step]]:
    """The same for the losses, each with the classifier and the second view that it asks for."""
    lines: dict[str, Callable[[nn.Module], Step]] = {BARE: lambda model: bare}
    lines[ERM] = lambda model: mixed(recipe("erm").attach(model))
    for name in midmix.losses.losses():

        def make(model: nn.Module, name: str = name) -> Step:
            mix, loss = recipe("erm"), midmix.losses.loss(name)
            mix.observe(progress=0.9)
            if name == "ride":
                own = model.get_submodule("fc")
                replace_module(model, own, ExpertHeads(int(own.in_features), CLASSES, count=3))  # type: ignore[arg-type]
            mix.attach(model, loss=loss)
            return two_views(mix, loss) if "views" in loss.needs else mixed(mix)

        lines[f"loss {name}"] = make
    return lines


def recipe(name: str) -> midmix.Mix:
    return midmix.recipe(name, CLASSES, class_counts=[int(5000 * share) for share in frequencies().tolist()])


def frequencies() -> Tensor:
    return 100.0 ** -torch.linspace(0, 1, CLASSES)


def bare(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(model(x), y)


def mixed(mix: midmix.Mix) -> Step:
    mix.observe(accuracy=0.5)

    def step(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        with mix(y):
            logits = model(x)
        return mix.loss(logits)

    return step


def two_views(mix: midmix.Mix, loss: midmix.losses.Loss) -> Step:
    """A step as training does it, of rows and of other rows in the place of another view."""

    def step(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        stepped, _ = mixed_step(model, mix, x, y, loss, divided=can_divide(model, mix), second=x.flip(3))
        return stepped.loss

    return step


def timm_mixup(**alphas: float) -> Step:
    from timm.data.mixup import Mixup
    from timm.loss import SoftTargetCrossEntropy

    mixup, criterion = (
        Mixup(label_smoothing=0.0, num_classes=CLASSES, **alphas),
        SoftTargetCrossEntropy(),
    )

    def step(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        x, targets = mixup(x, y)
        loss: Tensor = criterion(model(x), targets)
        return loss

    return step


def torchvision_mixup(kind: str) -> Step:
    from torchvision.transforms import v2

    mixup = getattr(v2, kind)(alpha=1.0, num_classes=CLASSES)

    def step(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        x, targets = mixup(x, y)
        return F.cross_entropy(model(x), targets)

    return step


def measure(
    lines: dict[str, Callable[[nn.Module], Step]], model: nn.Module, settings: argparse.Namespace
) -> dict[str, list[float]]:
    """Seconds of every step of every line, the lines in turns."""
    generator = torch.Generator().manual_seed(settings.seed)
    clock = time.perf_counter if settings.clock == "wall" else time.process_time
    taken: dict[str, list[float]] = {name: [] for name in lines}
    networks = {name: copy.deepcopy(model).train() for name in lines}
    if settings.bf16:
        for network in networks.values():
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    ready = {name: make(networks[name]) for name, make in lines.items()}
    optimizers = {name: torch.optim.SGD(networks[name].parameters(), lr=0.01, momentum=0.9) for name in lines}
    gc.disable()  # a collection would fall on whichever line comes next
    for repetition in range(-settings.warm_up, settings.repetitions):
        x = torch.rand(settings.batch, *SHAPE, generator=generator)
        y = torch.multinomial(frequencies(), settings.batch, replacement=True, generator=generator)
        for name in random.sample(list(lines), len(lines)):
            own = x.clone(memory_format=torch.channels_last if settings.bf16 else torch.contiguous_format)
            precision = torch.autocast("cpu", torch.bfloat16) if settings.bf16 else nullcontext()
            start = clock()
            with precision:
                loss = ready[name](networks[name], own, y)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizers[name].step()
            optimizers[name].zero_grad()
            if repetition >= 0:
                taken[name].append(clock() - start)
        gc.collect()
    return taken


def table(times: dict[str, list[float]], absent: list[str], seed: int) -> bool:
    """Prints the ratios and returns whether the targets are held."""
    print("| step | median, ms | by the bare step | by midmix erm | target |")
    print("|---|---|---|---|---|")
    held = True
    for name, seconds in times.items():
        to_bare, to_erm = (interval(seconds, times[other], seed) for other in (BARE, ERM))
        ours = name.startswith(("midmix ", "loss ")) and name != ERM and name not in TWICE
        target = TARGETS.get(name, EVERY if ours else None)
        says = ""
        if target is not None:
            fits = max(to_bare[0], to_erm[0]) <= target
            held &= fits
            says = f"≤ {target}, {'held' if fits else 'missed'}"
        ratios = " | ".join(
            f"{middle:.3f} [{low:.3f}, {high:.3f}]" for middle, low, high in (to_bare, to_erm)
        )
        print(f"| {name} | {1000 * np.median(seconds):.1f} | {ratios} | {says} |")
    for name, rival in RIVALS.items():
        if name in times and rival in times:
            middle, low, high = interval(times[name], times[rival], seed)
            print(f"| {name} by {rival} | | {middle:.3f} [{low:.3f}, {high:.3f}] | | |")
    for name in absent:
        print(f"| {name} | not installed | | | |")
    return held


def interval(ours: list[float], theirs: list[float], seed: int) -> tuple[float, float, float]:
    """Median of the ratios, repetition by repetition, and the bounds of its 95 % bootstrap interval."""
    ratios = np.asarray(ours) / np.asarray(theirs)
    draws = np.random.default_rng(seed).choice(ratios, size=(4000, len(ratios)))
    low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
    return float(np.median(ratios)), float(low), float(high)


def declare_torchvision_operators() -> None:
    """Lets torchvision be imported beside a CPU build of torch, where its compiled part does not load."""
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None or _DECLARED:
        return
    try:
        for compiled in Path(found.origin).parent.glob("_C*.so"):
            torch.ops.load_library(str(compiled))  # type: ignore[no-untyped-call]
    except OSError:
        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for name in ("nms", "qnms", "roi_align", "ps_roi_align", "roi_pool", "ps_roi_pool", "deform_conv2d"):
            library.define(f"{name}(...) -> ...")  # type: ignore[no-untyped-call]
            library.define(f"_{name}_backward(...) -> ...")  # type: ignore[no-untyped-call]
        _DECLARED.append(library)  # the declarations last as long as it does


_DECLARED: list[torch.library.Library] = []


def versions() -> str:
    """Those of the packages compared, where they are installed."""
    from importlib.metadata import PackageNotFoundError, version

    found = f", midmix {midmix.__version__}"
    for package in ("timm", "torchvision"):
        try:
            found += f", {package} {version(package)}"
        except PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """The processor's name and number of cores, as the system tells."""
    info = Path("/proc/cpuinfo")
    names = (
        [line for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.exists()
        else []
    )
    name = names[0].split(":")[1].strip() if names else platform.processor() or platform.machine()
    return f"{name}, {len(names) or '?'} core(s)"


if __name__ == "__main__":
    main()

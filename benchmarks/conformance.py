"""What `midmix.conformance` says of our mixers and of timm's, torchvision's and kornia's.

    python benchmarks/conformance.py          # about ten seconds

Prints Markdown. Each mixer is called as its own documentation says, with labels turned into soft targets as that says,
label smoothing off, and every batch mixed.
"""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import midmix
from midmix.conformance import Finding, Mixer, check_mixer, of_mix

CLASSES = 300
OURS = ("mixup", "cutmix", "resize-mix", "saliency-mix", "unimix", "am-mixup", "balanced-am-mixup")


def main() -> None:
    lines: dict[str, Mixer] = {f"midmix {name}": ours(name) for name in OURS}
    for package, make in (("timm", timm), ("torchvision", torchvision), ("kornia", kornia)):
        if importlib.util.find_spec(package) is None:
            print(f"{package} is not installed.\n")
        else:
            importlib.import_module("step").declare_torchvision_operators()  # of the file beside this one
            lines |= {f"{package} {version(package)} {name}": mixer for name, mixer in make().items()}
    found = {name: check_mixer(mixer) for name, mixer in lines.items()}
    laws = [finding.law for finding in next(iter(found.values()))]
    print(f"| mixer | {' | '.join(laws)} |\n|---|{'---|' * len(laws)}")
    for name, findings in found.items():
        print(f"| {name} | {' | '.join(map(cell, findings))} |")


SHORT = {"images and labels are as they were": "held", "the label of the larger share": "larger share"}
"""What a cell of a table says of a law that is held."""


def cell(finding: Finding) -> str:
    return SHORT.get(finding.says, finding.says) if finding.held else f"**no**: {finding.says}"


def ours(name: str) -> Mixer:
    mix = midmix.recipe(name, CLASSES, class_counts=list(range(1, CLASSES + 1)))
    mix.observe(accuracy=0.5)
    return of_mix(mix, answer=lambda images: F.pad(images.flatten(2).square().mean(2), (0, CLASSES)))


def timm() -> dict[str, Mixer]:
    from timm.data.mixup import Mixup

    def mixer(**options: Any) -> Mixer:
        made = Mixup(label_smoothing=0.0, num_classes=CLASSES, **options)
        return lambda images, labels: made(images, labels)

    return {
        f"Mixup({kind}, mode={mode})": mixer(mode=mode, **alphas)
        for kind, alphas in {
            "mixup": {"mixup_alpha": 1.0, "cutmix_alpha": 0.0},
            "cutmix": {"mixup_alpha": 0.0, "cutmix_alpha": 1.0},
        }.items()
        for mode in ("batch", "elem")
    }


def torchvision() -> dict[str, Mixer]:
    from torchvision.transforms import v2

    made: dict[str, Callable[..., Any]] = {
        "v2.MixUp": v2.MixUp(alpha=1.0, num_classes=CLASSES),
        "v2.CutMix": v2.CutMix(alpha=1.0, num_classes=CLASSES),
    }
    return {name: lambda images, labels, part=part: part(images, labels) for name, part in made.items()}  # type: ignore[misc]


def kornia() -> dict[str, Mixer]:
    from kornia.augmentation import RandomCutMixV2, RandomMixUpV2

    def soft(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
        """`(1-λ) y₁ + λ y₂`, as the loss in the documentation of both weighs them."""
        one, two = (F.one_hot(labels.long(), CLASSES).double() for labels in (first, second))
        return (1 - share.double())[:, None] * one + share.double()[:, None] * two

    warnings.simplefilter("ignore", DeprecationWarning)  # kornia's, that the default meaning of λ will change
    both: dict[str, Any] = {"p": 1.0, "data_keys": ["input", "class"]}
    mixup = RandomMixUpV2(**both)

    def mixed(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        found, said = mixup(images, labels)
        return found, soft(said[:, 0], said[:, 1], said[:, 2])

    def cut(correct: bool) -> Mixer:
        cutmix = RandomCutMixV2(use_correct_lambda=correct, **both)

        def mixer(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
            found, said = cutmix(images, labels)
            return found, soft(said[0, :, 0], said[0, :, 1], said[0, :, 2])

        return mixer

    return {
        "RandomMixUpV2": mixed,
        "RandomCutMixV2": cut(False),
        "RandomCutMixV2(use_correct_lambda=True), λ read as in the two above": cut(True),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()

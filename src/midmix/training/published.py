"""Settings of published results on long-tailed sets, each with where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from midmix.errors import unknown

_KANG = "Kang et al. 2020, arXiv 1910.09217"
_CAO = "Cao et al. 2019, arXiv 1906.07413: cifar_train.py"


@dataclass(frozen=True)
class Recipe:
    """Settings and sources of a published training, and how ours differs.

    Attributes:
        fields: of `Settings`, each with its value and its source.
        differs: what theirs has and ours has not.
    """

    fields: dict[str, tuple[Any, str]]
    differs: str


def _kang(file: str, weight_decay: float, augment: str) -> dict[str, tuple[Any, str]]:
    said = f"{_KANG}: config/{file}"
    return {
        "network": (
            "timm:resnet50.tv_in1k",
            f"{_KANG}: ResNet-50, test images scaled and cropped as in torchvision's",
        ),
        "weights": ("none", f"{_KANG}: trained from the beginning"),
        "tune": ("all", f"{_KANG}: trained as a whole"),
        "epochs": (90, said),
        "batch_size": (512, said),
        "optimizer": ("sgd", _KANG),
        "learning_rate": (0.2, f"{said}, a cosine from 0.2 to 0"),
        "momentum": (0.9, said),
        "weight_decay": (weight_decay, said),
        "warmup_epochs": (0.0, said),
        "augment": (augment, f"{_KANG}: data/dataloader.py"),
    }


def _cao() -> dict[str, tuple[Any, str]]:
    return {
        "network": ("resnet-32", _CAO),
        "epochs": (200, _CAO),
        "batch_size": (128, _CAO),
        "optimizer": ("sgd", _CAO),
        "learning_rate": (0.1, _CAO),
        "momentum": (0.9, _CAO),
        "weight_decay": (2e-4, _CAO),
        "warmup_epochs": (5.0, _CAO),
        "augment": ("crop-flip", f"{_CAO}, a crop after padding by 4, and mirror images"),
    }


_MOMENTUM = "Nesterov's momentum here, plain there"
_STEPS = f"a cosine here, a hundredth of the rate after epoch 160 and of that after 180 there; {_MOMENTUM}"
RECIPES = {
    "imagenet-lt-resnet50": Recipe(
        _kang("ImageNet_LT/feat_uniform.yaml", 5e-4, "random-resized-crop+flip+color-jitter"),
        f"{_MOMENTUM}; that file names ResNeXt-50, and ResNet-50 is among the networks given as trained so",
    ),
    "inaturalist-2018-resnet50": Recipe(
        _kang("iNaturalist18/feat_unifrom.yaml", 1e-4, "random-resized-crop+flip"), _MOMENTUM
    ),
    "cifar10-lt-resnet32": Recipe(_cao(), _STEPS),
    "cifar100-lt-resnet32": Recipe(_cao(), _STEPS),
}


def recipe(name: str) -> dict[str, Any]:
    """The settings of a recipe.

    Raises:
        InputError: for a name that nobody knows, with the nearest ones.

    Example:
        >>> recipe("imagenet-lt-resnet50")["batch_size"]
        512
    """
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return {field: value for field, (value, _) in RECIPES[name].fields.items()}

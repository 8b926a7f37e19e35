"""How a network is trained: everything that a run's numbers depend on besides data, method and seed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_type_hints

from midmix.data import place_of
from midmix.data.dataset import Labelled
from midmix.data.encoded_features import from_encoder
from midmix.errors import InputError, unknown
from midmix.models import is_encoder
from midmix.models.tuning import ALL, HEAD, LIGHT, last_blocks
from midmix.numbers import is_real, is_whole
from midmix.registry import is_reference

OPTIMIZERS = ("sgd", "adamw")
PRECISIONS = ("fp32", "bf16", "fp16")
EVALUATIONS = 25  # of a training that has as many epochs, unless it is told otherwise
CROP = "random-resized-crop"
AUGMENTATIONS = {
    CROP: "images",
    "flip": "images",
    "crop-flip": "images",
    "color-jitter": "images",
    "autoaugment": "images",
    "randaugment": "images",
    "cutout": "images",
    "noise": "features",
}
"""What rows each is for."""
LARGEST = 3e38
"""What weights, of 32 bits, can be multiplied by."""


@dataclass(frozen=True)
class Settings:
    """Settings of a training run; `Settings.for_kind` gives the defaults for images or features.

    Attributes:
        network: as `midmix.models.build` names it.
        weights: of an encoder: "pretrained", "none" or a file; see `midmix.models.find_encoder`. None for its own.
        tune: of an encoder: "head" trains a linear classifier on its features, which are computed once; "light",
            "last:N" and "all" train little of it, its last N blocks or everything, see
            `midmix.models.prepare_tuning`. What is trained from the beginning is trained as a whole.
        width: of its first stage or hidden layers, in channels or units; None for the network's own.
        epochs: passes over the training rows.
        batch_size: rows of a step, over all processes.
        optimizer: "sgd" (with Nesterov momentum) or "adamw".
        learning_rate: at its peak, after the warm-up; a cosine leads to 0 at the end.
        momentum: of SGD.
        weight_decay: of weights; biases and normalisation layers are not decayed.
        warmup_epochs: epochs in which the rate rises linearly; may be a fraction.
        accumulate: batches whose gradients make one step.
        augment: for images "crop-flip" (random crop after padding by 4, horizontal flip), "autoaugment" (the policy
            of CIFAR-10), "cutout" (a square of half the side), "random-resized-crop" (a random part, of the file's own
            pixels where images are decoded as they are needed; the first), "flip", "color-jitter" (brightness,
            contrast and saturation by up to 0.4), "randaugment" (2 operations at 9 of 30), or several in their order,
            "crop-flip+autoaugment+cutout"; for features "noise" (a tenth of their standard deviation); or "none".
        precision: "fp32", or "bf16" or "fp16" under autocast.
        channels_last: memory format of images; faster on most processors.
        compile: `torch.compile` of the training step's forward and backward.
        evaluate_every: epochs between evaluations; the last epoch always is one.

    Raises:
        InputError: for a value that cannot be, with the field's name.

    Example:
        >>> Settings.for_kind("images", epochs=30).batch_size
        128
    """

    network: str = "mlp"
    weights: str | None = None
    tune: str = "all"
    width: int | None = None
    epochs: int = 100
    batch_size: int = 64
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup_epochs: float = 5
    accumulate: int = 1
    augment: str = "none"
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    channels_last: bool = True
    compile: bool = False
    evaluate_every: int = 1

    def __post_init__(self) -> None:
        for name, known in (("optimizer", OPTIMIZERS), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise unknown(name, getattr(self, name), known)
        for name, kind in get_type_hints(type(self)).items():
            value = getattr(self, name)
            if kind in (int, int | None) and value is not None and not is_whole(value):
                raise InputError(f"{name}: {value!r} must be a whole number")
            if kind is float and not is_real(value):
                raise InputError(f"{name}: {value!r} must be a number")
            if kind is str and not isinstance(value, str):
                raise InputError(f"{name}: {value!r} must be a text")
        last_blocks(self.tune)
        parts_of(self.augment)
        least: dict[str, float] = {"epochs": 1, "batch_size": 2, "accumulate": 1, "evaluate_every": 1}
        least |= {"momentum": 0, "weight_decay": 0, "warmup_epochs": 0}
        for name, bound in least.items():
            if not getattr(self, name) >= bound:
                raise InputError(f"{name}: {getattr(self, name)} is too small; at least {bound} is needed")
        if not 0 < self.learning_rate < LARGEST:
            raise InputError(
                f"learning_rate: {self.learning_rate} must be above 0 and finite, also in 32 bits"
            )
        for name in ("momentum", "weight_decay", "warmup_epochs"):
            if not getattr(self, name) < LARGEST:
                raise InputError(f"{name}: {getattr(self, name)} must be finite, also in 32 bits")
        if self.momentum >= 1:
            raise InputError(f"momentum: {self.momentum} must be below 1")
        if self.width is not None and self.width < 1:
            raise InputError(f"width: {self.width} must be at least 1")

    @classmethod
    def for_kind(cls, kind: Literal["images", "features"], **given: Any) -> Settings:
        """The defaults for rows of this kind and the network, save for what is given (None stands for the default).

        A training of fifty epochs or more is evaluated 25 to 50 times, as much as a curve can show.
        """
        known = {field.name for field in fields(cls)}
        for name in given:
            if name not in known:
                raise unknown("setting", name, known)
        chosen = {name: value for name, value in given.items() if value is not None}
        defaults = DEFAULTS[kind]
        network = chosen.get("network", defaults["network"])
        if is_encoder(network):
            chosen.setdefault("tune", HEAD)
        for name in ("network", "weights"):  # a file or folder is found from elsewhere too
            if isinstance(chosen.get(name), str) and not is_reference(chosen[name]):
                chosen[name] = place_of(chosen[name])
        own = NETWORK_DEFAULTS.get(network, {})
        if chosen.get("tune") == HEAD:
            own = _HEAD
        elif is_encoder(network) or (
            "tune" in chosen and (is_reference(network) or chosen["tune"] != ALL)
        ):  # a function may give an encoder, and who says how much of it is trained says that it does
            own = ENCODER_DEFAULTS.get(chosen["tune"], LAST_BLOCKS)
        found = {**defaults, **own, **chosen}
        if "evaluate_every" not in found and isinstance(found["epochs"], int):
            found["evaluate_every"] = max(1, found["epochs"] // EVALUATIONS)
        return cls(**found)

    @classmethod
    def for_rows(cls, data: Labelled, **given: Any) -> Settings:
        """The defaults for these rows: features of an encoder get a linear classifier, other features an MLP.

        Example:
            >>> from midmix.data import load
            >>> Settings.for_rows(load("digits").train).network
            'mlp'
        """
        if given.get("network") is None and from_encoder(data):
            given = {**given, "network": "linear"}
        return cls.for_kind(data.kind, **given)

    def as_dict(self) -> dict[str, Any]:
        """All fields, as plain data."""
        return asdict(self)


def parts_of(augment: str) -> tuple[str, ...]:
    """The names of a setting `augment`, in their order; none for "none".

    Raises:
        InputError: for a name that nobody knows, and one that stands there twice.

    Example:
        >>> parts_of("crop-flip+cutout"), parts_of("none")
        (('crop-flip', 'cutout'), ())
    """
    names = () if augment == "none" else tuple(augment.split("+"))
    for name in names:
        if name == "none":
            raise InputError(f"augment: {augment} names none beside others; leave out one or the other")
        if name not in AUGMENTATIONS:
            raise unknown("augment", name, [*AUGMENTATIONS, "none"])
        if names.count(name) > 1:
            raise InputError(f"augment: {augment} names {name} twice; once is enough")
        if name == CROP != names[0]:
            raise InputError(
                f"augment: {augment} has {CROP} after others; put it first, for it is done as images are decoded"
            )
    return names


DEFAULTS: dict[str, dict[str, Any]] = {
    "features": {"network": "mlp", "epochs": 100, "batch_size": 64, "learning_rate": 0.05},
    "images": {"network": "resnet-20", "epochs": 60, "batch_size": 128, "augment": "crop-flip"},
}

_HEAD = {"epochs": 20, "batch_size": 128, "learning_rate": 0.1, "weight_decay": 0.01, "warmup_epochs": 1}
NETWORK_DEFAULTS: dict[str, dict[str, Any]] = {"linear": _HEAD, "cosine": _HEAD}
"""A classifier straight on features is convex, or nearly, and learns with few, large steps; without hidden layers to
smooth it, it wants a decay that an MLP would not bear."""
_TUNED = {"epochs": 10, "batch_size": 32, "warmup_epochs": 1}
LAST_BLOCKS: dict[str, Any] = {**_TUNED, "learning_rate": 0.01, "weight_decay": 1e-4}
ENCODER_DEFAULTS: dict[str, dict[str, Any]] = {
    ALL: LAST_BLOCKS,
    LIGHT: {**_TUNED, "epochs": 20, "learning_rate": 0.02, "weight_decay": 5e-4},
}
"""What was trained already is trained on for a short while, with steps that do not destroy it; where little is trained,
for longer and with larger ones, and mostly the classifier is left to decay."""

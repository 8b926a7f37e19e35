"""Any model of timm, and timm's own training script. Needs `pip install midmix[timm]`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from midmix.errors import InputError
from midmix.integrations.extra import missing
from midmix.mixing import Features, Loss, Mix, RowLoss, cross_entropy
from midmix.mixing.site import Change

try:
    from timm.task import ClassificationTask
except ImportError as error:
    raise missing("timm") from error


def classifiers(model: nn.Module) -> list[nn.Module]:
    """The modules of a timm model that turn features into logits: one, or several whose logits the model adds up.

    As timm names them: those of `model.get_classifier()`, and those that `model.pretrained_cfg["classifier"]` lists
    beside them (distilled models have two heads, VOLO has an auxiliary one).

    Raises:
        InputError: for a model without a classifier (`num_classes=0`), or one that is not timm's.
    """
    get_classifier = getattr(model, "get_classifier", None)
    if not callable(get_classifier):
        raise InputError(
            f"{type(model).__name__}: has no get_classifier(), so it is not timm's; use mix.attach(model)"
        )
    found = get_classifier()
    heads = list(found) if isinstance(found, tuple) else [found]
    named = (getattr(model, "pretrained_cfg", None) or {}).get("classifier", ())
    inside = {module for head in heads for module in head.modules()}
    heads += [
        module
        for name, module in model.named_modules()
        if name in ({named} if isinstance(named, str) else set(named)) and module not in inside
    ]
    heads = [head for head in heads if any(True for _ in head.parameters())]
    if not heads:
        raise InputError(f"{type(model).__name__}: has no classifier; create it with num_classes above 0")
    return heads


@dataclass(frozen=True)
class Classifiers(Features):
    """The features as they enter the classifier of a timm model, or each of its classifiers."""

    def hook(self, model: nn.Module, num_classes: int, change: Change) -> list[RemovableHandle]:
        return [head.register_forward_pre_hook(partial(_mix_input, change)) for head in classifiers(model)]


def attach(mix: Mix, model: nn.Module) -> Mix:
    """`mix.attach(model)` for any model of timm, its classifiers found by timm's conventions.

    Raises:
        InputError: where the mix is for another number of classes than the model, and as `classifiers` does.

    Example:
        >>> import midmix, timm
        >>> model = timm.create_model("test_resnet", num_classes=10)
        >>> attach(midmix.am_mixup(num_classes=10), model).site
        Classifiers(name=None)
    """
    classes = getattr(model, "num_classes", mix.num_classes)
    if classes != mix.num_classes:
        raise InputError(
            f"mix: is for {mix.num_classes} classes, the model for {classes}; both must be the same"
        )
    return mix.attach(model, Classifiers() if mix.site == Features() else None)


class MixTask(ClassificationTask):  # type: ignore[misc]
    """timm's training task with a mix: in timm's training script it takes the place of `ClassificationTask`.

    Labels stay class indices: leave timm's own `--mixup`, `--cutmix` and `--smoothing` at 0. The mix's λ and class
    prior are kept in timm's checkpoints.

    Args:
        model: of timm, on its device.
        mix: attached to it here.
        criterion: any per-sample loss , or a loss of `midmix.losses`.
        device, dtype, verbose: as timm's task takes them.
    """

    def __init__(
        self,
        model: nn.Module,
        mix: Mix,
        criterion: Loss | RowLoss = cross_entropy,
        *,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
        verbose: bool = True,
    ) -> None:
        super().__init__(model, criterion, device=device, dtype=dtype, verbose=verbose)
        self.mix = attach(mix, model)

    def forward(self, input: Tensor, target: Tensor) -> dict[str, Tensor]:
        """`loss`, and `output`: the logits as the model made them, one a mixed row."""
        with self.mix(target):
            output = self.trainable_module(input)
        return {"loss": self.mix.loss(output, self.criterion), "output": output}

    def get_task_state(self, module: nn.Module | None = None, ema: bool = False) -> dict[str, Any]:
        """What timm puts into its checkpoints beside the model."""
        return {} if ema else {"mix": self.mix.state_dict()}

    def load_task_state(
        self,
        state: dict[str, Any] | None,
        strict: bool = True,
        module: nn.Module | None = None,
        ema: bool = False,
    ) -> None:
        """Takes it up again."""
        if state and not ema:
            self.mix.load_state_dict(state["mix"])


def _mix_input(change: Change, head: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    features, *rest = inputs
    return (change(head, features, lambda other: head.forward(other, *rest)), *rest)

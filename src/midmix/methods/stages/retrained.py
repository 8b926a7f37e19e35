"""The classifier, or a few numbers of it, trained again on fixed features with class-balanced draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR

from midmix.decisions.prior import LogitPrior
from midmix.methods.orders import Power
from midmix.methods.stages.stage import STAGES, StageData, linear, linear_head, rescaled, uniform
from midmix.methods.values import real, whole

_BATCH = 128
_MOMENTUM = 0.9


@dataclass(frozen=True)
class Retrained:
    """What the stages that train have in common: SGD with momentum 0.9, batches of 128, a cosine to 0.

    Rows are drawn class-balanced (`Power(0)`), N an epoch; the loss is cross-entropy; the features are fixed.

    Args:
        epochs: of N draws.
        learning_rate: at the first step.
        weight_decay: of what is trained.
    """

    epochs: int = 10
    learning_rate: float = 0.1
    weight_decay: float = 0.0
    name: ClassVar[str]

    def __post_init__(self) -> None:
        whole(f"{self.name}:epochs", self.epochs, least=1)
        real(f"{self.name}:learning_rate", self.learning_rate, above=0)
        real(f"{self.name}:weight_decay", self.weight_decay, least=0)

    def prior(self, before: LogitPrior | None, head: nn.Module, data: StageData) -> LogitPrior:
        """That of the class-balanced draws."""
        return uniform(data)

    def train(
        self, parameters: list[Tensor], logits: Callable[[Tensor], Tensor], inputs: Tensor, data: StageData
    ) -> None:
        """Trains parameters, of which and of a batch of inputs `logits` makes `[B, C]`."""
        generator = torch.Generator().manual_seed(data.seed)
        for parameter in parameters:
            parameter.requires_grad_()
        optimizer = SGD(
            parameters, self.learning_rate, momentum=_MOMENTUM, weight_decay=self.weight_decay, foreach=True
        )
        steps = self.epochs * -(-len(data.labels) // _BATCH)
        schedule = CosineAnnealingLR(optimizer, steps)
        classes, order = len(data.counts), Power(0.0)
        with torch.enable_grad():
            for epoch in range(self.epochs):
                rows = order.rows(data.labels, classes, epoch / self.epochs, generator).to(inputs.device)
                for batch in torch.split(rows, _BATCH):
                    optimizer.zero_grad()
                    loss = F.cross_entropy(logits(inputs[batch]), data.labels[batch])
                    loss.backward()  # type: ignore[no-untyped-call]
                    optimizer.step()
                    schedule.step()


@STAGES.register(name="crt")
@dataclass(frozen=True)
class ClassifierRetraining(Retrained):
    """cRT: a fresh linear classifier, trained on the fixed features with class-balanced draws.

    Kang et al. 2020 (arXiv 1910.09217). Weights and bias start uniform in `±1/√D`, by `data.seed`.

    Args:
        epochs: of N draws, batches of 128.
        learning_rate: at the first step, from where a cosine leads to 0; SGD with momentum 0.9.
        weight_decay: of weights and bias.

    Raises:
        InputError: for values that cannot be.

    Example:
        >>> features = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).repeat(50, 1)
        >>> data = StageData(features, torch.tensor([0, 1]).repeat(50), torch.tensor([50, 50]), None, seed=0)
        >>> ClassifierRetraining().apply(nn.Linear(2, 2), data)(torch.eye(2)).argmax(1)
        tensor([0, 1])
    """

    name: ClassVar[str] = "crt"

    def apply(self, head: nn.Module, data: StageData) -> nn.Module:
        generator = torch.Generator().manual_seed(data.seed)
        features = data.features.detach()
        width = features.shape[1]
        start = torch.rand(len(data.counts), width + 1, generator=generator) * 2 - 1
        start = (start / width**0.5).to(features)
        weight, bias = start[:, :-1].clone(), start[:, -1].clone()
        self.train([weight, bias], lambda rows: F.linear(rows, weight, bias), features, data)
        return linear(weight.detach(), bias.detach())


@STAGES.register(name="lws")
@dataclass(frozen=True)
class LearnableScales(Retrained):
    """LWS: a learned scale for each class's weights, whose directions stay: `f_c w_c·z + b_c`.

    Kang et al. 2020 (arXiv 1910.09217), by class-balanced draws from f = 1. As the paper has it the bias
    is not scaled; the authors' code scales it too.

    Args:
        epochs: of N draws, batches of 128.
        learning_rate: at the first step, from where a cosine leads to 0; SGD with momentum 0.9.
        weight_decay: of the scales.

    Raises:
        InputError: for a classifier that is not linear; for values that cannot be.

    Example:
        >>> features = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).repeat(50, 1)
        >>> data = StageData(features, torch.tensor([0, 1]).repeat(50), torch.tensor([50, 50]), None, seed=0)
        >>> scaled = LearnableScales().apply(linear(torch.eye(2)), data)
        >>> bool((scaled.weight.diagonal() > 1).all())
        True
    """

    name: ClassVar[str] = "lws"

    def apply(self, head: nn.Module, data: StageData) -> nn.Module:
        given = linear_head(head, "lws")
        weight = given.weight.detach()
        bias = 0.0 if given.bias is None else given.bias.detach()
        scales = torch.ones_like(weight[:, 0])
        self.train([scales], lambda rows: scales * rows + bias, data.features.detach() @ weight.T, data)
        return linear(scales.detach()[:, None] * weight, None if given.bias is None else given.bias.detach())


@STAGES.register(name="marc")
@dataclass(frozen=True)
class MarginCalibration(Retrained):
    """MARC: margins calibrated class by class: `a_c (w_c·z + b_c) + β_c ‖w_c‖`, with a and β learned.

    Wang et al. 2021 (arXiv 2112.07225), from a = 1 and β = 0, the classifier fixed. Trained by class-balanced draws, as
    the other stages are.

    Args:
        epochs: of N draws, batches of 128.
        learning_rate: at the first step, from where a cosine leads to 0; SGD with momentum 0.9.
        weight_decay: of a and β.

    Raises:
        InputError: for a classifier that is not linear; for values that cannot be.

    Example:
        >>> features = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).repeat(50, 1)
        >>> data = StageData(features, torch.tensor([0, 1]).repeat(50), torch.tensor([50, 50]), None, seed=0)
        >>> MarginCalibration().apply(linear(torch.eye(2)), data)(torch.eye(2)).argmax(1)
        tensor([0, 1])
    """

    name: ClassVar[str] = "marc"

    def apply(self, head: nn.Module, data: StageData) -> nn.Module:
        given = linear_head(head, "marc")
        lengths = given.weight.detach().norm(dim=1)
        scale, shift = torch.ones_like(lengths), torch.zeros_like(lengths)
        with torch.no_grad():
            logits = given(data.features)
        self.train([scale, shift], lambda rows: scale * rows + shift * lengths, logits, data)
        return rescaled(given, scale.detach(), shift.detach() * lengths)

"""A multilayer perceptron for feature tables and small images, and a classifier straight on features."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from midmix.models.heads import CosineLinear
from midmix.models.normalize import Normalize

COSINE_SCALE = 16.0
"""Of the cosines that are logits."""


class MLP(nn.Module):
    """Hidden layers of `ReLU(Wx + b)` and a linear classifier, over standardised inputs.

    `normalize` → `hidden` (`hidden.0`, `hidden.1`, …: each one layer with its ReLU) → `fc`. Images are
    flattened. Weights start as `nn.Linear` starts them.

    Args:
        shape: the shape of one row, `(D,)` or `(C, H, W)`.
        num_classes: number of logits.
        hidden: widths of the hidden layers; the last is the number of features that `fc` sees. None of them makes `fc`
            a classifier straight on the features, as those of a pretrained encoder want it.
        cosine: make `fc` one of cosines, `16 · cos(w_c, z)`, in place of a linear one.

    Example:
        >>> import torch
        >>> model = MLP((64,), 10, hidden=(128, 128))
        >>> model(torch.zeros(2, 64)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_classes: int,
        *,
        hidden: Sequence[int] = (128, 128),
        cosine: bool = False,
    ) -> None:
        super().__init__()
        self.widths = tuple(hidden)
        widths = (math.prod(shape), *hidden)
        self.normalize = Normalize(shape)
        self.hidden = nn.Sequential(
            *(nn.Sequential(nn.Linear(before, after), nn.ReLU()) for before, after in pairwise(widths))
        )
        self.fc: nn.Module = (
            CosineLinear(widths[-1], num_classes, COSINE_SCALE)
            if cosine
            else nn.Linear(widths[-1], num_classes)
        )

    @property
    def network(self) -> str:
        """The name that `build` takes for this network."""
        if self.widths:
            return "-".join(map(str, ("mlp", *self.widths)))
        return "cosine" if isinstance(self.fc, CosineLinear) else "linear"

    def get_classifier(self) -> nn.Module:
        """The module that turns features into logits, whatever has taken its place."""
        return self.fc

    def features(self, x: Tensor) -> Tensor:
        """Inputs `[B, *shape]` to what enters the classifier `fc`, `[B, D]`."""
        hidden: Tensor = self.hidden(self.normalize(x).flatten(1))
        return hidden

    def answer_and_pullback(self, x: Tensor, *, whole: bool) -> tuple[Tensor, Callable[[Tensor], None]]:
        """`features(x)`, and what adds to the weights' gradients below those that follow from one by them.

        With `whole`, of a linear classifier, logits in place of features. To the bit what autograd gives, without its
        graph, whose upkeep costs more than the arithmetic of layers as small as these. Hooks of layers are not called.

        Example:
            >>> import torch
            >>> model = MLP((3,), 2, hidden=(4,))
            >>> logits, pullback = model.answer_and_pullback(torch.ones(5, 3), whole=True)
            >>> pullback(torch.ones(5, 2))
            >>> model.hidden[0][0].weight.grad.shape
            torch.Size([4, 3])
        """
        layers: list[nn.Linear] = [layer[0] for layer in self.hidden]  # type: ignore[index]
        passed = []
        with torch.no_grad():
            answer = self.normalize(x).flatten(1)
            for layer in layers:
                passed.append((layer, answer))
                answer = torch.addmm(layer.bias, answer, layer.weight.t()).relu_()
            if whole:
                fc = cast(nn.Linear, self.fc)
                passed.append((fc, answer))
                answer = torch.addmm(fc.bias, answer, fc.weight.t())

        @torch.no_grad()
        def pullback(gradient: Tensor) -> None:
            after = None if whole else answer
            for number in reversed(range(len(passed))):
                layer, before = passed[number]
                if after is not None:
                    gradient = torch.ops.aten.threshold_backward(gradient, after, 0)
                _add_gradient(layer.weight, gradient.t() @ before)
                _add_gradient(layer.bias, gradient.sum(0))
                if number:
                    gradient, after = gradient @ layer.weight, before

        return answer.detach(), pullback

    def forward(self, x: Tensor) -> Tensor:
        """Inputs `[B, *shape]` to logits `[B, num_classes]`."""
        logits: Tensor = self.fc(self.features(x))
        return logits


def _add_gradient(parameter: Tensor, gradient: Tensor) -> None:
    parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)

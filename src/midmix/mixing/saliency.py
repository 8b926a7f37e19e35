"""What a model looks at: the size of the gradient of its loss."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def saliency(
    inputs: Tensor, labels: Tensor, answer: Callable[[Tensor], Tensor], *, smooth: int = 7
) -> Tensor:
    """`[B, …]`: the norm over channels of the gradient of each row's cross-entropy (PuzzleMix, arXiv 2009.06962).

    Nothing is left behind: no gradient reaches a parameter.

    Args:
        inputs: `[B, C, …]`, or `[B, D]`, of which each column is a place.
        labels: `[B]`.
        answer: logits `[B, K]` of inputs.
        smooth: width in pixels of the window over which images' saliency is averaged, since gradients are noisy.

    Example:
        >>> weights = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
        >>> saliency(torch.zeros(1, 2), torch.tensor([0]), lambda x: x @ weights)
        tensor([[1.5000, 0.5000]])
    """
    watched = inputs.detach().requires_grad_()
    with torch.enable_grad():
        losses = F.cross_entropy(answer(watched).float(), labels, reduction="sum")
    (gradient,) = torch.autograd.grad(losses, watched)
    if inputs.dim() == 2:
        return gradient.float().abs()
    size = gradient.float().square().mean(1).sqrt()
    width = min(smooth, *size.shape[1:])
    width -= width % 2 == 0
    pool = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}.get(size.dim() - 1)
    if pool is None or width < 3 or not len(size):
        return size
    return pool(size[:, None], width, stride=1, padding=width // 2, count_include_pad=False)[:, 0]

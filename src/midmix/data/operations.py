"""Operations on batches of 8-bit images, each image with a strength of its own; as PIL and torchvision define them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_GREY = (0.2989, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R BT.601)."""


def blend(images: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    """`factor · images + (1 - factor) · other`, cut to 0 … 255; the fraction is dropped.

    Args:
        images: `uint8 [n, 3, H, W]`.
        other: broadcast against them.
        factor: `[n]`, 1 for the images as they are.

    Example:
        >>> grey = torch.full((2, 3, 1, 1), 100, dtype=torch.uint8)
        >>> blend(grey, torch.zeros_like(grey), torch.tensor([0.5, 9.0]))[:, 0].flatten().tolist()
        [50, 255]
    """
    share = factor.double()[:, None, None, None]
    return (share.float() * images + (1 - share).float() * other).clamp(0, 255).to(torch.uint8)


def grey(images: Tensor) -> Tensor:
    """`[n, 1, H, W]`, the images without colour, fractions dropped."""
    weights = torch.tensor(_GREY, device=images.device)[:, None, None]
    return (images.float() * weights).sum(1, keepdim=True).floor()


def mean_grey(images: Tensor) -> Tensor:
    """`[n, 1, 1, 1]`, each image's mean without colour."""
    return grey(images).mean((1, 2, 3), keepdim=True)


def smooth(images: Tensor) -> Tensor:
    """Each pixel's mean with its eight neighbours, its own weight five; the border stays as it is."""
    if min(images.shape[-2:]) < 3:
        return images
    kernel = torch.ones(3, 3, device=images.device)
    kernel[1, 1] = 5
    channels = images.shape[1]
    weights = (kernel / kernel.sum()).expand(channels, 1, 3, 3)
    out = images.clone()
    out[..., 1:-1, 1:-1] = F.conv2d(images.float(), weights, groups=channels).round().to(torch.uint8)
    return out


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Only the so many highest bits of each pixel stay."""
    mask = 256 - 2 ** (8 - bits.long())
    return images & mask.to(torch.uint8)[:, None, None, None]


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Pixels at the threshold and above are inverted."""
    return torch.where(images >= threshold[:, None, None, None], 255 - images, images)


def autocontrast(images: Tensor) -> Tensor:
    """Each channel stretched over 0 … 255; one of a single value stays as it is."""
    values = images.float()
    low, high = values.amin((2, 3), keepdim=True), values.amax((2, 3), keepdim=True)
    flat = low == high
    low = low.masked_fill(flat, 0)
    scale = (255 / (high - low)).masked_fill(flat, 1)
    return ((values - low) * scale).clamp(0, 255).to(torch.uint8)


def equalize(images: Tensor) -> Tensor:
    """Each channel's values spread so that they are about equally frequent, by its own histogram.

    The table of new values is PIL's: with n pixels, m of them of the largest value there is, and s = ⌊(n − m)/255⌋,
    value v becomes ⌊(⌊s/2⌋ + pixels below v)/s⌋; where s is 0 the channel stays as it is.
    """
    channels = images.flatten(0, 1).flatten(1).long()
    counts = torch.zeros(len(channels), 256, dtype=torch.long, device=images.device)
    counts.scatter_add_(1, channels, torch.ones_like(channels))
    most = channels.amax(1, keepdim=True)
    step = (channels.shape[1] - counts.gather(1, most)) // 255
    below = counts.cumsum(1) - counts
    table = ((step // 2 + below) // step.clamp(min=1)).clamp(0, 255)
    table = torch.where(step == 0, torch.arange(256, device=images.device), table)
    return table.gather(1, channels).to(torch.uint8).view(images.shape)


def rotate(images: Tensor, degrees: Tensor) -> Tensor:
    """Turned against the clock about its centre, black where nothing is; nearest pixels."""
    angle = degrees.double() * (torch.pi / 180)
    sine, cosine = angle.sin(), angle.cos()
    height, width = images.shape[-2:]
    y, x = _centres(height, images.device)[:, None], _centres(width, images.device)[None, :]
    y, x = y - height / 2, x - width / 2
    sine, cosine = sine[:, None, None], cosine[:, None, None]
    return _taken(images, sine * x + cosine * y + height / 2, cosine * x - sine * y + width / 2)


def warp(
    images: Tensor,
    *,
    shear_x: Tensor | None = None,
    shear_y: Tensor | None = None,
    right: Tensor | None = None,
    down: Tensor | None = None,
) -> Tensor:
    """Sheared from the upper left corner, or moved by whole pixels; black where nothing is, nearest pixels.

    Args:
        images: `uint8 [n, 3, H, W]`.
        shear_x, shear_y: `[n]`, pixels that a row is moved to the left for each row above it, a column upwards for each
            column to its left.
        right, down: `[n]`, pixels.

    Example:
        >>> row = torch.tensor([1, 2, 3], dtype=torch.uint8).expand(1, 3, 1, 3)
        >>> warp(row, right=torch.tensor([1.0]))[0, 0].tolist()
        [[0, 1, 2]]
    """
    height, width = images.shape[-2:]
    y, x = _centres(height, images.device)[:, None], _centres(width, images.device)[None, :]
    none = torch.zeros(len(images), device=images.device)
    by_x, by_y, to_right, to_below = (
        (none if value is None else value).double()[:, None, None]
        for value in (shear_x, shear_y, right, down)
    )
    return _taken(images, y + by_y * x - to_below, x + by_x * y - to_right)


def _centres(size: int, device: torch.device) -> Tensor:
    return torch.arange(size, dtype=torch.float64, device=device) + 0.5


def _taken(images: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """The pixels in which the points `y`, `x`, each broadcast to `[n, H, W]`, lie; 0 outside the image."""
    height, width = images.shape[-2:]
    row, column = y.floor().long(), x.floor().long()
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    pixel = (row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).flatten(1)
    found = images.flatten(2).gather(2, pixel[:, None].expand(-1, images.shape[1], -1)).view(images.shape)
    return found.where(inside[:, None], 0)

"""Augmentation of batches on the device that they are on."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def crop_flip(images: Tensor, generator: torch.Generator, *, padding: int = 4, flip: bool = True) -> Tensor:
    """Random crop after zero padding, and a horizontal flip with probability 1/2, drawn for each image.

    One gather for the whole batch: nothing leaves the device, and values and dtype are kept.

    Args:
        images: `[B, channels, H, W]`, any dtype and device; left as it is.
        generator: source of the draws. One on the CPU gives the same crops on every device.
        padding: pixels added on each side, so that a crop moves by up to that many pixels either way; 0 for none.
        flip: whether to flip.

    Returns:
        A new tensor of the shape, dtype and device of `images`.

    Example:
        >>> images = torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).reshape(2, 3, 4, 4)
        >>> crop_flip(images, torch.Generator().manual_seed(0), padding=1).shape
        torch.Size([2, 3, 4, 4])
    """
    batch, channels, height, width = images.shape
    shift = torch.randint(2 * padding + 1, (2, batch, 1), generator=generator, device=generator.device)
    coin = torch.randint(1 + flip, (batch, 1), generator=generator, device=generator.device)
    top, left = shift.to(images.device)
    mirrored = coin.to(images.device).bool()

    column = torch.arange(width, device=images.device)
    rows = top + torch.arange(height, device=images.device)
    columns = left + torch.where(mirrored, column.flip(0), column)
    pixel = rows[:, :, None] * (width + 2 * padding) + columns[:, None, :]

    padded = F.pad(images, (padding, padding, padding, padding)).flatten(2)
    return padded.gather(2, pixel.flatten(1)[:, None].expand(-1, channels, -1)).view_as(images)


def cutout(
    images: Tensor, generator: torch.Generator, *, size: int | None = None, fill: Tensor | None = None
) -> Tensor:
    """One square of each image blotted out, its centre drawn from all pixels, so that it may reach over the border.

    DeVries and Taylor 2017, *Improved Regularization of Convolutional Neural Networks with Cutout* (arXiv 1708.04552),
    which takes 16 pixels for CIFAR-10's 32 and fills with 0 after normalisation, that is with the mean.

    Args:
        images: `[B, channels, H, W]`, any dtype and device; left as it is.
        generator: source of the draws. One on the CPU gives the same squares on every device.
        size: side of the square in pixels; half of the image's shorter side where None.
        fill: `[channels]`, what the square is filled with; 0 where None.

    Returns:
        A new tensor of the shape, dtype and device of `images`.

    Example:
        >>> out = cutout(torch.ones(1, 1, 4, 4), torch.Generator().manual_seed(0), size=2)
        >>> int((out == 0).sum()) in (1, 2, 4)  # cut off by the border, or whole
        True
    """
    batch, channels, height, width = images.shape
    side = min(height, width) // 2 if size is None else size
    top = torch.randint(height, (batch, 1), generator=generator, device=generator.device)
    left = torch.randint(width, (batch, 1), generator=generator, device=generator.device)
    top, left = top.to(images.device) - side // 2, left.to(images.device) - side // 2
    row, column = torch.arange(height, device=images.device), torch.arange(width, device=images.device)
    rows = (row >= top) & (row < top + side)
    columns = (column >= left) & (column < left + side)
    covered = (rows[:, :, None] & columns[:, None, :])[:, None]
    filling = images.new_zeros(channels) if fill is None else fill.to(images)
    return torch.where(covered, filling[:, None, None], images)


def jitter(rows: Tensor, generator: torch.Generator, *, deviation: Tensor, share: float = 0.1) -> Tensor:
    """Gaussian noise on features, of a share of each feature's own standard deviation.

    Args:
        rows: `[B, D]`; left as it is.
        generator: source of the draws. One on the CPU gives the same noise on every device.
        deviation: `[D]`, the features' standard deviations.
        share: of the deviation, 0 or more.

    Returns:
        A new tensor of the shape, dtype and device of `rows`.

    Example:
        >>> rows, deviation = torch.zeros(4, 2), torch.tensor([1.0, 0.0])
        >>> jitter(rows, torch.Generator().manual_seed(0), deviation=deviation)[:, 1].tolist()  # a constant stays one
        [0.0, 0.0, 0.0, 0.0]
    """
    noise = torch.randn(rows.shape, generator=generator, device=generator.device).to(rows)
    return rows + share * deviation.to(rows) * noise

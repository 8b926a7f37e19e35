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

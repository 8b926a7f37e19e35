"""Random parts of images, scaled to one size: boxes, and the pixels in them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

AREA, RATIO, TRIES = (0.08, 1.0), (3 / 4, 4 / 3), 10
DRAWS = 2 * TRIES + 4
"""Uniform numbers a row: two a try, two for the place, and two to spare, so that they are whole blocks of Philox's."""
Box = tuple[int, int, int, int]


def crop_box(height: int, width: int, draws: Sequence[float]) -> Box:
    """Top, left, height and width of a random part of an image: a share of its area, of another shape.

    Szegedy et al. 2015, *Going Deeper with Convolutions* (arXiv 1409.4842), section 6: 8 % to 100 % of the area, sides
    as 3/4 to 4/3. As in torchvision's `RandomResizedCrop`, ratios are uniform in the logarithm, ten boxes are tried,
    and where none fits the largest around the centre is taken.

    Args:
        height, width: of the image.
        draws: `DRAWS` numbers of [0, 1).

    Example:
        >>> crop_box(100, 100, [0.5] * DRAWS)
        (14, 14, 73, 73)
    """
    low, high = math.log(RATIO[0]), math.log(RATIO[1])
    for place in range(0, 2 * TRIES, 2):
        area = height * width * (AREA[0] + (AREA[1] - AREA[0]) * draws[place])
        ratio = math.exp(low + (high - low) * draws[place + 1])
        wide, tall = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < tall <= height:
            top = int(draws[2 * TRIES] * (height - tall + 1))
            left = int(draws[2 * TRIES + 1] * (width - wide + 1))
            return top, left, tall, wide
    tall, wide = height, width
    if width / height < RATIO[0]:
        tall = max(1, round(width / RATIO[0]))
    elif width / height > RATIO[1]:
        wide = max(1, round(height * RATIO[1]))
    return (height - tall) // 2, (width - wide) // 2, tall, wide


def row_draws(key: int, start: int, rows: int) -> NDArray[np.float64]:
    """`[rows, DRAWS]` uniform numbers: those of the rows at the places `start`, `start + 1`, … of a stream.

    The numbers of a place depend on the key and the place alone (Philox counts), so that they are the same whoever
    draws them, and however the places are cut into batches.

    Example:
        >>> bool((row_draws(7, 0, 5)[3:] == row_draws(7, 3, 2)).all())
        True
    """
    numbers = np.random.Generator(np.random.Philox(key=key, counter=start * (DRAWS // 4)))
    return numbers.random((rows, DRAWS))


def scaled(part: Tensor, size: tuple[int, int]) -> Tensor:
    """`uint8 [1, 3, h, w]` brought to a size by antialiased bilinear interpolation, within one of 255 as by Pillow.

    On a processor it takes half the time where a pixel's three colours stand together (`channels_last`).
    """
    if part.shape[2:] == size:
        return part
    values = (
        part if part.device.type == "cpu" else part.float()
    )  # torch has no whole numbers for it elsewhere
    found = F.interpolate(values, size, mode="bilinear", antialias=True, align_corners=False)
    return found if found.dtype == torch.uint8 else found.round().clamp(0, 255).to(torch.uint8)


def random_resized_crop(images: Tensor, generator: torch.Generator) -> Tensor:
    """A random part of each image, scaled to the size of the whole; see `crop_box`.

    Args:
        images: `uint8 [B, 3, H, W]`; left as it is.
        generator: source of the draws. One on the CPU gives the same boxes on every device.

    Returns:
        A new tensor of the same shape.

    Example:
        >>> images = torch.randint(256, (2, 3, 8, 8), dtype=torch.uint8)
        >>> random_resized_crop(images, torch.Generator().manual_seed(0)).shape
        torch.Size([2, 3, 8, 8])
    """
    size = images.shape[2], images.shape[3]
    draws = torch.rand(
        (len(images), DRAWS), generator=generator, device=generator.device, dtype=torch.float64
    )
    parts = []
    for row, own in enumerate(draws.tolist()):
        top, left, tall, wide = crop_box(*size, own)
        parts.append(scaled(images[row : row + 1, :, top : top + tall, left : left + wide], size))
    return torch.cat(parts)

"""Views of an image that are known to show the same: shifted a little, and mirrored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import torch
from torch import Tensor

from midmix.errors import InputError

ViewCount = Literal[1, 2, 5, 10]
"""How many views a row is judged by: itself; with its mirror image; with four shifts; with both."""


def views_of(images: Tensor, count: int) -> Iterator[Tensor]:
    """The images as they are, then further views of each, none of them drawn at random.

    Two: and their mirror images, left for right. Five: and the four corners of an image that is wider by a sixteenth of
    its side all round, that is, shifted by so much up or down and left or right, where edge pixels are repeated. Ten:
    these five and their mirror images.

    Args:
        images: `[B, channels, H, W]`, any dtype and device.
        count: 1, 2, 5 or 10.

    Raises:
        InputError: for another count, and for more than one view of rows that are not images.

    Example:
        >>> image = torch.arange(3.0).view(1, 1, 1, 3)
        >>> [view.flatten().tolist() for view in views_of(image, 2)]
        [[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]
    """
    check_views(count, images.shape[1:])
    for shift in _shifts(images, count):
        yield shift
        if count in (2, 10):
            yield shift.flip(3)


def check_views(count: int, shape: torch.Size | tuple[int, ...] | list[int]) -> None:
    """Sees that rows of this shape have so many views.

    Raises:
        InputError: where they do not.
    """
    if count not in get_args(ViewCount):
        raise InputError(f"test views: {count}; choose {', '.join(map(str, get_args(ViewCount)))}")
    if count > 1 and len(shape) != 3:
        raise InputError(f"test views: {count} of rows {list(shape)}, which are no images; leave them out")


def _shifts(images: Tensor, count: int) -> Iterator[Tensor]:
    yield images
    if count < 5:
        return
    height, width = images.shape[2:]
    down, right = max(1, round(height / 16)), max(1, round(width / 16))
    for y in (-down, down):
        for x in (-right, right):
            rows = (torch.arange(height, device=images.device) + y).clamp(0, height - 1)
            columns = (torch.arange(width, device=images.device) + x).clamp(0, width - 1)
            yield images[:, :, rows[:, None], columns]

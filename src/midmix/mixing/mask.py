"""Which part of a mixed row is its partner's: boxes and channels in place of one λ everywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from midmix.errors import InputError


@dataclass(frozen=True)
class Mask:
    """Lays, on activations `[B, C, …]`, what stays the owner's (True) and what becomes the partner's (False).

    Which share that should be is the ratio's λ; which share it is, is the mask's own mean, and the labels follow that.
    On activations `[B, D]`, a table's rows or features, no column has neighbours, so columns are taken at random
    (as Somepalli et al. 2021, arXiv 2106.01342, do with CutMix on tables).

    Args:
        per_row: a mask of its own for each row, instead of one for the batch.

    Attributes:
        needs_saliency: whether it looks at the gradient of the model's loss.
        moves: whether content changes its place, so that even a row pasted into itself would be another.
    """

    per_row: bool = False
    needs_saliency: ClassVar[bool] = False
    moves: ClassVar[bool] = False

    def check(self, shape: Sequence[int]) -> None:
        """Sees that it can be laid on activations whose rows have this shape.

        Raises:
            InputError: where it cannot.
        """

    def lay(
        self, features: Tensor, weight: Tensor, generator: torch.Generator, saliency: Tensor | None = None
    ) -> Tensor:
        """`[R or 1, C or 1, …]` bool for activations `[B, C, …]` and owners' shares `weight [R]`.

        Args:
            saliency: `[R, …]`, how much each place of a row's partner matters, where the mask asks for it.
        """
        raise NotImplementedError

    def paste(self, own: Tensor, features: Tensor, partner: Tensor, mask: Tensor) -> Tensor:
        """Mixed rows of `own [R, …]` and their partners, `features [B, …]` at `partner [R]`."""
        return torch.where(mask, own, rows_at(features, partner))

    def _rows(self, weight: Tensor) -> Tensor:
        """The shares of as many rows as there are masks, where all rows of a batch have one."""
        return weight if self.per_row else weight[:1]


@dataclass(frozen=True)
class Box(Mask):
    """A box of the partner's pixels (CutMix, Yun et al. 2019, arXiv 1905.04899).

    Its sides are `⌊size · (1-λ)^{1/d}⌋` over the d axes behind the channels, its centre is drawn evenly, and what
    hangs over the edge is cut off, so it may be smaller than asked for. An odd side loses a pixel, as in their code.

    Example:
        >>> mask = Box().lay(torch.zeros(3, 1, 4, 4), torch.tensor([0.75] * 3), torch.Generator().manual_seed(0))
        >>> mask.shape, int((~mask).sum())
        (torch.Size([1, 1, 4, 4]), 4)
    """

    def lay(
        self, features: Tensor, weight: Tensor, generator: torch.Generator, saliency: Tensor | None = None
    ) -> Tensor:
        shares, sizes = self._rows(weight), features.shape[2:]
        if not sizes:
            return columns(features.shape[1], shares, generator)
        centres = torch.rand(len(shares), len(sizes), generator=generator)
        if len(shares) == 1 and len(sizes) <= 2 and _in_python(weight):
            return _one_box(sizes, shares.item(), centres[0].numpy())
        centres = centres.to(weight.device)
        return box(sizes, shares, (centres * torch.tensor(sizes, device=weight.device)).long())

    def paste(self, own: Tensor, features: Tensor, partner: Tensor, mask: Tensor) -> Tensor:
        if len(mask) != 1 or mask.dim() < 3 or not _in_python(mask):
            return super().paste(own, features, partner, mask)
        box = _edges(~mask[0, 0].numpy())  # a slice, of which alone a copy is made
        pasted = own.clone()
        pasted[box] = rows_at(features[box], partner)
        return pasted


@dataclass(frozen=True)
class ResizedBox(Box):
    """The whole partner, made small, in a box (ResizeMix, Qin et al. 2020, arXiv 2012.11101).

    The box is cut at the edge as `Box` cuts it, and the partner resized into what is left, bilinearly.

    Raises:
        InputError: for activations without an axis behind the channels: a table's row has no smaller copy.
    """

    moves: ClassVar[bool] = True

    def check(self, shape: Sequence[int]) -> None:
        if len(shape) < 2:
            raise InputError(
                f"mask: rows of shape {tuple(shape)} cannot be made smaller; images [B, C, H, W] are needed (of "
                "tables, mix columns: cutmix)"
            )

    def lay(
        self, features: Tensor, weight: Tensor, generator: torch.Generator, saliency: Tensor | None = None
    ) -> Tensor:
        self.check(features.shape[1:])
        return super().lay(features, weight, generator, saliency)

    def paste(self, own: Tensor, features: Tensor, partner: Tensor, mask: Tensor) -> Tensor:
        small = rows_at(features, partner)
        for axis in range(2, own.dim()):
            inside = (~mask).any(dim=[d for d in range(1, mask.dim()) if d != axis])
            small = _resize(small, inside, axis)
        return torch.where(mask, own, small)


@dataclass(frozen=True)
class SalientBox(Box):
    """A box around the partner's most salient pixel (SaliencyMix, Uddin et al. 2021, arXiv 2006.01791).

    Saliency is the size of the gradient of the model's own loss, as in PuzzleMix (Kim et al. 2020, arXiv 2009.06962),
    where SaliencyMix takes a detector's that knows nothing of the model. Of a table, the most salient columns.
    """

    per_row: bool = True
    needs_saliency: ClassVar[bool] = True

    def lay(
        self, features: Tensor, weight: Tensor, generator: torch.Generator, saliency: Tensor | None = None
    ) -> Tensor:
        assert saliency is not None
        sizes = features.shape[2:]
        if not sizes:
            return _least(-saliency, weight)
        peak = saliency.flatten(1).argmax(1) if len(saliency) else weight.long()
        return box(sizes, weight, torch.stack(torch.unravel_index(peak, sizes), 1))


@dataclass(frozen=True)
class Channels(Mask):
    """Whole channels are the partner's, drawn at random: `⌊(1-λ) · C⌋` of them (H2T, Li et al. 2024, arXiv 2306.06963).

    Example:
        >>> mask = Channels().lay(torch.zeros(2, 10), torch.tensor([0.7, 0.7]), torch.Generator().manual_seed(0))
        >>> mask.shape, int((~mask).sum())
        (torch.Size([1, 10]), 3)
    """

    def lay(
        self, features: Tensor, weight: Tensor, generator: torch.Generator, saliency: Tensor | None = None
    ) -> Tensor:
        mask = columns(features.shape[1], self._rows(weight), generator)
        return mask.reshape(*mask.shape, *[1] * (features.dim() - 2))


def _in_python(tensor: Tensor) -> bool:
    """Whether its numbers may be looked at: an accelerator would have to wait, and a graph be compiled for each."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def _one_box(sizes: torch.Size, weight: float, centre: np.ndarray) -> Tensor:
    """`box` of one share and a centre in `[0, 1)` of each axis, bit for bit: some twenty small operations fewer."""
    side = 1 - weight if len(sizes) == 1 else math.sqrt(1 - weight)
    mask = torch.ones(1, 1, *sizes, dtype=torch.bool)
    inside: list[Any] = [0, 0]
    middles = (centre * np.asarray(sizes, dtype=np.float32)).astype(np.int64).tolist()
    for size, middle in zip(sizes, middles, strict=True):
        half = int(side * size) // 2
        inside.append(slice(max(middle - half, 0), middle + half))
    mask[tuple(inside)] = False
    return mask


def box(sizes: torch.Size, weight: Tensor, centres: Tensor) -> Tensor:
    """`[R, 1, *sizes]`, False within the box of each share of `weight [R]` around its centre `[R, len(sizes)]`."""
    extent = torch.tensor(sizes, device=weight.device)
    half = ((1 - weight.double())[:, None] ** (1 / len(sizes)) * extent).long() // 2
    low, high = centres - half, centres + half
    mask: Tensor | None = None
    for axis, size in enumerate(sizes):
        place = torch.arange(size, device=weight.device)
        outside = (place < low[:, axis, None]) | (place >= high[:, axis, None])
        outside = outside.reshape(-1, 1, *[size if other == axis else 1 for other in range(len(sizes))])
        mask = outside if mask is None else mask | outside
    assert mask is not None
    return mask


def rows_at(features: Tensor, index: Tensor) -> Tensor:
    """`features[index]`; much faster where no slope is asked for, which an accelerator would sum in any order.

    Example:
        >>> rows_at(torch.tensor([[1.0], [2.0]]), torch.tensor([1, 1])).tolist()
        [[2.0], [2.0]]
    """
    return features[index] if features.requires_grad else features.index_select(0, index)


def _edges(inside: np.ndarray) -> tuple[slice, ...]:
    """The box of True places in `inside [*sizes]`, as slices of `[B, C, *sizes]`."""
    found = [slice(None), slice(None)]
    for axis in range(inside.ndim):
        along = inside.any(axis=tuple(other for other in range(inside.ndim) if other != axis))
        start = int(along.argmax())
        found.append(slice(start, start + int(along.sum())))
    return tuple(found)


def columns(count: int, weight: Tensor, generator: torch.Generator) -> Tensor:
    """`[R, count]`, False for `⌊(1-λ) · count⌋` of the columns, drawn at random."""
    keys = torch.rand(len(weight), count, generator=generator).to(weight.device)
    return _least(keys, weight)


def _least(keys: Tensor, weight: Tensor) -> Tensor:
    """False for the columns of the smallest keys, as many as the partner's share asks for."""
    count = keys.shape[1]
    taken = ((1 - weight.double()) * count + 1e-6).long()  # λ is in float32: 1 - .7 of ten is three
    order = keys.argsort(1)
    rank = torch.empty_like(order).scatter_(
        1, order, torch.arange(count, device=keys.device).expand_as(order)
    )
    return rank >= taken[:, None]


def _resize(image: Tensor, inside: Tensor, axis: int) -> Tensor:
    """Squeezes `image [R, C, …]` along an axis into the run of True places of `inside [R or 1, size]`."""
    size = inside.shape[1]
    length = inside.sum(1, keepdim=True).clamp_min(1)
    place = (inside.cumsum(1) - 0.5) * size / length - 0.5  # of pixel centres, as in torch's interpolate
    place = place.clamp(0, size - 1)
    source = torch.arange(size, device=image.device)
    share = (1 - (place[:, :, None] - source).abs()).clamp_min(0).to(image.dtype)  # [R, to, from]
    moved = image.movedim(axis, -1)
    squeezed = moved.flatten(1, -2) @ share.transpose(1, 2)
    return squeezed.reshape(moved.shape).movedim(-1, axis)

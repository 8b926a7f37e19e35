"""Sums over all pairs of rows without a matrix of all pairs.

Squared distances come tile by tile from one matrix product, `‖v‖² + ‖w‖² - 2 v·w`, in float32. The product
forgets small distances: between nearly identical rows the three terms cancel, and the square root makes a
rounding error of 1e-7 one of 3e-4. Two things keep the result good to float64's eye: rows are shifted to
their middle, which no distance notices and which makes the terms as small as the spread; and a tile that
holds a pair much closer than that spread is made again in float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from midmix.measures._rows import unit

CLOSE = 1e-3
"""Share of a tile's scale under which a squared distance is not left to float32: at this share its root is
off by at most 1e-5, and by 1e-6 as a rule."""

SIDE = {"cpu": 1024, "cuda": 4096}
"""Rows of a tile: small enough for the cache, large enough for the matrix product to run at full speed."""

MIDDLE_ROWS = 256
"""Rows, evenly spread over all, whose mean is the origin: any point near the middle serves."""


class Kernel(Protocol):
    """A function of the squared distance."""

    @property
    def single(self) -> bool:
        """Whether float32 tiles are exact enough at all."""

    @property
    def sharp(self) -> bool:
        """Whether it is steep at zero, so that close pairs need float64."""

    @property
    def scale(self) -> float:
        """What the squared distances are multiplied with on the way: it costs nothing in the product."""

    def __call__(self, scaled: Tensor) -> Tensor:
        """Apply in place to scaled squared distances."""


@dataclass(frozen=True)
class Power:
    """`‖u - v‖^α`."""

    alpha: float
    single: bool = True
    scale: float = 1.0

    @property
    def sharp(self) -> bool:
        return self.alpha < 2

    def __call__(self, scaled: Tensor) -> Tensor:
        return scaled.sqrt_() if self.alpha == 1 else scaled.pow_(self.alpha / 2)


@dataclass(frozen=True)
class Gaussian:
    """`exp(-t ‖u - v‖²)`; a large t also magnifies the rounding of the exponent, so it takes float64."""

    t: float
    sharp: bool = False

    @property
    def single(self) -> bool:
        return self.t <= 8

    @property
    def scale(self) -> float:
        return -self.t

    def __call__(self, scaled: Tensor) -> Tensor:
        return scaled.exp_()


@torch.no_grad()
def pair_sums(features: Tensor, kernel: Kernel, index: Tensor | None = None) -> Tensor:
    """For each row a: `Σ_{b≠a} kernel(‖u_a - u_b‖²)` over the rows `index` (all rows if None).

    Each unordered pair is computed once. Memory: one float32 copy of the rows (float64 if they are that) and
    a few tiles.

    Args:
        features: `[N, D]`, any float dtype; normalised to unit length here.

    Returns:
        `[len(index)]`, float64.
    """
    with torch.autocast(features.device.type, enabled=False):
        return _Tiles(features, kernel, index).sums()


class _Tiles:
    def __init__(self, features: Tensor, kernel: Kernel, index: Tensor | None) -> None:
        self.features, self.kernel, self.index = features, kernel, index
        self.n = len(features) if index is None else len(index)
        self.origin = self._unit(slice(0, None, math.ceil(self.n / MIDDLE_ROWS))).mean(0)
        side = SIDE.get(features.device.type, 1024)
        self.blocks = [slice(start, min(start + side, self.n)) for start in range(0, self.n, side)]
        single = kernel.single and features.dtype != torch.float64 and _float32_products_are_float32()
        dtype = torch.float32 if single else torch.float64
        self.points = torch.empty(self.n, features.shape[1] + 2, dtype=dtype, device=features.device)
        for block in self.blocks:
            self._lift(block, out=self.points[block])
        self.memory = self.points.new_empty(min(side, self.n) ** 2)

    def sums(self) -> Tensor:
        total = torch.zeros(self.n, dtype=torch.float64, device=self.points.device)
        for i, rows in enumerate(self.blocks):
            left = _mirrored(self.points[rows], self.kernel.scale)
            for columns in self.blocks[i:]:
                tile = self.kernel(self._distances(left, rows, columns))
                if rows == columns:
                    tile.fill_diagonal_(0.0)
                # At most a block of terms in the tile's own dtype (summed pairwise), the rest in float64.
                total[rows] += tile.sum(1)
                if rows != columns:
                    total[columns] += tile.sum(0)
        return total

    def _distances(self, left: Tensor, rows: slice, columns: slice) -> Tensor:
        """Scaled squared distances, safe for the kernel; what is on the diagonal does not matter."""
        tile = self._product(left, self.points[columns])
        if not self.kernel.sharp:
            return tile if self.kernel.scale < 0 else tile.clamp_min_(0.0)
        if tile.dtype == torch.float32:
            if rows == columns:
                tile.fill_diagonal_(math.inf)
            norms = self.points[:, -2]
            if tile.amin() > CLOSE * (norms[rows].max() + norms[columns].max()):
                return tile
            tile = _mirrored(self._exact(rows), self.kernel.scale) @ self._exact(columns).T
        return tile.clamp_min_(0.0)

    def _product(self, left: Tensor, right: Tensor) -> Tensor:
        """`left @ right.T` into memory that is used again: a fresh tile each time costs a tenth of the product."""
        out = self.memory[: len(left) * len(right)].view(len(left), len(right))
        return torch.mm(left, right.T, out=out)

    def _unit(self, block: slice) -> Tensor:
        return unit(self.features[block if self.index is None else self.index[block]])

    def _lift(self, block: slice, out: Tensor) -> Tensor:
        """`[v, ‖v‖², 1]` a row: its product with a mirrored row is the squared distance of the two."""
        v = self._unit(block).sub_(self.origin)
        out[:, :-2] = v
        out[:, -2] = torch.linalg.vector_norm(v, dim=1).square_()
        out[:, -1] = 1
        return out

    def _exact(self, block: slice) -> Tensor:
        rows = block.stop - block.start
        return self._lift(block, out=self.points.new_empty(rows, self.points.shape[1], dtype=torch.float64))


def _mirrored(points: Tensor, scale: float) -> Tensor:
    """`scale · [-2v, 1, ‖v‖²]` for `[v, ‖v‖², 1]`."""
    mirror = points * (-2 * scale)
    mirror[:, -2] = scale
    mirror[:, -1] = scale * points[:, -2]
    return mirror


def _float32_products_are_float32() -> bool:
    """False where the user lets matrix products round float32 to TF32 or bfloat16 (3 digits)."""
    try:
        return torch.get_float32_matmul_precision() == "highest"
    except RuntimeError:  # set by backend, so it cannot be told as one setting
        return False

"""Sums over all pairs of rows without a matrix of all pairs.

Squared distances come tile by tile from one matrix product, `‖v‖² + ‖w‖² - 2 v·w`, in float32. The product
forgets small distances: between nearly identical rows the three terms cancel, and the square root makes a
rounding error of 1e-7 one of 3e-4. Two things keep the result good to float64's eye: rows are shifted to
their own mean, which no distance notices and which makes the terms as small as the spread; and a tile that
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


class Kernel(Protocol):
    """A function of the squared distance."""

    @property
    def single(self) -> bool:
        """Whether float32 tiles are exact enough at all."""

    @property
    def sharp(self) -> bool:
        """Whether it is steep at zero, so that close pairs need float64."""

    def __call__(self, squared: Tensor) -> Tensor:
        """Apply in place."""


@dataclass(frozen=True)
class Power:
    """`‖u - v‖^α`."""

    alpha: float
    single: bool = True

    @property
    def sharp(self) -> bool:
        return self.alpha < 2

    def __call__(self, squared: Tensor) -> Tensor:
        return squared.sqrt_() if self.alpha == 1 else squared.pow_(self.alpha / 2)


@dataclass(frozen=True)
class Gaussian:
    """`exp(-t ‖u - v‖²)`; a large t also magnifies the rounding of the exponent, so it takes float64."""

    t: float
    sharp: bool = False

    @property
    def single(self) -> bool:
        return self.t <= 8

    def __call__(self, squared: Tensor) -> Tensor:
        return squared.mul_(-self.t).exp_()


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
        side = SIDE.get(features.device.type, 1024)
        self.blocks = [slice(start, min(start + side, self.n)) for start in range(0, self.n, side)]
        self.centre = (
            sum((self._unit(block).sum(0) for block in self.blocks), start=torch.tensor(0.0)) / self.n
        )
        single = kernel.single and features.dtype != torch.float64 and _float32_products_are_float32()
        dtype = torch.float32 if single else torch.float64
        self.points = torch.empty(self.n, features.shape[1] + 2, dtype=dtype, device=features.device)
        for block in self.blocks:
            self.points[block] = self._exact(block).to(dtype)

    def sums(self) -> Tensor:
        total = torch.zeros(self.n, dtype=torch.float64, device=self.points.device)
        for i, rows in enumerate(self.blocks):
            left = _mirrored(self.points[rows])
            for columns in self.blocks[i:]:
                tile = left @ self.points[columns].T
                if rows == columns:
                    tile.fill_diagonal_(math.inf)
                if (
                    tile.dtype == torch.float32
                    and self.kernel.sharp
                    and self._has_close_pair(tile, rows, columns)
                ):
                    tile = _mirrored(self._exact(rows)) @ self._exact(columns).T
                tile = self.kernel(tile.clamp_min_(0.0))
                if rows == columns:
                    tile.fill_diagonal_(0.0)
                # At most a block of terms in the tile's own dtype (summed pairwise), the rest in float64.
                total[rows] += tile.sum(1)
                if rows != columns:
                    total[columns] += tile.sum(0)
        return total

    def _has_close_pair(self, tile: Tensor, rows: slice, columns: slice) -> bool:
        norms = self.points[:, -2]
        return bool(tile.min() <= CLOSE * (norms[rows].max() + norms[columns].max()))

    def _unit(self, block: slice) -> Tensor:
        return unit(self.features[block if self.index is None else self.index[block]])

    def _exact(self, block: slice) -> Tensor:
        """`[v, ‖v‖², 1]` a row, float64: its product with a mirrored row is the squared distance of the two."""
        v = self._unit(block) - self.centre
        return torch.cat([v, v.square().sum(1, keepdim=True), torch.ones_like(v[:, :1])], dim=1)


def _mirrored(points: Tensor) -> Tensor:
    """`[-2v, 1, ‖v‖²]` for `[v, ‖v‖², 1]`."""
    return torch.cat([-2 * points[:, :-2], points[:, -1:], points[:, -2:-1]], dim=1)


def _float32_products_are_float32() -> bool:
    """False where the user lets matrix products round float32 to TF32 or bfloat16 (3 digits)."""
    try:
        return torch.get_float32_matmul_precision() == "highest"
    except RuntimeError:  # set by backend, so it cannot be told as one setting
        return False

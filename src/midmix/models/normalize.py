"""Standardised inputs as a model's first layer, so that a model file needs no side notes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor, nn

from midmix.errors import InputError

MOST_IMAGES, MOST_ROWS = 2_000, 20_000
"""Rows that are decoded to know their mean and spread."""


class Rows(Protocol):
    """Rows read in batches: a tensor, or anything that decodes the rows of an index tensor on access."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Tensor, /) -> Tensor: ...


def to_float(batch: Tensor) -> Tensor:
    """A batch as models take it: `uint8` images scaled to 0..1, anything else as float32.

    Example:
        >>> to_float(torch.tensor([0, 51, 255], dtype=torch.uint8))
        tensor([0.0000, 0.2000, 1.0000])
    """
    return batch.float() / 255 if batch.dtype == torch.uint8 else batch.float()


class Normalize(nn.Module):
    """`(x - mean) / std`, per channel for images `[B, C, H, W]` and per feature for tables `[B, D]`.

    `mean` and `std` are buffers, `[C, 1, 1]` or `[D]`: saved with the model and moved with it. They start as
    0 and 1, which leaves inputs as they are; `fit_normalization` sets them from training inputs.

    Args:
        shape: the shape of one row, `(C, H, W)` or `(D,)`.

    Example:
        >>> layer = Normalize((2,))
        >>> _ = fit_normalization(layer, torch.tensor([[1.0, 5.0], [3.0, 5.0]]))
        >>> layer(torch.tensor([[3.0, 5.0]]))
        tensor([[1., 0.]])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        size = (shape[0], *(1 for _ in shape[1:]))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        """`[B, *shape]` to the same shape, standardised."""
        return (x - self.mean) / self.std

    def extra_repr(self) -> str:
        return str(self.mean.shape[0])


def fit_normalization(
    model: nn.Module, inputs: Rows, *, batch_size: int = 128, max_decoded: int | None = None
) -> nn.Module:
    """Set the `Normalize` layer of `model` to the mean and standard deviation of training inputs.

    Sums are float64 and batches are merged by Chan's update, so neither the magnitude of a column nor the
    number of rows costs accuracy. A constant channel or feature gets `std` 1: it becomes 0, never NaN.

    Args:
        model: a model from `build`, any module that holds one `Normalize` layer, or the layer itself; an encoder that
            brings its own normalisation is left as it is.
        inputs: training rows, `uint8 [N, C, H, W]` (scaled to 0..1 as `to_float` does), `float [N, D]`, or an
            object that decodes rows on access.
        batch_size: rows read at a time.
        max_decoded: of rows that are decoded on access, so many at most are read, evenly spaced, 2,000 images or
            20,000 of others where None; those of a tensor, or of an object that says `read_as_stored`, are all read.
            Channels of 2,000 images have their mean within .006 of that of all, where images' own means spread by .25,
            as widely as pixels do.

    Returns:
        `model`, its layer set in place.

    Raises:
        InputError: no `Normalize` layer or several, no rows, rows of another shape, or values that are not
            finite.
    """
    if getattr(model, "own_normalization", False):
        return model
    layer = _layer(model)
    if len(inputs) == 0:
        raise InputError("inputs: no rows to fit the normalisation on; give at least one training row")
    if max_decoded is None:
        max_decoded = MOST_IMAGES if layer.mean.dim() == 3 else MOST_ROWS
    count, mean, squares = 0, torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for batch in _batches(inputs, batch_size, max_decoded):
        values = _by_channel(batch, layer)
        n = values.shape[1]
        batch_mean = values.mean(1)
        delta = batch_mean - mean
        squares = (
            squares
            + (values - batch_mean[:, None]).square().sum(1)
            + delta.square() * (count * n / (count + n))
        )
        mean = mean + delta * (n / (count + n))
        count += n
    if not bool(squares.isfinite().all()):
        bad = (~squares.isfinite()).nonzero().flatten().tolist()
        names = ", ".join(map(str, bad[:8])) + (", …" if len(bad) > 8 else "")
        raise InputError(
            f"inputs: NaN or infinite values in column(s) {names}; remove or replace those rows first"
        )
    std = (squares / count).sqrt()
    # Spread below what float32 can resolve around the mean is rounding, not signal.
    constant = std <= torch.clamp(mean.abs() * 1e-7, min=torch.finfo(torch.float32).tiny)
    layer.mean.copy_(mean.reshape(layer.mean.shape))
    layer.std.copy_(std.masked_fill(constant, 1.0).reshape(layer.std.shape))
    return model


def _layer(model: nn.Module) -> Normalize:
    layers = [module for module in model.modules() if isinstance(module, Normalize)]
    if len(layers) != 1:
        raise InputError(
            f"model: has {len(layers)} Normalize layers where one is needed; "
            "begin it with midmix.models.Normalize(shape)"
        )
    return layers[0]


def _batches(inputs: Rows, batch_size: int, max_decoded: int) -> Iterator[Tensor]:
    if isinstance(inputs, Tensor):
        yield from torch.split(inputs, batch_size)
        return
    rows = torch.arange(len(inputs))
    if len(rows) > max_decoded and not getattr(inputs, "read_as_stored", False):
        rows = torch.linspace(0, len(rows) - 1, max_decoded, dtype=torch.float64).round().long()
    for index in torch.split(rows, batch_size):
        yield inputs[index]


def _by_channel(batch: Tensor, layer: Normalize) -> Tensor:
    """`[B, C, …]` as `[C, B·…]` in float64 on the CPU, images scaled to 0..1."""
    if batch.dim() != layer.mean.dim() + 1 or batch.shape[1] != layer.mean.shape[0]:
        expected = "[N, channels, height, width]" if layer.mean.dim() == 3 else "[N, features]"
        raise InputError(
            f"inputs: rows of shape {tuple(batch.shape[1:])} do not fit a model for {expected} "
            f"with {layer.mean.shape[0]} of them; build the model for the shape of its rows"
        )
    scale = 255.0 if batch.dtype == torch.uint8 else 1.0
    return batch.detach().transpose(0, 1).flatten(1).cpu().double() / scale

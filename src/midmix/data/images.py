"""Encoded images as inputs: one tensor when they are small, decoded on access when they are large."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate, get_worker_info

from midmix.data.crops import row_draws, scaled
from midmix.data.dataset import Inputs
from midmix.data.encoded import Encoded, Scaling, decode, decode_part, size_of
from midmix.data.labels import listing
from midmix.errors import InputError

EAGER_BYTES = 2 * 2**30
"""Pixels of a source (training and test) that are kept decoded in memory; larger ones stream."""


@dataclass(frozen=True)
class LazyImages:
    """Images that are decoded when their rows are asked for: by a pool of threads, in training by processes ahead.

    Attributes:
        encoded: where the images are.
        rows: which of them these are, `int64 [N]`.
        size: height and width in pixels.
        scaling: how every image is brought to that size; None where they are of that size as they are.
        workers: how many processes decode training rows; 0 for threads, None for as many as there are cores.

    Raises:
        InputError: when a row is read that cannot be decoded.
    """

    encoded: Encoded
    rows: Tensor
    size: tuple[int, int]
    scaling: Scaling | None
    workers: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return (3, *self.size)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Tensor) -> Tensor:
        chosen = self.rows[rows.cpu()]
        decoded = decode_all(self.encoded, chosen, size=self.size, scaling=self.scaling, rows_per_task=4)
        if decoded.sizes:
            raise InputError(
                f"{self.encoded.name(int(chosen[0]))}, …: {_differ({self.size, *decoded.sizes})}"
            )
        self._see_whole(decoded.broken)
        return decoded.pixels

    def parts(self, rows: Tensor, *, key: int, start: int) -> Tensor:
        """A random part of each image as `crop_box` says, scaled to the size; `uint8 [B, 3, H, W]`.

        Args:
            rows: `[B]`.
            key: of the stream of draws.
            start: place of the first row in that stream; the others follow.
        """
        chosen, draws = self.rows[rows.cpu()], row_draws(key, start, len(rows)).tolist()
        cut: list[Tensor] = [torch.empty(0)] * len(rows)
        parts = list(cut)

        def one(position: int, row: int) -> None:
            cut[position] = decode_part(self.encoded.read(row), size=self.size, draws=draws[position])

        def scale(position: int, row: int) -> None:
            parts[position] = scaled(cut[position], self.size)[0].permute(1, 2, 0)

        # One after the other for several images: in turns, each would find the processor's caches full of the other.
        self._see_whole(_for_each(chosen, one, 16))
        _for_each(chosen, scale, 16)
        batch: Tensor = default_collate(parts)  # in a worker process, straight into memory that is shared
        return batch.permute(0, 3, 1, 2)

    def _see_whole(self, broken: Mapping[int, str]) -> None:
        if broken:
            row, why = next(iter(broken.items()))
            raise InputError(
                f"{self.encoded.name(row)}: broken image ({why}); repair it, or leave out broken images "
                "with --skip-broken (skip_broken=True), which decodes every image once before training"
            )

    @property
    def prepared_as(self) -> str:
        """What is done to the images' files, in words that change with it."""
        return f"{self.size} {self.scaling}"

    def content(self, row: int) -> bytes:
        """A row's file."""
        return self.encoded.read(int(self.rows[row]))

    def select(self, rows: Tensor) -> LazyImages:
        """The same images, restricted to these rows; nothing is decoded."""
        return replace(self, rows=self.rows[rows])


@dataclass(frozen=True)
class Decoded:
    """`pixels [N, 3, H, W]` of the rows asked for, and why rows among them could not be decoded."""

    pixels: Tensor
    broken: Mapping[int, str]
    sizes: frozenset[tuple[int, int]]


def decode_all(
    encoded: Encoded,
    rows: Tensor,
    *,
    size: tuple[int, int],
    scaling: Scaling | None,
    rows_per_task: int = 64,
) -> Decoded:
    """Decode rows into one tensor, scaled and cropped to `size` as `scaling` has it; without it, rows of another size
    are left black and their sizes reported.
    """
    pixels = np.zeros((len(rows), 3, *size), dtype=np.uint8)
    others: set[tuple[int, int]] = set()

    def one(position: int, row: int) -> None:
        image = _decoded(encoded.read(row), size, scaling)
        if image.shape[:2] == size:
            pixels[position] = image.transpose(2, 0, 1)
        else:
            others.add((image.shape[0], image.shape[1]))

    broken = _for_each(rows, one, rows_per_task)
    return Decoded(torch.from_numpy(pixels), broken, frozenset(others))


@dataclass(frozen=True)
class Opened:
    """Inputs made of encoded images: rows that could be read, and why the others could not."""

    inputs: Inputs
    kept: Tensor
    broken: Mapping[int, str] = field(default_factory=dict)


def first_size(encoded: Encoded, *, image_size: int | None) -> tuple[int, int] | None:
    """Size of the first image with a readable header, `(image_size, image_size)` if that is given."""
    if image_size is not None:
        return image_size, image_size
    for row in range(len(encoded)):
        try:
            return size_of(encoded.read(row))
        except (ValueError, OSError):
            continue
    return None


def open_images(
    encoded: Encoded,
    *,
    where: str,
    size: tuple[int, int],
    scaling: Scaling | None,
    eager: bool,
    skip_broken: bool,
    workers: int | None = None,
) -> Opened:
    """Inputs of all images that can be read.

    Eager images are all decoded here. Lazy ones that are to be scaled are not looked at, and of others only the headers
    are read, to see that they are of one size; unless broken images are to be skipped, because only decoding a whole
    image tells that it is not broken.

    Raises:
        InputError: the images differ in size, and are not to be scaled.
    """
    rows = torch.arange(len(encoded))
    if eager:
        decoded = decode_all(encoded, rows, size=size, scaling=scaling)
        pixels, broken, sizes = decoded.pixels, decoded.broken, set(decoded.sizes)
    else:
        pixels, broken, sizes = None, {}, set[tuple[int, int]]()

        def look(_: int, row: int) -> None:
            data = encoded.read(row)
            found = _decoded(data, size, scaling).shape[:2] if skip_broken else size_of(data)
            if scaling is None and found != size:
                sizes.add((found[0], found[1]))

        if scaling is None or skip_broken:
            broken = _for_each(rows, look, 64)
    if sizes:
        raise InputError(f"{where}: {_differ({size, *sizes})}")
    whole = torch.ones(len(encoded), dtype=torch.bool)
    whole[list(broken)] = False
    kept = whole.nonzero().squeeze(1)
    if pixels is not None:
        return Opened(pixels[kept] if broken else pixels, kept, broken)
    return Opened(LazyImages(encoded, kept, size, scaling, workers), kept, broken)


def _differ(sizes: Set[tuple[int, int]]) -> str:
    shown = ", ".join(f"{height}×{width}" for height, width in sorted(sizes)[:4])
    return (
        f"the images differ in size ({shown}{', …' if len(sizes) > 4 else ''}, height × width); "
        "give the side of a square in pixels with --image-size (image_size=), such as 64"
    )


def _decoded(data: bytes, size: tuple[int, int], scaling: Scaling | None) -> np.ndarray:
    return decode(data, size=None) if scaling is None else decode(data, size=size, scaling=scaling)


def note_broken(name: str, found: Sequence[tuple[Encoded, Opened]], *, skip_broken: bool) -> tuple[str, ...]:
    """A line on the images that could not be read, if there are any.

    Raises:
        InputError: there are, and they are not to be skipped; they are counted and the first ones named.
    """
    broken = [
        f"{one.name(row)}: {opened.broken[row]}" for one, opened in found for row in sorted(opened.broken)
    ]
    if not broken:
        return ()
    what = f"{len(broken)} of {sum(len(one) for one, _ in found)} images broken or empty ({listing(broken)})"
    if not skip_broken:
        raise InputError(
            f"{name}: {what}; repair or remove them, or go on without them with --skip-broken (skip_broken=True)"
        )
    return (f"left out {what}",)


def _for_each(rows: Tensor, do: Callable[[int, int], None], rows_per_task: int) -> dict[int, str]:
    """Call `do(position, row)` on the pool; the rows for which it could not read an image, and why."""
    numbered = list(enumerate(rows.tolist()))

    def task(start: int) -> dict[int, str]:
        broken: dict[int, str] = {}
        for position, row in numbered[start : start + rows_per_task]:
            try:
                do(position, row)
            except (ValueError, OSError) as error:
                broken[row] = str(error)
        return broken

    starts = range(0, len(numbered), rows_per_task)
    alone = get_worker_info() is not None  # one of several processes that decode
    tasks: Iterable[dict[int, str]] = map(task, starts) if alone else _threads().map(task, starts)
    found: dict[int, str] = {}
    for broken in tasks:
        found.update(broken)
    return found


@cache
def _threads() -> ThreadPoolExecutor:
    """Threads are enough: Pillow's decoders release the interpreter's lock."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="midmix-decode")


os.register_at_fork(after_in_child=_threads.cache_clear)  # a forked process has no threads but its own

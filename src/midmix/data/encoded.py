"""Images that are still JPEG, PNG, …: where their bytes are, and how they become pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from midmix.data.crops import crop_box
from midmix.errors import InputError, unknown
from midmix.text import printable

if TYPE_CHECKING:
    import pyarrow as pa
    from PIL.Image import Image

_SIXTEEN_BITS = ("PNG", "PPM")
"""Formats without wider grey values, whose 16 bits Pillow may open as 32."""
_FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Formats of pixels. Others are programs (EPS would be run by Ghostscript) or refer to other files."""
_WIDE = {"F": "float", "I": "32-bit or signed integer"}
"""What Pillow's modes are."""


INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")


@dataclass(frozen=True)
class Scaling:
    """How images are brought to a size: scaled until they cover it, and cropped around their centre.

    Attributes:
        interpolation: nearest, bilinear, bicubic or lanczos; all but the first smooth what is made smaller.
        crop: share of a side that is kept.

    Raises:
        InputError: an unknown interpolation, or a crop that is no share.

    Example:
        >>> Scaling("cubic")
        Traceback (most recent call last):
        ...
        midmix.errors.UnknownNameError: unknown interpolation 'cubic': did you mean bicubic? ...
    """

    interpolation: str = "bilinear"
    crop: float = 1.0

    def __post_init__(self) -> None:
        if self.interpolation not in INTERPOLATIONS:
            raise unknown("interpolation", self.interpolation, INTERPOLATIONS)
        if not 0 < self.crop <= 1:
            raise InputError(f"crop: {self.crop}; a share above 0 and at most 1 is needed")


class Encoded(Protocol):
    """Encoded images by row."""

    def __len__(self) -> int: ...

    def name(self, row: int) -> str:
        """What messages call the image."""
        ...

    def read(self, row: int) -> bytes:
        """The image file's bytes."""
        ...


@dataclass(frozen=True)
class ImageFiles:
    """Images in files, named relative to the folder that the user gave.

    Attributes:
        folder: that folder.
        paths: of the images in it.
        notes: what was left out.
    """

    folder: Path
    paths: Sequence[Path]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, row: int) -> str:
        return printable(str(self.paths[row].relative_to(self.folder)))

    def read(self, row: int) -> bytes:
        return self.paths[row].read_bytes()


@dataclass(frozen=True)
class ListedImages:
    """Images in files of a list, which may be of millions: their names stand in Arrow's memory, and are no objects.

    Attributes:
        root: the folder from which their paths are.
        paths: of each.
    """

    root: Path
    paths: pa.StringArray

    @classmethod
    def of(cls, root: Path, paths: Sequence[str]) -> ListedImages:
        """Those of a list."""
        import pyarrow as pa

        return cls(root, pa.array(paths, pa.large_string()))

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, row: int) -> str:
        return printable(self.paths[row].as_py())

    def read(self, row: int) -> bytes:
        path: str = self.paths[row].as_py()
        return (self.root / path).read_bytes()


@dataclass(frozen=True)
class ImageColumn:
    """Images in an Arrow column, as bytes or in the Hub's layout, a struct of `bytes` and `path`.

    The bytes stay in Arrow's memory, or in the file that it maps; a null in `bytes` is read from `path`,
    which must lead to a regular file inside one of `folders`; a relative one starts at the first of these.
    """

    data: pa.ChunkedArray
    paths: pa.ChunkedArray | None
    folders: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.data)

    def name(self, row: int) -> str:
        path = self.paths[row].as_py() if self.paths is not None else None
        return f"row {row}" if path is None else printable(f"row {row} ({path})")

    def read(self, row: int) -> bytes:
        data: bytes | None = self.data[row].as_py()
        if data is None and self.paths is not None and self.paths[row].is_valid:
            return self._inside(self.paths[row].as_py()).read_bytes()
        return data or b""

    def _inside(self, path: str) -> Path:
        for folder in self.folders:
            found = (folder / path).resolve()
            if found.is_relative_to(folder.resolve()) and found.is_file():
                return found
        raise ValueError("its path leads to no regular file inside the source's folder")


def decode(data: bytes, *, size: tuple[int, int] | None, scaling: Scaling = Scaling()) -> np.ndarray:
    """Pixels of one image, RGB, `uint8 [H, W, 3]`.

    Grey and palette images become RGB, transparency is dropped, of 16 bits the upper 8 are kept. With `size`, a height
    and width, the image is scaled and cropped around its centre to it, as `PIL.ImageOps.fit` and `scaling` have it.

    Raises:
        ValueError: the bytes are not a whole image, or its pixels have no known range; the message says why.
    """
    from PIL import Image, ImageOps

    with _opened(data) as image:
        wanted = None if size is None else size[::-1]  # Pillow has the width first
        if wanted is not None:
            image.draft("RGB", (math.ceil(wanted[0] / scaling.crop), math.ceil(wanted[1] / scaling.crop)))
        rgb = _rgb(image)
        if wanted is not None and (rgb.size != wanted or scaling.crop < 1):
            method = Image.Resampling[scaling.interpolation.upper()]
            rgb = ImageOps.fit(rgb, wanted, method=method, bleed=(1 - scaling.crop) / 2)
        return np.asarray(rgb)


def decode_part(data: bytes, *, size: tuple[int, int], draws: Sequence[float]) -> Tensor:
    """A random part of one image that is to be scaled to a size, `uint8 [1, 3, h, w]`; which, `crop_box` says.

    A JPEG whose part is at least twice the size is decoded at a half, a quarter or an eighth of its own.

    Raises:
        ValueError: as `decode` does.
    """
    with _opened(data) as image:
        width, height = image.size
        top, left, tall, wide = crop_box(height, width, draws)
        times = next((n for n in (8, 4, 2) if tall >= n * size[0] and wide >= n * size[1]), 1)
        if times > 1:
            image.draft("RGB", (width // times, height // times))
            times = round(width / image.width)  # only a JPEG is
        box = (left // times, top // times, (left + wide) // times, (top + tall) // times)
        pixels = np.array(_rgb(image).crop(box))
    return torch.from_numpy(pixels)[None].permute(0, 3, 1, 2)


def size_of(data: bytes) -> tuple[int, int]:
    """Height and width as the image's header has them.

    Raises:
        ValueError: there is no readable header, or pixels have no known range; the message says why.
    """
    with _opened(data) as image:
        _check_range(image)
        return image.height, image.width


@contextmanager
def _opened(data: bytes) -> Iterator[Image]:
    """The image in these bytes; whatever goes wrong with it is a ValueError that says why."""
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise ValueError("empty")
    try:
        with Image.open(BytesIO(data), formats=_FORMATS) as image:
            yield image
    except UnidentifiedImageError:
        raise ValueError("not an image") from None
    except Exception as error:  # a decoder may raise anything for bytes that are not what they claim to be
        raise ValueError(str(error) or type(error).__name__) from None


def _rgb(image: Image) -> Image:
    if image.mode == "RGB":
        image.load()
        return image
    _check_range(image)
    if image.mode.startswith("I"):  # `convert` would clip at 255, and refuse some orders of bytes
        from PIL.Image import fromarray

        return fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "P":  # by way of RGBA, because a palette may hold transparency
        image = image.convert("RGBA")
    return image.convert("RGB")


def _check_range(image: Image) -> None:
    """Refuse numbers of which nobody says which are black and white: all but those of 16 bits, unsigned."""
    if image.mode == "F" or (image.mode == "I" and image.format not in _SIXTEEN_BITS):
        raise ValueError(f"pixels of type {_WIDE[image.mode]}, of unknown range; save them with 8 or 16 bits")

"""Inputs without labels, for a model to predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from midmix.data import images
from midmix.data.dataset import Inputs
from midmix.data.encoded import ImageFiles, Scaling
from midmix.data.mapped import MappedRows
from midmix.data.options import Options
from midmix.data.readers.reader import place_at, reader_of
from midmix.data.texts import TextColumn, text_rows
from midmix.errors import InputError
from midmix.text import printable

if TYPE_CHECKING:
    from midmix.data.tables.preparation import Preparation


@dataclass(frozen=True)
class Unlabelled:
    """Rows to predict.

    Attributes:
        inputs: as in `Labelled`.
        names: what each row is called: an image file's path in the folder given, or the row's number.
        notes: what was left out.
    """

    inputs: Inputs
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)


def load_unlabelled(
    source: str | Path,
    *,
    shape: Sequence[int],
    columns: Sequence[str] = (),
    preparation: Preparation | None = None,
    image: str | None = None,
    skip_broken: bool = False,
    interpolation: str = "bilinear",
    crop: float = 1.0,
    text: Sequence[str] | None = None,
) -> Unlabelled:
    """The rows of a source as a model wants them, with no need of labels.

    A source is an image file, a folder of images (at any depth), a Parquet, CSV or NPZ file, or a built-in set,
    of which it is the test rows.

    Args:
        source: path, or the name of a built-in set.
        shape: shape of one row that the model wants, `(3, H, W)` or `(D,)`; images are scaled and cropped to it.
        columns: names of the feature columns, or of the array, that the model was trained on (`Source.columns`). An
            NPZ file without that array, and with no name at all, has `x`, `features`, `images` or `data`; a Parquet
            or CSV file every column of numbers.
        preparation: what makes features of a table's columns, where the model was trained on such.
        image: column of the images; `None` finds the only column of image bytes.
        skip_broken: leave out images that cannot be decoded, and note how many, instead of stopping.
        interpolation, crop: how images are brought to the shape, as `Options` has it.
        text: columns of texts, where the model was trained on such.

    Raises:
        InputError: the source is unknown, or its rows are not what the model wants.

    Example:
        >>> rows = load_unlabelled("digits", shape=(64,))
        >>> len(rows), rows.names[0]
        (719, '0')
    """
    name = str(source)
    place = place_at(name)
    options = Options.of(features=columns, image=image, prepare=preparation is not None, text=text)
    wanted = tuple(shape)
    if preparation is not None:
        options = replace(options, known=preparation.columns)
        wanted = (len(preparation.columns),)
    rows = reader_of(place, also=" or an image").read_inputs(place, options, wanted)
    notes: tuple[str, ...] = ()
    if preparation is not None and isinstance(rows, Tensor) and rows.shape[1:] == wanted:
        notes = tuple(preparation.pooled(rows))
        rows = preparation.apply(rows)
    if isinstance(rows, TextColumn):
        inputs: Inputs = text_rows(rows)
        names = tuple(map(str, range(len(rows))))
    elif isinstance(rows, Tensor | MappedRows):
        inputs = rows
        names = tuple(map(str, range(len(rows))))
    else:
        if len(shape) != 3:
            raise InputError(f"{name}: holds images, but the model wants rows of shape {list(shape)}")
        opened = images.open_images(
            rows,
            where=name,
            size=(shape[1], shape[2]),
            scaling=Scaling(interpolation, crop),
            eager=len(rows) * 3 * shape[1] * shape[2] <= images.EAGER_BYTES,
            skip_broken=skip_broken,
        )
        left_out = rows.notes if isinstance(rows, ImageFiles) else ()
        broken = images.note_broken(name, [(rows, opened)], skip_broken=skip_broken)
        notes = (*left_out, *broken)
        inputs, names = opened.inputs, tuple(rows.name(row) for row in opened.kept.tolist())
    found = tuple(inputs.shape[1:]) if isinstance(inputs, Tensor) else inputs.shape
    if found != tuple(shape):
        raise InputError(f"{name}: rows have shape {list(found)}, but the model wants {list(shape)}")
    return Unlabelled(inputs, names, tuple(map(printable, notes)))

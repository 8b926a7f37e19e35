"""Inputs without labels, for a model to predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from midmix.data import images
from midmix.data.arrays import inputs_of_array
from midmix.data.builtin import BUILTIN
from midmix.data.columns import array_of
from midmix.data.encoded import Encoded, ImageFiles
from midmix.data.files import FILE_SUFFIXES
from midmix.data.folder import IMAGE_SUFFIXES, image_files
from midmix.data.labelled import Inputs
from midmix.data.load import load, path_of, unknown_source
from midmix.data.npz import INPUT_ARRAYS, read_arrays
from midmix.data.options import Options
from midmix.data.tables import TABLE_SUFFIXES, read_tables, rows_of_table
from midmix.errors import InputError


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
    image: str | None = None,
    skip_broken: bool = False,
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
        image: column of the images; `None` finds the only column of image bytes.
        skip_broken: leave out images that cannot be decoded, and note how many, instead of stopping.

    Raises:
        InputError: the source is unknown, or its rows are not what the model wants.

    Example:
        >>> rows = load_unlabelled("digits", shape=(64,))
        >>> len(rows), rows.names[0]
        (719, '0')
    """
    name = str(source)
    rows = _read(name, tuple(columns), tuple(shape), image)
    notes: tuple[str, ...] = ()
    if isinstance(rows, Tensor):
        inputs: Inputs = rows
        names = tuple(map(str, range(len(rows))))
    else:
        if len(shape) != 3:
            raise InputError(f"{name}: holds images, but the model wants rows of shape {list(shape)}")
        opened = images.open_images(
            rows,
            where=name,
            size=(shape[1], shape[2]),
            fit=True,
            eager=len(rows) * 3 * shape[1] * shape[2] <= images.EAGER_BYTES,
            skip_broken=skip_broken,
        )
        notes = images.note_broken(name, [(rows, opened)], skip_broken=skip_broken)
        inputs, names = opened.inputs, tuple(rows.name(row) for row in opened.kept.tolist())
    found = tuple(inputs.shape[1:]) if isinstance(inputs, Tensor) else inputs.shape
    if found != tuple(shape):
        raise InputError(f"{name}: rows have shape {list(found)}, but the model wants {list(shape)}")
    return Unlabelled(inputs, names, notes)


def _read(name: str, columns: tuple[str, ...], shape: tuple[int, ...], image: str | None) -> Tensor | Encoded:
    path = path_of(name)
    if name in BUILTIN:
        inputs = load(name).test.inputs
        assert isinstance(inputs, Tensor)
        return inputs
    if path.is_dir():
        paths = image_files(path)
        if not paths:
            raise InputError(f"{path}: no images in this folder")
        return ImageFiles(path, paths)
    if not path.is_file():
        raise unknown_source(name, path)
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return ImageFiles(path.parent, [path])
    if suffix in TABLE_SUFFIXES:
        table = read_tables([path])
        if len(columns) == 1 and shape != (1,) and columns[0] not in table.column_names:
            columns = ()  # the name of an array, which a table need not know
        options = Options(features=columns or None, image=image)
        return rows_of_table(table, options, where=name)[0]
    if suffix == ".npz":
        arrays = read_arrays(path)
        trained_on = array_of(columns)
        x = next((x for x in (trained_on, *INPUT_ARRAYS) if x in arrays), None)
        if x is None:
            raise InputError(
                f"{path}: has no array of inputs, such as {trained_on or 'x'}, only {', '.join(arrays) or 'nothing'}"
            )
        return inputs_of_array(arrays[x], where=name)
    raise InputError(
        f"{path}: not a kind of file that can be read; use {' '.join(FILE_SUFFIXES)} or an image"
    )

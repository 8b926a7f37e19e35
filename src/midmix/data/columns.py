"""Columns of an Arrow table: found by name, and features made of those that hold numbers or lists of numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from midmix.data.arrays import finite_features
from midmix.data.precision import looked_at, merged, note_merged
from midmix.errors import InputError, unknown

if TYPE_CHECKING:
    import pyarrow as pa

_ELEMENT = re.compile(r"(.+)\[(0|[1-9]\d*)\]")


def column_of(table: pa.Table, name: str, *, where: str) -> pa.ChunkedArray:
    """The column of this name.

    Raises:
        InputError: there is none, or more than one.
    """
    places = table.schema.get_all_field_indices(name)
    if not places:
        raise unknown(f"column in {where}", name, table.column_names)
    if len(places) > 1:
        raise InputError(f"{where}: {len(places)} columns have the name {name!r}; give each its own")
    return table.column(places[0])


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of this type is one feature."""
    import pyarrow as pa

    types = pa.types
    return bool(
        types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind)
    )


def is_vector(kind: pa.DataType) -> bool:
    """Whether a column of this type is an embedding: a list of numbers in each row."""
    import pyarrow as pa

    types = pa.types
    lists = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(lists and is_number(kind.value_type))


def features_of(
    table: pa.Table, names: Sequence[str], *, where: str
) -> tuple[Tensor, tuple[str, ...], tuple[str, ...]]:
    """Features `float32 [N, D]` of the named columns, in this order, the D names of the features, and what to note.

    A column of lists of k numbers is k features, `emb[0]` … `emb[k-1]`; by these names together it is known too.

    Raises:
        InputError: a column is unknown, holds no numbers, or lists that are missing or of different lengths; and
            what `finite_features` says.
    """
    if len(set(names)) < len(names):
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise InputError(f"{where}: column {twice!r} is named twice in the features; leave one out")
    columns: list[tuple[pa.ChunkedArray, int]] = []
    found: list[str] = []
    for name, wanted in _folded(names, set(table.column_names)):
        column = column_of(table, name, where=where)
        if is_vector(column.type):
            width = _width(column, where=f"{where}, column {name!r}")
            if wanted not in (None, width):
                raise InputError(
                    f"{where}: the lists in column {name!r} have {width} numbers, not {wanted} as in training"
                )
            found += [f"{name}[{place}]" for place in range(width)]
        elif wanted is None and is_number(column.type):
            width = 1
            found.append(name)
        else:
            raise InputError(
                f"{where}: column {name!r} is of type {column.type}, not numbers; leave it out of the features"
            )
        columns.append((column, width))
    # Column by column into one array of the final type: a million embeddings are gigabytes, held once.
    values = np.empty((table.num_rows, len(found)), dtype=np.float32)
    first, lost = 0, list[str]()
    with np.errstate(over="ignore"):  # what overflows is infinite, and is refused below
        for column, width in columns:
            _fill(values[:, first : first + width], column)
            lost += [found[first + place] for place in lost_of(column, width)]
            first += width
    features = finite_features(values, where=where, columns=found, copy=False)
    return features, tuple(found), note_merged(lost)


def array_of(names: Sequence[str]) -> str | None:
    """The one column of embeddings, or array, whose name or whose features' names these are; None if they are several.

    Example:
        >>> array_of(("emb[0]", "emb[1]")), array_of(("emb",)), array_of(("age", "weight"))
        ('emb', 'emb', None)
    """
    folded = _folded(names, ())
    return folded[0][0] if len(folded) == 1 else None


def _folded(names: Sequence[str], known: Sequence[str] | set[str]) -> list[tuple[str, int | None]]:
    """The names, with `emb[0]` … `emb[k-1]` as one column `emb` of k numbers where no column is known by them."""
    found: list[tuple[str, int | None]] = []
    for name in names:
        element = None if name in known else _ELEMENT.fullmatch(name)
        column, place = (element[1], int(element[2])) if element else (name, -1)
        if place == 0:
            found.append((column, 1))
        elif place > 0 and found and found[-1] == (column, place):
            found[-1] = column, place + 1
        else:
            found.append((name, None))
    return found


def _width(column: pa.ChunkedArray, *, where: str) -> int:
    """How many numbers each list of the column has."""
    import pyarrow.compute as pc

    if column.null_count:
        row = pc.index(pc.is_null(column), True).as_py()
        raise InputError(
            f"{where}: the list of row {row} (counting from 0) is missing ({column.null_count} of "
            f"{len(column)} are); fill them in, remove the rows, or choose other columns with --features (features=)"
        )
    lengths = pc.list_value_length(column)
    width: int = lengths[0].as_py()
    other = pc.index(pc.not_equal(lengths, width), True).as_py()
    if other >= 0 or not width:
        row = max(other, 0)
        raise InputError(
            f"{where}: the list of row {row} (counting from 0) has {lengths[row].as_py()} numbers"
            f"{f', that of row 0 has {width}' if other >= 0 else ''}; every row needs as many, and at least one, or "
            "choose other columns with --features (features=)"
        )
    return width


def lost_of(column: pa.ChunkedArray, width: int) -> list[int]:
    """Places of those of a column's features whose differences are lost in 32 bits."""
    import pyarrow as pa

    kind = column.type.value_type if is_vector(column.type) else column.type
    if kind.bit_width <= 16 or pa.types.is_float32(kind):
        return []
    rows = looked_at(len(column))
    sample = column if len(rows) == len(column) else column.take(pa.array(rows))
    parts = [_flat(chunk).reshape(-1, width) for chunk in sample.chunks]
    return [int(place) for place in np.flatnonzero(merged(np.concatenate(parts)))]


def numbers_of(column: pa.ChunkedArray) -> np.ndarray:
    """A column of numbers as `float64 [N]`; what is missing becomes NaN."""
    values = np.empty((len(column), 1))
    _fill(values, column)
    return values[:, 0]


def _flat(chunk: pa.Array) -> np.ndarray:
    """The numbers of a column, or of its lists one after the other, in their own type."""
    import pyarrow as pa

    flat = chunk.flatten() if is_vector(chunk.type) else chunk
    if pa.types.is_decimal(flat.type):
        flat = flat.cast("float64", safe=False)
    values: np.ndarray = flat.to_numpy(zero_copy_only=False)
    return values


def _fill(values: np.ndarray, column: pa.ChunkedArray) -> None:
    """Write a column of numbers, or of lists of numbers, into `[N, k]`; what is missing becomes NaN."""
    import pyarrow as pa

    start = 0
    for chunk in column.chunks:
        rows, start = slice(start, start + len(chunk)), start + len(chunk)
        flat = chunk.flatten() if is_vector(chunk.type) else chunk
        if not pa.types.is_floating(flat.type):
            # Not safe: whole numbers beyond 2^53 may lose digits that float32 would lose anyhow.
            flat = flat.cast("float64", safe=False)
        values[rows] = flat.to_numpy(zero_copy_only=False).reshape(values[rows].shape)

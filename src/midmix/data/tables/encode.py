"""Cells of a table as numbers, which learn nothing from the rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from midmix.data.columns import column_of, is_number, lost_of, numbers_of
from midmix.data.precision import note_merged
from midmix.data.tables.column import TableColumn
from midmix.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

UNSEEN = -1.0
"""Stands for a category that the column does not have among its values."""
MISSING = ("", "?", "-", ".", "na", "n/a", "#n/a", "nan", "null", "none", "missing", "unknown")
"""What people write for a missing number, in small letters."""
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}


def encode(known: TableColumn, column: pa.ChunkedArray, *, where: str) -> np.ndarray:
    """The cells of a column as `float64 [N]`: NaN where missing, `UNSEEN` for a category that is not among its values.

    Raises:
        InputError: the cells are of another kind than the column's.

    Example:
        >>> import pyarrow as pa
        >>> city = TableColumn("city", "category", ("Oslo", "Rome"))
        >>> encode(city, pa.chunked_array([["Rome", "Bonn", None]]), where="a.csv").tolist()
        [1.0, -1.0, nan]
    """
    import pyarrow as pa

    column = decoded(column)
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan)
    where = f"{where}, column {known.name!r}"
    if known.kind == "number":
        return _numbers(column, where)
    return _days(column, where) if known.kind == "date" else _places(column, known.values, where)


def encode_columns(
    table: pa.Table, columns: Sequence[TableColumn], *, where: str
) -> tuple[Tensor, tuple[str, ...]]:
    """The columns as `float32 [N, K]`, NaN where a cell is missing, and what there is to note.

    Raises:
        InputError: a column is not there, is of another kind, or holds infinite numbers.
    """
    values = np.empty((table.num_rows, len(columns)), dtype=np.float32)
    lost: list[str] = []
    for place, known in enumerate(columns):
        column = column_of(table, known.name, where=where)
        with np.errstate(over="ignore"):
            values[:, place] = encode(known, column, where=where)
        if known.kind == "number" and is_number(column.type) and lost_of(column, 1):
            lost.append(known.name)
    infinite = np.isinf(values)
    if infinite.any():
        row, place = (int(k) for k in np.argwhere(infinite)[0])
        raise InputError(
            f"{where}: numbers that are infinite, or beyond 3·10^38 ({infinite.sum()} of {values.size} values), "
            f"the first in row {row} (counting from 0), column {columns[place].name!r}; mend them or leave them empty"
        )
    return torch.from_numpy(values), note_merged(lost)


def decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column without a dictionary, as pandas' categories have one."""
    import pyarrow as pa

    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def is_date(kind: pa.DataType) -> bool:
    """Whether a column of this type holds days or moments."""
    import pyarrow as pa

    return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind))


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds text."""
    import pyarrow as pa

    types = pa.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def dates_of(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """A column of dates, also where they are text, as a data frame or a Parquet file may have them; None for others.

    What is a date in a CSV file is one: 2021-03-04, 2021-03-04 15:30:00. Empty cells are missing.

    Example:
        >>> import pyarrow as pa
        >>> dates_of(pa.chunked_array([["2021-03-04", ""]])).null_count, dates_of(pa.chunked_array([["soon"]]))
        (1, None)
    """
    import pyarrow as pa

    if is_date(column.type):
        return column
    texts = texts_of(column) if is_text(column.type) else None
    first = None if texts is None else next((text for text in texts.drop_null()[:1].to_pylist()), None)
    if first is None or not DAY.match(first):
        return None
    try:
        return texts.cast(pa.timestamp("us"))  # type: ignore[union-attr]
    except pa.ArrowInvalid:
        return None


def texts_of(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Cells as text without blanks around it, empty ones missing; None for what no names of categories are.

    Whole numbers and truth values are written as a CSV file would have them: a column of names may by chance have only
    such in another file.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if not is_text(kind):
        if not (pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
            return None
        return column.cast(pa.string())
    trimmed = pc.utf8_trim_whitespace(column.cast(pa.string()))
    return pc.if_else(pc.equal(trimmed, ""), None, trimmed)


def _numbers(column: pa.ChunkedArray, where: str) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if is_number(column.type):
        return numbers_of(column)
    if not is_text(column.type):
        raise InputError(
            f"{where}: held numbers in training, and is of type {column.type} here; give the column as it was"
        )
    texts = pc.utf8_trim_whitespace(column.cast(pa.string()))
    known = pc.if_else(pc.is_in(pc.utf8_lower(texts), pa.array(MISSING)), None, texts)
    for row, text in enumerate(known.to_pylist()):
        if text is not None and not NUMBER.fullmatch(text):
            raise InputError(
                f"{where}: holds numbers, but {text[:40]!r} in row {row} (counting from 0); leave the cell empty where "
                "the number is missing"
            )
    return _floats(known.cast(pa.float64()))


def _places(column: pa.ChunkedArray, values: Sequence[str], where: str) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = texts_of(column)
    if texts is None:
        raise InputError(
            f"{where}: held names of categories in training, and is of type {column.type} here; give it as it was"
        )
    places = pc.index_in(texts, value_set=pa.array(values, pa.string()))
    return _floats(pc.if_else(pc.is_null(texts), None, pc.fill_null(places, int(UNSEEN))))


def _days(column: pa.ChunkedArray, where: str) -> np.ndarray:
    import pyarrow as pa

    found = dates_of(column)
    column = column if found is None else found
    kind = column.type
    if pa.types.is_date32(kind):
        return _floats(column.cast(pa.int32()))
    if pa.types.is_date64(kind):
        return _floats(column.cast(pa.int64())) / _DAY["ms"]
    if pa.types.is_timestamp(kind):
        return _floats(column.cast(pa.int64())) / _DAY[kind.unit]
    raise InputError(
        f"{where}: held dates in training, and is of type {kind} here; write dates as 2021-03-04 or 2021-03-04 15:30:00"
    )


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    import pyarrow as pa

    found: np.ndarray = column.cast(pa.float64(), safe=False).to_numpy()
    return found

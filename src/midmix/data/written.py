"""Labels as text files write them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_INTEGER = re.compile(r"0|-?[1-9][0-9]*")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def written_labels(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of text as labels: integers where every value is written as one, else the text as it stands.

    Two texts never become one label: `1` beside `01` or `1e1` is text, and so is an integer beyond 64 bits. Numbers of
    which some are fractions stay numbers, which no label can be, for they are measured rather than names. What CSV
    files write for a missing value is missing among numbers, and may be a name among names.

    Args:
        column: strings.

    Returns:
        Integers, floats of which one is a fraction, or the strings.

    Example:
        >>> import pyarrow as pa
        >>> written_labels(pa.chunked_array([["1", "10"]])).to_pylist()
        [1, 10]
        >>> written_labels(pa.chunked_array([["01", "1", "1e1", "10"]])).to_pylist()
        ['01', '1', '1e1', '10']
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv

    trimmed = pc.utf8_trim_whitespace(column)
    absent = csv.ConvertOptions().null_values
    values = [value for value in pc.unique(trimmed).to_pylist() if value is not None and value not in absent]
    if not all(_NUMBER.fullmatch(value) for value in values):
        return column
    known = pc.if_else(pc.is_in(trimmed, pa.array(absent)), None, trimmed)
    if all(_INTEGER.fullmatch(value) and abs(int(value)) < 2**63 for value in values):
        return known.cast(pa.int64())
    if any(not float(value).is_integer() for value in values):
        return known.cast(pa.float64())
    return pc.if_else(pc.is_null(known), None, column)

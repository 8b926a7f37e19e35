"""Texts of a table, of which an encoder makes features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from midmix.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class TextColumn:
    """Columns of text; a row's are joined, a line each.

    Attributes:
        columns: of an Arrow table; what is missing is empty.
    """

    columns: tuple[pa.ChunkedArray, ...]

    def __len__(self) -> int:
        return len(self.columns[0])

    def name(self, row: int) -> str:
        """What messages call the text."""
        return f"row {row}"

    def text(self, row: int) -> str:
        """A row's text."""
        return "\n".join(column[row].as_py() or "" for column in self.columns)

    def read(self, row: int) -> bytes:
        """The same as UTF-8."""
        return self.text(row).encode()


@dataclass(frozen=True)
class TextRows:
    """Texts as rows, tokenised when they are asked for.

    Attributes:
        texts: where they are.
        rows: which of them these are, `int64 [N]`.
        tokenize: an encoder's; None until one is known.
    """

    texts: TextColumn
    rows: Tensor
    tokenize: Callable[[Sequence[str]], Tensor] | None = None
    prepared_as: str = "text"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row: one text."""
        return (1,)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Tensor) -> Tensor:
        if self.tokenize is None:
            raise InputError(
                "texts: an encoder makes features of them; name one of texts with --network, such as "
                "hf:OWNER/NAME, or a local folder"
            )
        return self.tokenize([self.texts.text(row) for row in self.rows[rows.cpu()].tolist()])

    def content(self, row: int) -> bytes:
        """A row's text."""
        return self.texts.read(int(self.rows[row]))

    def select(self, rows: Tensor) -> TextRows:
        """The same texts, restricted to these rows."""
        return replace(self, rows=self.rows[rows])

    def tokenized(self, tokenize: Callable[[Sequence[str]], Tensor]) -> TextRows:
        """The same texts, with what makes tokens of them."""
        return replace(self, tokenize=tokenize)


def text_rows(texts: TextColumn) -> TextRows:
    """All rows of a column of texts."""
    return TextRows(texts, torch.arange(len(texts)))


def text_column(table: pa.Table, names: Sequence[str], *, where: str) -> TextColumn:
    """The columns of these names.

    Raises:
        InputError: there is no such column, or it holds no text.
    """
    import pyarrow as pa

    from midmix.data.columns import column_of

    found = []
    for name in names:
        column = column_of(table, name, where=where)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            raise InputError(f"{where}: column {name!r} is of type {column.type}, not text (--text, text=)")
        found.append(column)
    return TextColumn(tuple(found))

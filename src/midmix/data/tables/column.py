"""What a column of a table is, as a model knows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from midmix.errors import InputError

Kind = Literal["number", "category", "date"]


@dataclass(frozen=True)
class TableColumn:
    """A column as a model knows it.

    Attributes:
        name: in the table.
        kind: `number`; `category`, whose cells become their place among `values`; `date`, whose cells become days since
            1970-01-01, UTC.
        values: of a category, those that have a number of their own.

    Raises:
        InputError: another kind.

    Example:
        >>> TableColumn("city", "category", ("Oslo", "Rome")).kind
        'category'
    """

    name: str
    kind: Kind
    values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise InputError(
                f"column {self.name!r}: kind {self.kind!r} is none of {', '.join(get_args(Kind))}"
            )

"""Which columns of a table are features, what each is, and why the others are left out."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from midmix.data.columns import column_of, is_number
from midmix.data.labels import listing
from midmix.data.tables.column import TableColumn
from midmix.data.tables.encode import MISSING, NUMBER, dates_of, decoded, is_text, texts_of
from midmix.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_TO_JUDGE = 20
"""A column of fewer rows is taken as it is: that its values all differ says nothing."""
MOST_VALUES = 1000
"""Of a category; the more frequent ones are taken, the others pooled."""
_ID_NAME = re.compile(
    r"(?i:.*[\W_])?(?i:id|ids|uuid|guid|idx|index|key|rowid|rownum|row|nr|no)|.*[a-z](Id|ID|Nr|Idx|Key)"
)
_INDEX_NAMES = ("__index_level_0__", "Unnamed: 0", "")
"""Columns that pandas writes for a row's number."""
_CODE = re.compile(r"0\d")
"""Digits that are a name, such as a post code."""
_WORDS = 4
"""Cells of so many words on average are text."""
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?")

TEXT, IDS, CONSTANT, EMPTY, DATES, OTHERS, NOT_ASKED = (
    "columns of text, left out: {}; make embeddings of them with an encoder, and give these as a column of lists",
    "columns that look like ids, a value of its own in each row, left out: {} (--keep takes them)",
    "columns with one value only, left out: {}",
    "columns without a value, left out: {}",
    "columns of dates that are not written as 2021-03-04, left out: {}",
    "columns of a type that is no feature, left out: {}",
    "columns left out as asked: {}",
)


@dataclass(frozen=True)
class Choice:
    """The columns that are features, and a line for everything that was decided for the user."""

    columns: tuple[TableColumn, ...]
    notes: tuple[str, ...] = ()


def choose_columns(
    table: pa.Table,
    *,
    where: str,
    features: Sequence[str] | None = None,
    keep: Collection[str] = (),
    exclude: Collection[str] = (),
    labels: Collection[str] = (),
) -> Choice:
    """What of a table is learnt from, by its rows but not by their labels.

    Numbers and truth values are numbers, also where text such as `?` stands for a missing one; dates are dates; text of
    few different values is a category. Left out are ids (text, or whole numbers named like an id or counting the rows,
    that differ in every row), columns of one value or none, and text of many words.

    Args:
        table: the rows.
        where: what messages call it.
        features: the columns that are wanted, all of them; None chooses.
        keep: columns that are not left out, whatever they look like.
        exclude: columns that are left out.
        labels: columns of labels, which are no features.

    Raises:
        InputError: an unknown column, one that is wanted and not, one that cannot be a feature, or none left.

    Example:
        >>> import pyarrow as pa
        >>> table = pa.table({"id": range(40), "age": [30, None] * 20, "city": ["Oslo", "Rome"] * 20})
        >>> choice = choose_columns(table, where="a.csv")
        >>> [(column.name, column.kind) for column in choice.columns]
        [('age', 'number'), ('city', 'category')]
        >>> choice.notes
        ("columns that look like ids, a value of its own in each row, left out: 'id' (--keep takes them)",)
    """
    for name in (*keep, *exclude, *(features or ())):
        column_of(table, name, where=where)
        if name in labels:
            raise InputError(f"{where}: column {name!r} is the label and cannot be a feature too")
    for name in exclude:
        if name in keep or name in (features or ()):
            raise InputError(f"{where}: column {name!r} is asked for and excluded; choose one of the two")
    names = features if features is not None else [name for name in table.column_names if name not in labels]
    columns: list[TableColumn] = []
    left_out: dict[str, list[str]] = {}
    notes: list[str] = []
    if features is not None and len(set(features)) < len(features):
        twice = next(name for place, name in enumerate(features) if name in features[:place])
        raise InputError(f"{where}: column {twice!r} is named twice in the features; leave one out")
    for name in names:
        wanted = features is not None or name in keep
        if name in exclude:
            left_out.setdefault(NOT_ASKED, []).append(name)
            continue
        if len(table.schema.get_all_field_indices(name)) > 1 and all(
            not is_number(table.schema.field(place).type)
            for place in table.schema.get_all_field_indices(name)
        ):
            left_out.setdefault(OTHERS, []).append(name)
            continue
        column = decoded(column_of(table, name, where=where))
        found = _judged(name, column, wanted)
        if isinstance(found, TableColumn):
            columns.append(found)
            if found.kind == "number" and is_text(column.type):
                notes.append(f"column {name!r}: what is no number there, such as ?, is taken for missing")
        elif wanted and found in (OTHERS, EMPTY):
            raise InputError(
                f"{where}: column {name!r} is of type {column.type}, not numbers, categories or dates; leave it out of "
                "the features"
            )
        else:
            left_out.setdefault(found, []).append(name)
    notes += [reason.format(listing(found)) for reason, found in left_out.items()]
    if not columns:
        fields = [field for field in table.schema if field.name not in labels]
        named = ", ".join(f"{field.name} ({field.type})" for field in fields) or next(
            iter(labels), "no columns"
        )
        raise InputError(
            f"{where}: no column of numbers, categories or images to learn from, only {named}"
            f"{'; ' if notes else ''}{'; '.join(notes)}"
        )
    return Choice(tuple(columns), tuple(notes))


def _judged(name: str, column: pa.ChunkedArray, wanted: bool) -> TableColumn | str:
    """The column as a feature, or why it is none; one that is wanted is none only where it cannot be."""
    import pyarrow.compute as pc

    if column.null_count == len(column):
        return EMPTY
    judge = not wanted and len(column) >= ROWS_TO_JUDGE
    if is_number(column.type):
        if not wanted and name in _INDEX_NAMES:
            return IDS
        if judge and column.null_count == 0 and pc.count_distinct(column).as_py() == 1:
            return CONSTANT
        return IDS if judge and _counts_rows(name, column) else TableColumn(name, "number")
    if dates_of(column) is not None:
        return TableColumn(name, "date")
    if not is_text(column.type):
        return OTHERS
    return _judged_text(name, column, judge)


def _counts_rows(name: str, column: pa.ChunkedArray) -> bool:
    """Whether whole numbers differ in every row, and are named like an id or follow each other without a gap."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_integer(column.type) or column.null_count:
        return False
    if pc.count_distinct(column).as_py() < len(column):
        return False
    ends = pc.min_max(column).as_py()
    return bool(ends["max"] - ends["min"] + 1 == len(column) or _ID_NAME.fullmatch(name))


def _judged_text(name: str, column: pa.ChunkedArray, judge: bool) -> TableColumn | str:
    import pyarrow.compute as pc

    texts = texts_of(column)
    assert texts is not None
    counts = sorted(
        (
            (pair["values"], pair["counts"])
            for pair in pc.value_counts(texts).to_pylist()
            if pair["values"] is not None
        ),
        key=lambda pair: (-pair[1], pair[0]),
    )
    values = [value for value, _ in counts]
    if not values:
        return EMPTY
    others = [value for value in values if value.lower() not in MISSING]
    if (
        2 < len(others) < len(values)
        and all(map(NUMBER.fullmatch, others))
        and not any(map(_CODE.match, others))
    ):
        return TableColumn(name, "number")
    present = len(texts) - texts.null_count
    if judge:
        if len(values) == 1 and present == len(texts):
            return CONSTANT
        if sum(bool(_DATE.fullmatch(value)) for value in values) > 0.9 * len(values):
            return DATES
        words = sum(len(value.split()) for value in values) / len(values)
        if len(values) > present / 2:
            return TEXT if words >= _WORDS else IDS
        if words >= 3 * _WORDS:
            return TEXT
    return TableColumn(name, "category", tuple(sorted(values[:MOST_VALUES])))

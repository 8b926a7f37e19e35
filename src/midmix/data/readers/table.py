"""Arrow tables as sources: Parquet, CSV, and what `datasets` loads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from midmix.data.arrays import check_names
from midmix.data.columns import column_of, features_of, is_number, is_vector
from midmix.data.dataset import LabelColumn, RawSource, RawSplit
from midmix.data.encoded import ImageColumn
from midmix.data.labels import checked
from midmix.data.options import Options
from midmix.data.readers.reader import READERS, FileReader, Place
from midmix.data.tables.choose import Choice, choose_columns
from midmix.data.tables.column import TableColumn
from midmix.data.tables.encode import encode_columns
from midmix.data.texts import TextColumn, text_column
from midmix.data.written import written_labels
from midmix.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

_LABEL_NAMES = ("label", "labels")
_INDEX_NAMES = ("__index_level_0__", "Unnamed: 0", "")
"""Columns that pandas writes for a row's number; they are not features."""


@READERS.register(name="table")
class Table(FileReader):
    """Tables on the disk."""

    what = "a Parquet or CSV file"
    suffixes = (".parquet", ".csv", ".tsv")

    def read_files(self, train: list[Path], test: list[Path], options: Options) -> RawSource:
        """The rows of the tables of each split."""
        table = read_tables(train, options)
        part = part_of_table(table, options, where=str(train[0]), folders=(train[0].parent,))
        if not test:
            return RawSource(part)
        folders = (test[0].parent,)
        table = read_tables(test, options)
        return RawSource(part, part_of_table(table, options, where=str(test[0]), like=part, folders=folders))

    def read_inputs(
        self, place: Place, options: Options, shape: tuple[int, ...]
    ) -> Tensor | ImageColumn | TextColumn:
        """The rows of a table that may have no labels."""
        table = read_tables([place.path])
        columns = options.features or ()
        if len(columns) == 1 and shape != (1,) and columns[0] not in table.column_names:
            options = replace(options, features=None)  # the name of an array, which a table need not know
        return rows_of_table(table, options, where=place.name, folders=(place.path.parent,)).rows


def read_tables(paths: Sequence[Path], options: Options | None = None) -> pa.Table:
    """Parquet or CSV files of the same columns, as one Arrow table.

    Args:
        paths: the files, of one kind.
        options: which columns are labels, where labels are wanted: those of a CSV file are read as `written_labels`
            says.

    Raises:
        InputError: a file cannot be read as what its name says.
    """
    import pyarrow as pa

    parquet = paths[0].suffix.lower() == ".parquet"
    tables = []
    for path in paths:
        try:
            tables.append(_read_parquet(path) if parquet else _read_csv(path, options))
        except (pa.ArrowException, OSError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{path}: not a readable {path.suffix[1:].upper()} file ({reason})") from None
    try:
        table = pa.concat_tables(tables)
    except pa.ArrowException:
        raise InputError(
            f"{paths[0]}: its parts differ in their columns; they must be of one table"
        ) from None
    for name in () if parquet or options is None else _label_columns(table.column_names, options):
        for place in table.schema.get_all_field_indices(name):
            table = table.set_column(place, name, written_labels(table.column(place)))
    return table


def _read_parquet(path: Path) -> pa.Table:
    from pyarrow import parquet

    return parquet.read_table(path, partitioning=None)


def _label_columns(columns: Sequence[str], options: Options) -> tuple[str, ...]:
    """Those of a table's columns whose text is of labels."""
    usual = next((name for name in _LABEL_NAMES if name in columns), None)
    wanted = (usual if options.label is None else options.label, options.coarse)
    return tuple(dict.fromkeys(name for name in wanted if name is not None and name in columns))


def _read_csv(path: Path, options: Options | None) -> pa.Table:
    from pyarrow import ArrowInvalid, binary, csv, string, types

    with path.open("rb") as file:
        first = file.readline()
    try:
        header = first.decode("utf-8")
    except UnicodeDecodeError:
        raise _not_utf8(path, "the first line") from None
    delimiter = max(",;\t", key=header.count)
    parse = csv.ParseOptions(delimiter=delimiter)
    names: tuple[str, ...] = ()
    if options is not None:  # of labels the text counts: what Arrow reads as numbers would merge 1 and 01
        with csv.open_csv(path, parse_options=parse) as reader:
            names = _label_columns(reader.schema.names, options)
    convert = csv.ConvertOptions(column_types=dict.fromkeys(names, binary()))
    table = csv.read_csv(path, parse_options=parse, convert_options=convert)
    for place, field in enumerate(table.schema):
        if field.name in names:
            try:
                table = table.set_column(place, field.name, table.column(place).cast(string()))
            except ArrowInvalid:
                raise _not_utf8(path, f"column {field.name!r}") from None
        elif types.is_binary(
            field.type
        ):  # what Arrow makes of other encodings, and what would be taken for images
            raise _not_utf8(path, f"column {field.name!r}")
    return table


def _not_utf8(path: Path, what: str) -> InputError:
    return InputError(f"{path}: {what} is not UTF-8; save the file with the encoding UTF-8")


def part_of_table(
    table: pa.Table,
    options: Options,
    *,
    where: str,
    like: RawSplit | None = None,
    folders: tuple[Path, ...] = (),
) -> RawSplit:
    """Labels, and images or features, of an Arrow table.

    Args:
        table: the rows; class names come from its `huggingface` schema metadata.
        options: which columns; see `Options`.
        where: what messages call the table.
        like: the training rows, for a test table: its feature columns are taken, as they are there.
        folders: where images may lie that the table has only the paths of.

    Raises:
        InputError: a column is unknown, cannot be told, or holds what it should not.
    """
    label = _label_column(table, options, where)
    labels = _labels(table, label, where)
    if like is not None and like.columns:
        options = replace(options, features=like.columns, known=like.table or None)
    found = rows_of_table(table, options, where=where, label=label, folders=folders)
    coarse = None if options.coarse is None else _labels(table, options.coarse, where)
    return RawSplit(where, found.rows, labels, found.columns, found.notes, coarse, found.table)


@dataclass(frozen=True)
class TableRows:
    """Images or features of a table, names of the features, what there is to note, and columns yet to be prepared."""

    rows: Tensor | ImageColumn | TextColumn
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    table: tuple[TableColumn, ...] = ()


def rows_of_table(
    table: pa.Table, options: Options, *, where: str, label: str | None = None, folders: tuple[Path, ...] = ()
) -> TableRows:
    """Images or features of an Arrow table.

    Raises:
        InputError: as `part_of_table`, of which this is the half without labels.
    """
    if not table.num_rows:
        raise InputError(f"{where}: no rows")
    if options.text is not None:
        return TableRows(text_column(table, options.text, where=where))
    image = _image_column(table, options, label, where)
    if image is not None:
        return TableRows(_images(column_of(table, image, where=where), folders))
    if _is_prepared(table, options, label):
        choice = _chosen(table, options, label, where)
        rows, lost = encode_columns(table, choice.columns, where=where)
        names = tuple(column.name for column in choice.columns)
        return TableRows(rows, names, (*choice.notes, *lost), choice.columns)
    wanted, notes = _feature_columns(table, options, label, where)
    features, columns, lost = features_of(table, wanted, where=where)
    return TableRows(features, columns, (*notes, *lost))


def _is_prepared(table: pa.Table, options: Options, label: str | None) -> bool:
    """Whether features are yet to be made: not of an encoder's, which are lists of numbers."""
    if options.known is not None or not options.prepare:
        return options.prepare
    lists = {field.name for field in table.schema if is_vector(field.type)} - {label, options.coarse}
    if options.features is None:
        return not lists
    return not lists.intersection(options.features) and all(
        name in table.column_names for name in options.features
    )


def _chosen(table: pa.Table, options: Options, label: str | None, where: str) -> Choice:
    if options.known is not None:
        return Choice(options.known)
    return choose_columns(
        table,
        where=where,
        features=options.features,
        keep=options.keep or (),
        exclude=options.exclude or (),
        labels=[name for name in (label, options.coarse) if name is not None],
    )


def is_unlabelled(table: pa.Table, options: Options, *, where: str) -> bool:
    """Whether every label is missing or -1, as in the test splits that the Hub keeps secret."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = column_of(table, _label_column(table, options, where), where=where)
    if column.null_count == len(column):
        return True
    return bool(pa.types.is_integer(column.type)) and pc.min_max(column).as_py() == {"min": -1, "max": -1}


def _label_column(table: pa.Table, options: Options, where: str) -> str:
    if options.label is not None:
        return options.label
    for name in _LABEL_NAMES:
        if name in table.column_names:
            return name
    raise InputError(
        f"{where}: no column named label; name the labels' column with --label (label=), "
        f"one of: {', '.join(table.column_names)}"
    )


def _labels(table: pa.Table, name: str, where: str) -> LabelColumn:
    import pyarrow as pa

    column = column_of(table, name, where=where)
    if pa.types.is_nested(column.type):
        raise InputError(
            f"{where}, column {name!r}: is of type {column.type}; a label is a class index (0, 1, …) or a name"
        )
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    # A column of integers with a hole would become floats; objects keep the hole visible as None.
    values = np.array(column.to_pylist(), dtype=object) if column.null_count else column.to_numpy()
    labels = checked(values, where=f"{where}, column {name!r}")
    names = _class_names(table.schema, name, where)
    if names is not None:
        check_names(labels, names, where=f"{where}, column {name!r}")
    return LabelColumn(labels, names)


def _class_names(schema: pa.Schema, column: str, where: str) -> tuple[str, ...] | None:
    if b"huggingface" not in (schema.metadata or {}):
        return None
    from datasets import ClassLabel, Features

    try:
        feature = Features.from_arrow_schema(schema).get(column)
    except Exception as error:  # it is anything that a file may hold
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"[:120]
        raise InputError(
            f"{where}: its metadata `huggingface`, which names the classes, cannot be read ({reason}); "
            "write the file without it or save it again with datasets"
        ) from None
    return tuple(feature.names) if isinstance(feature, ClassLabel) else None


def _image_column(table: pa.Table, options: Options, label: str | None, where: str) -> str | None:
    import pyarrow as pa

    def holds_images(field: pa.Field) -> bool:
        if pa.types.is_struct(field.type):
            return bool(field.type.get_field_index("bytes") >= 0)
        return bool(pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type))

    found: list[str] = [field.name for field in table.schema if field.name != label and holds_images(field)]
    if options.image is not None:
        kind = column_of(table, options.image, where=where).type
        if options.image not in found:
            raise InputError(
                f"{where}: column {options.image!r} is of type {kind}; "
                "images are encoded bytes, or a struct with bytes and path"
            )
        return options.image
    if options.features is not None or not found:
        return None
    if len(found) > 1:
        raise InputError(
            f"{where}: several columns hold images; choose one with --image (image=): {', '.join(found)}"
        )
    return found[0]


def _images(column: pa.ChunkedArray, folders: tuple[Path, ...]) -> ImageColumn:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_struct(column.type):
        return ImageColumn(column, None)
    has_path = column.type.get_field_index("path") >= 0
    return ImageColumn(
        pc.struct_field(column, "bytes"), pc.struct_field(column, "path") if has_path else None, folders
    )


def _feature_columns(
    table: pa.Table, options: Options, label: str | None, where: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if options.features is not None:
        for name in (label, options.coarse):
            if name in options.features:
                raise InputError(f"{where}: column {name!r} is the label and cannot be a feature too")
        return options.features, ()
    others = [field for field in table.schema if field.name not in (label, options.coarse)]
    # Beside a column of embeddings a number is more likely an id than a feature.
    numeric = tuple(field.name for field in others if is_vector(field.type)) or tuple(
        field.name for field in others if is_number(field.type) and field.name not in _INDEX_NAMES
    )
    if not numeric:
        raise InputError(
            f"{where}: no column of numbers or images to learn from, only "
            f"{', '.join(f'{field.name} ({field.type})' for field in others) or label}"
        )
    left_out = [field.name for field in others if field.name not in numeric]
    return numeric, (f"columns that are not features: {', '.join(map(repr, left_out))}",) if left_out else ()

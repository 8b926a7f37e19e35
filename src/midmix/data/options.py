"""What a user may say about a source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypedDict, Unpack

from midmix.data.tables.column import TableColumn
from midmix.errors import unknown

_COLUMNS = ("features", "keep", "exclude", "text")
_PATHS = ("list", "list_test", "root")


class OptionKeywords(TypedDict, total=False):
    """The fields of `Options` as keywords, for type checkers; where columns are named, it may be one name."""

    label: str | None
    coarse: str | None
    features: str | Sequence[str] | None
    image: str | None
    test_fraction: float | None
    image_size: int | None
    interpolation: str
    crop: float
    scaled_later: bool
    lazy: bool
    text: str | Sequence[str] | None
    skip_broken: bool
    workers: int | None
    list: str | None
    list_test: str | None
    root: str | None
    seed: int
    keep: str | Sequence[str] | None
    exclude: str | Sequence[str] | None
    prepare: bool
    known: tuple[TableColumn, ...] | None


@dataclass(frozen=True)
class Options:
    """How to read a source; every field is a keyword of `load` and a flag of the command line.

    Attributes:
        label: column (Parquet, CSV, Hub) or array (NPZ) of the labels; `None` finds `label` or `labels`.
        coarse: column or array of the groups that the labels are in, where they are wanted; see `load_grouped`.
        features: columns or array of the features; `None` takes lists of numbers, as embeddings are, or else every
            column but the label that can be learnt from; see `choose_columns`.
        image: column of the images; `None` finds the only column of image bytes.
        test_fraction: share of the rows that becomes the test split where the source has none (0.2 if `None`).
        image_size: side in pixels; images are scaled and cropped around their centre to this square.
        interpolation: by which images are scaled to it: nearest, bilinear, bicubic or lanczos.
        crop: share of a side that is kept when they are.
        scaled_later: whether the size is an encoder's, so that rows that are no encoded images stay as they are: it
            scales them itself.
        text: columns of texts, of which a text encoder makes features; those of a row are joined.
        lazy: whether images are decoded when they are asked for, however few they are.
        skip_broken: leave out images that cannot be decoded, and note how many, instead of stopping.
        workers: processes that decode images which do not fit in memory, in training; 0 for threads of this one; None
            for as many as there are cores, eight at most, or threads where this process is one of several already.
        list, list_test: of a published split, its lists of training and test images; `list_test` of any list.
        root: the folder from which a list's paths are; `None` is the list's own.
        seed: draws the test split where the source has none. It is not the seed of a run: every run of a
            comparison sees the same test rows.
        keep: columns of a table that are taken though they look like ids or constants.
        exclude: columns of a table that are left out.
        prepare: whether the columns of a table are features yet to be made, from training rows (`Source.table`);
            without, columns of numbers are features as they stand, as those of an encoder are.
        known: the columns as a model knows them, where a table is read for it.
    """

    label: str | None = None
    coarse: str | None = None
    features: tuple[str, ...] | None = None
    image: str | None = None
    test_fraction: float | None = None
    image_size: int | None = None
    interpolation: str = "bilinear"
    crop: float = 1.0
    scaled_later: bool = False
    lazy: bool = False
    text: tuple[str, ...] | None = None
    skip_broken: bool = False
    workers: int | None = None
    list: str | None = None
    list_test: str | None = None
    root: str | None = None
    seed: int = 0
    keep: tuple[str, ...] | None = None
    exclude: tuple[str, ...] | None = None
    prepare: bool = True
    known: tuple[TableColumn, ...] | None = None

    @classmethod
    def of(cls, **keywords: Unpack[OptionKeywords]) -> Options:
        """Options from keywords, of which `features`, `keep`, `exclude` and `text` may be one name or several.

        Raises:
            InputError: a keyword that is none of the fields.

        Example:
            >>> Options.of(features="emb").features, Options.of(features=["a", "b"]).features
            (('emb',), ('a', 'b'))
        """
        given: dict[str, Any] = dict(keywords)
        known = [field.name for field in fields(cls)]
        for name in given:
            if name not in known:
                raise unknown("option of a source", name, known)
        for name in _COLUMNS:
            columns = given.get(name)
            given[name] = (columns,) if isinstance(columns, str) else tuple(columns or ()) or None
        return cls(**given)

    def record(self) -> dict[str, Any]:
        """The options on which rows depend, as plain data, with which `of` makes the same ones.

        Example:
            >>> Options.of(**Options(features=("a", "b"), seed=3).record()) == Options(features=("a", "b"), seed=3)
            True
        """
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        del plain["known"], plain["workers"]
        for name in _PATHS:
            if plain[name] is not None:
                plain[name] = str(Path(plain[name]).expanduser().resolve())
        return {name: [*value] if isinstance(value, tuple) else value for name, value in plain.items()}

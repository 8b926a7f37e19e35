"""From the columns of a table to features: fitted on training rows, kept as plain data, applied to any rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from torch import Tensor

from midmix.data.dataset import Labelled
from midmix.data.tables.blocks import BLOCKS, Block, Categories, Learnt
from midmix.data.tables.column import TableColumn
from midmix.data.tables.encode import UNSEEN
from midmix.errors import InputError


class Preparation:
    """What training rows said of a table's columns, applied by scikit-learn's `ColumnTransformer`.

    Numbers, categories and dates become features as `Numbers`, `Categories` and `Dates` say.

    Attributes:
        columns: those it was fitted on, in their order.
        names: of the features.

    Example:
        >>> columns = (TableColumn("age", "number"), TableColumn("city", "category", ("Oslo", "Rome")))
        >>> rows = torch.tensor([[30.0, 0], [50, 1], [float("nan"), 1], [40, 0]] * 10)
        >>> preparation = Preparation.fit(rows, columns)
        >>> preparation.names
        ('age', 'age is missing', 'city=Oslo', 'city=Rome')
        >>> preparation.apply(torch.tensor([[float("nan"), -1.0]]))  # a hole, and a city of which nothing was learnt
        tensor([[40., 1., 0., 0.]])
        >>> Preparation.from_dict(preparation.to_dict()).names == preparation.names
        True
    """

    def __init__(self, columns: Sequence[TableColumn], transformer: ColumnTransformer) -> None:
        self.columns = tuple(columns)
        self._transformer = transformer
        self.names: tuple[str, ...] = tuple(map(str, transformer.get_feature_names_out()))

    @classmethod
    def fit(cls, rows: Tensor, columns: Sequence[TableColumn]) -> Self:
        """Learns from training rows `[N, K]`, encoded as `encode_columns` does for these K columns.

        Raises:
            InputError: where nothing is left to learn from, as of categories that are all too rare.
        """
        blocks = [(block, places) for block in BLOCKS if (places := _places(columns, block))]
        made = [(block([columns[place] for place in places]), places) for block, places in blocks]
        found = cls(columns, _joined(made).fit(rows.numpy()))
        if not found.names:
            named = ", ".join(repr(column.name) for column in columns)
            raise InputError(
                f"features: of {named} nothing is left to learn from, as no value is frequent; add rows or columns"
            )
        return found

    def apply(self, rows: Tensor, columns: Sequence[TableColumn] | None = None) -> Tensor:
        """Features `float32 [N, D]` of rows `[N, K]`.

        Args:
            rows: encoded as `encode_columns` does.
            columns: for these columns, which may have other values in another order than `self.columns`; None for
                those.

        Raises:
            InputError: other columns, or features that are beyond float32.
        """
        if columns is not None and tuple(columns) != self.columns:
            rows = self._recoded(rows, columns)
        with np.errstate(over="ignore"):
            features = np.asarray(self._transformer.transform(rows.numpy()), dtype=np.float32)
        bad = ~np.isfinite(features)
        if bad.any():
            row, place = (int(k) for k in np.argwhere(bad)[0])
            raise InputError(
                f"column {self.names[place]!r}: row {row} (counting from 0) is too far from the training rows "
                "to be made ready; look at its value"
            )
        return torch.from_numpy(np.ascontiguousarray(features))

    def applied(self, data: Labelled, columns: Sequence[TableColumn] | None = None) -> Labelled:
        """The same rows with features as inputs."""
        assert isinstance(data.inputs, Tensor)
        return replace(data, inputs=self.apply(data.inputs, columns))

    def pooled(self, rows: Tensor, columns: Sequence[TableColumn] | None = None) -> list[str]:
        """A line for each column with categories that are rare or unseen in training, with how many rows hold such.

        Arguments as for `apply`.

        Example:
            >>> preparation = Preparation.fit(
            ...     torch.tensor([[0.0], [1]] * 10), (TableColumn("city", "category", ("Oslo", "Rome")),))
            >>> preparation.pooled(torch.tensor([[-1.0], [0]]))
            ["column 'city': 1 of 2 rows hold a category that was rare or not seen in training: as none of the 2 known"]
        """
        if columns is not None and tuple(columns) != self.columns:
            rows = self._recoded(rows, columns)
        said = []
        for block, places in _fitted(self._transformer):
            if not isinstance(block, Categories):
                continue
            for place, learnt in zip(places, block.learnt_, strict=True):
                column, cells = self.columns[place], rows[:, place]
                kept = torch.tensor([column.values.index(value) for value in learnt["values"]])
                count = int((~cells.isnan() & ~torch.isin(cells, kept.to(cells))).sum())
                if count:
                    said.append(
                        f"column {column.name!r}: {count:,} of {len(cells):,} rows hold a category that was rare or "
                        f"not seen in training: as none of the {len(kept):,} known"
                    )
        return said

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, which `from_dict` reads back to the last bit."""
        learnt: dict[int, Learnt] = {}
        for block, places in _fitted(self._transformer):
            learnt.update(zip(places, block.learnt_, strict=True))
        return {
            "columns": [
                {"name": column.name, "kind": column.kind, **learnt[place]}
                for place, column in enumerate(self.columns)
            ]
        }

    @classmethod
    def from_dict(cls, record: object) -> Self:
        """The preparation of plain data; no code is run.

        Raises:
            InputError: it is none.
        """
        try:
            entries = [dict(entry) for entry in record["columns"]]  # type: ignore[index]
            if not entries:
                raise ValueError("no columns")
            columns = [
                TableColumn(
                    str(entry.pop("name")), entry.pop("kind"), tuple(map(str, entry.get("values", ())))
                )
                for entry in entries
            ]
            made: list[tuple[Any, list[int]]] = []
            for block in BLOCKS:
                if places := _places(columns, block):
                    own = [columns[place] for place in places]
                    made.append(
                        (FrozenEstimator(block.of(own, [entries[place] for place in places])), places)
                    )
            transformer = _joined(made).fit(np.zeros((1, len(columns)), dtype=np.float32))
            found = cls(columns, transformer)
            found.apply(torch.zeros(1, len(columns)))
        except InputError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = " ".join(str(error).split())[:80]
            raise InputError(
                f"preparation: is none of a table ({type(error).__name__}: {reason}); bring the file back from a copy"
            ) from None
        return found

    def _recoded(self, rows: Tensor, columns: Sequence[TableColumn]) -> Tensor:
        """The same rows as our columns have them."""
        theirs = {column.name: place for place, column in enumerate(columns)}
        found = []
        for own in self.columns:
            if own.name not in theirs or columns[theirs[own.name]].kind != own.kind:
                now = f"is a {columns[theirs[own.name]].kind}" if own.name in theirs else "is not there"
                raise InputError(
                    f"column {own.name!r}: was a {own.kind} in training, and {now} now; give the column as it was"
                )
            values = rows[:, theirs[own.name]]
            if own.kind == "category":
                numbers = {value: float(place) for place, value in enumerate(own.values)}
                known = [numbers.get(value, UNSEEN) for value in columns[theirs[own.name]].values]
                lookup = torch.tensor([*known, UNSEEN])  # what is -1 there is the last, and unseen here too
                places = values.nan_to_num(UNSEEN).long()
                values = torch.where(values.isnan(), values, lookup[places])
            found.append(values)
        return torch.stack(found, 1)


def _places(columns: Sequence[TableColumn], block: type[Block]) -> list[int]:
    return [place for place, column in enumerate(columns) if column.kind == block.kind]


def _joined(blocks: Sequence[tuple[Any, list[int]]]) -> ColumnTransformer:
    named = [(f"{number}", block, places) for number, (block, places) in enumerate(blocks)]
    return ColumnTransformer(named, sparse_threshold=0, verbose_feature_names_out=False)


def _fitted(transformer: ColumnTransformer) -> list[tuple[Block, list[int]]]:
    found = []
    for _, block, places in transformer.transformers_:
        found.append((getattr(block, "estimator", block), list(places)))
    return found

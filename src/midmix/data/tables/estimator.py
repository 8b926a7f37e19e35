"""The preparation of tables as a step of scikit-learn's pipelines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from midmix.data.tables.choose import choose_columns
from midmix.data.tables.encode import encode_columns
from midmix.data.tables.preparation import Preparation
from midmix.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa


class TablePreparation(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Data frames as they are to features `float32 [N, D]`, as `midmix train` makes them of a file.

    Holes are filled and marked, categories become columns of 0 and 1 with the rare and unseen ones pooled, dates
    their place in year and week, skewed numbers even; ids, constants and text are left out. Only `fit` learns.

    Args:
        keep: columns that are not left out, whatever they look like.
        exclude: columns that are left out.

    Attributes:
        preparation_: the fitted `Preparation`, with plain data in `to_dict()`.
        notes_: a line for everything that was decided.
        n_features_in_, feature_names_in_: as in scikit-learn.

    Raises:
        InputError: by `fit` and `transform`, for columns that cannot be, are missing or have changed their kind.

    Example:
        >>> import pandas as pd
        >>> from sklearn.pipeline import make_pipeline
        >>> from midmix.integrations import MidmixClassifier
        >>> frame = pd.DataFrame({"age": [30, None, 50, 41] * 10, "city": ["Oslo", "Rome", "Rome", None] * 10})
        >>> model = make_pipeline(TablePreparation(), MidmixClassifier(epochs=2, random_state=0))
        >>> model.fit(frame, [0, 1, 1, 0] * 10).predict(pd.DataFrame({"age": [None], "city": ["Bonn"]})).shape
        (1,)
        >>> model[0].get_feature_names_out().tolist()
        ['age', 'age is missing', 'city=Oslo', 'city=Rome', 'city is missing']
    """

    def __init__(self, *, keep: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        self.keep = keep
        self.exclude = exclude

    def fit(self, X: Any, y: object = None) -> Self:  # noqa: N803
        """Learns from training rows: a data frame, an Arrow table or an array."""
        table = arrow_of(X)
        choice = choose_columns(table, where="X", keep=self.keep, exclude=self.exclude)
        rows, lost = encode_columns(table, choice.columns, where="X")
        self.n_features_in_ = table.num_columns
        self.feature_names_in_ = np.array(table.column_names, dtype=object)
        self.notes_ = (*choice.notes, *lost)
        self.preparation_ = Preparation.fit(rows, choice.columns)
        return self

    def transform(self, X: Any) -> np.ndarray:  # noqa: N803
        """Features of rows with the same columns, `float32 [N, D]`."""
        check_is_fitted(self)
        rows, _ = encode_columns(arrow_of(X), self.preparation_.columns, where="X")
        features: np.ndarray = self.preparation_.apply(rows).numpy()
        return features

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Names of the features."""
        check_is_fitted(self)
        return np.array(self.preparation_.names, dtype=object)


def arrow_of(rows: Any) -> pa.Table:
    """A data frame, an Arrow table or an array as an Arrow table."""
    import pandas as pd
    import pyarrow as pa

    if isinstance(rows, pa.Table):
        return rows
    if not isinstance(rows, pd.DataFrame):
        values = np.asarray(rows)
        if values.ndim != 2:
            raise InputError(f"X: has shape {list(values.shape)}; give a row a sample, a column a feature")
        rows = pd.DataFrame(values, columns=[f"x{place}" for place in range(values.shape[1])]).infer_objects()
    rows = rows.rename(columns=str)
    try:
        return pa.Table.from_pandas(rows, preserve_index=False)
    except pa.ArrowException as error:
        reason = " ".join(str(error).split())
        raise InputError(f"X: a column holds values of several kinds ({reason}); make them alike") from None

"""Tables as people have them: what each column is taken for, and that only training rows are learnt from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from scipy import stats
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PowerTransformer

from midmix.data import Preparation, TableColumn, TablePreparation, load, load_unlabelled, validation_split
from midmix.data.tables.choose import choose_columns
from midmix.data.tables.encode import encode_columns
from midmix.errors import InputError
from midmix.integrations import MidmixClassifier
from midmix.training import draw_split

ROWS = 200
DRAW = np.random.default_rng(0)
CUSTOMERS = pd.DataFrame(
    {
        "CustomerID": DRAW.permutation(ROWS) * 7 + 1000,
        "age": np.where(np.arange(ROWS) % 9 == 0, np.nan, DRAW.integers(18, 90, ROWS)),
        "city": np.where(np.arange(ROWS) % 3 == 0, "Rome", "Oslo").astype(object),
        "amount": DRAW.lognormal(3, 2, ROWS),
        "member": DRAW.random(ROWS) < 0.5,
        "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(DRAW.integers(0, 900, ROWS), "D"),
        "country": "NO",
        "nothing": np.full(ROWS, np.nan),
        "code": [f"{k:06x}" for k in DRAW.permutation(ROWS)],
        "note": [f"customer {k} called us about the bill" for k in range(ROWS)],
        "label": np.where(np.arange(ROWS) % 10 == 0, "leaves", "stays"),
    }
)
CUSTOMERS.loc[3, "city"] = "Ur"
CUSTOMERS.loc[:20, "city"] = None


@pytest.fixture(params=["csv", "parquet"])
def customers(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / f"customers.{request.param}"
    if request.param == "csv":
        CUSTOMERS.to_csv(path, index=False)
    else:
        CUSTOMERS.to_parquet(path)
    return path


def kinds(frame: pd.DataFrame, **options: Any) -> dict[str, str]:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return {column.name: column.kind for column in choose_columns(table, where="t", **options).columns}


def test_each_column_is_taken_for_what_it_is(customers: Path) -> None:
    source = load(customers)
    assert {column.name: column.kind for column in source.table} == {
        "age": "number", "city": "category", "amount": "number", "member": "number", "since": "date",
    }  # fmt: skip
    said = "\n".join(source.notes)
    for line in (
        "like ids, a value of its own in each row, left out: 'CustomerID', 'code' (--keep takes them)",
        "one value only, left out: 'country'",
        "without a value, left out: 'nothing'",
        "of text, left out: 'note'; make embeddings of them",
    ):
        assert line in said


def test_what_is_asked_for_is_taken_and_what_is_excluded_is_not(customers: Path) -> None:
    source = load(customers, keep=["CustomerID", "country"], exclude="since")
    assert source.columns == ("CustomerID", "age", "city", "amount", "member", "country")
    assert load(customers, features=["note", "age"]).columns == ("note", "age")
    with pytest.raises(InputError, match=r"'nothing' is of type .*, not numbers, categories or dates"):
        load(customers, keep="nothing")


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (range(40), None),  # the rows' numbers
        (range(5, 45), None),
        (np.arange(40) * 3, "number"),
        (np.arange(40) / 2, "number"),
        ([7, 7] * 20, None),
        ([7, None] * 20, "number"),
        (["a", None] * 20, "category"),
        (["a", ""] * 20, "category"),
        (["a", "b"] * 20, "category"),
        ([True, None] * 20, "number"),
        (["1", "2", "3.5", "?"] * 10, "number"),
        (["1", "2", "3.5", "x"] * 10, "category"),
        (["01", "02", "03", "?"] * 10, "category"),  # post codes are names
        ([f"{k}.03.2021" for k in range(1, 21)] * 2, None),
        ([f"key {k}" for k in range(40)], None),
        (pd.date_range("2020-01-01", periods=40, tz="Europe/Oslo"), "date"),
        (pd.Categorical(["a", "b"] * 20), "category"),
    ],
)
def test_kinds(values: Any, kind: str | None) -> None:
    frame = pd.DataFrame({"x": values, "z": DRAW.normal(size=40)})
    assert kinds(frame).get("x") == kind


@pytest.mark.parametrize("name", ["id", "customer_id", "CustomerId", "row.nr", "uuid"])
def test_numbers_that_are_called_ids(name: str) -> None:
    frame = pd.DataFrame({name: DRAW.permutation(4000)[:40], "price": DRAW.permutation(4000)[:40]})
    assert kinds(frame) == {"price": "number"}
    assert kinds(frame, keep=[name]) == {name: "number", "price": "number"}
    assert kinds(frame.assign(**{name: [1, 2] * 20})) == {
        name: "number",
        "price": "number",
    }  # one of few is none


class TestPreparation:
    def test_is_what_scikit_learn_makes_of_the_same_rows(self) -> None:
        frame = CUSTOMERS[["age", "city", "amount", "member"]].astype({"member": float})
        named = frame.fillna({"city": "missing"}).replace({"city": {"Ur": np.nan}})
        theirs = ColumnTransformer(
            [
                ("age", SimpleImputer(strategy="median", add_indicator=True), ["age"]),
                (
                    "city",
                    OneHotEncoder(categories=[["Oslo", "Rome", "missing"]], handle_unknown="ignore"),
                    ["city"],
                ),
            ],
            sparse_threshold=0,
        ).fit_transform(named)
        ours = TablePreparation().fit(frame)
        names = ours.get_feature_names_out().tolist()
        assert names == [
            "age",
            "age is missing",
            "amount",
            "member",
            "city=Oslo",
            "city=Rome",
            "city is missing",
        ]
        found = ours.transform(frame)
        assert found.dtype == np.float32
        assert np.array_equal(found[:, [0, 1, 4, 5, 6]], theirs.astype(np.float32))
        amount = frame[["amount"]].to_numpy(np.float32).astype(float)
        low, centre, high = np.quantile(amount, (0.25, 0.5, 0.75))
        even = PowerTransformer(standardize=False).fit_transform((amount - centre) / (high - low))
        assert np.allclose(found[:, 2], even[:, 0], atol=1e-6)
        assert abs(stats.skew(found[:, 2])) < 0.6 < 3 < stats.skew(frame["amount"].to_numpy())

    def test_plain_data_gives_the_same_features_to_the_last_bit(self, customers: Path) -> None:
        source = load(customers)
        assert isinstance(source.train.inputs, torch.Tensor)
        fitted = Preparation.fit(source.train.inputs, source.table)
        again = Preparation.from_dict(json.loads(json.dumps(fitted.to_dict())))
        assert again.to_dict() == fitted.to_dict()
        assert again.names == fitted.names
        for rows in (source.train.inputs, source.test.inputs):
            assert isinstance(rows, torch.Tensor)
            assert torch.equal(again.apply(rows, source.table), fitted.apply(rows))

    @pytest.mark.parametrize(
        "record",
        [
            {}, {"columns": 3}, {"columns": [{"name": "a", "kind": "picture"}]},
            {"columns": [{"name": "a", "kind": "number"}]},
            {"columns": [{"name": "a", "kind": "number", "fill": "x", "missing": True, "power": None}]},
            {"columns": []}, None,
        ],
    )  # fmt: skip
    def test_plain_data_that_is_none(self, record: Any) -> None:
        with pytest.raises(InputError) as caught:
            Preparation.from_dict(record)
        assert "\n" not in str(caught.value)

    def test_dates(self) -> None:
        days = pd.to_datetime(["2021-03-01 06:00", "2021-03-08 06:00", "NaT", "2021-03-01 18:00"] * 10)
        prepared = TablePreparation().fit(pd.DataFrame({"when": days}))
        assert prepared.get_feature_names_out().tolist() == [
            "when", "when sine of year", "when cosine of year", "when sine of week", "when cosine of week",
            "when sine of day", "when cosine of day", "when is missing",
        ]  # fmt: skip
        first, later, missing, evening = prepared.transform(pd.DataFrame({"when": days}))[:4]
        assert later[0] - first[0] == 7
        assert np.allclose(first[3:], later[3:], atol=1e-3)  # the same hour of the same weekday
        assert missing[7] == 1
        assert np.allclose(evening[5:7], -first[5:7], atol=1e-3)

    def test_rare_and_unseen_are_one(self) -> None:
        frame = pd.DataFrame({"city": ["Oslo"] * 60 + ["Rome"] * 30 + ["Ur", "Nineveh"]})
        prepared = TablePreparation().fit(frame)
        assert prepared.get_feature_names_out().tolist() == ["city=Oslo", "city=Rome"]
        rows = prepared.transform(pd.DataFrame({"city": ["Ur", "Bonn", None, "Rome"]}))
        assert rows.tolist() == [[0, 0], [0, 0], [0, 0], [0, 1]]

    def test_extremes_never_become_infinite(self) -> None:
        frame = pd.DataFrame({"a": [0.0] * 90 + [1e-6, 1.0, 1e6] * 4, "b": -DRAW.lognormal(0, 3, 102)})
        prepared = TablePreparation().fit(frame)
        found = prepared.transform(pd.DataFrame({"a": [1e30, -1e30, 0], "b": [1e38, -1e38, 0]}))
        assert np.isfinite(found).all()


class TestSplit:
    def test_only_training_rows_are_learnt_from(self, tmp_path: Path) -> None:
        path = tmp_path / "t.csv"
        CUSTOMERS.to_csv(path, index=False)
        before = draw_split(load(path), seed=0, validation=0.3)
        # What the held-out rows say is changed beyond recognition; their labels stay, so the draws do too.
        frame = CUSTOMERS.copy()
        held_out = _held_out(path)
        frame.loc[held_out, "amount"] *= 1e6
        frame.loc[held_out, "age"] = 1000.0
        frame.loc[held_out, "city"] = "Atlantis"
        frame.to_csv(path, index=False)
        after = draw_split(load(path), seed=0, validation=0.3)
        assert after.hash == before.hash
        assert after.preparation is not None
        assert before.preparation is not None
        assert after.preparation.to_dict() == before.preparation.to_dict()
        assert torch.equal(torch.as_tensor(after.train.inputs), torch.as_tensor(before.train.inputs))
        assert not torch.equal(torch.as_tensor(after.test.inputs), torch.as_tensor(before.test.inputs))

    def test_a_test_file_with_values_of_its_own(self, tmp_path: Path) -> None:
        train, test = CUSTOMERS.iloc[:150], CUSTOMERS.iloc[150:].copy()
        test["city"] = "Bonn"
        test["age"] = np.nan
        train.to_csv(tmp_path / "train.csv", index=False)
        test.to_csv(tmp_path / "test.csv", index=False)
        split = draw_split(load(tmp_path), seed=0)
        assert split.preparation is not None
        names = list(split.preparation.names)
        rows = torch.as_tensor(split.test.inputs)
        assert rows[:, [names.index(name) for name in names if name.startswith("city")]].abs().sum() == 0
        assert rows[:, names.index("age is missing")].min() == 1
        assert bool(rows.isfinite().all())


def _held_out(path: Path) -> np.ndarray:
    """The rows of a file that are not trained on with seed 0 and validation 0.3, by their amounts."""
    source = load(path)
    place = source.columns.index("amount")
    stay, _ = validation_split(source.train.labels, fraction=0.3, seed=0)
    trained = torch.as_tensor(source.train.inputs)[stay, place].numpy()
    return np.flatnonzero(~np.isin(CUSTOMERS["amount"].to_numpy(np.float32), trained))


class TestLeaks:
    def frame(self) -> pd.DataFrame:
        return CUSTOMERS[["amount", "age", "label"]].assign(chance=DRAW.normal(size=ROWS))

    def test_a_column_that_alone_gives_the_label(self, tmp_path: Path) -> None:
        frame = self.frame()
        frame["closed"] = np.where(frame["label"] == "leaves", "yes", "no")
        frame["days_after"] = np.where(frame["label"] == "leaves", DRAW.normal(size=ROWS) + 20, np.nan)
        frame.to_csv(tmp_path / "t.csv", index=False)
        (said,) = [line for line in load(tmp_path / "t.csv").notes if "alone give" in line]
        assert "'closed', 'days_after'; if they are written after it is known, --exclude them" in said

    def test_rows_in_both_splits(self, tmp_path: Path) -> None:
        frame = self.frame()
        frame.iloc[:150].to_csv(tmp_path / "train.csv", index=False)
        frame.iloc[140:].to_csv(tmp_path / "test.csv", index=False)
        (said,) = [line for line in load(tmp_path).notes if "training rows too" in line]
        assert "10 of 60" in said

    def test_no_false_alarm(self, tmp_path: Path) -> None:
        self.frame().to_csv(tmp_path / "t.csv", index=False)
        assert len(load(tmp_path / "t.csv").notes) == 1


class TestChangedKinds:
    COLUMNS = (
        TableColumn("age", "number"),
        TableColumn("city", "category", ("Oslo",)),
        TableColumn("day", "date"),
    )

    @pytest.mark.parametrize(
        ("name", "values", "message"),
        [
            (
                "age",
                ["old", "young"],
                r"column 'age': holds numbers, but 'old' in row 0 \(counting from 0\); leave",
            ),
            (
                "age",
                pd.to_datetime(["2020-01-01"] * 2),
                "column 'age': held numbers in training, and is of type time",
            ),
            (
                "city",
                [1.5, 2.5],
                "column 'city': held names of categories in training, and is of type double here",
            ),
            (
                "day",
                ["1.2.2021", "x"],
                "column 'day': held dates in training, and is of type .*string here; write",
            ),
            (
                "age",
                [np.inf, 1],
                r"infinite, or beyond .* \(1 of 6 values\), the first in row 0 .* column 'age'",
            ),
            ("age", None, r"unknown column in t 'age'"),
        ],
    )
    def test_one_line(self, name: str, values: Any, message: str) -> None:
        days = pd.to_datetime(["2020-01-01", "NaT"])
        frame = pd.DataFrame({"age": [1.0, 2], "city": ["Oslo", "Rome"], "day": days})
        frame = frame.drop(columns=name) if values is None else frame.assign(**{name: values})
        with pytest.raises(InputError, match=message) as caught:
            encode_columns(pa.Table.from_pandas(frame), self.COLUMNS, where="t")
        assert "\n" not in str(caught.value)

    def test_what_may_differ(self) -> None:
        frame = pd.DataFrame({"city": [1, 2], "age": ["?", " 3"], "day": [None, None]})
        rows, _ = encode_columns(pa.Table.from_pandas(frame), self.COLUMNS, where="t")
        assert np.array_equal(rows, [[np.nan, -1, np.nan], [3, -1, np.nan]], equal_nan=True)


def test_in_a_pipeline() -> None:
    model = make_pipeline(TablePreparation(), MidmixClassifier(epochs=2, random_state=0))
    features, labels = CUSTOMERS.drop(columns="label"), CUSTOMERS["label"]
    assert np.isfinite(cross_val_score(model, features, labels, cv=2)).all()
    fitted = TablePreparation(exclude=["since"]).fit(features)
    assert any("like ids" in line for line in fitted.notes_)
    table = pa.Table.from_pandas(features, preserve_index=False)
    assert np.array_equal(fitted.transform(table), fitted.transform(features))
    assert TablePreparation().fit_transform(DRAW.normal(size=(30, 2))).shape == (30, 2)


def test_the_pipeline_makes_what_training_makes(customers: Path) -> None:
    source = load(customers)
    split = draw_split(source, seed=0)
    assert split.preparation is not None
    whole = load_unlabelled(
        customers, shape=split.train.shape, columns=source.columns, preparation=split.preparation
    )
    place = split.preparation.names.index("amount")
    trained = np.isin(torch.as_tensor(whole.inputs)[:, place], torch.as_tensor(split.train.inputs)[:, place])
    fitted = TablePreparation().fit(CUSTOMERS.drop(columns="label")[trained])
    assert np.array_equal(
        fitted.transform(CUSTOMERS.drop(columns="label")), torch.as_tensor(whole.inputs).numpy()
    )

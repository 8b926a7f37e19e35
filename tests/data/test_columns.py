"""Columns of embeddings: a list of numbers in each row of a Parquet file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from midmix.data import load, load_features, load_unlabelled
from midmix.errors import InputError

VECTORS = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
LABELS = ["cat", "dog"] * 4
Write = Callable[..., Path]


@pytest.fixture
def parquet(tmp_path: Path) -> Write:
    """Write columns as a Parquet file of several row groups, which become several chunks."""

    def write(file: str = "embeddings.parquet", /, **columns: object) -> Path:
        pq.write_table(pa.table({"label": LABELS, **columns}), tmp_path / file, row_group_size=3)
        return tmp_path / file

    return write


def lists(kind: pa.DataType, rows: object = None) -> pa.Array:
    return pa.array(VECTORS.tolist() if rows is None else rows, kind)


def both(path: Path, **options: Any) -> np.ndarray:
    """All rows of a source, sorted."""
    source = load(path, **options)
    rows = torch.cat([torch.as_tensor(data.inputs) for data in (source.train, source.test)])
    return np.array(sorted(rows.tolist()), dtype=np.float32)


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float32()),
        pa.list_(pa.float64()),
        pa.list_(pa.float16()),
        pa.large_list(pa.float32()),
        pa.list_(pa.float32(), 3),
        pa.list_(pa.float64(), 3),
    ],
    ids=str,
)
def test_lists_are_features(parquet: Write, kind: pa.DataType) -> None:
    path = parquet(emb=lists(kind))
    source = load(path)
    assert source.columns == ("emb[0]", "emb[1]", "emb[2]")
    assert source.train.shape == (3,)
    assert torch.as_tensor(source.train.inputs).dtype == torch.float32
    assert np.allclose(both(path), np.array(sorted(VECTORS.tolist())), atol=2e-3)


def test_whole_numbers_and_truth_values(parquet: Write) -> None:
    bits, counts = VECTORS > 0, (10 * VECTORS).astype(int)
    path = parquet(
        bits=lists(pa.list_(pa.bool_()), bits.tolist()), counts=lists(pa.list_(pa.int8()), counts.tolist())
    )
    assert both(path).tolist() == sorted(np.column_stack([bits, counts]).tolist())


def test_scalar_columns_beside_an_embedding_only_where_they_are_asked_for(parquet: Write) -> None:
    path = parquet(age=np.arange(8), emb=lists(pa.list_(pa.float32())), name=list("abcdefgh"))
    source = load(path)
    assert source.columns == ("emb[0]", "emb[1]", "emb[2]")
    assert source.notes[0] == "columns that are not features: 'age', 'name'"
    assert load(path, features=["age", "emb"]).columns == ("age", "emb[0]", "emb[1]", "emb[2]")
    assert load(path, features=["emb", "age"]).columns == ("emb[0]", "emb[1]", "emb[2]", "age")
    expected = np.column_stack([VECTORS, np.arange(8)])
    assert np.array_equal(
        both(path, features=["emb", "age"]), np.array(sorted(expected.tolist()), np.float32)
    )


def test_a_slice_of_a_table_has_its_own_rows(tmp_path: Path) -> None:
    for split, rows in (("train", slice(0, 5)), ("test", slice(5, 8))):
        table = pa.table({"emb": lists(pa.list_(pa.float32(), 3)), "label": LABELS})
        pq.write_table(table.slice(rows.start, rows.stop - rows.start), tmp_path / f"{split}.parquet")
    source = load(tmp_path)
    assert np.array_equal(torch.as_tensor(source.test.inputs).numpy(), VECTORS[5:])


@pytest.mark.parametrize(
    ("kind", "row", "message"),
    [
        (
            pa.list_(pa.float32()),
            None,
            r"column 'emb': the list of row 4 \(counting from 0\) is missing \(1 of 8",
        ),
        (pa.list_(pa.float32(), 3), None, r"column 'emb': the list of row 4 .* is missing"),
        (pa.list_(pa.float32()), [1.0, 2.0], "the list of row 4 .* has 2 numbers, that of row 0 has 3"),
        (pa.list_(pa.float32()), [], "the list of row 4 .* has 0 numbers, that of row 0 has 3"),
        (
            pa.list_(pa.float32()),
            [1, None, 3],
            r"\(1 of 24 values\), the first in row 4 .* column 'emb\[1\]'",
        ),
        (pa.list_(pa.int32(), 3), [1, None, 3], r"the first in row 4 .* column 'emb\[1\]'"),
        (pa.list_(pa.float64(), 3), [1e300, 2, 3], r"infinite .* row 4 .* column 'emb\[0\]'"),
    ],
)
def test_lists_that_are_no_embeddings(parquet: Write, kind: pa.DataType, row: object, message: str) -> None:
    rows: list[object] = [[1, 2, 3]] * 8
    rows[4] = row
    with pytest.raises(InputError, match=message) as caught:
        load(parquet(emb=lists(kind, rows)))
    assert "\n" not in str(caught.value)


def test_lists_of_nothing_and_of_text(parquet: Write) -> None:
    with pytest.raises(InputError, match=r"row 0 .* has 0 numbers; every row needs"):
        load(parquet(emb=lists(pa.list_(pa.float32()), [[]] * 8)))
    words = parquet(emb=lists(pa.list_(pa.string()), [["a"]] * 8))
    with pytest.raises(
        InputError, match=r"no column of numbers, categories or images to learn from, only emb \(list"
    ):
        load(words)
    with pytest.raises(InputError, match=r"column 'emb' is of type list.*, not numbers, categories or dates"):
        load(words, features="emb")


def test_a_test_file_has_as_many_numbers(parquet: Write, tmp_path: Path) -> None:
    parquet("train.parquet", emb=lists(pa.list_(pa.float32())))
    parquet("test.parquet", emb=lists(pa.list_(pa.float32()), [[1, 2, 3, 4]] * 8))
    with pytest.raises(InputError, match="the lists in column 'emb' have 4 numbers, not 3 as in training"):
        load(tmp_path)


class TestUnlabelled:
    COLUMNS = ("emb[0]", "emb[1]", "emb[2]")

    def test_the_model_finds_its_column(self, parquet: Write) -> None:
        kind = pa.list_(pa.float32(), 3)
        path = parquet(other=np.arange(8), emb=lists(kind), more=lists(kind))
        rows = load_unlabelled(path, shape=(3,), columns=self.COLUMNS)
        assert np.array_equal(torch.as_tensor(rows.inputs).numpy(), VECTORS)
        with pytest.raises(InputError, match=r"unknown column in .* 'emd': did you mean emb"):
            load_unlabelled(path, shape=(3,), columns=("emd[0]", "emd[1]", "emd[2]"))

    def test_the_same_features_as_columns_of_their_own(self, parquet: Write) -> None:
        path = parquet(**dict(zip(self.COLUMNS, VECTORS.T, strict=True)))
        rows = load_unlabelled(path, shape=(3,), columns=self.COLUMNS)
        assert np.array_equal(torch.as_tensor(rows.inputs).numpy(), VECTORS)

    def test_another_length(self, parquet: Write) -> None:
        path = parquet(emb=lists(pa.list_(pa.float32())))
        with pytest.raises(InputError, match="column 'emb' have 3 numbers, not 2 as in training"):
            load_unlabelled(path, shape=(2,), columns=self.COLUMNS[:2])
        with pytest.raises(InputError, match=r"unknown column in .* 'emb\[2\]'"):
            load_unlabelled(path, shape=(2,), columns=("emb[2]", "emb[0]"))


def test_a_list_of_logits(parquet: Write) -> None:
    logits = lists(pa.list_(pa.float32()), np.arange(16).reshape(8, 2).tolist())
    found = load_features(parquet(emb=lists(pa.list_(pa.float32())), logits=logits))
    assert found.features.shape == (8, 3)
    assert found.logits is not None
    assert found.logits.tolist() == np.arange(16).reshape(8, 2).tolist()


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,a,note,note,label\n1,2,u,v,x\n3,4,u,v,y\n5,6,u,v,x\n7,8,u,v,y\n")
    with pytest.raises(InputError, match=r"a.csv: 2 columns have the name 'a'; give each its own"):
        load(path)
    path.write_text("a,label,label\n1,x,x\n2,y,y\n")
    with pytest.raises(InputError, match="2 columns have the name 'label'"):
        load(path)
    path.write_text("a,note,note,label\n1,u,v,x\n2,u,v,y\n3,u,v,x\n4,u,v,y\n")
    assert load(path).columns == ("a",)  # those that are not used may be called anything

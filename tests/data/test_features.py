"""Feature columns and arrays: CSV, Parquet, NPZ, Python; and everything that is wrong with them."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from midmix.data import from_arrays, load, load_features, load_grouped, load_unlabelled
from midmix.data.precision import merged
from midmix.errors import InputError

PETS = """age,name,weight,tame,label
1,Rex,20.5,true,dog
2,Tom,4.5,false,cat
3,Max,22,true,dog
4,Kit,5,true,cat
"""


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    path = tmp_path / "pets.csv"
    path.write_text(PETS)
    return path


class TestTable:
    def test_columns_are_features_and_those_left_out_are_noted(self, pets: Path) -> None:
        source = load(pets, test_fraction=0.5, exclude="name")
        assert source.columns == ("age", "weight", "tame")
        assert source.train.kind == "features"
        assert source.train.classes == ("cat", "dog")
        assert source.notes[0] == "columns left out as asked: 'name'"
        rows = {
            tuple(row.tolist())
            for data in (source.train, source.test)
            for row in torch.as_tensor(data.inputs)
        }
        assert rows == {(1, 20.5, 1), (2, 4.5, 0), (3, 22, 1), (4, 5, 1)}
        assert isinstance(source.train.inputs, torch.Tensor)
        assert source.train.inputs.dtype == torch.float32

    def test_named_columns(self, pets: Path) -> None:
        source = load(pets, features=["weight", "age"], test_fraction=0.5)
        assert source.columns == ("weight", "age")
        assert source.notes == ("test split: 2 of 4 rows, drawn by class with seed 0",)

    @pytest.mark.parametrize("delimiter", [";", "\t"])
    def test_other_delimiters(self, tmp_path: Path, delimiter: str) -> None:
        path = tmp_path / ("pets.tsv" if delimiter == "\t" else "pets.csv")
        path.write_text(PETS.replace(",", delimiter))
        assert load(path).columns == ("age", "name", "weight", "tame")

    def test_a_label_column_of_lists(self, tmp_path: Path) -> None:
        pq.write_table(pa.table({"a": [1, 2], "emb": [[1.0], [2.0]]}), tmp_path / "t.parquet")
        with pytest.raises(InputError, match=r"column 'emb': is of type list.*; a label is a class index"):
            load(tmp_path / "t.parquet", label="emb")

    def test_a_folder_of_train_and_test(self, tmp_path: Path) -> None:
        (tmp_path / "train.csv").write_text("a,b,label\n1,2,0\n3,4,1\n5,6,1\n")
        (tmp_path / "test.csv").write_text("label,b,a\n1,8,7\n")
        source = load(tmp_path)
        assert source.test.inputs[torch.tensor([0])].tolist() == [[7, 8]]  # by name, not by place
        assert source.train.counts().tolist() == [1, 2]

    def test_a_test_table_that_lacks_a_column(self, tmp_path: Path) -> None:
        (tmp_path / "train.csv").write_text("a,b,label\n1,2,0\n3,4,1\n")
        (tmp_path / "test.csv").write_text("a,label\n1,0\n")
        with pytest.raises(InputError, match=r"unknown column in .*test.csv 'b'"):
            load(tmp_path)

    def test_parquet_of_features(self, tmp_path: Path) -> None:
        table = pa.table(
            {
                "a": [1, 2, 3, 4],
                "b": [0.5, 1, 2, 3],
                "label": ["x", "y"] * 2,
                "__index_level_0__": [0, 1, 2, 3],
            }
        )
        pq.write_table(table, tmp_path / "t.parquet")
        source = load(tmp_path / "t.parquet")
        assert source.columns == ("a", "b")
        assert source.train.classes == ("x", "y")

    def test_numbers_as_labels_keep_their_names_in_order(self, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text("a,label\n" + "".join(f"{k},{k % 2 * 7 + 3}\n" for k in range(6)))
        assert load(tmp_path / "t.csv").train.classes == ("3", "10")

    def test_dictionary_labels(self, tmp_path: Path) -> None:
        labels = pa.array(["x", "y", "x", "y"]).dictionary_encode()
        pq.write_table(pa.table({"a": [1, 2, 3, 4], "label": labels}), tmp_path / "t.parquet")
        assert load(tmp_path / "t.parquet").train.classes == ("x", "y")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a,label\n1,x\n2,\n3,y\n", r"column 'label': the label of row 1 \(counting from 0\) is missing"),
            ("a,label\n1,0\n2,\n3,1\n", r"column 'label': the label of row 1 \(counting from 0\) is missing"),
            ("a,label\n1,0\n2,-2\n3,1\n", r"the label of row 1 \(counting from 0\) is negative \(-2\)"),
            ("a,label\n1,0\n2,0.5\n3,1\n", r"row 1 \(counting from 0\) is 0.5; a label is a class index"),
            ("a,label\n1,x\n2,x\n3,x\n", "only one class, 'x'"),
            ("a,label\n1,x\n2,x\n3,y\n", "single row, 'y'"),
            (
                "a,b,label\n1,2,x\n2,nan,x\n3,4,y\n4,inf,y\n",
                r"infinite, or beyond 3·10\^38 \(1 of 8 values\), the first in row 3 .*'b'",
            ),
            (
                "a,label\n12:30:00,x\n13:30:00,y\n",
                r"or images to learn from, only a \(time32\[s\]\); columns of a",
            ),
            ("label\nx\ny\n", "no column of numbers, categories or images to learn from, only label"),
            ("a,kind\n1,x\n", r"no column named label; .*one of: a, kind"),
            ("a,label\n", "no rows"),
            ("", "not a readable CSV file"),
            ("a,label\n1,x\n2\n", "not a readable CSV file .*Expected 2 columns"),
            ("a,label\n1,2020-01-01\n2,2020-01-02\n", "single row, '2020-01-01', '2020-01-02'"),
            ("a,label\n1,0\n2,NA\n3,1\n", r"the label of row 1 \(counting from 0\) is missing"),
            ("a,label\n1,01\n2,\n3,1\n", r"the label of row 1 \(counting from 0\) is missing"),
            ("a,label\n1,NA\n2,NA\n", r"the label of row 0 \(counting from 0\) and 1 more is missing"),
        ],
    )
    def test_wrong_input_is_told_in_one_line(self, tmp_path: Path, text: str, message: str) -> None:
        (tmp_path / "t.csv").write_text(text)
        with pytest.raises(InputError, match=message) as caught:
            load(tmp_path / "t.csv")
        assert "\n" not in str(caught.value)
        assert "t.csv" in str(caught.value)

    @pytest.mark.parametrize(
        ("text", "encoding", "message"),
        [
            ("a,label\n1,été\n2,hiver\n", "latin-1", "column 'label' is not UTF-8; save the file with"),
            ("a,name,label\n1,é,x\n2,e,y\n", "latin-1", "column 'name' is not UTF-8"),
            ("é,label\n1,x\n2,y\n", "latin-1", "the first line is not UTF-8"),
            ("a,label\n1,x\n2,y\n", "utf-16", "the first line is not UTF-8"),
        ],
    )
    def test_other_encodings(self, tmp_path: Path, text: str, encoding: str, message: str) -> None:
        (tmp_path / "t.csv").write_text(text, encoding=encoding)
        with pytest.raises(InputError, match=rf"t.csv: {message}"):
            load(tmp_path / "t.csv")

    def test_unknown_columns_have_their_nearest(self, pets: Path) -> None:
        with pytest.raises(InputError, match=r"unknown column in .*pets.csv 'wieght': did you mean weight\?"):
            load(pets, features=["age", "wieght"])
        for option in ("keep", "exclude"):
            with pytest.raises(
                InputError, match=r"unknown column in .*pets.csv 'wieght': did you mean weight\?"
            ):
                load(pets, **{option: "wieght"})  # type: ignore[arg-type]
            with pytest.raises(InputError, match="column 'label' is the label"):
                load(pets, **{option: "label"})  # type: ignore[arg-type]
        with pytest.raises(InputError, match="column 'age' is asked for and excluded"):
            load(pets, keep="age", exclude="age")
        with pytest.raises(InputError, match="column 'label' is the label"):
            load(pets, features=["age", "label"])

    def test_options_that_have_no_meaning_here(self, pets: Path) -> None:
        with pytest.raises(InputError, match="leave out --image-size"):
            load(pets, image_size=32)


class TestPrecision:
    NOTE = (
        "features whose differences are lost, as numbers of 32 bits keep some 7 digits: {}; subtract what their "
        "values have in common, the same from rows to predict"
    )

    @pytest.fixture
    def rows(self) -> np.ndarray:
        return np.random.default_rng(0).normal(size=(9000, 3))

    @pytest.mark.parametrize("added", [0, 1e3, 1e8, -1e12])
    def test_columns_that_are_too_far_from_zero_are_noted(
        self, tmp_path: Path, rows: np.ndarray, added: float
    ) -> None:
        rows[:, 1:] += added
        labels = np.arange(9000) % 2
        frame = pd.DataFrame(rows, columns=list("abc"))
        frame["label"] = labels
        frame.to_csv(tmp_path / "t.csv", index=False)
        lists = pa.array(rows.tolist(), pa.list_(pa.float64()))
        pq.write_table(pa.table({"emb": lists, "label": labels}), tmp_path / "t.parquet", row_group_size=700)
        np.savez(tmp_path / "t.npz", x=rows, y=labels)
        lost = abs(added) > 1e6
        for source, names in (
            ("t.csv", "'b', 'c'"),
            ("t.parquet", "'emb[1]', 'emb[2]'"),
            ("t.npz", "'1', '2'"),
        ):
            expected = (self.NOTE.format(names),) if lost else ()
            assert load(tmp_path / source).notes[:-1] == expected
            assert load_features(tmp_path / source).notes == expected
        assert from_arrays(rows, labels).notes[:-1] == ((self.NOTE.format("'1', '2'"),) if lost else ())

    @pytest.mark.parametrize(
        "column",
        [
            np.full(100, 1e8 + 0.1),  # no differences
            np.arange(100) * 1e8,
            np.append(np.arange(99), 1e8),  # one is far away
            1_700_000_000 + 3600 * np.arange(100),  # a time in seconds, by the hour
            np.arange(100) % 2 == 0,
            (np.arange(100) % 2 + 2**40).astype(np.float32),
            np.arange(100, dtype=np.int16),
        ],
    )
    def test_no_false_alarm(self, tmp_path: Path, column: np.ndarray) -> None:
        labels = np.arange(100) % 2
        pq.write_table(pa.table({"a": column, "label": labels}), tmp_path / "t.parquet")
        assert not [note for note in load(tmp_path / "t.parquet", keep="a").notes if "lost" in note]
        assert len(from_arrays(column[:, None], labels).notes) == 1

    def test_whole_numbers(self, tmp_path: Path) -> None:
        ids = 2**60 + np.arange(100)
        pq.write_table(pa.table({"a": ids, "label": np.arange(100) % 2}), tmp_path / "t.parquet")
        assert load(tmp_path / "t.parquet", keep="a").notes[0] == self.NOTE.format("'a'")

    def test_numbers_that_are_random_in_all_bits(self) -> None:
        rows = np.random.default_rng(0).uniform(size=(100_000, 2))
        assert not merged(rows).any()


class TestWrittenLabels:
    @pytest.mark.parametrize(
        ("labels", "classes"),
        [
            (("01", "1", "1e1", "10"), ("01", "1", "10", "1e1")),
            (("1", "1.0"), ("1", "1.0")),
            (("1", "+1", "-0", "0"), ("+1", "-0", "0", "1")),
            (("true", "True", "1"), ("1", "True", "true")),
            (("2020-01-01", "2020-01-02"), ("2020-01-01", "2020-01-02")),
            (("9007199254740993", "9007199254740992"), ("9007199254740992", "9007199254740993")),
            (("9223372036854775809", "9223372036854775808"), ("9223372036854775808", "9223372036854775809")),
            (("NA", "SE"), ("NA", "SE")),
            (("3", "10"), ("3", "10")),  # in the order of numbers
            ((" 3", "10 "), ("3", "10")),
        ],
    )
    @pytest.mark.parametrize("column", ["label", "kind"])
    @pytest.mark.parametrize("shards", [1, 2])
    def test_two_texts_never_become_one_class(
        self, tmp_path: Path, labels: tuple[str, ...], classes: tuple[str, ...], shards: int, column: str
    ) -> None:
        # The second shard alone would be read as integers of another type than the first.
        for shard in range(shards):
            order = labels if shard == 0 else labels[-1:]
            rows = "".join(f"{k},{label}\n" for k, label in enumerate(order * 4))
            name = "train" if shards == 1 else f"train-{shard:05}-of-{shards:05}"
            (tmp_path / f"{name}.csv").write_text(f"a,{column}\n" + rows)
        source = load(tmp_path, label=None if column == "label" else column, test_fraction=0.5)
        assert source.train.classes == classes
        counts = source.train.counts() + source.test.counts()
        assert counts.tolist() == [4 + 4 * (c == labels[-1].strip() and shards == 2) for c in classes]

    def test_a_test_file_that_is_written_otherwise(self, tmp_path: Path) -> None:
        (tmp_path / "train.csv").write_text("a,label\n1,01\n2,10\n")
        (tmp_path / "test.csv").write_text("a,label\n1,10\n")  # integers, were it alone
        assert load(tmp_path).test.labels.tolist() == [1]
        (tmp_path / "test.csv").write_text("a,label\n1,1\n")
        with pytest.raises(InputError, match="classes that the training rows lack: '1'"):
            load(tmp_path)

    def test_all_rows_and_measured_features_have_the_same_classes(self, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text("a,label\n" + "1,01\n2,1\n3,1e1\n4,10\n" * 2)
        classes = load(tmp_path / "t.csv").train.classes
        assert load(tmp_path / "t.csv", split=False).test.classes == classes
        assert load_features(tmp_path / "t.csv").classes == classes
        assert load_unlabelled(tmp_path / "t.csv", shape=(1,), columns=("a",)).inputs.shape == (8, 1)

    def test_groups_are_read_alike(self, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text("a,label,kind\n" + "1,u,01\n2,v,1\n3,w,01\n4,z,1\n" * 2)
        assert load_grouped(tmp_path / "t.csv", fine="label", coarse="kind").hierarchy.coarse == ("01", "1")


class TestSuffixesInCapitals:
    def test_tables(self, tmp_path: Path, pets: Path) -> None:
        shouted = pets.rename(tmp_path / "PETS.CSV")
        assert load(shouted).columns == ("age", "name", "weight", "tame")
        assert len(load_unlabelled(shouted, shape=(1,), columns=("age",))) == 4
        pq.write_table(pa.table({"a": [1, 2, 3, 4], "label": ["x", "y"] * 2}), tmp_path / "T.PARQUET")
        assert load(tmp_path / "T.PARQUET").columns == ("a",)
        with pytest.raises(InputError, match=r"did you mean .*/PETS\.CSV"):
            load(tmp_path / "PET.CSV")

    def test_arrays(self, tmp_path: Path) -> None:
        with (tmp_path / "A.NPZ").open("wb") as file:
            np.savez(file, features=np.eye(4), labels=[0, 1, 0, 1], logits=np.eye(4, 2))
        assert load(tmp_path / "A.NPZ").train.shape == (4,)
        assert load_features(tmp_path / "A.NPZ").logits is not None
        assert len(load_unlabelled(tmp_path / "A.NPZ", shape=(4,))) == 4

    def test_splits(self, tmp_path: Path) -> None:
        (tmp_path / "Train.CSV").write_text("a,label\n1,x\n2,y\n")
        (tmp_path / "TEST.csv").write_text("a,label\n5,x\n")
        assert len(load(tmp_path).test) == 1


class TestNpz:
    @pytest.mark.parametrize("labels", ["y", "labels", "target"])
    @pytest.mark.parametrize("inputs", ["x", "X", "features", "images", "data"])
    def test_usual_names(self, tmp_path: Path, inputs: str, labels: str) -> None:
        arrays: dict[str, Any] = {inputs: np.eye(4), labels: np.array(["u", "v", "u", "v"])}
        arrays |= {f"{inputs}_test": np.ones((1, 4)), f"{labels}_test": np.array(["v"])}
        np.savez(tmp_path / "a.npz", **arrays)
        source = load(tmp_path / "a.npz")
        assert source.train.classes == ("u", "v")
        assert source.train.shape == (4,)
        assert source.test.labels.tolist() == [1]
        assert load_features(tmp_path / "a.npz").labels.tolist() == [0, 1, 0, 1, 1]
        assert len(load_unlabelled(tmp_path / "a.npz", shape=(4,))) == 4

    def test_names_that_belong_together_come_first(self, tmp_path: Path) -> None:
        arrays: dict[str, Any] = {"x": np.zeros((4, 2)), "features": np.eye(4), "labels": [0, 1, 0, 1]}
        np.savez(tmp_path / "a.npz", **arrays)
        assert load(tmp_path / "a.npz").columns == ("features",)

    @pytest.mark.parametrize(
        ("there", "message"),
        [
            ({"X": np.eye(4)}, r"unknown array in .*a.npz 'y': .*Known: X"),
            ({"labels": [0, 1]}, r"unknown array in .*a.npz 'x': .*Known: labels"),
            ({}, "a.npz: holds no arrays; save some"),
        ],
    )
    def test_half_a_pair_is_told_by_what_lacks(
        self, tmp_path: Path, there: dict[str, Any], message: str
    ) -> None:
        np.savez(tmp_path / "a.npz", **there)
        for read in (load, load_features):
            with pytest.raises(InputError, match=message):
                read(tmp_path / "a.npz")

    @pytest.mark.parametrize(
        ("arrays", "message"),
        [
            ({"x_test": np.ones((0, 4)), "y_test": np.zeros(0, int)}, r"a.npz \(test\): no rows"),
            ({"x_test": np.ones((0, 4)), "y_test": np.zeros(0)}, r"a.npz \(test\): no rows"),
            ({"x_test": np.ones(0), "y_test": np.zeros(0, int)}, r"a.npz \(test\): no rows"),
            ({"x": np.ones((0, 4)), "y": np.zeros(0, int)}, "a.npz: no rows"),
            ({"x": np.ones((0, 3, 5, 5), np.uint8), "y": np.zeros(0, int)}, "a.npz: no rows"),
            ({"x": np.ones((4, 3, 0, 5), np.uint8)}, r"shape \[4, 3, 0, 5\] .* have no pixels"),
            ({"x": np.array(3.0)}, "0 rows of inputs but 4 labels"),
            ({"x": np.eye(4).astype(complex)}, "features are of type complex128; give real"),
            ({"x": np.zeros(4, [("a", "f4"), ("b", "f4")])}, "features are of type"),
            ({"y": np.array([b"a", b"b"] * 2)}, "labels are of type bytes_; a label is"),
            ({"y": np.array(1)}, r"4 rows of inputs but 1 labels"),
            ({"classes": np.array([b"a", b"b"])}, r"classes is \|S1 of shape \[2\]; give a text"),
            ({"classes": np.array([["a", "b"]])}, r"classes is <U1 of shape \[1, 2\]; give a text"),
            ({"classes": np.array(["a"])}, "the label of row 1 .* is 1, of 1 class names"),
        ],
    )
    def test_arrays_that_are_no_rows(self, tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
        np.savez(tmp_path / "a.npz", **{"x": np.eye(4), "y": [0, 1, 0, 1], **arrays})
        for read in (load, load_features):
            with pytest.raises(InputError, match=message) as caught:
                read(tmp_path / "a.npz")
            assert "\n" not in str(caught.value)

    def test_nothing_to_predict(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "a.npz", x=np.ones((0, 4)))
        with pytest.raises(InputError, match=r"a\.npz: no rows"):
            load_unlabelled(tmp_path / "a.npz", shape=(4,))

    @pytest.mark.parametrize(
        ("array", "message"),
        [
            (np.full((4, 2), 1e300), "array logits is not finite in row 0"),
            (np.array(3), r"array logits is int64 of shape \[\]"),
            (np.array(["a"] * 4), "array logits is <U1"),
        ],
    )
    def test_logits_that_are_none(self, tmp_path: Path, array: np.ndarray, message: str) -> None:
        np.savez(tmp_path / "a.npz", x=np.eye(4), y=[0, 1, 0, 1], logits=array)
        with pytest.raises(InputError, match=message):
            load_features(tmp_path / "a.npz")

    @pytest.mark.parametrize(
        "shape", ["(4, 3)", "(3, 4)", "(0, 4)", "()", "(4, 5)", "(-4, 4)", "(4, 1.5)", f"(4, {10**12})"]
    )
    def test_a_header_that_says_another_shape(self, tmp_path: Path, shape: str) -> None:
        np.savez(tmp_path / "whole.npz", x=np.eye(4), y=[0, 1, 0, 1])
        self.forge(tmp_path, b"(4, 4)", shape.encode())
        for read in (load, load_features, lambda path: load_unlabelled(path, shape=(4,))):
            # So much memory there may be, or not.
            reason = (
                "it is cut off or of|its arrays need more memory" if "000" in shape else "it is cut off or of"
            )
            with pytest.raises(InputError, match=rf"a.npz: not a readable NPZ file \(({reason})"):
                read(tmp_path / "a.npz")

    def test_a_header_that_says_objects(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "whole.npz", x=np.eye(4), y=[0, 1, 0, 1])
        self.forge(tmp_path, b"'<f8'", b"'|O'")
        with pytest.raises(InputError, match="pickled objects, which are not read"):
            load(tmp_path / "a.npz")

    def test_what_is_no_array_is_left_alone(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "a.npz", z=np.eye(4))
        with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive:
            archive.writestr("x", b"hello")
            archive.writestr("readme.txt", b"hello")
        with pytest.raises(InputError, match="has no array of inputs, such as x, only z"):
            load_unlabelled(tmp_path / "a.npz", shape=(4,))
        with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive:
            archive.writestr("x.npy", b"hello")
        with pytest.raises(InputError, match="not a readable NPZ file"):
            load_unlabelled(tmp_path / "a.npz", shape=(4,))

    @staticmethod
    def forge(folder: Path, old: bytes, new: bytes) -> None:
        """Write `whole.npz` as `a.npz` with something else in the header of its array x."""
        with (
            zipfile.ZipFile(folder / "whole.npz") as whole,
            zipfile.ZipFile(folder / "a.npz", "w") as archive,
        ):
            for name in whole.namelist():
                content = whole.read(name)
                if name == "x.npy":
                    header = content[:127].replace(old, new).rstrip(b" ")  # of 128 bytes, as its length says
                    content = header.ljust(127) + content[127:]
                archive.writestr(name, content)

    def test_own_names_and_test_split(self, tmp_path: Path) -> None:
        np.savez(
            tmp_path / "a.npz",
            z=np.eye(4),
            k=[0, 1, 0, 1],
            z_test=np.ones((2, 4)),
            k_test=[1, 0],
            classes=["u", "v"],
        )
        source = load(tmp_path / "a.npz", features=["z"], label="k")
        assert source.test.labels.tolist() == [1, 0]
        assert source.test.classes == ("u", "v")
        with pytest.raises(InputError, match=r"unknown array in .*a.npz 'kk': did you mean k"):
            load(tmp_path / "a.npz", features=["z"], label="kk")
        with pytest.raises(InputError, match=r"unknown array in .*a.npz 'x'"):
            load(tmp_path / "a.npz")

    def test_half_a_test_split(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "a.npz", x=np.eye(4), y=[0, 1, 0, 1], x_test=np.ones((2, 4)))
        with pytest.raises(InputError, match="'y_test'"):
            load(tmp_path / "a.npz")

    def test_train_and_test_files(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "train.npz", x=np.eye(4), y=[0, 1, 0, 1])
        np.savez(tmp_path / "test.npz", x=np.ones((1, 4)), y=[1])
        assert load(tmp_path).test.labels.tolist() == [1]

    def test_pickles_are_refused(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "a.npz", x=np.eye(2), y=np.array([{}, []], dtype=object), allow_pickle=True)
        with pytest.raises(InputError, match="pickled objects, which are not read"):
            load(tmp_path / "a.npz")

    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"text"])
    def test_not_npz(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "a.npz").write_bytes(content)
        with pytest.raises(InputError, match="not a readable NPZ file"):
            load(tmp_path / "a.npz")

    def test_a_single_array(self, tmp_path: Path) -> None:
        np.save(tmp_path / "a.npy", np.eye(3))
        (tmp_path / "a.npy").rename(tmp_path / "a.npz")
        with pytest.raises(InputError, match=r"a.npz: not a readable NPZ file \(it is a single array, as"):
            load(tmp_path / "a.npz")

    def test_compressed_bytes_that_are_damaged(self, tmp_path: Path) -> None:
        np.savez_compressed(tmp_path / "a.npz", x=np.arange(4000) % 7, y=np.arange(4000))
        content = bytearray((tmp_path / "a.npz").read_bytes())
        content[100:140] = bytes(40)
        (tmp_path / "a.npz").write_bytes(content)
        with pytest.raises(InputError, match="not a readable NPZ file"):
            load(tmp_path / "a.npz")

    def test_a_file_that_may_not_be_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        np.savez(tmp_path / "a.npz", x=np.eye(4), y=[0, 1, 0, 1])

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)  # the superuser, who may run this, reads everything
        with pytest.raises(
            InputError, match=r"not a readable NPZ file \(it cannot be read: Permission denied"
        ):
            load(tmp_path / "a.npz")


class TestArrays:
    def test_tensors_and_class_names(self) -> None:
        source = from_arrays(
            torch.eye(4), torch.tensor([1, 0, 1, 0]), torch.eye(4)[:1], [1], classes=("cat", "dog")
        )
        assert source.train.classes == ("cat", "dog")
        assert source.train.labels.tolist() == [1, 0, 1, 0]
        assert source.test.labels.tolist() == [1]

    @pytest.mark.parametrize("shape", [(4, 3, 5, 5), (4, 5, 5, 3), (4, 5, 5)])
    def test_images(self, shape: tuple[int, ...]) -> None:
        x = np.arange(np.prod(shape), dtype=np.int64).reshape(shape).astype(np.uint8)
        source = from_arrays(x, [0, 1, 0, 1], x, [0, 1, 0, 1])
        assert source.train.kind == "images"
        assert source.train.shape == (3, 5, 5)
        expected = {
            (3, 5, 5): x,
            (5, 5, 3): x.transpose(*range(x.ndim - 3), -1, -3, -2),
            (5, 5): x[:, None].repeat(3, 1),
        }
        assert np.array_equal(source.train.inputs[torch.arange(4)].numpy(), expected[shape[1:]])

    def test_the_arrays_are_not_shared(self) -> None:
        x = np.eye(4, dtype=np.float32)
        source = from_arrays(x, [0, 1, 0, 1], x, [0, 1, 0, 1])
        torch.as_tensor(source.train.inputs).zero_()
        assert x.sum() == 4

    @pytest.mark.parametrize(
        ("x", "y", "message"),
        [
            (np.eye(3), [0, 1], "3 rows of inputs but 2 labels"),
            (np.eye(4), np.eye(4), r"labels have shape \[4, 4\]"),
            (np.eye(4), [0, 1, None, 1], "row 2 .* is missing"),
            (np.eye(4), [0, 1, float("nan"), 1], "row 2 .* is missing"),
            (np.eye(4), ["a", "b", " ", "b"], "row 2 .* is missing"),
            (np.eye(4), [0, 1, -1, 1], "row 2 .* negative"),
            (np.eye(4), [0, 1, 1.5, 1], "row 2 .* is 1.5"),
            (np.eye(4), [0, 1, float("inf"), 1], "row 2 .* is inf"),
            (np.eye(4), [0, "a", 1, 1], "labels are of type int and str; .* all alike"),
            (np.eye(4), [0, 1j, 1, 1], "labels are of type"),
            (
                np.eye(4),
                np.array([5, 1, 2**63 + 5, 1], np.uint64),
                "row 2 .* is 9223372036854775813, too large",
            ),
            (np.eye(4), [0, 1e300, 0, 1], r"row 1 .* is 1e\+300, too large for a class index; give"),
            (np.eye(4), [np.ones(2), np.ones(3), "a", "b"], "labels are of type ndarray and str"),
            (np.eye(4), ["a", "b", pd.NA, "b"], "row 2 .* is missing"),
            (
                np.array([[1.0, np.inf]] * 4),
                [0, 1, 0, 1],
                r"\(4 of 8 values\), the first in row 0 .* column 1",
            ),
            (np.full((4, 1), 1e300), [0, 1, 0, 1], "infinite"),
            (np.ones(4), [0, 1, 0, 1], r"features have shape \[4\]"),
            (np.ones((4, 0)), [0, 1, 0, 1], r"features have shape \[4, 0\]"),
            (np.array([["a"]] * 4), [0, 1, 0, 1], "features are of type"),
            (np.ones((4, 3, 5, 5)), [0, 1, 0, 1], "must be uint8"),
            (np.ones((4, 2, 5, 5), np.uint8), [0, 1, 0, 1], r"images have shape \[4, 2, 5, 5\]"),
        ],
    )
    def test_wrong_arrays(self, x: np.ndarray, y: list[object], message: str) -> None:
        with pytest.raises(InputError, match=message):
            from_arrays(x, y, name="mine")

    def test_wrong_together(self) -> None:
        with pytest.raises(InputError, match="both x_test and y_test"):
            from_arrays(np.eye(4), [0, 1, 0, 1], np.eye(4))
        with pytest.raises(InputError, match=r"training rows have shape \[4\], test rows \[3\]"):
            from_arrays(np.eye(4), [0, 1, 0, 1], np.eye(3), [0, 1, 0])
        with pytest.raises(InputError, match="labels are names already"):
            from_arrays(np.eye(2), ["a", "b"], classes=("a", "b"))
        with pytest.raises(InputError, match="2 classes have the name 'a'"):
            from_arrays(np.eye(4), [0, 1, 0, 1], classes=("a", "a"))
        with pytest.raises(InputError, match="lack: '2'"):
            from_arrays(np.eye(4), [0, 1, 0, 1], np.eye(4), [0, 1, 2, 2])

    def test_truth_values_and_whole_floats_are_labels(self) -> None:
        assert from_arrays(np.eye(4), [True, False] * 2).train.classes == ("False", "True")
        assert from_arrays(np.eye(4), [0.0, 1.0] * 2).train.classes == ("0", "1")


class TestUnlabelled:
    def test_columns_of_the_model_in_its_order(self, pets: Path) -> None:
        rows = load_unlabelled(pets, shape=(2,), columns=("weight", "age"))
        assert torch.as_tensor(rows.inputs)[0].tolist() == [20.5, 1]
        assert rows.names == ("0", "1", "2", "3")
        with pytest.raises(InputError, match=r"unknown column in .*pets.csv 'height': did you mean weight"):
            load_unlabelled(pets, shape=(1,), columns=("height",))

    def test_arrays_without_labels(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "a.npz", x=np.eye(3))
        assert len(load_unlabelled(tmp_path / "a.npz", shape=(3,))) == 3
        with pytest.raises(InputError, match=r"rows have shape \[3\], but the model wants \[5\]"):
            load_unlabelled(tmp_path / "a.npz", shape=(5,))
        np.savez(tmp_path / "b.npz", z=np.eye(3))
        with pytest.raises(InputError, match="has no array of inputs, such as x, only z"):
            load_unlabelled(tmp_path / "b.npz", shape=(3,))

    def test_the_array_of_the_model(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "a.npz", x=np.zeros((4, 3)), emb=np.eye(4, 3), lab=[0, 1, 0, 1])
        columns = load(tmp_path / "a.npz", features="emb", label="lab").columns
        assert columns == ("emb",)
        assert torch.as_tensor(
            load_unlabelled(tmp_path / "a.npz", shape=(3,), columns=columns).inputs
        ).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]
        np.savez(
            tmp_path / "b.npz", x=np.ones((1, 3))
        )  # where it is called otherwise, the usual names are tried
        assert len(load_unlabelled(tmp_path / "b.npz", shape=(3,), columns=columns)) == 1
        np.savez(tmp_path / "c.npz", z=np.eye(3))
        with pytest.raises(InputError, match="has no array of inputs, such as emb, only z"):
            load_unlabelled(tmp_path / "c.npz", shape=(3,), columns=columns)

    def test_columns_of_any_name_for_a_model_of_an_array(self, pets: Path) -> None:
        assert load_unlabelled(pets, shape=(3,), columns=("emb",)).inputs.shape == (4, 3)

    def test_an_array_called_logits_is_features_when_asked_for(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "a.npz", logits_of_old=np.eye(4, 3), y=[0, 1, 0, 1])
        found = load_features(tmp_path / "a.npz", features="logits_of_old")
        assert found.features.shape == (4, 3)
        assert found.logits is None


class TestMeasuredFeatures:
    def test_named_classes_without_a_row_are_kept_where_they_have_logits(self, tmp_path: Path) -> None:
        rows = np.random.default_rng(0)
        arrays: dict[str, Any] = {
            "features": rows.normal(size=(30, 5)),
            "labels": np.arange(30) % 3 + (np.arange(30) % 3 == 2),  # 0, 1, 3
            "classes": ["a", "b", "c", "d"],
        }
        np.savez(tmp_path / "all.npz", **arrays, logits=np.eye(4)[arrays["labels"]])
        found = load_features(tmp_path / "all.npz")
        assert found.classes == ("a", "b", "c", "d")
        assert found.labels.tolist() == arrays["labels"].tolist()
        assert found.logits is not None
        assert found.logits.argmax(1).equal(found.labels)
        assert found.notes == ("classes without a row, whose measures stay unknown: 'c'",)
        np.savez(tmp_path / "head.npz", **arrays, head_weight=np.ones((4, 5)))
        assert load_features(tmp_path / "head.npz").classes == ("a", "b", "c", "d")
        present: list[dict[str, Any]] = [arrays, {**arrays, "logits": np.ones((30, 3))}]
        for given in present:
            np.savez(tmp_path / "present.npz", **given)
            found = load_features(tmp_path / "present.npz")
            assert found.classes == ("a", "b", "d")
            assert found.notes == ("classes without a training row are left out: 'c'",)
        np.savez(tmp_path / "one.npz", **{**arrays, "labels": np.ones(30, int)}, logits=np.ones((30, 4)))
        with pytest.raises(InputError, match="only one class, 'b'"):
            load_features(tmp_path / "one.npz")


class TestDigits:
    def test_the_demo(self) -> None:
        source = load("digits")
        assert source.train.classes == tuple("0123456789")
        assert source.train.counts().min() >= 100
        assert source.columns[:2] == ("pixel_0_0", "pixel_0_1")
        inputs = torch.as_tensor(source.train.inputs)
        assert (inputs.min().item(), inputs.max().item()) == (0, 1)

    def test_is_always_the_same(self) -> None:
        assert load("digits").test.labels.equal(load("digits").test.labels)
        with pytest.raises(InputError, match="digits: is always the same"):
            load("digits", test_fraction=0.5)

    def test_needs_no_reader_of_other_sources(self) -> None:
        code = "import sys; from midmix.data import load; load('digits'); sys.exit('datasets' in sys.modules)"
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


class TestUnknownSource:
    @pytest.mark.parametrize("name", ["digts", "./nothing/here", "", "a b", "cifar10"])
    def test_says_what_a_source_is(self, name: str) -> None:
        with pytest.raises(InputError, match=r"a source|A source|source folder"):
            load(name)

    @pytest.mark.parametrize("name", ["a" * 300, "~nobody-of-this-name/a.csv"])
    def test_names_that_are_no_paths(self, name: str) -> None:
        for read in (load, lambda source: load_unlabelled(source, shape=(2,))):
            with pytest.raises(
                InputError, match=r"cannot be looked up on the disk .*; check the name"
            ) as caught:
                read(name)
            assert len(str(caught.value)) < 200

    def test_nearest_names(self, tmp_path: Path, pets: Path) -> None:
        with pytest.raises(InputError, match=r"unknown source 'digts': did you mean digits\?"):
            load("digts")
        with pytest.raises(InputError, match=rf"did you mean {pets}\?"):
            load(tmp_path / "pest.csv")

    def test_a_path_is_never_a_name_on_the_hub(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "data" / "pets").mkdir(parents=True)
        monkeypatch.chdir(tmp_path)
        with pytest.raises(InputError, match=r"unknown source 'data/pest': did you mean data/pets\?"):
            load("data/pest")
        with pytest.raises(InputError, match=r"unknown source 'dta/pets\.csv'"):
            load("dta/pets.csv")

    def test_a_file_of_another_kind(self, tmp_path: Path) -> None:
        (tmp_path / "a.xlsx").write_text("")
        with pytest.raises(InputError, match=r"a.xlsx: not a kind of file that can be read; use .parquet"):
            load(tmp_path / "a.xlsx")

"""The record of a run: read back as it was written, old ones too, and refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from midmix.errors import InputError
from midmix.training import Settings
from midmix.training.record import RunRecord, read_record

OLD = sorted((Path(__file__).parent / "records_of_old").glob("*/run.json"))
RECORD = json.loads(OLD[0].read_text())


def test_what_was_written_is_read(tmp_path):
    record = read_record(OLD[0].parent)
    assert record is not None
    record.write(tmp_path)
    assert read_record(tmp_path) == record
    assert RunRecord(**record.as_dict()) == record


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.parent.name)
def test_records_of_old_are_read(path):
    record = read_record(path.parent)
    assert record is not None
    written = json.loads(path.read_text())
    loss = written.pop("criterion")
    written["method"] += "" if loss == "cross_entropy" else f"+{loss}"
    assert record.settings == {
        **Settings().as_dict(),
        **written.pop("settings"),
    }  # what came later at its default
    assert {name: value for name, value in record.as_dict().items() if name in written} == written
    assert (record.train_rows is None) == ("train_rows" not in written)


def test_a_name_that_is_not_known_is_left_aside(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({**RECORD, "later": 1}))
    assert read_record(tmp_path) == read_record(OLD[0].parent)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("method", 3), ("method", None), ("seed", "0"), ("seed", True), ("seed", 0.5),
        ("source", {}), ("shape", "3"), ("shape", []), ("shape", [0]), ("shape", [3, "32"]), ("classes", {}),
        ("classes", []), ("classes", [1, 2]), ("class_counts", [1]), ("class_counts", None), ("split_hash", 1),
        ("network", None), ("parameters", "many"), ("settings", 3), ("settings", {"epochs": "30"}),
        ("seconds", "long"), ("columns", "a"), ("imbalance", "100"), ("profile", "linear"), ("shots", []),
        ("shots", {"many": 3}), ("versions", {"torch": 2}), ("hardware", 1), ("reading", []),
    ],
)  # fmt: skip
def test_a_wrong_type_is_one_line_that_names_it(name, value, tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({**RECORD, name: value}))
    with pytest.raises(InputError) as error:
        read_record(tmp_path)
    assert str(error.value).startswith(f"{tmp_path / 'run.json'}: is not a run's record")
    assert name in str(error.value) or name == "classes"
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"method": "er', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_record_is_refused(content, tmp_path):
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(InputError, match="is not a run's record, or was cut"):
        read_record(tmp_path)

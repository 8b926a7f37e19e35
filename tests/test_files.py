"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os

import pytest

from midmix.errors import InputError
from midmix.files import atomic_write, remove_parts


def test_a_link_in_the_way_is_not_followed(tmp_path):
    treasure = tmp_path / "treasure"
    treasure.write_text("years of work")
    (tmp_path / "run.json.part").symlink_to(treasure)
    with atomic_write(tmp_path / "run.json") as path:
        path.write_text("{}")
    assert treasure.read_text() == "years of work"
    assert (tmp_path / "run.json").read_text() == "{}"


def test_two_writers_never_meet(tmp_path):
    with atomic_write(tmp_path / "a") as first, atomic_write(tmp_path / "a") as second:
        first.write_text("first")
        second.write_text("second")
    assert (tmp_path / "a").read_text() == "first", "the last to end"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("error", [ValueError("x"), OSError(errno.EACCES, "no"), KeyboardInterrupt()])
def test_what_fails_leaves_what_was_there(error, tmp_path):
    (tmp_path / "a").write_text("before")
    with pytest.raises(type(error)), atomic_write(tmp_path / "a") as path:  # noqa: PT012
        path.write_text("half")
        raise error
    assert (tmp_path / "a").read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        RuntimeError("IoError: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_one_line(error, tmp_path):
    with (
        pytest.raises(InputError, match=r"a: cannot be written .No space left on device.; make room"),
        atomic_write(tmp_path / "a"),
    ):
        raise error
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_leaves_can_be_removed_and_nothing_else_is(tmp_path):
    for name in ("run.json.0a1b2c3d.part", "run.json.part", "run.json", "notes.txt"):
        (tmp_path / name).touch()
    remove_parts(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "run.json"]

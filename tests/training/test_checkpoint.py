"""Checkpoints are whole or not there, broken ones are passed over, and none can run code."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from midmix.errors import InputError
from midmix.training.checkpoint import Checkpoints

STATE: dict[str, Any] = {
    "weights": torch.arange(5000.0),
    "position": {"epoch": 3, "step": 1},
    "nothing": None,
    "rate": 0.1,
}


def small(step: int) -> dict[str, int]:
    return {"step": step}


def saved(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_saved_is_read(tmp_path):
    checkpoints = Checkpoints(tmp_path / "run" / "checkpoints")
    assert checkpoints.latest() is None
    checkpoints.save(1, STATE)
    state = checkpoints.latest()
    assert state is not None
    assert torch.equal(state.pop("weights"), STATE["weights"])
    assert state == {name: value for name, value in STATE.items() if name != "weights"}


def test_the_last_two_are_kept_and_steps_sort_as_numbers(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (9, 10, 99, 100, 123_456):
        checkpoints.save(step, small(step))
        assert checkpoints.latest() == small(step)
    assert names(tmp_path) == ["step-00000100.pt", "step-00123456.pt"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda content: b"",
        lambda content: b"not a checkpoint",
        lambda content: content[:2000] + bytes(500) + content[2500:],
        lambda content: pickle.dumps([1, 2]),
        lambda content: saved([1, 2]),
    ],
    ids=["half", "one-byte-short", "empty", "text", "zeros-inside", "a-pickle", "a-list"],
)
def test_a_broken_newest_gives_way_to_the_one_before_and_that_is_said(tmp_path, spoil):
    said: list[str] = []
    checkpoints = Checkpoints(tmp_path, said.append)
    checkpoints.save(1, STATE | {"step": 1})
    checkpoints.save(2, STATE | {"step": 2})
    newest = tmp_path / "step-00000002.pt"
    newest.write_bytes(spoil(newest.read_bytes()))
    state = checkpoints.latest()
    assert state is not None
    assert state["step"] == 1
    (message,) = said
    assert str(newest) in message
    assert message.endswith("; going on from step-00000001.pt")
    assert "\n" not in message
    assert "\x1b" not in message


def test_where_none_can_be_read_it_says_that_the_run_starts_anew(tmp_path):
    said: list[str] = []
    (tmp_path / "step-00000001.pt").write_bytes(b"")
    assert Checkpoints(tmp_path, said.append).latest() is None
    assert said[0].endswith("; starting from the beginning")


def test_a_broken_one_of_a_later_step_does_not_outlive_the_next_save(tmp_path):
    checkpoints = Checkpoints(tmp_path, say=lambda text: None)
    checkpoints.save(8, small(8))
    (tmp_path / "step-00000009.pt").write_bytes(b"cut")
    checkpoints.save(8, small(8))
    assert names(tmp_path) == ["step-00000008.pt"]


def test_garbage_of_any_kind_is_passed_over(tmp_path, seed):
    # Bytes that break the reader in a dozen ways, with as many kinds of exceptions.
    draw = torch.Generator().manual_seed(seed)

    def number(below: int) -> int:
        return int(torch.randint(below, (), generator=draw))

    said: list[str] = []
    checkpoints = Checkpoints(tmp_path, said.append)
    checkpoints.save(1, small(1))
    whole = (tmp_path / "step-00000001.pt").read_bytes()
    for _ in range(150):
        noise = bytes(number(256) for _ in range(1 + number(60)))
        place = number(len(whole))
        content = [noise, whole[:place], whole[:place] + noise, noise + whole[place:]][number(4)]
        (tmp_path / "step-00000002.pt").write_bytes(content)
        said.clear()
        assert checkpoints.latest() == small(1)
        assert len(said) <= 1, "bytes that nothing depends on may differ"


class Bomb:
    """Unpickles by running code."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("form", ["torch", "pickle"])
def test_a_file_that_would_run_code_is_refused(tmp_path, form):
    mark, said = tmp_path / "exploded", list[str]()
    checkpoints = Checkpoints(tmp_path / "checkpoints", said.append)
    checkpoints.save(1, small(1))
    path = tmp_path / "checkpoints" / "step-00000002.pt"
    if form == "torch":
        torch.save({"weights": torch.ones(2), "run": Bomb(mark)}, path)
    else:
        path.write_bytes(pickle.dumps({"run": Bomb(mark)}))
    assert checkpoints.latest() == small(1)
    assert not mark.exists()
    assert {"torch": "does not hold plain data alone", "pickle": "not a zip file"}[form] in said[0]
    if form == "torch":
        torch.load(path, weights_only=False)
    else:
        pickle.loads(path.read_bytes())  # noqa: S301
    assert mark.exists(), "the bomb is a real one"


def test_clearing_removes_what_a_kill_while_saving_left(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    checkpoints.clear()
    checkpoints.save(1, small(1))
    (tmp_path / "checkpoints" / "part").write_bytes(b"half a checkp")
    checkpoints.clear()
    assert not (tmp_path / "checkpoints").exists()


def test_clearing_leaves_files_that_are_not_its_own(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, small(1))
    (tmp_path / "notes.txt").write_text("mine")
    checkpoints.clear()
    assert names(tmp_path) == ["notes.txt"]


def full_disk(folder: Path) -> None:
    """Saves until the disk is full, then shows that the one before is whole and nothing else lies there."""
    checkpoints = Checkpoints(folder)
    checkpoints.save(1, STATE)
    with pytest.raises(
        InputError, match=r"step 2 cannot be written .*; make room or choose another folder"
    ) as error:
        checkpoints.save(2, STATE | {"more": torch.zeros(200_000)})
    assert "\n" not in str(error.value)
    state = checkpoints.latest()
    assert state is not None
    assert torch.equal(state["weights"], STATE["weights"])
    assert names(folder) == ["step-00000001.pt"]
    checkpoints.save(2, STATE)
    assert len(names(folder)) == 2, "with room made, saving goes on"


def test_a_full_disk_leaves_the_checkpoint_before_whole(tmp_path):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "midmix-test", str(tmp_path)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk is not permitted here; the limited process below stands for it")
    try:
        full_disk(tmp_path)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


LIMITED = """
import importlib.util, resource, signal, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("tests_of_checkpoints", sys.argv[1])
tests = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tests)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
tests.full_disk(Path(sys.argv[2]))
"""


def test_a_process_that_may_not_write_so_much_keeps_the_checkpoint_before(tmp_path):
    # As a full disk, where no disk can be mounted: the write fails half-way, in a process of its own.
    pytest.importorskip("resource", reason="file sizes cannot be limited here")
    command = [sys.executable, "-c", LIMITED, __file__, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr

"""Claims: one owner, the dead are followed, and who has lost a folder knows it."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from midmix.errors import InputError
from midmix.studies.claims import STALE, Claim, ClaimLostError, Owner, claimed, living

RACE = """
import sys
from pathlib import Path
from midmix.studies.claims import Claim
sys.stdin.readline()
found = Claim.take(Path(sys.argv[1]))
print(isinstance(found, Claim), flush=True)
sys.stdin.readline()
"""


def leave(path: Path, age: float = 0.0, **changed: object) -> Owner:
    """A claim of somebody else, its heartbeat so many seconds ago."""
    owner = replace(Owner.this_process(), **changed)  # type: ignore[arg-type]
    path.write_text(json.dumps(asdict(owner)))
    now = path.stat().st_mtime
    os.utime(path, (now - age, now - age))
    return owner


def test_a_living_owner_keeps_it(tmp_path):
    path = tmp_path / "claim.json"
    first = Claim.take(path)
    assert isinstance(first, Claim)
    assert Claim.take(path) == first.owner == living(path)
    first.release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changed", "age", "taken"),
    [
        ({"started": "1"}, 0.0, True),
        ({"pid": 2**22 + 5}, 0.0, True),
        ({"machine": "elsewhere"}, STALE + 1, True),
        ({"machine": "elsewhere"}, STALE / 2, False),
        ({}, 100 * STALE, False),
    ],
    ids=["number given anew", "gone", "silent elsewhere", "beating elsewhere", "stopped here"],
)
def test_only_the_dead_are_followed(changed, age, taken, tmp_path):
    path = tmp_path / "claim.json"
    owner = leave(path, age, **changed)
    found = Claim.take(path)
    assert isinstance(found, Claim) == taken
    assert (found == owner) != taken


@pytest.mark.parametrize("dead", [False, True])
def test_of_many_that_race_one_gets_it(dead, tmp_path):
    path = tmp_path / "claim.json"
    if dead:
        leave(path, started="1")
        leave(path.with_name("claim.json.lock"), started="1")  # of one that died while it took this up
    racers = [
        subprocess.Popen([sys.executable, "-c", RACE, path], stdin=-1, stdout=-1, text=True) for _ in range(3)
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    won = [racer.stdout.readline().strip() for racer in racers if racer.stdout]
    for racer in racers:
        racer.communicate("end\n")
    assert sorted(won) == ["False"] * 2 + ["True"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["claim.json"]


def test_who_has_lost_a_folder_writes_nothing_more(tmp_path):
    with claimed(tmp_path / "run") as claim:
        theirs = leave(claim.path, token="another")
        with pytest.raises(ClaimLostError, match="was taken up by another process"):
            claim.check()
    assert living(claim.path) == theirs, "a claim that is another's is not released"


def test_a_claimed_folder_is_refused_in_one_line(tmp_path):
    with (
        claimed(tmp_path),
        pytest.raises(InputError, match=rf"is being worked in by process {os.getpid()} on"),
    ):
        claimed(tmp_path).__enter__()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 3}'])
def test_a_claim_that_cannot_be_read_is_somebodys_until_it_is_old(content, tmp_path):
    path = tmp_path / "claim.json"
    path.write_text(content)
    assert Claim.take(path) is None
    os.utime(path, (1, 1))
    assert isinstance(Claim.take(path), Claim)


@pytest.mark.parametrize("links", [True, False])
def test_where_there_is_no_room_no_claim_is_left(links, tmp_path, monkeypatch):
    resource = pytest.importorskip("resource", reason="file sizes cannot be limited here")
    if not links:
        monkeypatch.setattr(os, "link", _no_links)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            Claim.take(tmp_path / "claim.json")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert list(tmp_path.iterdir()) == []
    assert isinstance(Claim.take(tmp_path / "claim.json"), Claim)


def test_a_claim_without_links_is_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", _no_links)
    assert isinstance(Claim.take(tmp_path / "claim.json"), Claim)
    assert isinstance(Claim.take(tmp_path / "claim.json"), Owner)
    assert [path.name for path in tmp_path.iterdir()] == ["claim.json"]


def _no_links(source, target):
    raise OSError(errno.EPERM, "Operation not permitted")

"""Who works in a folder: claims that are taken atomically, kept alive by a heartbeat, and taken up from the dead.

A claim is a small file. It is made by a link, which either succeeds or finds another's; its time of change is the
heartbeat. An owner is dead where

- it was on this machine and its process is gone, or has another start time (a number that was given anew);
- it was on another machine, and its heartbeat is older than the lease that it took, `STALE` seconds where nothing else
  was said; or it cannot be read, and is as old.

So claims hold between machines that share a file system, and on one machine a process that was stopped for a while
keeps its own.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from midmix.errors import InputError
from midmix.files import remove_parts

CLAIM = "claim.json"
BEAT = 1.0
"""Seconds between two heartbeats."""
STALE = 120.0
"""Lease in seconds: age of a heartbeat from another machine, above which its owner is dead. File systems that machines
share may show a change a minute later."""
_LOCK_WAIT = 30.0


class ClaimLostError(RuntimeError):
    """This process no longer owns a folder that it was about to write into: another has taken it up."""


@dataclass(frozen=True)
class Owner:
    """A process that claims something.

    Attributes:
        host: name of the machine, for messages.
        machine: which boot of which machine, and which of its process tables; two processes see each other only there.
        pid: process number there.
        started: the process's start time there, as the system counts it; empty where that is not known.
        since: when the claim was made.
        token: random; no two claims have the same.
        lease: seconds without a heartbeat after which those on other machines may take the owner for dead.
    """

    host: str
    machine: str
    pid: int
    started: str
    since: str
    token: str
    lease: float = STALE

    @classmethod
    def this_process(cls, lease: float = STALE) -> Owner:
        """A new claim's owner."""
        pid = os.getpid()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(socket.gethostname(), _machine(), pid, _start_time(pid), now, secrets.token_hex(8), lease)

    @property
    def here(self) -> bool:
        """Whether it is, or was, a process of this machine that can be looked up."""
        return self.machine == _machine()

    @property
    def runs(self) -> bool:
        """Whether that process of this machine is still there."""
        found = _start_time(self.pid)
        return found != _GONE and found == self.started

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


class Claim:
    """A claim that this process holds; see `take`."""

    def __init__(self, path: Path, owner: Owner) -> None:
        self.path, self.owner = path, owner

    @classmethod
    def take(cls, path: Path, lease: float = STALE) -> Claim | Owner | None:
        """Claims a path, whose folder is there, with a lease in seconds that heartbeats renew.

        Returns:
            The claim, or the living owner of it; None where that cannot be read, for it is just being written.
        """
        ours = Owner.this_process(lease)
        while True:
            if _create(path, ours):
                return cls(path, ours)
            theirs, alive = _look(path)
            if alive:
                return theirs
            # Only one may take up a dead owner's claim. The lock is itself a claim, whose owner may die, too.
            lock = cls.take(path.with_name(f"{path.name}.lock"))
            if not isinstance(lock, Claim):
                return lock
            try:
                again, alive = _look(path)
                if not alive and again == theirs:
                    path.unlink(missing_ok=True)
                    if _create(path, ours):
                        return cls(path, ours)
            finally:
                lock.release()

    def held(self) -> bool:
        """Whether it is still this claim that lies there."""
        found = _read(self.path)
        return found is not None and found.token == self.owner.token

    def check(self) -> None:
        """Sees that the claim still holds: to be called before each writing of what it is about.

        Raises:
            ClaimLostError: where it does not.
        """
        if not self.held():
            raise ClaimLostError(
                f"{self.path.parent}: was taken up by another process, or removed, while this one was working there; "
                "nothing more is written there from here"
            )

    def beat(self) -> None:
        """Shows that the owner lives."""
        with suppress(OSError):
            os.utime(self.path)

    def release(self) -> None:
        """Gives the claim up, where it still holds."""
        if self.held():
            self.path.unlink(missing_ok=True)


class Heart:
    """Beats for some claims in a thread of its own, and calls `every` with each beat, until it is stopped."""

    def __init__(self, *claims: Claim, every: Any = None, interval: float = BEAT) -> None:
        self._claims, self._every, self._interval = claims, every, interval
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="midmix heartbeat")

    def _run(self) -> None:
        while not self._stopped.wait(self._interval):
            for claim in self._claims:
                claim.beat()
            if self._every is not None:
                self._every()

    def __enter__(self) -> Heart:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()


@contextmanager
def claimed(folder: Path) -> Iterator[Claim]:
    """Holds a folder, which is made if it is not there, while something is written into it.

    Raises:
        InputError: where a living process holds it.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder, claimed(Path(folder)) as claim:
        ...     claim.check()
        ...     [path.name for path in Path(folder).iterdir()]
        ['claim.json']
    """
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    claim = Claim.take(folder / CLAIM)
    if not isinstance(claim, Claim):
        who = "another process" if claim is None else str(claim)
        raise InputError(
            f"{folder}: is being worked in by {who}; wait for it, or choose another folder with --out"
        )
    try:
        remove_parts(folder)
        with Heart(claim):
            yield claim
    finally:
        claim.release()
        if made:
            with suppress(OSError):  # what failed at once leaves no empty folder
                folder.rmdir()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a claim for a moment, and waits for it where somebody else does.

    Raises:
        InputError: where it does not become free.
    """
    until = time.monotonic() + _LOCK_WAIT
    while not isinstance(claim := Claim.take(path), Claim):
        if time.monotonic() > until:
            who = "another process" if claim is None else str(claim)
            raise InputError(f"{path.parent}: is held by {who}, which does not go on; end it and try again")
        time.sleep(0.02)
    try:
        yield
    finally:
        claim.release()


def living(path: Path) -> Owner | None:
    """The living owner of a claim's file, if there is one that can be read."""
    owner, alive = _look(path)
    return owner if alive else None


_GONE = "gone"


def _create(path: Path, owner: Owner) -> bool:
    """Puts a claim where there is none; whole, or not at all."""
    part = path.with_name(f"{path.name}.{owner.token[:8]}.part")
    content = json.dumps(asdict(owner)).encode()
    try:
        part.write_bytes(content)
        try:
            os.link(part, path)
        except FileExistsError:
            return False
        except OSError:
            return _create_in_place(path, content)
    finally:
        part.unlink(missing_ok=True)
    return True


def _create_in_place(path: Path, content: bytes) -> bool:
    """The same on a file system without links: there is a moment in which the claim is empty."""
    try:
        number = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except FileExistsError:
        return False
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
    except OSError:  # no room: an empty claim would be taken for one that is just being written
        path.unlink(missing_ok=True)
        raise
    return True


def _read(path: Path) -> Owner | None:
    try:
        found = Owner(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    whole = (
        isinstance(found.pid, int) and isinstance(found.token, str) and isinstance(found.lease, int | float)
    )
    return found if whole else None


def _look(path: Path) -> tuple[Owner | None, bool]:
    """Whose claim lies there, and whether its owner lives."""
    owner = _read(path)
    if owner is not None and owner.here:
        return owner, owner.runs
    try:
        return owner, _now(path) - path.stat().st_mtime < (STALE if owner is None else owner.lease)
    except OSError:  # it has gone
        return owner, False


def _now(path: Path) -> float:
    """The time by the clock of the file system, which stamps the heartbeats; ours may go otherwise."""
    probe = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return time.time()
    finally:
        probe.unlink(missing_ok=True)


def _machine() -> str:
    """Which processes we can look up: those of this boot, and of this table of processes (a container has its own)."""
    boot, table = "", ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        table = os.readlink("/proc/self/ns/pid")  # noqa: PTH115  (it is no path)
    return f"{socket.gethostname()} {boot} {table}".strip()


def _start_time(pid: int) -> str:
    """When a process of this machine started, in the system's own count; `_GONE` where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        if Path("/proc/self/stat").exists():
            return _GONE
    else:
        return _GONE if fields[0] in "ZX" else fields[19]  # one that has ended and was not yet collected
    try:
        os.kill(pid, 0)  # elsewhere: whether it is there is all that is known
    except PermissionError:
        return ""
    except OSError:
        return _GONE
    return ""

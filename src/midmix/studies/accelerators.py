"""One accelerator for each run: of those that a process sees, the one that the fewest runs of this machine are on.

Who is on which is written into a folder of the machine's own, as claims (`midmix.studies.claims`), so that it holds
between the workers of one launcher, of several, and of any executor; the dead do not count.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from midmix.files import cache_folder
from midmix.studies.claims import Claim, living, locked


def visible() -> list[str]:
    """What the accelerators of this process are called; none where there are none.

    Names are those of `CUDA_VISIBLE_DEVICES`, which a scheduler or a user has set, else numbers: number 0 of one
    process may be number 1 of another.
    """
    if not torch.cuda.is_available():
        return []
    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return named[:count] if len(named) >= count else [str(number) for number in range(count)]


@contextmanager
def place_on(names: Sequence[str], folder: Path) -> Iterator[int]:
    """Holds a place on one of these accelerators: on one that fewest hold, of equal ones the first.

    Args:
        names: what they are called, by all processes of the machine alike.
        folder: where the machine's processes write down who holds which; made if it is not there.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as name:
        ...     folder = Path(name)
        ...     with place_on(["0", "1"], folder) as first, place_on(["0", "1"], folder) as second:
        ...         with place_on(["0", "1"], folder) as third:
        ...             first, second, third
        (0, 1, 0)
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "choice.json"):
        held = Counter[str]()
        for path in folder.glob("on-*.json"):
            if living(path):
                held[path.name.split("~")[0]] += 1
            else:
                path.unlink(missing_ok=True)
        keys = [f"on-{re.sub(r'[^A-Za-z0-9-]', '_', name)}" for name in names]
        chosen = min(range(len(keys)), key=lambda place: (held[keys[place]], place))
        claim = Claim.take(folder / f"{keys[chosen]}~{secrets.token_hex(8)}.json")
    assert isinstance(claim, Claim)  # no other has this name
    try:
        yield chosen
    finally:
        claim.release()


@contextmanager
def one_accelerator() -> Iterator[None]:
    """Makes one accelerator this thread's own for a run, where there are any; afterwards it is as before."""
    names = visible()
    if len(names) < 2:
        yield
        return
    before = torch.cuda.current_device()
    with place_on(names, cache_folder() / "accelerators" / socket.gethostname()) as chosen:
        torch.cuda.set_device(chosen)
        try:
            yield
        finally:
            torch.cuda.set_device(before)

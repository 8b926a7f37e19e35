"""Checkpoints that survive a kill: written whole or not at all, the last two kept, read without executing code."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch

from midmix.errors import InputError

State = dict[str, Any]
KEPT = 2


class Checkpoints:
    """The checkpoints of one run, `step-00000123.pt`, in a folder of their own.

    Args:
        folder: made when the first checkpoint is saved.
        say: is told, in one line, of a checkpoint that cannot be read and is passed over.
        still_ours: raises where the folder has become another's; asked before each writing.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     checkpoints = Checkpoints(Path(folder))
        ...     checkpoints.save(7, {"weights": torch.ones(2)})
        ...     checkpoints.latest()
        {'weights': tensor([1., 1.])}
    """

    def __init__(
        self,
        folder: Path,
        say: Callable[[str], None] = print,
        still_ours: Callable[[], None] = lambda: None,
    ) -> None:
        self.folder = folder
        self.say = say
        self.still_ours = still_ours

    def save(self, step: int, state: State) -> None:
        """Writes a checkpoint beside its final name, flushes it to the disk, then renames it.

        Raises:
            InputError: where it cannot be written, as on a full disk; the checkpoints before stay as they were.
        """
        self.still_ours()
        content = io.BytesIO()  # torch's writer hides the disk's own error behind one of its own
        torch.save(state, content)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._part.open("wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            self._part.replace(self._path(step))
        except OSError as error:
            with suppress(OSError):
                self._part.unlink(missing_ok=True)
            raise InputError(
                f"{self.folder}: the checkpoint of step {step} cannot be written ({error.strerror or error}); "
                "make room or choose another folder, and run the same again: it goes on from the one before"
            ) from error
        # Those of later steps were passed over as broken when the run was taken up.
        saved = self._newest_first()
        current = saved.index(self._path(step))
        for path in saved[:current] + saved[current + KEPT :]:
            path.unlink(missing_ok=True)

    def latest(self) -> State | None:
        """The newest checkpoint that can be read, or None; broken ones are passed over, and said."""
        paths = self._newest_first()
        for path, before in zip_longest(paths, paths[1:]):
            try:
                state = _read(path)
            except Exception as error:  # a broken file can fail anywhere in torch's reader
                reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
                instead = "starting from the beginning" if before is None else f"going on from {before.name}"
                self.say(f"{path}: cannot be read ({reason[:80]}); {instead}")
            else:
                return state
        return None

    def clear(self) -> None:
        """Removes them all, when the run is finished."""
        for path in (*self._newest_first(), self._part):  # a kill while saving leaves the part
            path.unlink(missing_ok=True)
        with suppress(OSError):  # the folder stays where it is not there, or holds what is not ours
            self.folder.rmdir()

    @property
    def _part(self) -> Path:
        return self.folder / "part"

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}.pt"

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.pt"), reverse=True)


def _read(path: Path) -> State:
    """Plain data and tensors; a file that asks for anything else to be made is refused, and nothing of it is run."""
    with ZipFile(path) as file:  # torch's form; its own reader does not look at the checksums
        if (broken := file.testzip()) is not None:
            raise ValueError(f"its part {broken} is damaged")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError("it does not hold plain data alone") from error
    if not isinstance(state, dict):
        raise ValueError(f"it holds a {type(state).__name__}")
    return state

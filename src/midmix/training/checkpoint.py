"""Checkpoints that survive a kill: written whole or not at all, the last two kept, read without executing code."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

State = dict[str, Any]
KEPT = 2


class Checkpoints:
    """The checkpoints of one run, `step-00000123.pt`, in a folder of their own.

    Args:
        folder: made when the first checkpoint is saved.
        say: is told, in one line, of a checkpoint that cannot be read and is passed over.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     checkpoints = Checkpoints(Path(folder))
        ...     checkpoints.save(7, {"weights": torch.ones(2)})
        ...     checkpoints.latest()
        {'weights': tensor([1., 1.])}
    """

    def __init__(self, folder: Path, say: Callable[[str], None] = print) -> None:
        self.folder = folder
        self.say = say

    def save(self, step: int, state: State) -> None:
        """Writes a checkpoint beside its final name, flushes it to the disk, then renames it.

        Raises:
            OSError: where the disk is full; the checkpoints before stay as they were.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / "part"
        try:
            with part.open("wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self.folder / f"step-{step:08d}.pt")
        finally:
            part.unlink(missing_ok=True)
        for old in self._newest_first()[KEPT:]:
            old.unlink(missing_ok=True)

    def latest(self) -> State | None:
        """The newest checkpoint that can be read, or None; broken ones are passed over, and said."""
        for path in self._newest_first():
            try:
                state: State = torch.load(path, map_location="cpu", weights_only=True)
            except (RuntimeError, EOFError, OSError, KeyError, ValueError, pickle.UnpicklingError) as error:
                reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
                self.say(f"{path}: cannot be read ({reason[:80]}); going on from the checkpoint before it")
            else:
                return state
        return None

    def clear(self) -> None:
        """Removes them all, when the run is finished."""
        for path in self._newest_first():
            path.unlink(missing_ok=True)
        if self.folder.is_dir():
            self.folder.rmdir()

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.pt"), reverse=True)

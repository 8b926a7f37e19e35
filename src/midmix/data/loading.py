"""Rows that are decoded ahead of their use, by processes or threads; the same bits by any number of either."""

from __future__ import annotations

import multiprocessing
import os
import signal
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from midmix.data.dataset import Inputs, LazyInputs
from midmix.data.images import LazyImages
from midmix.errors import InputError

AHEAD = 2
"""Batches that a worker process has ready or in work; threads have as many all together."""
DEFAULT_WORKERS = 8
"""Processes that are started at most unless a number is asked for."""


@dataclass(frozen=True)
class Request:
    """A batch of rows.

    Attributes:
        rows: their numbers, `int64 [B]`.
        keys: where a random part of each image is wanted, a stream of draws for each view of it; else none.
        start: place of the first row in these streams; the others follow.
    """

    rows: Tensor
    keys: tuple[int, ...] = ()
    start: int = 0

    def read(self, inputs: LazyInputs) -> list[Tensor]:
        """The rows' inputs, once for each view.

        Raises:
            InputError: a row cannot be decoded; it is named.
        """
        if not self.keys:
            return [inputs[self.rows]]
        assert isinstance(inputs, LazyImages)
        return [inputs.parts(self.rows, key=key, start=self.start) for key in self.keys]


class Loader:
    """Reads batches ahead; a context, at whose end its workers are.

    Args:
        inputs: that are decoded on access.
        workers: processes, for images, 0 for threads; as many as these say where None. Other rows
            are read by a thread.
        pinned: whether batches are to be copied to an accelerator, so that they are put where it fetches them itself.

    Example:
        >>> from midmix.data.mapped import MappedRows
        >>> import numpy as np, pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "x.npy")
        ...     np.save(path, np.eye(4, dtype=np.float32))
        ...     requests = [Request(torch.tensor([0, 3])), Request(torch.tensor([1]))]
        ...     with Loader(MappedRows.open(path)) as loader:
        ...         [views[0].shape for views in loader.read(requests)]
        [torch.Size([2, 4]), torch.Size([1, 4])]
    """

    def __init__(self, inputs: LazyInputs, *, workers: int | None = None, pinned: bool = False) -> None:
        self.inputs = inputs
        asked = workers
        if not isinstance(inputs, LazyImages):
            asked = 0
        elif asked is None:
            asked = inputs.workers
        self.workers = default_workers() if asked is None else asked
        self.pinned = pinned
        self._asked = _Asked()
        self._processes: DataLoader[Any] | None = None
        self._batches: Iterator[Any] | None = None

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *_: object) -> None:
        # The workers end with these, now: left to whoever holds a frame, they would be ended in a later fork as well.
        self._batches = self._processes = None

    def read(self, requests: Sequence[Request]) -> Iterator[list[Tensor]]:
        """The inputs of each request, in their order; the next ones are decoded meanwhile.

        Raises:
            InputError: a row cannot be decoded; it is named.
        """
        if not self.workers:
            yield from self._by_threads(requests)
            return
        self._asked.requests = requests
        with warnings.catch_warnings():  # more than there are cores is for who asks for it: disks may be slow
            warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
            if self._processes is None:
                self._processes = DataLoader(
                    _Rows(self.inputs),
                    batch_size=None,
                    sampler=self._asked,
                    num_workers=self.workers,
                    prefetch_factor=AHEAD,
                    persistent_workers=True,
                    pin_memory=self.pinned,
                    worker_init_fn=_start,
                )
            self._batches = iter(self._processes)
        while (found := self._next()) is not None:
            if isinstance(found, InputError):
                raise found
            yield found

    def _next(self) -> Any:
        """What the workers have next; None after the last."""
        try:
            return None if self._batches is None else next(self._batches, None)
        except (RuntimeError, OSError, EOFError) as error:  # the latter two where it died while handing over
            if isinstance(error, RuntimeError) and "DataLoader worker" not in str(error):
                raise
            raise InputError(
                "images: a process that decodes them has ended by itself, perhaps for want of memory; run the same "
                "again, with fewer, --workers 1, or with threads, --workers 0 (workers=)"
            ) from error

    def _by_threads(self, requests: Sequence[Request]) -> Iterator[list[Tensor]]:
        waiting: deque[Future[list[Tensor]]] = deque()
        with ThreadPoolExecutor(1) as ahead:
            for number, _ in enumerate(requests):
                while len(waiting) <= AHEAD and number + len(waiting) < len(requests):
                    waiting.append(ahead.submit(requests[number + len(waiting)].read, self.inputs))
                found = waiting.popleft().result()
                yield [view.pin_memory() for view in found] if self.pinned else found


def in_order(inputs: Inputs, at_once: int) -> Iterator[Tensor]:
    """All rows, so many at once; those that are decoded are while the ones before are in use.

    Example:
        >>> [batch.tolist() for batch in in_order(torch.arange(5), 2)]
        [[0, 1], [2, 3], [4]]
    """
    if isinstance(inputs, Tensor):
        yield from torch.split(inputs, at_once)
        return
    with Loader(inputs, workers=0) as loader:
        for (batch,) in loader.read(
            [Request(rows) for rows in torch.split(torch.arange(len(inputs)), at_once)]
        ):
            yield batch


def default_workers() -> int:
    """How many processes decode, unless a number is said."""
    if multiprocessing.parent_process() is not None or usable_cores() == 1:
        return 0
    return min(DEFAULT_WORKERS, usable_cores())


def usable_cores() -> int:
    """Cores that this process may use, which may be fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Asked(Sampler[Any]):
    """The requests of this pass; their rows as plain numbers, for a tensor would go by a file of shared memory."""

    def __init__(self) -> None:
        self.requests: Sequence[Request] = ()

    def __len__(self) -> int:
        return len(self.requests)

    def __iter__(self) -> Iterator[tuple[np.ndarray, tuple[int, ...], int]]:
        return ((one.rows.numpy(), one.keys, one.start) for one in self.requests)


class _Rows(Dataset[Any]):
    """Whole batches as rows of a data set."""

    def __init__(self, inputs: LazyInputs) -> None:
        self.inputs = inputs

    def __getitem__(self, asked: tuple[np.ndarray, tuple[int, ...], int]) -> list[Tensor] | InputError:
        rows, keys, start = asked
        try:
            return Request(torch.from_numpy(rows), keys, start).read(self.inputs)
        except InputError as error:  # raised, it would come with the worker's traceback in its message
            return error


def _start(number: int) -> None:
    """An interruption is the main process's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)

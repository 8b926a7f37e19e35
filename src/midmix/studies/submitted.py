"""submitit's jobs as an executor of `concurrent.futures`."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from pathlib import Path
from typing import Any

from submitit import AutoExecutor, Job
from submitit.core.utils import UncompletedJobError
from submitit.helpers import Checkpointable

_EVERY = 0.5
"""Seconds between two looks at jobs; SLURM itself is asked by submitit, once a minute."""
_LATE = 5.0
"""Seconds that the result of a job that has ended may take to be seen on a shared file system."""


class _Call(Checkpointable):  # type: ignore[misc]
    """A call whose errors are kept as they are, and that is queued again, unchanged, where its job's time is over."""

    def __call__(self, function: Callable[..., Any], *given: Any) -> tuple[Any, BaseException | None]:
        try:
            return function(*given), None
        except (Exception, KeyboardInterrupt) as error:
            return None, error


class SubmititExecutor(Executor):
    """A job for each call.

    Args:
        jobs: submitit's own executor.
        folder: of the jobs' folders. That of a job which gave a result is removed.
    """

    def __init__(self, jobs: AutoExecutor, folder: Path) -> None:
        self._jobs, self._folder = jobs, folder
        self._open: dict[Future[Any], Job[Any]] = {}
        self._ended: dict[Future[Any], float] = {}
        self._lock, self._over = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="midmix jobs")
        self._thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Has a job do the call.

        Raises:
            RuntimeError: after `shutdown`.
        """
        if self._over.is_set():
            raise RuntimeError("cannot schedule new futures after shutdown")
        future: Future[Any] = Future()
        job = self._jobs.submit(_Call(), fn, *args, **kwargs)
        with self._lock:
            self._open[future] = job
        future.add_done_callback(self._cancelled)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Waits for the jobs, or cancels them; those that run where `wait` is false are cancelled as well."""
        while wait and not cancel_futures and self._open:
            time.sleep(_EVERY)
        for future in list(self._open):
            future.cancel()
        self._over.set()
        self._thread.join()
        for left in (
            self._folder / "%j",
            self._folder,
        ):  # the first is submitit's; empty, where all gave a result
            with suppress(OSError):
                left.rmdir()

    def __exit__(self, kind: object, *_: object) -> None:
        self.shutdown(wait=kind is None)

    def _cancelled(self, future: Future[Any]) -> None:
        if future.cancelled():
            with self._lock:
                job = self._open.pop(future, None)
            if job is not None:
                with suppress(Exception):  # the job may have ended, and SLURM may be away
                    job.cancel(check=False)

    def _watch(self) -> None:
        while not self._over.wait(_EVERY):
            for future, job in list(self._open.items()):
                if self._over.is_set():
                    break
                self._look(future, job)

    def _look(self, future: Future[Any], job: Job[Any]) -> None:
        """Passes on what became of a job, if anything did."""
        try:
            if not job.done():
                return
            if not (job.paths.result_pickle.exists() or self._jobs.cluster == "debug"):
                if time.monotonic() - self._ended.setdefault(future, time.monotonic()) < _LATE:
                    return
                raise UncompletedJobError(
                    f"job {job.job_id} ended without a result; its log is {job.paths.stderr}"
                )
            found, error = job.result()
        except Exception as problem:
            found, error = None, problem
        with self._lock:
            ours = self._open.pop(future, None) is not None
        self._ended.pop(future, None)
        if not ours or not future.set_running_or_notify_cancel():
            return
        if error is None:
            shutil.rmtree(job.paths.folder, ignore_errors=True)
            future.set_result(found)
        else:
            future.set_exception(error)

"""Executors by name: this machine's processes, SLURM, Dask, and any of `concurrent.futures` that somebody has written.

A text is `NAME[:what it takes]`, such as `slurm:partition=gpu,timeout_min=240`, `dask:tcp://scheduler:8786`, or
`module:function` of a function that makes an executor of so many workers.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from midmix.errors import InputError, unknown
from midmix.registry import Registry, call, import_reference, is_reference
from midmix.studies.interruption import interruptions_ignored
from midmix.studies.periodic import every

JOBS = "jobs"
"""Folder, in that of a comparison, of what a scheduler's jobs write: their logs stay where they fail."""
AT_ONCE = 10_000
"""Jobs that a scheduler is given at once; it has a queue of its own."""
MINUTES = 240
"""Of a scheduler's job, where nothing else is said; a run that takes longer goes on in another."""


_LOOK = 10.0
"""Seconds between two looks at whether Dask's workers here are as many as they should be."""
_DASK = {
    "distributed.worker.daemon": False,  # a run may have processes of its own, which load its images
    "distributed.worker.profile.enabled": False,  # a look at every thread a hundred times a second
    "distributed.admin.tick.interval": "500ms",
    "distributed.deploy.lost-worker-timeout": "60s",  # a busy machine takes longer than 15 to start one anew
}
"""Settings of workers that are started here."""


@dataclass(frozen=True)
class Opened:
    """An executor that is there.

    Attributes:
        executor: None for this machine's own processes, see `RunnerOptions`.
        jobs: runs at a time; None where nothing was said.
        threads: of torch in each; None where nothing was said.
    """

    executor: Executor | None
    jobs: int | None
    threads: int | None = None


Open = Callable[[str, int | None, Path], AbstractContextManager[Opened]]
"""What takes the text behind a name, how many runs at a time were asked for, and a folder all workers see."""
EXECUTORS = Registry[Open]("executor", "midmix.executors")


@contextmanager
def open_executor(text: str, jobs: int | None, folder: Path) -> Iterator[Opened]:
    """Opens the executor that a text names, and closes it afterwards.

    Args:
        text: as above.
        jobs: runs at a time; None for one a core of this machine or one a worker of a cluster, and with SLURM for all.
        folder: of the comparison, which all workers see under the same path.

    Raises:
        InputError: for a name that nobody knows, a library that is missing, an option that there is not.

    Example:
        >>> with open_executor("local", 2, Path("out")) as opened:
        ...     opened
        Opened(executor=None, jobs=2, threads=None)
    """
    name, _, rest = text.partition(":")
    if name in EXECUTORS.names() or not is_reference(text):
        with EXECUTORS.find(name)(rest, jobs, folder) as opened:
            yield opened
        return
    wanted = jobs or os.cpu_count() or 1
    made = call("executor", text, import_reference(text, "executor"), wanted)
    if not isinstance(made, Executor):
        raise InputError(f"executor {text!r}: made a {type(made).__name__}, no concurrent.futures.Executor")
    with made:
        yield Opened(made, wanted)


@EXECUTORS.register
@contextmanager
def local(text: str, jobs: int | None, folder: Path) -> Iterator[Opened]:
    """Processes of this machine, by joblib's loky."""
    if text:
        raise InputError(f"executor local: takes nothing, so {text!r} cannot be; --jobs says how many")
    yield Opened(None, jobs)


@EXECUTORS.register
@contextmanager
def slurm(text: str, jobs: int | None, folder: Path) -> Iterator[Opened]:
    """SLURM's jobs, by submitit: a job a run. Options are submitit's, those of SLURM with or without `slurm_`."""
    try:
        from submitit import AutoExecutor
        from submitit.core.plugins import get_executors
    except ImportError:
        raise InputError("executor slurm: needs submitit; pip install 'midmix[cluster]'") from None
    from midmix.studies.submitted import SubmititExecutor

    options = _options(text)
    cluster = str(options.pop("cluster", "slurm"))  # or local and debug, to try it where there is no SLURM
    own, all_clusters = get_executors()["slurm"]._valid_parameters(), AutoExecutor._typed_parameters()
    for name in options:
        if name.removeprefix("slurm_") not in {*own, *all_clusters}:
            raise unknown("option of executor slurm", name, {"cluster", *own, *all_clusters})
    given = {
        name if name in all_clusters else f"slurm_{name.removeprefix('slurm_')}": options[name]
        for name in options
    }
    place = (folder / JOBS).resolve()
    made = [path for path in (place / "%j", place, *place.parents) if not path.exists()]
    try:
        submitted = AutoExecutor(folder=place / "%j", cluster=cluster)
        submitted.update_parameters(**{"timeout_min": MINUTES, **given})
    except (ValueError, RuntimeError, AssertionError, TypeError) as error:
        for path in made:
            with suppress(OSError):
                path.rmdir()
        raise InputError(f"executor slurm: {' '.join(str(error).split())}"[:300]) from error
    with SubmititExecutor(submitted, place) as executor:
        cores = options.get("cpus_per_task")
        yield Opened(executor, jobs or AT_ONCE, cores if isinstance(cores, int) else None)


@EXECUTORS.register
@contextmanager
def dask(text: str, jobs: int | None, folder: Path) -> Iterator[Opened]:
    """Workers of Dask: those of the scheduler at an address, or without one as many as jobs on this machine."""
    try:
        import dask as settings
        from distributed import Client, LocalCluster
        from distributed.diagnostics.plugin import WorkerPlugin
    except ImportError:
        raise InputError("executor dask: needs Dask; pip install 'midmix[cluster]'") from None

    class InterruptionsIgnored(WorkerPlugin):  # type: ignore[misc]
        """Ctrl-C is the launcher's to pass on; a worker that is started anew has it, too."""

        name = "midmix interruptions"

        def setup(self, worker: object) -> None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    with ExitStack() as stack:
        if text:
            try:
                client = stack.enter_context(Client(text, timeout=20, set_as_default=False))
            except (OSError, ValueError) as error:
                raise InputError(
                    f"executor dask: no scheduler at {text} ({' '.join(str(error).split())[:200]}); give it as "
                    "dask:tcp://HOST:PORT"
                ) from error
            there = len(client.scheduler_info(n_workers=-1)["workers"])
            if not there:
                raise InputError(f"executor dask: the scheduler at {text} has no workers; start some")
            jobs = jobs or there
        else:
            jobs = jobs or os.cpu_count() or 1
            stack.enter_context(settings.config.set(_DASK))
            with interruptions_ignored():
                cluster = stack.enter_context(
                    LocalCluster(
                        n_workers=jobs, threads_per_worker=1, processes=True, memory_limit=0,
                        dashboard_address=None, silence_logs=logging.CRITICAL,
                    )
                )  # fmt: skip
            # Dask starts a worker anew that has died, but gives it up where it dies again while it starts, or takes too
            # long: then it is asked for once more.
            stack.enter_context(every(_LOOK, partial(cluster.scale, jobs), name="midmix workers"))
            client = stack.enter_context(Client(cluster, set_as_default=False))
            client.register_plugin(InterruptionsIgnored())
        # Not pure: the same job again, after its worker's death, is another job.
        executor = client.get_executor(pure=False)
        stack.callback(executor.shutdown, wait=False)
        yield Opened(executor, jobs)


def _options(text: str) -> dict[str, Any]:
    """`name=value,…` as plain data; a piece without a name belongs to the value before it.

    Example:
        >>> _options("partition=gpu,gpus_per_node=1,exclude=a,b,gres=gpu:1")
        {'partition': 'gpu', 'gpus_per_node': 1, 'exclude': 'a,b', 'gres': 'gpu:1'}
    """
    found: dict[str, str] = {}
    for piece in filter(None, text.split(",")):
        name, equals, value = piece.partition("=")
        if equals:
            last = name.strip()
            found[last] = value.strip()
        elif found:
            found[last] += f",{piece}"
        else:
            raise InputError(
                f"executor slurm: {piece!r} is no option; write name=value, such as partition=gpu"
            )
    return {name: _value(value) for name, value in found.items()}


def _value(text: str) -> Any:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return found if isinstance(found, bool | int | float | str) and not _is_time(text) else text


def _is_time(text: str) -> bool:
    """`4:00:00` is a time, which YAML takes for a number to the base of 60."""
    return ":" in text

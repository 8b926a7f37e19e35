"""Runs side by side, each in a worker process of an executor."""

from __future__ import annotations

import json
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import ExitStack
from pathlib import Path

from midmix.errors import InputError
from midmix.studies.claims import CLAIM, Claim, living
from midmix.studies.interruption import interruptions_ignored
from midmix.studies.packed import pack
from midmix.studies.reporter import Reporter
from midmix.studies.task import POLL, PROGRESS, Bounds, Task, one_thread
from midmix.studies.workers import Done, Job, die_with, work
from midmix.training.callback import StepInfo
from midmix.training.run import Run

_GRACE = 20.0
"""Seconds in which workers that are asked to stop may end their step and write a checkpoint."""
_OTHERS = 5.0
"""Seconds between two looks at whether others have finished what waits for a worker here."""
_DEATHS = 3
"""Of workers of an executor that was given, over one run: it is then the run that kills them."""


class WorkerError(RuntimeError):
    """A worker process ended without an answer. The message is one line that names the runs."""


def side_by_side(
    task: Task, runs: Sequence[Run], folder: Path, report: Reporter, launcher: Claim, jobs: int
) -> None:
    """Does the runs, so many at a time.

    A worker of our own that dies takes its run with it: the others are done, and then it is named. With an executor
    that was given the run goes to another worker, unless it has taken `_DEATHS` of them.

    Raises:
        WorkerError: where workers died, or the executor with all of its.
        InputError: where a worker finds something that concerns all runs.
    """
    options, folder = report.options, folder.resolve()
    tensors = launcher.path.resolve().with_suffix(".safetensors")
    packed = pack((task, tuple(runs)), tensors, by_name=options.executor is not None)
    threads = options.threads or (1 if one_thread(task.source) else max(1, (os.cpu_count() or 1) // jobs))
    bounds = Bounds(options.checkpoint_seconds, options.lease)

    def job(number: int) -> Job:
        place = folder / runs[number].name
        return Job(packed, tensors, number, place, launcher.path.resolve(), threads, bounds)

    news = _News(folder, report)
    waiting, busy = deque(range(len(runs))), list[int]()
    lost, deaths = dict[int, str](), Counter[int]()
    running: dict[Future[Done], tuple[int, Executor]] = {}
    due, known_finished = time.monotonic() + _OTHERS, set[int]()
    with ExitStack() as stack:
        free: deque[Executor] = deque(_lanes(options.executor, jobs, launcher.owner.pid, stack))
        try:
            while waiting or running or busy:
                while waiting and free:
                    number, lane = waiting.popleft(), free.popleft()
                    try:
                        with interruptions_ignored():  # a worker inherits it, from its first moment on
                            running[lane.submit(work, job(number))] = number, lane
                    except BrokenExecutor as error:
                        raise _death(runs, {number: str(error)}, started=True) from error
                if running:
                    done, _ = wait(running, timeout=POLL, return_when=FIRST_COMPLETED)
                else:
                    done = set()
                    time.sleep(POLL)
                for number, _ in running.values():
                    news.look(runs[number])
                if time.monotonic() >= due:
                    due = time.monotonic() + _OTHERS
                    finished_at_last, known_finished = known_finished, set()
                    for future, (number, lane) in list(running.items()):
                        if future in done or not task.rows(folder / runs[number].name):
                            continue
                        known_finished.add(number)
                        # Another launcher has done it, or its answer would be here, while it waited for a worker.
                        if number in finished_at_last and future.cancel():
                            del running[future]
                            free.append(lane)
                            report.ended(runs[number].name)
                for future in done:
                    number, lane = running.pop(future)
                    free.append(lane)
                    try:
                        finished, notes, failure = future.result()
                    except (InputError, KeyboardInterrupt):
                        raise
                    except Exception as error:
                        if not _is_death(error):
                            raise
                        started = (folder / runs[number].name / CLAIM).exists()
                        deaths[number] += 1
                        reason = " ".join(str(error).split())[:160]
                        if options.executor is None:
                            free.pop()
                            lost[number] = reason
                            if not started:
                                raise _death(runs, lost, started) from error
                            free.extend(_lanes(None, 1, launcher.owner.pid, stack))
                        elif isinstance(error, BrokenExecutor):  # with all of its workers
                            raise _death(runs, {number: reason}, started) from error
                        elif deaths[number] < _DEATHS:
                            waiting.append(number)
                        else:
                            lost[number] = reason
                        continue
                    news.pass_on(runs[number], notes)
                    if failure is not None:
                        report.failure(runs[number].name, failure)
                    elif finished:
                        report.ended(runs[number].name)
                    else:
                        busy.append(number)
                if busy and not waiting:
                    for number in list(busy):  # others' runs: they finish, or their owners die
                        place = folder / runs[number].name
                        if task.rows(place):
                            busy.remove(number)
                            report.ended(runs[number].name)
                        elif living(place / CLAIM) is None:
                            busy.remove(number)
                            waiting.append(number)
        except BaseException:
            launcher.release()  # workers see it, write a checkpoint, and stop
            for future, (number, _) in running.items():
                if not (folder / runs[number].name / CLAIM).exists():  # not begun
                    future.cancel()
            wait(running, timeout=_GRACE)  # a second Ctrl-C does not wait
            for future in running:
                future.cancel()
            raise
        finally:
            tensors.unlink(missing_ok=True)
    if lost:
        raise _death(runs, lost, started=True)


class _News:
    """What runs write of their progress, passed on once."""

    def __init__(self, folder: Path, report: Reporter) -> None:
        self.folder, self.report = folder, report
        self._seen: dict[str, tuple[int, int]] = {}
        """Of each run: when it wrote what was seen last, and how many notes were passed on."""

    def look(self, run: Run) -> None:
        """Reads what a run has written since the last look."""
        stamp, passed = self._seen.get(run.name, (0, 0))
        path = self.folder / run.name / PROGRESS
        try:
            if (now := path.stat().st_mtime_ns) == stamp:
                return
            content = json.loads(path.read_text())
            moment = None if content["moment"] is None else StepInfo(**content["moment"])
        except (OSError, ValueError, TypeError, KeyError):
            return
        self._seen[run.name] = now, passed
        self.report.moment(run.name, moment)
        self.pass_on(run, content["notes"])

    def pass_on(self, run: Run, notes: Sequence[str]) -> None:
        """Says those of a run's notes that were not said yet."""
        stamp, passed = self._seen.get(run.name, (0, 0))
        for note in notes[passed:]:
            self.report.options.say(note)
        self._seen[run.name] = stamp, max(passed, len(notes))


def _lanes(
    given: Executor | Callable[[int], Executor] | None, jobs: int, parent: int, stack: ExitStack
) -> list[Executor]:
    """Where jobs go, one at a time each. Our own have one worker each, so that a death concerns one run."""
    if isinstance(given, Executor):
        return [given] * jobs
    if given is not None:
        return [stack.enter_context(given(jobs))] * jobs
    from joblib.externals.loky import ProcessPoolExecutor

    found: list[Executor] = []
    for _ in range(jobs):
        pool = ProcessPoolExecutor(1, initializer=die_with, initargs=(parent,))
        # Not waited for: on the way out a worker has nothing more to do, or is to stop.
        stack.callback(pool.shutdown, wait=True, kill_workers=True)
        found.append(pool)
    return found


def _is_death(error: Exception) -> bool:
    """Whether an executor says that its worker is gone; each has an error of its own."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"BrokenExecutor", "KilledWorker", "UncompletedJobError", "CancelledError"})


def _death(runs: Sequence[Run], lost: dict[int, str], started: bool) -> WorkerError:
    names = ", ".join(runs[number].name for number in sorted(lost))
    reason = next(iter(lost.values()))
    if not started:
        return WorkerError(
            f"{names}: the worker process ended while it started ({reason}); use --jobs 1 to see why"
        )
    return WorkerError(
        f"{names}: the worker process was killed, or ran out of memory ({reason}); finished runs are kept, "
        "and the same command goes on"
    )

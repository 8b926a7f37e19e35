"""Many runs into one folder: what is finished is not run again, the rest goes on, one at a time or side by side.

Launchers of the same comparison may work in one folder at once, on one machine or on several that share it: each run
is claimed by whoever does it (`midmix.studies.claims`), and both end with all of them.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import secrets
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import torch

from midmix.data import Source, place_of
from midmix.errors import InputError, RunsFailedError
from midmix.files import atomic_write, check_folder, read_json, remove_parts
from midmix.methods import Method
from midmix.studies.claims import CLAIM, Claim, Heart, Owner, living, locked
from midmix.studies.packed import pack, unpack
from midmix.training.callback import Callback, StepInfo
from midmix.training.identity import differences
from midmix.training.run import Run
from midmix.training.tracking import TRACKED
from midmix.training.tuned import asked

SPECIFICATION, RESULTS, RUNS, LAUNCHERS = "comparison.json", "results.parquet", "runs", "launchers"
PROGRESS = "progress.json"
_POLL = 0.2
"""Seconds between two looks at what workers have written."""
_GRACE = 20.0
"""Seconds in which workers that are asked to stop may end their step and write a checkpoint."""

Rows = list[dict[str, Any]]
"""Rows of a results table."""


class WorkerError(RuntimeError):
    """A worker process ended without an answer. The message is one line that names the runs."""


@dataclass(frozen=True)
class Attempt:
    """What a run is told besides what it is.

    Attributes:
        moment: is told where it stands.
        say: is told, in a line, of what a user should know.
        stop: whether it should write a checkpoint and raise KeyboardInterrupt.
        still_ours: raises ClaimLostError where its folder is another's; to be called before each writing.
        checkpoint_seconds: least time between two checkpoints.
    """

    moment: Callable[[StepInfo], None]
    say: Callable[[str], None]
    stop: Callable[[], bool]
    still_ours: Callable[[], None]
    checkpoint_seconds: float

    def callback(self) -> Callback:
        """The part of it that the training loop takes."""
        return Callback(on_step=self.moment, say=self.say, stop=self.stop, still_ours=self.still_ours)


class Task(Protocol):
    """What is done in each run of a comparison. Worker processes are sent the whole of it."""

    @property
    def source(self) -> Source:
        """The rows that all runs are drawn from."""
        ...

    def specification(self) -> dict[str, Any]:
        """What all runs of a folder share, besides rows, groups, split and settings: plain data."""
        ...

    def carry_out(self, run: Run, folder: Path, attempt: Attempt) -> None:
        """Does the run into its folder, from where it was interrupted."""
        ...

    def rows(self, folder: Path) -> Rows:
        """The results of the run in this folder; none where it has not finished."""
        ...


@dataclass(frozen=True)
class Progress:
    """What the watcher of a comparison is told: `moment` is None when a run begins or ends."""

    run: str
    done: int
    total: int
    moment: StepInfo | None = None
    ended: bool = False


@dataclass(frozen=True)
class RunnerOptions:
    """How runs are carried out: nothing of it changes a number.

    Attributes:
        jobs: runs at a time, each in a process of its own; None for one a core where rows are features, else one. With
            one, and no executor, they are done in this process.
        watch: is told of the progress.
        say: is told, in a line, of what a user should know.
        checkpoint_seconds: least time between two checkpoints of a run.
        executor: any of `concurrent.futures`, or what makes one of so many workers and is then shut down here; None for
            processes of joblib's loky, one for each job. Its workers must see the folder under the same path.
        part: `(i, n)`, with i in 0 … n - 1: only each n-th run, from the i-th on, as for an array of jobs.
    """

    jobs: int | None = None
    watch: Callable[[Progress], None] = lambda progress: None
    say: Callable[[str], None] = field(default=print)
    checkpoint_seconds: float = 30.0
    executor: Executor | Callable[[int], Executor] | None = None
    part: tuple[int, int] | None = None


def run_all(task: Task, runs: Sequence[Run], folder: Path, options: RunnerOptions) -> None:
    """Carries out those of the runs that have not finished in this folder, which is made if it is not there.

    The runs differ in line and seed only. A run that another launcher is doing is waited for. Where one fails, the
    others go on.

    Raises:
        RunsFailedError: where some runs failed, and others are finished.
        InputError: where all failed, with the first reason; where the folder holds another comparison or other files;
            where a launcher has started several processes, or `jobs` is below 1; as the task does.
        WorkerError: where a worker process ended: the other runs were done, this one goes on with the same call.
    """
    if options.jobs is not None and options.jobs < 1:
        raise InputError(f"jobs: {options.jobs}; at least one run at a time is needed")
    if options.part is not None and not 0 <= options.part[0] < options.part[1]:
        raise InputError(f"part: {options.part}; of n parts, i is one of 0 … n - 1")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError(
            "comparisons start their own processes (--jobs): run this without a launcher, "
            "or train one line over several processes with midmix train"
        )
    specification = _specification(task, runs[0])
    if options.part is not None:
        runs = runs[options.part[0] :: options.part[1]]
    with _launcher(folder, task.source, specification) as launcher:
        _check_runs_of(folder, task.rows, specification)
        _check_names(folder, task.rows, runs)
        left = [run for run in runs if not task.rows(folder / RUNS / run.name)]
        jobs = _jobs(task.source) if options.jobs is None else options.jobs
        jobs = min(jobs, max(len(left), 1))
        report = _Reporter(options, len(runs) - len(left), len(runs))
        if left and jobs == 1 and options.executor is None:
            _in_turn(task, left, folder / RUNS, report, launcher)
        elif left:
            _side_by_side(task, left, folder / RUNS, report, launcher, jobs)
        report.close()


def settle(task: Task, run: Run, folder: Path) -> None:
    """Makes the folder that of a comparison with such runs, before anything is done in it.

    Raises:
        InputError: where it is another's.
    """
    with _launcher(folder, task.source, _specification(task, run)):
        pass


def check_comparison(folder: Path) -> None:
    """Sees that a comparison, old or new, may be written into this folder.

    Raises:
        InputError: as `check_folder` does.
    """
    check_folder(folder, "comparison", SPECIFICATION, {CLAIM, f"{CLAIM}.lock", LAUNCHERS, TRACKED})


def gather(rows: Callable[[Path], Rows], folder: Path, lines: Sequence[Method] = ()) -> pd.DataFrame:
    """Gathers the finished runs of a folder into `results.parquet`, and returns the table.

    These lines come first, in their order; then others that the folder holds, by name; within a line by seed.

    Raises:
        InputError: where none has finished, or one is of another comparison.
    """
    if (folder / SPECIFICATION).is_file():
        _check_runs_of(folder, rows, read_json(folder / SPECIFICATION, "a comparison's record"))
    found = [row for path in sorted((folder / RUNS).glob("*")) for row in rows(path)]
    if not found:
        raise InputError(f"{folder}: holds no finished run")
    order = {str(line): place for place, line in enumerate(lines)}
    found.sort(key=lambda row: (order.get(row["method"], len(order)), row["method"], row["seed"]))
    results = pd.DataFrame(found)
    with atomic_write(folder / RESULTS) as path:
        results.to_parquet(path)
    return results


class _Reporter:
    """Counts finished runs and passes on what happens."""

    def __init__(self, options: RunnerOptions, done: int, total: int) -> None:
        self.options, self.done, self.total = options, done, total
        self.failed: dict[str, str] = {}

    def moment(self, run: str, moment: StepInfo | None) -> None:
        self.options.watch(Progress(run, self.done, self.total, moment))

    def ended(self, run: str) -> None:
        self.done += 1
        self.options.watch(Progress(run, self.done, self.total, ended=True))

    def failure(self, run: str, error: InputError) -> None:
        """Notes a run that cannot be done, so that the others can."""
        self.failed[run] = str(error)
        self.options.watch(Progress(run, self.done, self.total, ended=True))
        if len(self.failed) < self.total:
            self.options.say(f"{run} failed: {error}")

    def close(self) -> None:
        """Says which runs failed, if any did.

        Raises:
            InputError: where all failed.
            RunsFailedError: where some did.
        """
        if not self.failed:
            return
        if self.total == len(self.failed) and len({*self.failed.values()}) == 1:
            raise InputError(next(iter(self.failed.values())))
        reasons = "; ".join(f"{run}: {reason}" for run, reason in self.failed.items())
        raise RunsFailedError(
            f"{len(self.failed)} of {self.total} runs failed, the others are finished: {reasons}"
        )


def _attempt(
    task: Task,
    run: Run,
    folder: Path,
    launcher: Path,
    checkpoint_seconds: float,
    tell: Callable[[StepInfo | None], None],
    say: Callable[[str], None],
    stop: threading.Event,
) -> bool:
    """Does one run, unless it is finished or another process is doing it; whether it is finished now."""
    if task.rows(folder):
        return True
    folder.mkdir(parents=True, exist_ok=True)
    claim = Claim.take(folder / CLAIM)
    if not isinstance(claim, Claim):
        return False

    def look() -> None:
        if living(launcher) is None or not claim.held():
            stop.set()

    try:
        with Heart(claim, every=look):
            if not task.rows(folder):  # else it was finished while we came
                remove_parts(folder)
                tell(None)
                task.carry_out(run, folder, Attempt(tell, say, stop.is_set, claim.check, checkpoint_seconds))
    finally:
        if claim.held():
            (folder / PROGRESS).unlink(missing_ok=True)
        claim.release()
        with suppress(OSError):
            folder.rmdir()  # where nothing was written
    return True


def _in_turn(task: Task, runs: Sequence[Run], folder: Path, report: _Reporter, launcher: Claim) -> None:
    threads = torch.get_num_threads()
    if _one_thread(task.source):
        torch.set_num_threads(1)
    waiting, options = deque(runs), report.options
    try:
        with interruptible() as stop:
            busy = 0
            while waiting:
                run = waiting.popleft()
                try:
                    done = _attempt(
                        task,
                        run,
                        folder / run.name,
                        launcher.path,
                        options.checkpoint_seconds,
                        lambda moment, name=run.name: report.moment(name, moment),  # type: ignore[misc]
                        options.say,
                        stop,
                    )
                except InputError as error:
                    if _concerns_all(error):
                        raise
                    report.failure(run.name, error)
                    continue
                if done:
                    report.ended(run.name)
                    busy = 0
                    continue
                waiting.append(run)
                busy += 1
                if busy >= len(waiting):  # all that are left are others'
                    if stop.wait(_POLL):
                        raise KeyboardInterrupt
                    busy = 0
    finally:
        torch.set_num_threads(threads)


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets, so that the loop may end in order; the second interrupts at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def first(number: int, frame: Any) -> None:
        stop.set()
        signal.signal(signal.SIGINT, before)

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:  # somebody else's to decide
        yield stop
        return
    signal.signal(signal.SIGINT, first)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


@dataclass(frozen=True)
class _Job:
    """What a worker is sent: plain data."""

    packed: bytes
    tensors: Path
    number: int
    folder: Path
    launcher: Path
    owner: Owner
    threads: int
    checkpoint_seconds: float


def _side_by_side(
    task: Task, runs: Sequence[Run], folder: Path, report: _Reporter, launcher: Claim, jobs: int
) -> None:
    options = report.options
    tensors = launcher.path.with_suffix(".safetensors")
    packed = pack((task, tuple(runs)), tensors)
    threads = 1 if _one_thread(task.source) else max(1, (os.cpu_count() or 1) // jobs)

    def job(number: int) -> _Job:
        place = folder / runs[number].name
        return _Job(
            packed, tensors, number, place, launcher.path, launcher.owner, threads, options.checkpoint_seconds
        )

    told: dict[
        str, tuple[int, int]
    ] = {}  # of each run: what was last seen, and how many notes were passed on

    def look(run: Run, notes: Sequence[str] | None = None) -> None:
        stamp, passed = told.get(run.name, (0, 0))
        path = folder / run.name / PROGRESS
        if notes is None:
            try:
                if (now := path.stat().st_mtime_ns) == stamp:
                    return
                content = json.loads(path.read_text())
                moment = None if content["moment"] is None else StepInfo(**content["moment"])
            except (OSError, ValueError, TypeError, KeyError):
                return
            stamp, notes = now, content["notes"]
            report.moment(run.name, moment)
        for note in notes[passed:]:
            options.say(note)
        told[run.name] = stamp, max(passed, len(notes))

    waiting, busy, lost = deque(range(len(runs))), list[int](), dict[int, str]()
    running: dict[Future[_Done], tuple[int, Executor]] = {}
    with ExitStack() as stack:
        free: deque[Executor] = deque(_lanes(options.executor, jobs, launcher.owner.pid, stack))
        try:
            while waiting or running or busy:
                while waiting and free:
                    number, lane = waiting.popleft(), free.popleft()
                    with _interruptions_ignored():  # a worker inherits it, from its first moment on
                        running[lane.submit(_work, job(number))] = number, lane
                if running:
                    done, _ = wait(running, timeout=_POLL, return_when=FIRST_COMPLETED)
                else:
                    done = set()
                    time.sleep(_POLL)
                for number, _ in running.values():
                    look(runs[number])
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
                        free.pop()
                        started = (folder / runs[number].name / CLAIM).exists()
                        lost[number] = " ".join(str(error).split())[:160]
                        if not started or options.executor is not None:
                            raise _death(runs, lost, started) from error
                        free.extend(_lanes(None, 1, launcher.owner.pid, stack))
                        continue
                    look(runs[number], notes)
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
            for future in running:
                future.cancel()
            wait(running, timeout=_GRACE)  # a second Ctrl-C does not wait
            raise
        finally:
            tensors.unlink(missing_ok=True)
    if lost:
        raise _death(runs, lost, started=True)


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
        pool = ProcessPoolExecutor(1, initializer=_die_with, initargs=(parent,))
        # Not waited for: on the way out a worker has nothing more to do, or is to stop.
        stack.callback(pool.shutdown, wait=True, kill_workers=True)
        found.append(pool)
    return found


@contextmanager
def _interruptions_ignored() -> Iterator[None]:
    """For a moment, Ctrl-C is nobody's; where somebody else decides on it, it stays theirs."""
    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _die_with(parent: int) -> None:
    """Ends this worker process when its launcher ends, whatever ends it; Ctrl-C is the launcher's to pass on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    if os.getppid() != parent:
        os._exit(1)
    threading.Thread(target=watch, daemon=True, name="midmix parent").start()


def _is_death(error: Exception) -> bool:
    """Whether an executor says that its worker is gone; each has an error of its own."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"BrokenExecutor", "KilledWorker", "UncompletedJobError"})


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


_unpacked: dict[Path, Any] = {}
_Done = tuple[bool, list[str], InputError | None]
"""Of a run: whether it is finished, the notes, and why it failed if it did."""


def _concerns_all(error: InputError) -> bool:
    """Whether the other runs would end alike: where nothing can be written."""
    return isinstance(error.__cause__, OSError)


def _work(job: _Job) -> _Done:
    """A worker's whole work: one run."""
    if job.tensors not in _unpacked:
        _unpacked.clear()
        _unpacked[job.tensors] = unpack(job.packed, job.tensors)
    task, runs = _unpacked[job.tensors]
    torch.set_num_threads(job.threads)
    notes: list[str] = []
    last, shown = None, 0.0

    def show() -> None:
        content = {"moment": None if last is None else asdict(last), "notes": notes}
        with suppress(OSError, InputError), atomic_write(job.folder / PROGRESS, durable=False) as path:
            path.write_text(json.dumps(content))

    def tell(moment: StepInfo | None) -> None:
        nonlocal last, shown
        last = moment
        if moment is None or time.monotonic() - shown > _POLL:
            shown = time.monotonic()
            show()

    def say(note: str) -> None:
        notes.append(note)
        show()

    try:
        finished = _attempt(
            task,
            runs[job.number],
            job.folder,
            job.launcher,
            job.checkpoint_seconds,
            tell,
            say,
            threading.Event(),
        )
    except InputError as error:
        if _concerns_all(error):
            raise
        return False, notes, error
    return finished, notes, None


def _one_thread(source: Source) -> bool:
    """Small networks on rows of features run fastest on one thread each, on any number of cores."""
    return source.train.kind == "features" and not torch.cuda.is_available()


def _jobs(source: Source) -> int:
    return (os.cpu_count() or 1) if _one_thread(source) else 1


def _specification(task: Task, run: Run) -> dict[str, Any]:
    return {**task.specification(), "source": task.source.name, **run.specification(task.source)}


@contextmanager
def _launcher(folder: Path, source: Source, specification: dict[str, Any]) -> Iterator[Claim]:
    """Makes the folder this comparison's, or sees that it is; and shows that we work in it, as others may."""
    check_comparison(folder)
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    launchers = folder / LAUNCHERS
    claim: Claim | None = None
    try:
        with locked(folder / CLAIM):
            _settle(folder, source, specification)
            launchers.mkdir(exist_ok=True)
            for path in launchers.glob("*.json"):
                if living(path) is None:
                    path.unlink(missing_ok=True)
                    path.with_suffix(".safetensors").unlink(missing_ok=True)
            taken = Claim.take(launchers / f"{secrets.token_hex(8)}.json")
            assert isinstance(taken, Claim)  # no other has this name
            claim = taken
        with Heart(claim):
            yield claim
    finally:
        if claim is not None:
            claim.release()
        with contextlib.suppress(OSError):
            launchers.rmdir()
        if made:
            with suppress(OSError):
                folder.rmdir()


def _settle(folder: Path, source: Source, specification: dict[str, Any]) -> None:
    """Writes down whose folder it is, or compares what is written there."""
    path = folder / SPECIFICATION
    if path.is_file():
        theirs = read_json(path, "a comparison's record")
        # The rows tell a source, however it is called; of rows that are decoded on access only some are looked at.
        read = "train_rows" in theirs and isinstance(source.train.inputs, torch.Tensor)
        if read or place_of(str(theirs.get("source"))) == place_of(source.name):
            theirs["source"] = source.name
        differ = differences(theirs, specification)
        begun = any((folder / RUNS).glob("*/*"))
        others = [owner for other in (folder / LAUNCHERS).glob("*.json") if (owner := living(other))]
        if differ and (begun or others):
            raise InputError(
                f"{folder}: holds another comparison ({'; '.join(differ)}); choose another folder with --out"
            )
        if not differ:
            return  # as it was written: another launcher may be reading it
    with atomic_write(path) as part:
        part.write_text(json.dumps(specification, indent=1))


def _check_names(folder: Path, rows: Callable[[Path], Rows], runs: Sequence[Run]) -> None:
    """Sees that no finished run of another name says that it is one of these, which would then be there twice."""
    ours = {(str(run.method), run.seed): run.name for run in runs}
    for path in sorted((folder / RUNS).glob("*")):
        for row in rows(path)[:1]:
            name = ours.get((row["method"], row["seed"]), path.name)
            if name != path.name:
                raise InputError(
                    f"{path}: says that it is {row['method']}, seed {row['seed']}, whose folder is {name}; "
                    "move it out of this folder"
                )


def _check_runs_of(folder: Path, rows: Callable[[Path], Rows], specification: dict[str, Any]) -> None:
    """Sees that the folder's finished runs are the comparison's, as far as their records say what they were."""
    for path in sorted((folder / RUNS).glob("*")):
        record_path = path / "run.json"
        if not record_path.is_file() or not rows(path):
            continue
        record = read_json(record_path, "a run's record")
        said = asked(record)
        ours = {
            name: value
            for name, value in specification.items()
            if name in said and name not in ("source", "groups")  # the rows tell; a bound has no groups
        }
        differ = differences({name: said[name] for name in ours}, ours)
        if differ:
            raise InputError(
                f"{path}: is a run of another comparison ({'; '.join(differ)}); move it out of this folder"
            )

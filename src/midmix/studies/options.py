"""How many runs are carried out, and who is told of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field

from midmix.errors import InputError
from midmix.studies.claims import STALE
from midmix.training.callback import StepInfo


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
    """How runs are carried out: nothing of it changes a number, save that bits depend on the threads.

    Attributes:
        jobs: runs at a time, each in a process of its own; None for one a core where rows are features, else one. With
            one, and no executor, they are done in this process.
        watch: is told of the progress.
        say: is told, in a line, of what a user should know.
        checkpoint_seconds: least time between two checkpoints of a run.
        executor: any of `concurrent.futures`, or what makes one of so many workers and is then shut down here; None for
            processes of joblib's loky, one for each job. Its workers must see the folder under the same path, and read
            the source under the same name: they are sent that and its digest, not its rows.
        part: `(i, n)`, with i in 0 … n - 1: only each n-th run, from the i-th on, as for an array of jobs.
        threads: of torch in each run, set where it runs; None for one where rows are features and no accelerator is
            there, else this machine's cores shared out to the jobs.
        lease: seconds without a heartbeat after which what a process on another machine has claimed is taken up.
    """

    jobs: int | None = None
    watch: Callable[[Progress], None] = lambda progress: None
    say: Callable[[str], None] = field(default=print)
    checkpoint_seconds: float = 30.0
    executor: Executor | Callable[[int], Executor] | None = None
    part: tuple[int, int] | None = None
    threads: int | None = None
    lease: float = STALE

    def check(self) -> None:
        """Sees that such runs can be.

        Raises:
            InputError: for less than one job or thread, and a part that there is not.
        """
        if self.jobs is not None and self.jobs < 1:
            raise InputError(f"jobs: {self.jobs}; at least one run at a time is needed")
        if self.threads is not None and self.threads < 1:
            raise InputError(f"threads: {self.threads}; a run needs at least one")
        if self.part is not None and not 0 <= self.part[0] < self.part[1]:
            raise InputError(f"part: {self.part}; of n parts, i is one of 0 … n - 1")

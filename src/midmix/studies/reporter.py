"""What becomes of many runs, counted."""

from __future__ import annotations

from midmix.errors import InputError, RunsFailedError
from midmix.studies.options import Progress, RunnerOptions
from midmix.training.callback import StepInfo


class Reporter:
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

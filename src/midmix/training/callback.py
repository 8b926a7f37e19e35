"""Who is told what while a run goes on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from midmix.training.history import Epoch
from midmix.training.predict import Predictions


@dataclass(frozen=True)
class StepInfo:
    """Where a run stands after a step.

    Attributes:
        epoch, epochs: the current one, from 1; all of them.
        step, steps: done in the current epoch; all of its steps.
        rate: rows a second.
        ratio: λ of the step, the mean share of a mixed row that is its owner's.
        train_accuracy: on clean rows of the epoch so far, or of the schedule's memory; NaN where nobody sees them.
        loss: mean over the steps since the last look at the run.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    rate: float
    ratio: float
    train_accuracy: float
    loss: float = math.nan


@dataclass(frozen=True)
class Callback:
    """What a run calls as it goes on. Progress bars, claims of folders and interruptions are built on it.

    Attributes:
        on_step: after steps: after every `every`-th, and more often where steps are slow.
        on_epoch: after every evaluated epoch, with what is written down of it.
        on_end: once the run is finished, with its record and its predictions of the test rows.
        say: is told, in one line, what a person should know.
        stop: asked after every step; where it says so, a checkpoint is written and KeyboardInterrupt raised.
        still_ours: raises where the run's folder has become another's; asked before each writing.
        every: steps between two looks at the run, which wait for an accelerator.

    Example:
        >>> rows = []
        >>> Callback(on_epoch=rows.append).every
        20
    """

    on_step: Callable[[StepInfo], None] | None = None
    on_epoch: Callable[[Epoch], None] | None = None
    on_end: Callable[[Mapping[str, Any], Predictions], None] | None = None
    say: Callable[[str], None] = field(default=print)
    stop: Callable[[], bool] = lambda: False
    still_ours: Callable[[], None] = lambda: None
    every: int = 20


UNWATCHED = Callback()

"""The estimator's own loop: weighted rows of one table, an epoch at a time, without splits, records or checkpoints."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from midmix.decisions import LogitPrior
from midmix.errors import InputError
from midmix.integrations.weighted_rows import WeightedRows
from midmix.mixing import Loss, Mix
from midmix.models import build, fit_normalization
from midmix.training import Settings
from midmix.training.augment import prepare_loss
from midmix.training.schedule import make_optimizer, make_schedule
from midmix.training.seeds import DRAWS, ORDER, stream
from midmix.training.step import can_divide, can_pull_back, mixed_step

PREDICT_ROWS = 8192  # at a time
READ_BATCHES = 64  # copied at once


@dataclass
class RowTraining:
    """A network with what trains it, on rows of which some may count more often than others.

    `training.Fit` takes whole runs: every row once an epoch, evaluated on a test split after it. Rows that count more
    than once, and calls that bring one epoch's rows at a time, are another loop over the same step.

    Attributes:
        model, mix, loss: what is trained, and how.
        settings: of the training.
        seed: of everything random.
        optimizer: of the model's and the loss's parameters.
        generator: of the mix's draws.
        epochs: how many are done.
    """

    model: nn.Module
    mix: Mix
    loss: Loss
    settings: Settings
    seed: int
    optimizer: Optimizer = field(init=False)
    generator: torch.Generator = field(init=False)
    epochs: int = 0

    def __post_init__(self) -> None:
        self.optimizer = make_optimizer(self.model, self.settings, [*self.loss.parameters()])
        self.generator = torch.Generator().manual_seed(stream(self.seed, DRAWS))

    @classmethod
    def begin(cls, inputs: Tensor, classes: int, mix: Mix, loss: Loss, settings: Settings, seed: int) -> Self:
        """A new network for rows like these, `[N, D]`, which it is standardised by.

        Raises:
            InputError: for a mix that asks for held-out rows.
        """
        if mix.needs_validation:
            raise InputError(
                "method: λ would follow held-out rows, and an estimator shows it none; use accuracy=running, or "
                "midmix train with --validation"
            )
        model = build(settings.network, tuple(inputs.shape[1:]), classes, width=settings.width, seed=seed)
        fit_normalization(model, inputs)
        prepare_loss(loss, model, classes, classifier=None, augmented=False, seed=seed)
        return cls(model, mix, loss, settings, seed)

    def schedule(self, rows: WeightedRows) -> LRScheduler:
        """The learning rate's, over all epochs of these rows."""
        return make_schedule(self.optimizer, self.settings, self._steps(rows))

    @contextmanager
    def attached(self) -> Iterator[None]:
        """The mix on the model for as long as it trains, so that what is left is a plain network, to be copied."""
        self.mix.attach(self.model, loss=self.loss)
        try:
            yield
        finally:
            self.mix.remove()

    def epoch(
        self, data: Tensor, labels: Tensor, rows: WeightedRows, schedule: LRScheduler | None = None
    ) -> float:
        """Trains one epoch more on these rows of `data [N, D]` and `labels [N]`, and gives its mean loss.

        Raises:
            InputError: where that is not finite.
        """
        steps = self._steps(rows)
        drawn = rows.draw(torch.Generator().manual_seed(stream(self.seed, ORDER, self.epochs)))
        self.model.train()
        self.loss.train()
        divided = can_divide(self.model, self.mix)
        pull_back = can_pull_back(self.model, self.mix, self.loss)
        losses, sizes = [], []
        for step, (inputs, own) in enumerate(_batches(data, labels, drawn.tensor_split(steps))):
            if "progress" in self.loss.needs:
                done = (self.epochs * steps + step) / (self.settings.epochs * steps)
                self.mix.observe(progress=min(done, 1.0))
            stepped, _ = mixed_step(
                self.model,
                self.mix,
                inputs,
                own,
                self.loss,
                divided=divided,
                generator=self.generator,
                pull_back=pull_back,
            )
            self.optimizer.zero_grad()
            stepped.backward()
            self.optimizer.step()
            if schedule is not None:
                schedule.step()
            losses.append(stepped.loss.detach())
            sizes.append(len(own))
        self.mix.end_epoch()
        self.model.eval()
        self.epochs += 1
        mean = float(torch.stack(losses).double() @ torch.tensor(sizes).double()) / len(drawn)
        if not math.isfinite(mean):
            raise InputError(
                f"loss: became {mean} in an epoch; lower the learning_rate ({self.settings.learning_rate:g}), or look "
                "for features of extreme size"
            )
        return mean

    def trained_for(self) -> LogitPrior:
        """The prior that the logits answer for, by the targets that were really fed."""
        return LogitPrior.from_counts(self.mix.fed_prior(), tau=self.loss.absorbs)

    def balanced_scores(self, data: Tensor, labels: Tensor, rows: WeightedRows) -> tuple[float, float]:
        """Accuracy and log-likelihood of rows, each the mean over classes of its weighted mean in the class."""
        parts = torch.split(rows.index, PREDICT_ROWS)
        logits = torch.cat([logits_of(self.model, data[part]) for part in parts])
        own = labels[rows.index]
        logits = self.trained_for().evidence(logits)
        classes = logits.shape[1]
        likelihood = logits.log_softmax(1).gather(1, own[:, None])[:, 0]
        of_class = torch.bincount(own, rows.weight, classes)
        accuracy, mean_likelihood = (
            (torch.bincount(own, rows.weight * row, classes) / of_class)[of_class > 0].mean()
            for row in (logits.argmax(1) == own, likelihood)
        )
        return float(accuracy), float(mean_likelihood)

    def _steps(self, rows: WeightedRows) -> int:
        """Of an epoch of these rows."""
        return math.ceil(rows.epoch / self.settings.batch_size)


@torch.inference_mode()
def logits_of(model: nn.Module, data: Tensor) -> Tensor:
    """A network's answers `[N, C]` to `data [N, D]`, not all of them at once."""
    return torch.cat([model(part) for part in torch.split(data, PREDICT_ROWS)])


def _batches(data: Tensor, labels: Tensor, batches: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows and labels of these batches, many read at once."""
    for first in range(0, len(batches), READ_BATCHES):
        some = batches[first : first + READ_BATCHES]
        index, sizes = torch.cat([*some]), [len(batch) for batch in some]
        rows, own = data.index_select(0, index), labels.index_select(0, index)
        yield from zip(torch.split(rows, sizes), torch.split(own, sizes), strict=True)

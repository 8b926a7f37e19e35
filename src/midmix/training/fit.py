"""The one training loop: every mix, every loss, every network, on one process or many."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import cached_property
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, is_initialized
from accelerate.utils import broadcast, reduce
from torch import Tensor, nn

from midmix.data import Labelled
from midmix.decisions import LogitPrior
from midmix.errors import DivergedError, InputError
from midmix.methods import Order, Shuffled
from midmix.mixing import Features, Loss, Mix, RowLoss
from midmix.mixing.context import as_loss
from midmix.models import to_float
from midmix.training.augment import augmentation, is_augmented, prepare_loss
from midmix.training.batches import Batches, on_device
from midmix.training.callback import UNWATCHED, Callback, StepInfo
from midmix.training.checkpoint import Checkpoints
from midmix.training.history import LAST_PART, Epoch, epoch_record
from midmix.training.predict import Predictions, all_finite, features_of
from midmix.training.schedule import make_optimizer, make_schedule
from midmix.training.seeds import DRAWS, ORDER, TORCH, stream
from midmix.training.settings import Settings
from midmix.training.shared import accuracy_shared, check_whole, predict_shared
from midmix.training.split import Split
from midmix.training.state import identity, restore, state_of
from midmix.training.step import can_divide, can_pull_back, mixed_step
from midmix.training.sums import EpochSums

MEASURED_PARTS = 5  # of a run, at the end of each of which the geometry of features is measured
LOOK_SECONDS = 0.25  # of training alone, after which a look is due before its step


class Fit:
    """One network in training.

    The same seed gives the same weights: the rows' order depends on seed and epoch alone, all other draws come from
    one generator, and what it, the optimizer, the schedule and the mix hold goes into every checkpoint, so that an
    interrupted run that goes on ends as an uninterrupted one does, to the bit, on the same processor and threads.

    Args:
        model: a network, on any device; it is trained in place.
        mix: attached to the model here.
        loss: of `midmix.losses`, or any per-sample loss. What it learns is optimised with the network's
            weights, without decay; what it counts is in every checkpoint.
        split: the rows.
        settings: how to train.
        seed: of the order of rows, the augmentation and the mix.
        order: who is drawn when; every row once an epoch where None.
        accelerator: of Hugging Face Accelerate; one for the settings' precision where None.
        checkpoints: where to keep them; None for none.
        checkpoint_seconds: least time between two checkpoints.
        callback: who is told what on the way.

    Raises:
        InputError: where the model cannot be mixed so, its classifier cannot be told, the device has no such precision,
            a batch is too small for the processes, or Accelerate shards the weights.

    Example:
        >>> from midmix import am_mixup, losses
        >>> from midmix.data import load
        >>> from midmix.models import build, fit_normalization
        >>> from midmix.training import draw_split
        >>> split = draw_split(load("digits"), seed=0, imbalance=50)
        >>> model = fit_normalization(build("mlp-32", (64,), 10, seed=0), split.train.inputs)
        >>> fit = Fit(model, am_mixup(10), losses.loss("cross_entropy"), split, Settings(epochs=3), seed=0)
        >>> [row["epoch"] for row in fit.run()]
        [1, 2, 3]
        >>> fit.mix.remove()
    """

    def __init__(
        self,
        model: nn.Module,
        mix: Mix,
        loss: Loss | RowLoss,
        split: Split,
        settings: Settings,
        *,
        seed: int,
        order: Order | None = None,
        accelerator: Accelerator | None = None,
        checkpoints: Checkpoints | None = None,
        checkpoint_seconds: float = 30.0,
        callback: Callback = UNWATCHED,
    ) -> None:
        self.accelerator = accelerator or make_accelerator(settings)
        check_whole(self.accelerator.distributed_type)
        self.settings = settings
        self.split = split
        self.loss = as_loss(loss)
        self.order = order or Shuffled()
        self.seed = seed
        self.checkpoints = checkpoints
        self.checkpoint_seconds = checkpoint_seconds
        self.callback = callback
        self.images = split.train.kind == "images"
        self.augment = augmentation(settings, split.train)
        self.steps = math.ceil(len(split.train) / settings.batch_size)
        self.world, self.rank = self.accelerator.num_processes, self.accelerator.process_index
        self.device = self.accelerator.device
        if len(split.train) // self.steps < self.world:
            raise InputError(
                f"batch_size: {settings.batch_size} of {len(split.train)} rows leaves processes without a row; "
                f"give each of the {self.world} at least one"
            )

        if mix.needs_validation and split.validation is None:
            raise InputError(
                "accuracy: validation, and no rows are held out; hold some out (--validation 0.2), or let λ follow "
                "the training accuracy (accuracy=running)"
            )
        self.classifier = mix.site.name if isinstance(mix.site, Features) else None
        features_of(model, len(split.train.classes), self.classifier)  # else the first evaluation would fail
        if self.images and settings.channels_last:
            model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model = model.to(self.device)
        prepare_loss(
            self.loss,
            self.model,
            len(split.train.classes),
            classifier=self.classifier,
            augmented=is_augmented(settings, split.train),
            seed=seed,
        )
        self.mix = mix.attach(self.model, loss=self.loss)
        if not isinstance(self.order, Shuffled) and mix.prior.given is not None:
            # What is drawn is what is fed: the prior begins, and is weighed, by the order's shares.
            shares = self.order.shares(split.train.counts().double(), 0.0)
            mix.prior.start_from(shares / shares.sum())
        self.loss.to(self.device)
        self.loss.train()
        optimizer = make_optimizer(self.model, settings, [*self.loss.parameters()])
        # Of one process in full precision Accelerate has nothing to do, and a small network's step is short.
        self.direct = self.world == 1 and settings.precision == "fp32" and not settings.compile
        self.divided = self.direct and can_divide(self.model, self.mix)
        self.pull_back = self.direct and can_pull_back(self.model, self.mix, self.loss)
        self.network, self.optimizer = self.model, optimizer
        if not self.direct:
            self.network, self.optimizer = self.accelerator.prepare(self.model, optimizer)
        if settings.compile:
            # A compiled step does not look at hooks again: one left from another mix must not serve this one.
            torch.compiler.reset()
        self.step_network = torch.compile(self.network) if settings.compile else self.network
        updates = math.ceil(self.steps / settings.accumulate)
        self.schedule = make_schedule(optimizer, settings, updates)

        self.generator = torch.Generator().manual_seed(stream(seed, DRAWS + self.rank))
        self.epoch = 0  # epochs finished
        self.step = 0  # steps of the current epoch done
        self.seconds = 0.0  # of training, evaluations left out
        self._saved = 0.0  # when, by the monotonic clock
        self._seen_loss = math.nan  # mean since the last look but one
        self.sums = EpochSums()
        self.history: list[Epoch] = []

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that the run's numbers depend on, as plain data, by which its checkpoints are known."""
        return identity(self)

    def run(self) -> list[Epoch]:
        """Trains to the end, from the last whole checkpoint where there is one; returns the evaluated epochs.

        Raises:
            DivergedError: where the loss or the predictions are no longer finite, with the step.
            InputError: where the checkpoint is of another run.
        """
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(stream(self.seed, TORCH + self.rank))
            if self.checkpoints is not None and (state := self.checkpoints.latest()) is not None:
                restore(self, state)
            self._saved = time.monotonic()
            data = on_device(self.split.train, self.device)
            views = 2 if "views" in self.loss.needs else 1
            pinned = self.device.type == "cuda"
            with Batches(data, self.settings, seed=self.seed, views=views, pinned=pinned) as batches:
                while self.epoch < self.settings.epochs:
                    self.model.train()
                    for _ in self._steps(data, batches):
                        self._save_if_due()
                    self._end_epoch()
                    self._save_if_due()
        return self.history

    def _steps(self, data: Labelled, stored: Batches) -> Iterator[None]:
        """The rest of the current epoch, a step at a time; yields where a checkpoint may be made."""
        order = self._order()
        batches = torch.arange(len(order)).tensor_split(self.steps)  # places in the order
        ours = batches if self.world == 1 else [part.tensor_split(self.world)[self.rank] for part in batches]
        started, seen = time.perf_counter(), 0
        for rows, views in stored.of_epoch(self.epoch, order, ours[self.step :]):
            labels = data.labels[rows.to(data.labels.device)]
            *others, inputs = map(self._prepare, views)
            self._train_step(inputs, labels, batches, *others)
            self.step += 1
            seen += len(rows)
            last, updated = self.step == self.steps, self._updates(self.step)
            stop = updated and self.callback.stop()
            if last or stop or self._look_due(started):
                self._look()
                now = time.perf_counter()
                self.seconds += now - started
                if self.callback.on_step is not None and self.accelerator.is_main_process:
                    self.callback.on_step(self._info(seen * self.world / (now - started)))
                if stop:
                    self._save()
                    raise KeyboardInterrupt
                if updated and not last:
                    yield
                started, seen = time.perf_counter(), 0
        self.step = 0

    def _look_due(self, since: float) -> bool:
        """Whether to look at the last steps' losses, which waits for an accelerator; all processes do it at once."""
        if len(self.sums.waiting) >= self.callback.every:
            return True
        alone = self.world == 1 and self.device.type == "cpu"
        return alone and time.perf_counter() - since >= LOOK_SECONDS

    def _train_step(
        self, inputs: Tensor, labels: Tensor, batches: Sequence[Tensor], second: Tensor | None = None
    ) -> None:
        """Forward, backward and, where one is due, the update.

        Every row weighs the same in an update, however unequal the batches that make it and their parts on the
        processes, whose gradients are averaged.
        """
        update = self._updates(self.step + 1)
        batch = len(batches[self.step])
        share = self._share(batches)
        if "progress" in self.loss.needs or self.mix.needs_progress:
            self.mix.observe(progress=self._progress())
        with nullcontext() if update or self.direct else self.accelerator.no_sync(self.network):
            stepped, plan = mixed_step(
                self.model,
                self.mix,
                inputs,
                labels,
                self.loss,
                divided=self.divided,
                second=second,
                generator=self.generator,
                network=self.step_network,
                pull_back=self.pull_back,
            )
            # This process's part of the batch's mean loss.
            loss = stepped.loss if self.world == 1 else stepped.loss * (len(labels) * self.world / batch)
            if self.direct:
                stepped.backward(share)
            else:
                self.accelerator.backward(loss if share == 1 else loss * share)
        if update:
            if self.world > 1:  # the network's gradients are averaged by its wrapper, the loss's here
                for parameter in self.loss.parameters():
                    if parameter.grad is not None:
                        parameter.grad = reduce(parameter.grad, "mean")
            self.optimizer.step()
            self.schedule.step()
            self.optimizer.zero_grad()
        self.sums.add(loss.detach(), plan.weight, stepped.clean_logits, labels)

    def _share(self, batches: Sequence[Tensor]) -> float:
        """The current batch's part of the rows of its update."""
        if self.settings.accumulate == 1:
            return 1.0
        first = self.step - self.step % self.settings.accumulate
        return len(batches[self.step]) / sum(map(len, batches[first : first + self.settings.accumulate]))

    def _order(self) -> Tensor:
        """The rows of the current epoch, in their order."""
        generator = torch.Generator().manual_seed(stream(self.seed, ORDER, self.epoch))
        labels = self.split.train.labels
        drawn = self.order.rows(labels, len(self.split.train.classes), self._progress(), generator)
        return drawn if len(drawn) >= self.steps else drawn.repeat(math.ceil(self.steps / max(len(drawn), 1)))

    def _progress(self) -> float:
        return (self.epoch * self.steps + self.step) / (self.settings.epochs * self.steps)

    def _updates(self, step: int) -> bool:
        """Whether the weights are updated after so many steps of an epoch."""
        return step % self.settings.accumulate == 0 or step == self.steps

    def _prepare(self, inputs: Tensor) -> Tensor:
        inputs = inputs.to(self.device, non_blocking=True)
        if self.augment is not None:
            inputs = self.augment(inputs, self.generator)
        inputs = to_float(inputs)
        if self.images and self.settings.channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        return inputs

    def _look(self) -> None:
        """Sums up the steps since the last look, and stops the run where a loss is not finite."""
        losses = self.sums.take(self.world)
        self._seen_loss = sum(losses) / len(losses) if losses else self._seen_loss
        for number, value in enumerate(losses, start=1):
            if not math.isfinite(value):
                steps = self.epoch * self.steps + self.step - len(losses) + number
                raise self._diverged(f"loss: became {value}", steps)

    def _diverged(self, what: str, steps: int) -> DivergedError:
        """The error for what is no longer finite after so many steps of the run."""
        epoch, step = divmod(steps - 1, self.steps)
        return DivergedError(
            f"{what} at step {steps} (epoch {epoch + 1}, step {step + 1} of {self.steps}); lower the learning rate "
            f"({self.settings.learning_rate:g}), lengthen the warm-up, or use precision fp32"
        )

    def _end_epoch(self) -> None:
        self.mix.end_epoch()
        self.epoch += 1
        if self.mix.needs_validation and self.split.validation is not None:
            held_out = self._predict(self.split.validation)
            self.mix.observe_validation(held_out.logits.to(self.device), held_out.labels.to(self.device))
        if self.epoch % self.settings.evaluate_every == 0 or self.epoch == self.settings.epochs:
            self.history.append(self.evaluate())
            if self.callback.on_epoch is not None and self.accelerator.is_main_process:
                self.callback.on_epoch(self.history[-1])
        self.sums = EpochSums()

    def evaluate(self) -> Epoch:
        """Measures the network as it is, as that of the last epoch."""
        validation = self.split.validation
        known = self.sums.clean_accuracy(self.world, self.device)
        every, epochs = self.settings.evaluate_every, self.settings.epochs
        before_last_part = self.epoch <= (1 - LAST_PART) * epochs < self.epoch + every
        return epoch_record(
            epoch=self.epoch,
            train_accuracy=self._train_accuracy() if before_last_part or self.epoch == epochs else known,
            test=self._predict(self.split.test),
            validation=None if validation is None else self._predict(validation),
            counts=self.split.train.counts().tolist(),
            train_loss=self.sums.loss / self.steps,
            ratio=self.sums.ratio / self.steps,
            learning_rate=float(self.schedule.get_last_lr()[0]),
            seconds=self.seconds,
            geometry=self._ends_part(MEASURED_PARTS),
            trained=self.fed(),
        )

    def fed(self) -> LogitPrior | None:
        """The prior that the logits answer for by the targets that the network was fed."""
        return LogitPrior.from_counts(self.mix.fed_prior(), tau=self.loss.absorbs)

    def predict(self, data: Labelled) -> Predictions:
        """What the network makes of rows, of which each process runs a part; all of them ask, and have all rows."""
        return predict_shared(self.accelerator, self.model, data, classifier=self.classifier)

    def accuracy(self, data: Labelled) -> float:
        """The share of rows that it answers rightly, in the same way; NaN where an answer is not finite."""
        return accuracy_shared(self.accelerator, self.model, data)

    def _predict(self, data: Labelled) -> Predictions:
        """The network's predictions after an epoch; no loss has yet shown what its last update did."""
        found = self.predict(data)
        if not (all_finite(found.logits) and all_finite(found.features)):
            raise self._not_finite()
        return found

    def _train_accuracy(self) -> float:
        """That of all training rows, whose logits might not fit in memory together."""
        found = self.accuracy(self.split.train)
        if math.isnan(found):
            raise self._not_finite()
        return found

    def _not_finite(self) -> InputError:
        return self._diverged("training: diverged, its answers are not finite", self.epoch * self.steps)

    def _ends_part(self, parts: int) -> bool:
        """Whether this evaluation is the last in one of so many equal parts of the run."""
        before = self.epoch - self.settings.evaluate_every
        return self.epoch * parts // self.settings.epochs > before * parts // self.settings.epochs

    def _info(self, rate: float) -> StepInfo:
        accuracy = getattr(self.mix.ratio, "accuracy", None)
        return StepInfo(
            epoch=self.epoch + 1,
            epochs=self.settings.epochs,
            step=self.step,
            steps=self.steps,
            rate=rate,
            ratio=self.sums.last_ratio,
            train_accuracy=self.sums.clean_accuracy() if accuracy is None else float(accuracy),
            loss=self._seen_loss,
        )

    def _save_if_due(self) -> None:
        if self.checkpoints is None:
            return
        due = time.monotonic() - self._saved >= self.checkpoint_seconds
        if self.world > 1:  # one clock decides, because all of them hand over their random states
            due = bool(broadcast(torch.tensor(int(due), device=self.device)))
        if due:
            self._save()

    def _save(self) -> None:
        if self.checkpoints is None:
            return
        state = state_of(self)
        if self.accelerator.is_main_process:
            self.checkpoints.save(self.epoch * self.steps + self.step, state)
        self._saved = time.monotonic()


def make_accelerator(settings: Settings) -> Accelerator:
    """Accelerate's, for the settings' precision, on the device that it finds.

    Raises:
        InputError: where the device has no such precision; a processor has no fp16.
    """
    precision = {"fp32": "no"}.get(settings.precision, settings.precision)
    # Accelerate keeps the first precision for the life of the process; a second run may have another.
    if is_initialized() and AcceleratorState().mixed_precision != precision:
        AcceleratorState._reset_state()
    accelerator = Accelerator(mixed_precision=precision)
    if precision != "no" and not accelerator.native_amp:  # Accelerate would train in fp32 and not say so
        raise InputError(
            f"precision: {settings.precision} cannot be had on this device ({accelerator.device}); use fp32, or bf16"
        )
    return accelerator

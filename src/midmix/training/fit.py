"""The one training loop: every mix, every criterion, every network, on one process or many."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, is_initialized
from accelerate.utils import broadcast, gather_object, reduce
from torch import Tensor, nn

from midmix.data import Labelled
from midmix.decisions import LogitPrior
from midmix.errors import InputError
from midmix.methods import Order, Shuffled
from midmix.mixing import Features, Loss, Mix, RowLoss
from midmix.mixing.context import as_loss
from midmix.models import to_float
from midmix.training.augment import augmentation, prepare_loss
from midmix.training.batches import fetch, on_device
from midmix.training.checkpoint import Checkpoints, State
from midmix.training.history import Epoch, epoch_record
from midmix.training.identity import differences, rows_digest
from midmix.training.predict import Predictions, features_of, predict
from midmix.training.schedule import make_optimizer, make_schedule
from midmix.training.seeds import DRAWS, ORDER, TORCH, stream
from midmix.training.settings import Settings
from midmix.training.split import Split
from midmix.training.step import can_divide, mixed_loss

MEASURED_PARTS = 10  # of a run, at the end of each of which the geometry of features is measured
CHECK_LOSS_EVERY = 20  # steps; on an accelerator each look at the loss waits for it


@dataclass(frozen=True)
class StepInfo:
    """Where a run stands: for progress bars. `rate` is rows a second, `train_accuracy` that of clean rows."""

    epoch: int
    epochs: int
    step: int
    steps: int
    rate: float
    ratio: float
    train_accuracy: float


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
        watch: called after every step with a `StepInfo`.
        stop: asked after every step; where it says so, a checkpoint is written and KeyboardInterrupt raised.

    Raises:
        InputError: where the model cannot be mixed so, its classifier cannot be told, the device has no such precision,
            or a batch is too small for the processes.

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
        watch: Callable[[StepInfo], None] | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.accelerator = accelerator or make_accelerator(settings)
        self.settings = settings
        self.split = split
        self.loss = as_loss(loss)
        self.order = order or Shuffled()
        self.stop = stop
        self.seed = seed
        self.checkpoints = checkpoints
        self.checkpoint_seconds = checkpoint_seconds
        self.watch = watch
        self.images = split.train.kind == "images"
        self.augment = augmentation(settings, split.train)
        self.steps = math.ceil(len(split.train) / settings.batch_size)
        self.world, self.rank = self.accelerator.num_processes, self.accelerator.process_index
        if len(split.train) // self.steps < self.world:
            raise InputError(
                f"batch_size: {settings.batch_size} of {len(split.train)} rows leaves processes without a row; "
                f"give each of the {self.world} at least one"
            )

        self.classifier = mix.site.name if isinstance(mix.site, Features) else None
        features_of(model, len(split.train.classes), self.classifier)  # else the first evaluation would fail
        if self.images and settings.channels_last:
            model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model = model.to(self.accelerator.device)
        prepare_loss(
            self.loss,
            self.model,
            len(split.train.classes),
            classifier=self.classifier,
            augmented=self.augment is not None,
            seed=seed,
        )
        self.mix = mix.attach(self.model, loss=self.loss)
        if not isinstance(self.order, Shuffled) and mix.prior.given is not None:
            # What is drawn is what is fed: the prior begins, and is weighed, by the order's shares.
            shares = self.order.shares(split.train.counts().double(), 0.0)
            mix.prior.start_from(shares / shares.sum())
        self.loss.to(self.accelerator.device)
        self.loss.train()
        optimizer = make_optimizer(self.model, settings, [*self.loss.parameters()])
        # Of one process in full precision Accelerate has nothing to do, and a small network's step is short.
        self.direct = self.world == 1 and settings.precision == "fp32" and not settings.compile
        self.divided = self.direct and can_divide(self.model, self.mix)
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
        self.loss_sum = 0.0  # over the current epoch's steps, as the next
        self.ratio_sum = torch.zeros((), device=self.accelerator.device)
        self.history: list[Epoch] = []

    def run(self) -> list[Epoch]:
        """Trains to the end, from the last whole checkpoint where there is one; returns the evaluated epochs.

        Raises:
            InputError: where the loss or the answers are no longer finite, with the step; where the checkpoint is of
                another run.
        """
        devices = [self.accelerator.device] if self.accelerator.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(stream(self.seed, TORCH + self.rank))
            if self.checkpoints is not None and (state := self.checkpoints.latest()) is not None:
                self.load_state_dict(state)
            self._saved = time.monotonic()
            data = on_device(self.split.train, self.accelerator.device)
            while self.epoch < self.settings.epochs:
                self.model.train()
                for _ in self._steps(data):
                    self._save_if_due()
                self._end_epoch()
                self._save_if_due()
        return self.history

    def _steps(self, data: Labelled) -> Iterator[None]:
        """The rest of the current epoch, a step at a time; yields where a checkpoint may be made."""
        batches = self._order().tensor_split(self.steps)
        ours = [rows.tensor_split(self.world)[self.rank] for rows in batches]
        unchecked: list[Tensor] = []
        started, seen = time.perf_counter(), 0
        for rows, inputs in fetch(data, ours[self.step :]):
            labels = data.labels[rows.to(data.labels.device)]
            second = self._prepare(inputs) if "views" in self.loss.needs else None
            loss = self._train_step(self._prepare(inputs), labels, batches, second)
            unchecked.append(loss)
            self.step += 1
            last = self.step == self.steps
            if last or loss.device.type == "cpu" or len(unchecked) >= CHECK_LOSS_EVERY:
                self._check(unchecked)
                unchecked = []
                now = time.perf_counter()
                self.seconds, started, rate = (
                    self.seconds + now - started,
                    now,
                    (seen + len(rows)) / (now - started),
                )
                seen = 0
                if self.watch is not None and self.accelerator.is_main_process:
                    self.watch(self._moment(rate * self.world))
            else:
                seen += len(rows)
            if self._updates(self.step) and self.stop():
                self._save()
                raise KeyboardInterrupt
            if not unchecked and self._updates(self.step) and not last:
                yield
        self.step = 0

    def _train_step(
        self, inputs: Tensor, labels: Tensor, batches: Sequence[Tensor], second: Tensor | None = None
    ) -> Tensor:
        """Forward, backward and, where one is due, the update; returns this process's part of the batch's mean loss.

        Every row weighs the same in an update, however unequal the batches that make it and their parts on the
        processes, whose gradients are averaged.
        """
        update = self._updates(self.step + 1)
        batch = len(batches[self.step])
        first = self.step - self.step % self.settings.accumulate
        share = batch / sum(map(len, batches[first : first + self.settings.accumulate]))
        if "progress" in self.loss.needs:
            self.mix.observe(progress=self._progress())
        with nullcontext() if update or self.direct else self.accelerator.no_sync(self.network):
            loss = mixed_loss(
                self.model,
                self.mix,
                inputs,
                labels,
                self.loss,
                divided=self.divided,
                second=second,
                generator=self.generator,
                network=self.step_network,
            )
            if self.world > 1:
                loss = loss * (len(labels) * self.world / batch)
            total = loss if share == 1 else loss * share
            if self.direct:
                torch.autograd.backward(total)
            else:
                self.accelerator.backward(total)
        if update:
            if self.world > 1:  # the network's gradients are averaged by its wrapper, the loss's here
                for parameter in self.loss.parameters():
                    if parameter.grad is not None:
                        parameter.grad = reduce(parameter.grad, "mean")
            self.optimizer.step()
            self.schedule.step()
            self.optimizer.zero_grad()
        self.ratio_sum += self.mix.ratio.value
        return loss.detach()

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
        inputs = inputs.to(self.accelerator.device, non_blocking=True)
        if self.augment is not None:
            inputs = self.augment(inputs, self.generator)
        inputs = to_float(inputs)
        if self.images and self.settings.channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        return inputs

    def _check(self, losses: list[Tensor]) -> None:
        means = torch.stack(losses)
        if self.world > 1:  # so that all of them stop where one must
            means = reduce(means, "mean")
        values = means.double().cpu()
        self.loss_sum += float(values.sum())
        bad = (~values.isfinite()).nonzero()
        if len(bad):
            steps = self.epoch * self.steps + self.step - len(losses) + int(bad[0]) + 1
            raise self._diverged(f"loss: became {values[int(bad[0])].item()}", steps)

    def _diverged(self, what: str, steps: int) -> InputError:
        """The error for what is no longer finite after so many steps of the run."""
        epoch, step = divmod(steps - 1, self.steps)
        return InputError(
            f"{what} at step {steps} (epoch {epoch + 1}, step {step + 1} of {self.steps}); lower the learning rate "
            f"({self.settings.learning_rate:g}), lengthen the warm-up, or use precision fp32"
        )

    def _end_epoch(self) -> None:
        self.mix.end_epoch()
        self.epoch += 1
        if self.epoch % self.settings.evaluate_every == 0 or self.epoch == self.settings.epochs:
            self.history.append(self.evaluate())
        self.loss_sum = 0.0
        self.ratio_sum.zero_()

    def evaluate(self) -> Epoch:
        """Measures the network as it is, as that of the last epoch."""
        validation = self.split.validation
        return epoch_record(
            epoch=self.epoch,
            train=self._answer(self.split.train),
            test=self._answer(self.split.test),
            validation=None if validation is None else self._answer(validation),
            counts=self.split.train.counts().tolist(),
            train_loss=self.loss_sum / self.steps,
            ratio=float(self.ratio_sum) / self.steps,
            learning_rate=float(self.schedule.get_last_lr()[0]),
            seconds=self.seconds,
            geometry=self._ends_part(MEASURED_PARTS),
            trained=self.fed(),
        )

    def fed(self) -> LogitPrior | None:
        """The prior that the logits answer for by the targets that the network was fed."""
        return LogitPrior.from_counts(self.mix.fed_prior(), tau=self.loss.absorbs)

    def _answer(self, data: Labelled) -> Predictions:
        """The network's answers after an epoch; no loss has yet shown what its last update did."""
        found = predict(self.model, data, classifier=self.classifier)
        if not (found.logits.isfinite().all() and found.features.isfinite().all()):
            raise self._diverged("training: diverged, its answers are not finite", self.epoch * self.steps)
        return found

    def _ends_part(self, parts: int) -> bool:
        """Whether this evaluation is the last in one of so many equal parts of the run."""
        before = self.epoch - self.settings.evaluate_every
        return self.epoch * parts // self.settings.epochs > before * parts // self.settings.epochs

    def _moment(self, rate: float) -> StepInfo:
        accuracy = getattr(self.mix.ratio, "accuracy", None)
        known = self.history[-1]["train_accuracy"] if self.history else math.nan
        return StepInfo(
            epoch=self.epoch + 1,
            epochs=self.settings.epochs,
            step=self.step,
            steps=self.steps,
            rate=rate,
            ratio=float(self.mix.ratio.value),
            train_accuracy=known if accuracy is None else float(accuracy),
        )

    def _save_if_due(self) -> None:
        if self.checkpoints is None:
            return
        due = time.monotonic() - self._saved >= self.checkpoint_seconds
        if self.world > 1:  # one clock decides, because all of them hand over their random states
            due = bool(broadcast(torch.tensor(int(due), device=self.accelerator.device)))
        if due:
            self._save()

    def _save(self) -> None:
        if self.checkpoints is None:
            return
        state = self.state_dict()
        if self.accelerator.is_main_process:
            self.checkpoints.save(self.epoch * self.steps + self.step, state)
        self._saved = time.monotonic()

    def state_dict(self) -> State:
        """Everything that an exact resumption needs, as tensors and plain data."""
        random = [
            {"draws": self.generator.get_state(), "torch": torch.get_rng_state(), "cuda": _cuda_state()}
        ]
        if self.accelerator.num_processes > 1:
            random = gather_object(random)
        scaler = self.accelerator.scaler
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "mix": self.mix.state_dict(),
            "loss": self.loss.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
            "random": random,
            "position": {"epoch": self.epoch, "step": self.step, "seconds": self.seconds},
            "sums": {"loss": self.loss_sum, "ratio": self.ratio_sum},
            "history": [dict(row) for row in self.history],
            "run": self._identity(),
        }

    def load_state_dict(self, state: State) -> None:
        """Takes up where `state_dict` was made.

        Raises:
            InputError: where the state is of another network, seed, split or setting, or of other rows.
        """
        if differ := differences(state.get("run", {}), self._identity()):
            raise InputError(f"checkpoint: is of another run ({'; '.join(differ)}); choose another folder")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.mix.load_state_dict(state["mix"])
        self.loss.load_state_dict(state["loss"])
        if self.accelerator.scaler is not None and state["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        random = state["random"][self.accelerator.process_index]
        self.generator.set_state(random["draws"])
        torch.set_rng_state(random["torch"])
        if random["cuda"] is not None:
            torch.cuda.set_rng_state(random["cuda"])
        position = state["position"]
        self.epoch, self.step, self.seconds = position["epoch"], position["step"], position["seconds"]
        self.loss_sum = state["sums"]["loss"]
        self.ratio_sum.copy_(state["sums"]["ratio"])
        self.history = state["history"]

    @cached_property
    def _rows(self) -> dict[str, str]:
        parts = {"train": self.split.train, "validation": self.split.validation, "test": self.split.test}
        return {f"{name}_rows": rows_digest(data) for name, data in parts.items() if data is not None}

    def _identity(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "split": self.split.hash,
            **self._rows,
            "processes": self.accelerator.num_processes,
            "mix": _parts(self.mix),
            "loss": _name(self.loss),
            "order": _name(self.order),
            "shapes": {name: list(p.shape) for name, p in self.model.named_parameters()},
            **self.settings.as_dict(),
        }


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


def _parts(mix: Mix) -> str:
    """What the mix is made of: its state alone does not tell two methods apart."""
    parts: list[object] = [mix.pairing, mix.ratio, mix.labels, mix.blend, mix.site, mix.clean_weight]
    if mix.mask is not None or mix.probability < 1:
        parts += [mix.mask, mix.probability]
    return ", ".join(map(_name, parts))


def _name(part: object) -> str:
    """As it prints, without the addresses of functions and objects."""
    return re.sub(r" at 0x[0-9a-f]+", "", " ".join(repr(part).split()))


def _cuda_state() -> Tensor | None:
    return torch.cuda.get_rng_state() if torch.cuda.is_available() else None

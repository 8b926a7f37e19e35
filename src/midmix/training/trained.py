"""Training as a method says: a network by steps, a baseline by itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from midmix.data import Labelled
from midmix.decisions import LogitPrior
from midmix.mixing import Mix
from midmix.models import fit_normalization
from midmix.training.baseline import LINEAR, fit_baseline
from midmix.training.callback import Callback
from midmix.training.checkpoint import Checkpoints
from midmix.training.encoders import encoder_of
from midmix.training.fit import Fit
from midmix.training.hardware import hardware
from midmix.training.history import Epoch
from midmix.training.predict import Predictions
from midmix.training.run import Run
from midmix.training.run_folder import CHECKPOINTS
from midmix.training.split import Split
from midmix.training.stages import apply_stages, measured_again, rehearse_stages, start_head


@dataclass(frozen=True)
class Trained:
    """What a run came to, however it was trained.

    Attributes:
        mix: what its rows were mixed by; None where there is no such thing.
        model: None where it cannot be kept as plain data.
        predict: what it makes of rows; to be asked by all processes.
        prior: that its logits answer for; None where it is not known.
        probabilities: whether softmax of its logits are probabilities.
        seconds: of training, evaluations left out.
        hardware: on which it was trained, in words.
        writes: whether this process writes the run's files.
        close: what is left to do once they are written.
    """

    network: str
    mix: Mix | None
    model: nn.Module | None
    classifier: str | None
    history: list[Epoch]
    predict: Callable[[Labelled], Predictions]
    prior: LogitPrior | None
    probabilities: bool
    seconds: float
    hardware: str
    writes: bool
    close: Callable[[], None]


def trained_by_method(
    run: Run, split: Split, folder: Path, callback: Callback, checkpoint_seconds: float
) -> Trained:
    """Trains as the method says: a network by steps, a baseline by itself."""
    baseline = run.method.make_baseline()
    if baseline is not None:
        fitted = fit_baseline(run.method, baseline, split, run.seed, callback.say)
        if callback.on_epoch is not None:
            callback.on_epoch(fitted.history[-1])
        return Trained(
            mix=None,
            network=LINEAR if fitted.model is not None else run.method.parts[0][1].name,
            model=fitted.model,
            classifier=None,
            history=fitted.history,
            predict=fitted.predict,
            prior=fitted.prior,
            probabilities=baseline.probabilities,
            seconds=fitted.seconds,
            hardware=hardware(torch.device("cpu")),
            writes=int(os.environ.get("RANK", "0")) == 0,
            close=lambda: None,
        )
    model = run.network(split)
    rehearse_stages(run.method, model, split)
    fit_normalization(model, split.train.inputs)
    start_head(run.method, model, split, lambda: encoder_of(run.settings))
    checkpoints = Checkpoints(folder / CHECKPOINTS, callback.say, callback.still_ours)
    fit = Fit(
        model,
        run.method.make_mix(len(split.train.classes), split.train.counts()),
        run.method.make_loss(),
        split,
        run.settings,
        order=run.method.make_order(),
        seed=run.seed,
        checkpoints=checkpoints,
        checkpoint_seconds=checkpoint_seconds,
        callback=callback,
    )
    history, prior = fit.run(), fit.fed()
    if run.method.stages:
        prior = apply_stages(
            run.method, model, split, prior, fit.predict, classifier=fit.classifier, seed=run.seed
        )
        history[-1] = measured_again(split, fit.predict, fit.accuracy, history[-1], prior)

    def close() -> None:
        if fit.accelerator.is_main_process:
            checkpoints.clear()
        fit.accelerator.wait_for_everyone()
        fit.mix.remove()

    return Trained(
        network=run.settings.network,
        mix=fit.mix,
        model=model,
        classifier=fit.classifier,
        history=history,
        predict=fit.predict,
        probabilities=True,
        prior=prior,
        seconds=fit.seconds,
        hardware=hardware(fit.accelerator.device),
        writes=fit.accelerator.is_main_process,
        close=close,
    )

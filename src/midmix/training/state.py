"""What an exact resumption of a run needs, and what tells one run from another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import gather_object
from torch import Tensor

from midmix.errors import InputError
from midmix.mixing import Mix
from midmix.training.checkpoint import State
from midmix.training.identity import differences, names_digest, rows_digest
from midmix.training.sums import EpochSums

if TYPE_CHECKING:
    from midmix.training.fit import Fit


def state_of(fit: Fit) -> State:
    """Everything that an exact resumption needs, as tensors and plain data."""
    random = [{"draws": fit.generator.get_state(), "torch": torch.get_rng_state(), "cuda": _cuda_state()}]
    if fit.world > 1:
        random = gather_object(random)
    scaler = fit.accelerator.scaler
    return {
        "model": fit.model.state_dict(),
        "optimizer": fit.optimizer.state_dict(),
        "schedule": fit.schedule.state_dict(),
        "mix": fit.mix.state_dict(),
        "loss": fit.loss.state_dict(),
        "scaler": None if scaler is None else scaler.state_dict(),
        "random": random,
        "position": {"epoch": fit.epoch, "step": fit.step, "seconds": fit.seconds},
        "sums": fit.sums.as_dict(),
        "history": [dict(row) for row in fit.history],
        "run": fit.identity,
    }


def restore(fit: Fit, state: State) -> None:
    """Takes up where `state_of` was made.

    Raises:
        InputError: where the state is of another network, seed, split or setting, or of other rows.
    """
    if differ := differences(state.get("run", {}), fit.identity):
        raise InputError(f"checkpoint: is of another run ({'; '.join(differ)}); choose another folder")
    fit.model.load_state_dict(state["model"])
    fit.optimizer.load_state_dict(state["optimizer"])
    fit.schedule.load_state_dict(state["schedule"])
    fit.mix.load_state_dict(state["mix"])
    fit.loss.load_state_dict(state["loss"])
    if fit.accelerator.scaler is not None and state["scaler"] is not None:
        fit.accelerator.scaler.load_state_dict(state["scaler"])
    random = state["random"][fit.rank]
    fit.generator.set_state(random["draws"])
    torch.set_rng_state(random["torch"])
    if random["cuda"] is not None:
        torch.cuda.set_rng_state(random["cuda"])
    position = state["position"]
    fit.epoch, fit.step, fit.seconds = position["epoch"], position["step"], position["seconds"]
    fit.sums = EpochSums(**state["sums"])
    fit.history = state["history"]


def identity(fit: Fit) -> dict[str, Any]:
    """All that a run's numbers depend on, as plain data."""
    parts = {"train": fit.split.train, "validation": fit.split.validation, "test": fit.split.test}
    return {
        "seed": fit.seed,
        "split": fit.split.hash,
        **{f"{name}_rows": rows_digest(data) for name, data in parts.items() if data is not None},
        "class_names": names_digest(fit.split.train.classes),
        "processes": fit.world,
        "mix": _parts(fit.mix),
        "loss": _name(fit.loss),
        "order": _name(fit.order),
        "shapes": {name: list(p.shape) for name, p in fit.model.named_parameters()},
        **fit.settings.as_dict(),
    }


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

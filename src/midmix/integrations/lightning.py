"""A callback for Lightning, be it installed as `lightning` or `pytorch_lightning`. `pip install midmix[lightning]`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor, nn

from midmix.errors import InputError
from midmix.integrations.extra import missing
from midmix.mixing import Batch, Loss, Mix, RowLoss, cross_entropy
from midmix.mixing.classifier import named_module

try:
    from lightning.pytorch import Callback
except ImportError:
    try:
        from pytorch_lightning import Callback
    except ImportError as error:
        raise missing("lightning") from error

LABELS = ("labels", "label", "targets", "target", "y")


def batch_labels(batch: Any) -> Tensor:
    """The labels of a batch: the second of a pair, or what a mapping holds under a usual name.

    Raises:
        InputError: for a batch of another form.
    """
    if isinstance(batch, (tuple, list)) and len(batch) >= 2 and isinstance(batch[1], Tensor):
        return batch[1]
    if isinstance(batch, dict):
        for name in LABELS:
            if name in batch:
                labels: Tensor = batch[name]
                return labels
    raise InputError(
        f"batch: a {type(batch).__name__} in which no labels were found; say where they are with "
        "MixCallback(mix, labels=lambda batch: …)"
    )


class MixCallback(Callback):  # type: ignore[misc]
    """Mixes in the training step of any Lightning module that classifies.

    What the network returns in the training step is then logits of *mixed* rows, twice the batch's for some mixes, and
    labels that fit them only the mix knows. So the training step takes its loss from the mix: while it trains, the
    module has this callback as `self.mix`.

        def training_step(self, batch, batch_idx):
            return self.mix.loss(self(batch[0]))

    A training step that does not is stopped with an error, before it trains on wrong labels. Nothing is mixed in
    validation, test and prediction. λ and the class prior are kept in Lightning's checkpoints; λ is logged as
    `mix_ratio`.

    Args:
        mix: attached to the module when training starts.
        criterion: any per-sample loss , or a loss of `midmix.losses`.
        labels: takes a batch, gives its labels; by default the second of a pair, or `batch["labels"]`.
        network: name of the part of the module to attach to; needed only where the input is mixed and the training
            step calls a part (`self.model(x)`), not the module (`self(x)`).
    """

    def __init__(
        self,
        mix: Mix,
        criterion: Loss | RowLoss = cross_entropy,
        *,
        labels: Callable[[Any], Tensor] = batch_labels,
        network: str | None = None,
    ) -> None:
        self.mixing = mix
        self.criterion = criterion
        self.labels = labels
        self.network = network
        self._block: AbstractContextManager[Batch] | None = None
        self._asked = False

    def loss(self, logits: Tensor, criterion: Loss | RowLoss | None = None) -> Tensor:
        """The mix's loss of what the network returned in this training step, a scalar."""
        self._asked = True
        return self.mixing.loss(logits, criterion or self.criterion)

    def on_train_start(self, trainer: Any, pl_module: nn.Module) -> None:
        self.mixing.attach(pl_module if self.network is None else named_module(pl_module, self.network))
        pl_module.mix = self  # no module, so the module's own state keeps its keys

    def on_train_batch_start(self, trainer: Any, pl_module: nn.Module, batch: Any, batch_idx: int) -> None:
        self._asked = False
        self._block = self.mixing(self.labels(batch))
        self._block.__enter__()

    def on_before_backward(self, trainer: Any, pl_module: nn.Module, loss: Tensor) -> None:
        if not self._asked:
            self._close()
            raise InputError(
                f"training_step of {type(pl_module).__name__}: took its loss of mixed logits without their labels; "
                "return self.mix.loss(logits)"
            )

    def on_train_batch_end(
        self, trainer: Any, pl_module: nn.Module, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._close()

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.mixing.end_epoch()
        pl_module.log("mix_ratio", self.mixing.ratio.value)

    def on_train_end(self, trainer: Any, pl_module: nn.Module) -> None:
        self._detach(pl_module)

    def on_exception(self, trainer: Any, pl_module: nn.Module, exception: BaseException) -> None:
        self._detach(pl_module)

    def state_dict(self) -> dict[str, Any]:
        """λ's accuracy and the class priors, for Lightning's checkpoints."""
        return dict(self.mixing.state_dict())

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes them up again."""
        self.mixing.load_state_dict(state_dict)

    def _close(self) -> None:
        if self._block is not None:
            block, self._block = self._block, None
            block.__exit__(None, None, None)

    def _detach(self, pl_module: nn.Module) -> None:
        self._close()
        self.mixing.remove()
        pl_module.__dict__.pop("mix", None)

"""Hugging Face's Trainer with a mix, for image and text classifiers. Needs `pip install midmix[transformers]`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from midmix.errors import InputError
from midmix.integrations.extra import missing
from midmix.mixing import Features, Loss, Mix, RowLoss, cross_entropy

try:
    from transformers import Trainer, TrainerCallback
    from transformers.trainer_utils import get_last_checkpoint
except ImportError as error:
    raise missing("transformers") from error

STATE = "mix.safetensors"


class MixTrainerMixin:
    """Gives any subclass of `transformers.Trainer` a mix: `class MyTrainer(MixTrainerMixin, TheirTrainer)`.

    In training the labels go to the mix instead of the model, and the loss is the mix's; in evaluation and prediction
    nothing is changed, so `compute_metrics` sees one row of logits an example and the model's own loss. Gradients of
    accumulated batches are averaged. λ and the class prior are kept in the Trainer's checkpoints (`mix.safetensors`)
    and taken up by `train(resume_from_checkpoint=…)`; λ is logged as `mix_ratio` beside the training loss.

    Args:
        mix: attached to the model here.
        criterion: any per-sample loss , or a loss of `midmix.losses`.
        Others: as the Trainer takes them.

    Raises:
        InputError: for label smoothing or a `compute_loss_func`, which would be another loss; for several devices in
            one process (start with `torchrun`); for a model that pools its tokens after the classifier, as
            GPT-like ones do: it has no features to mix.
    """

    def __init__(
        self, *args: Any, mix: Mix, criterion: Loss | RowLoss = cross_entropy, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        trainer: Any = self
        if trainer.compute_loss_func is not None or trainer.args.label_smoothing_factor:
            raise InputError(
                "Trainer: the mix's loss takes the place of compute_loss_func and label_smoothing_factor; "
                "leave them out, and give criterion="
            )
        if trainer.args.n_gpu > 1:
            raise InputError(
                f"Trainer: {trainer.args.n_gpu} devices in one process would each get a part of the plan; "
                "start one process a device, with torchrun or accelerate launch"
            )
        if isinstance(mix.site, Features) and mix.site.name is None and hasattr(trainer.model, "score"):
            raise InputError(
                f"{type(trainer.model).__name__}: classifies every token and pools afterwards, so there are no "
                "features of a whole text to mix; use a model that pools first, such as BERT-like ones"
            )
        # The mix's loss is a mean over the batch: the Trainer has to divide it by the batches of a step.
        trainer.model_accepts_loss_kwargs = False
        self.mix = mix.attach(trainer.model)
        self.criterion = criterion
        trainer.add_callback(_Keep(self.mix))

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, **kwargs: Any
    ) -> Any:
        """The mix's loss in training, the Trainer's own elsewhere."""
        trainer: Any = super()
        (name,) = getattr(self, "label_names", None) or ["labels"]
        if not model.training or inputs.get(name) is None:
            return trainer.compute_loss(model, inputs, return_outputs=return_outputs, **kwargs)
        with self.mix(inputs[name]):
            outputs = model(**{key: value for key, value in inputs.items() if key != name})
        loss: Tensor = self.mix.loss(outputs["logits"], self.criterion)
        return (loss, outputs) if return_outputs else loss

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        """As the Trainer's, the mix included in what is resumed."""
        trainer: Any = super()
        folder = resume_from_checkpoint
        if folder is True:
            folder = get_last_checkpoint(self.args.output_dir)  # type: ignore[attr-defined]
        if folder:
            self._load(Path(str(folder)) / STATE)
        return trainer.train(resume_from_checkpoint, *args, **kwargs)

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """As the Trainer's, with λ beside the training loss."""
        trainer: Any = super()
        if "loss" in logs:
            logs = {**logs, "mix_ratio": float(self.mix.ratio.value)}
        trainer.log(logs, *args, **kwargs)

    def _load(self, file: Path) -> None:
        if file.is_file():
            self.mix.load_state_dict(load_file(file))
        else:
            warnings.warn(f"{file}: is not there, so λ and the class prior start afresh", stacklevel=3)


class MixTrainer(MixTrainerMixin, Trainer):  # type: ignore[misc]
    """`transformers.Trainer` with a mix; see `MixTrainerMixin`.

    MixTrainer(model, args, train_dataset=rows, mix=midmix.balanced_am_mixup(num_classes=10)).train()
    """


class _Keep(TrainerCallback):  # type: ignore[misc]
    """Writes the mix's state beside the Trainer's, and tells it when epochs end."""

    def __init__(self, mix: Mix) -> None:
        self.mix = mix

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.mix.end_epoch()

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            folder.mkdir(parents=True, exist_ok=True)
            save_file(dict(self.mix.state_dict()), folder / STATE)

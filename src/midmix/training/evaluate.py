"""A model's answers to labelled rows, in evaluation mode."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from midmix.data import Labelled
from midmix.mixing.site import Features
from midmix.models import to_float


@dataclass(frozen=True)
class Answers:
    """What a model made of N rows: `logits [N, C]`, `features [N, D]`, both float32, and `labels [N]`; on the CPU."""

    logits: Tensor
    features: Tensor
    labels: Tensor

    def accuracy(self) -> float:
        """Share of rows whose largest logit is the label's."""
        return float((self.logits.argmax(1) == self.labels).double().mean())


@torch.inference_mode()
def answer(model: nn.Module, data: Labelled, *, batch_size: int = 1000) -> Answers:
    """Runs the model over all rows, unmixed; the mode of each of its modules is as before afterwards.

    Features are what enters the classifier (`midmix.mixing.Features` says how that is found).
    """
    parameter = next(model.parameters())
    seen: list[Tensor] = []

    def see(classifier: nn.Module, features: Tensor) -> Tensor:
        seen.append(features.flatten(1).float().cpu())
        return features

    handles = Features().hook(model, len(data.classes), see)
    training = [module for module in model.modules() if module.training]
    model.eval()
    logits = []
    try:
        for start in range(0, len(data), batch_size):
            rows = torch.arange(start, min(start + batch_size, len(data)))
            batch = to_float(data.inputs[rows].to(parameter.device))
            if batch.dim() == 4:
                batch = batch.contiguous(memory_format=torch.channels_last)
            logits.append(model(batch).float().cpu())
    finally:
        for module in training:
            module.training = True
        for handle in handles:
            handle.remove()
    return Answers(torch.cat(logits), torch.cat(seen), data.labels.cpu())

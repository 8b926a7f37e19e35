"""Which pretrained encoder a run begins with, as its record and its identity have it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from midmix.models import Encoder, describe, find_encoder, is_encoder
from midmix.models.external import OTHERS, wants
from midmix.registry import is_reference
from midmix.training.settings import Settings


def encoder_of(settings: Settings, *, say: Callable[[str], None] = print) -> Encoder | None:
    """The encoder that the settings name, with its weights; None for a network that is trained from the beginning.

    Raises:
        InputError: as `midmix.models.find_encoder` does.
    """
    network, weights = settings.network, settings.weights
    if is_encoder(network):
        return find_encoder(network, weights, say=say)
    if is_reference(network) and not wants(
        OTHERS.find(network)
    ):  # one that wants classes makes a whole network
        return find_encoder(network, weights, say=say)
    return None


def encoder_record(settings: Settings) -> dict[str, Any] | None:
    """What tells an encoder from others, as plain data: its name, a digest of its weights, and what it wants of rows.

    None for a network that is trained from the beginning. Kept for as long as the file of weights stays as it is.

    Raises:
        InputError: as `midmix.models.find_encoder` does.
    """
    path = Path(settings.weights or "").expanduser()
    stamp = path.stat().st_mtime_ns if settings.weights and path.is_file() else 0
    found = _recorded(settings.network, settings.weights, stamp)
    return None if found is None else dict(found)


@lru_cache(maxsize=8)
def _recorded(network: str, weights: str | None, stamp: int) -> dict[str, Any] | None:
    encoder = encoder_of(Settings(network=network, weights=weights), say=lambda line: None)
    return None if encoder is None else record_of(encoder)


def record_of(encoder: Encoder) -> dict[str, Any]:
    """An encoder as records have it."""
    return {
        "network": encoder.network,
        "digest": encoder.digest(),
        "features": encoder.width,
        "parameters": describe(encoder).parameters - describe(encoder.fc).parameters,
        "inputs": encoder.describe_inputs(),
    }


class Headed(nn.Module):
    """An encoder, and the network that was trained on its features.

    Args:
        encoder: rows to features `[B, D]`.
        head: features to logits.
    """

    own_normalization = True
    widths: tuple[int, ...] = ()

    def __init__(self, encoder: Encoder, head: nn.Module) -> None:
        super().__init__()
        self.network, self.inputs = encoder.network, encoder.inputs
        self.encoder, self.head = encoder, head

    def get_classifier(self) -> nn.Module:
        """The module that turns features into logits."""
        found: nn.Module = self.head.get_classifier()  # type: ignore[operator]
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Rows as the encoder takes them to logits."""
        logits: Tensor = self.head(self.encoder(x))
        return logits

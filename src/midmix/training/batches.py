"""Rows of a data set as batches for a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch
from torch import Tensor

from midmix.data import Labelled


def fetch(data: Labelled, batches: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Each batch's rows and inputs; rows that must be decoded are, while the batch before is trained on."""
    inputs = data.inputs
    if isinstance(inputs, Tensor):
        for rows in batches:
            yield rows, inputs.index_select(0, rows.to(inputs.device))
        return
    with ThreadPoolExecutor(1) as ahead:
        waiting = [ahead.submit(inputs.__getitem__, rows) for rows in batches[:1]]
        for number, rows in enumerate(batches):
            decoded = waiting.pop().result()
            waiting = [
                ahead.submit(inputs.__getitem__, following) for following in batches[number + 1 : number + 2]
            ]
            yield rows, decoded


def on_device(data: Labelled, device: torch.device) -> Labelled:
    """Small sets live on the device; those that are decoded row by row stay where they are."""
    inputs = data.inputs.to(device) if isinstance(data.inputs, Tensor) else data.inputs
    return replace(data, inputs=inputs, labels=data.labels.to(device))

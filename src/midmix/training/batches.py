"""Rows of a data set as batches for a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from midmix.data import Labelled
from midmix.data.loading import Loader, Request
from midmix.training.augment import crops_while_decoding
from midmix.training.seeds import PARTS, stream
from midmix.training.settings import Settings


class Batches:
    """Batches of training rows: taken from a tensor, or decoded ahead, the same bits by any number of workers.

    Args:
        data: the rows.
        settings: of the run; where they ask for a random part of each image, and images are decoded here, it is cut
            out as they are.
        seed: of the run. Which part of an image is seen follows from it, the epoch and the row's place in the epoch.
        views: how many inputs of each row are wanted, that differ where they are drawn at random here.
        pinned: whether they go to an accelerator.
    """

    def __init__(
        self, data: Labelled, settings: Settings, *, seed: int, views: int = 1, pinned: bool = False
    ) -> None:
        self.inputs = data.inputs
        self.cropped = crops_while_decoding(settings, data)
        self.seed, self.views = seed, views
        self._loader = None if isinstance(data.inputs, Tensor) else Loader(data.inputs, pinned=pinned)

    def __enter__(self) -> Batches:
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the workers."""
        if self._loader is not None:
            self._loader.__exit__()

    def of_epoch(
        self, epoch: int, order: Tensor, places: Sequence[Tensor]
    ) -> Iterator[tuple[Tensor, list[Tensor]]]:
        """Each batch's rows and inputs, as many as there are views of each row.

        Args:
            epoch: number of the epoch.
            order: the rows of the epoch in their order.
            places: in that order, of each batch; one after the other.
        """
        if self._loader is None:
            assert isinstance(self.inputs, Tensor)
            for batch in places:
                rows = order[batch]
                yield rows, [self.inputs.index_select(0, rows.to(self.inputs.device))] * self.views
            return
        keys = tuple(
            stream(self.seed, PARTS, epoch, view) for view in range(self.views if self.cropped else 0)
        )
        requests = [Request(order[batch], keys, int(batch[0])) for batch in places]
        for request, found in zip(requests, self._loader.read(requests), strict=True):
            yield request.rows, found if self.cropped else found * self.views


def on_device(data: Labelled, device: torch.device) -> Labelled:
    """Small sets live on the device; those that are decoded row by row stay where they are."""
    inputs = data.inputs.to(device) if isinstance(data.inputs, Tensor) else data.inputs
    return replace(data, inputs=inputs, labels=data.labels.to(device))

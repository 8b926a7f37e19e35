"""Features of an encoder: computed once for the same rows, kept on the disk, and mapped when they are used."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor

from midmix.data import Encoding, Inputs, Labelled, Source
from midmix.data.mapped import MappedRows
from midmix.data.texts import TextRows
from midmix.errors import InputError
from midmix.files import atomic_write, cache_folder
from midmix.models import Encoder, TextInputs, to_float
from midmix.models.encoder import PADDING
from midmix.registry import code_of
from midmix.training.encoders import record_of
from midmix.training.identity import rows_digest
from midmix.training.predict import as_tokens

FEATURES, DONE, ABOUT = "features.npy", "done.npy", "features.json"
CHUNK = 32
"""Rows that are encoded at once, and of which it is kept whether they are."""
_LIBRARIES = ("torch", "timm", "transformers")
Watch = Callable[[int, int], None]
"""Is told how many rows of how many have their features."""


@dataclass(frozen=True)
class Store:
    """Where the features of a set of rows are kept.

    Attributes:
        folder: of the set's own.
        keys: of the rows in it, sorted, `[N]` of 16 bytes each.
        width: D.
    """

    folder: Path
    keys: NDArray[np.void]
    width: int

    @property
    def chunks(self) -> int:
        """How many there are."""
        return -(-len(self.keys) // CHUNK)

    @property
    def finished(self) -> bool:
        """Whether all features are there."""
        return (self.folder / ABOUT).is_file()

    def prepare(self) -> None:
        """Makes the files, where they are not there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, shape, kind in (
            (FEATURES, (len(self.keys), self.width), "f4"),
            (DONE, (self.chunks,), "u1"),
        ):
            if not (self.folder / name).is_file():
                with atomic_write(self.folder / name) as part:
                    open_memmap(part, mode="w+", dtype=kind, shape=shape).flush()

    def rows(self, keys: NDArray[np.void]) -> Inputs:
        """The features of rows by their keys."""
        places = torch.from_numpy(np.searchsorted(self.keys, keys))
        return MappedRows.open(self.folder / FEATURES).select(places).if_small()


def embedded(
    source: Source,
    encoder: Encoder,
    *,
    folder: Path | None = None,
    watch: Watch = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> Source:
    """The source with features in place of its rows, which an encoder makes of them, in evaluation mode.

    What was computed for the same rows, by their contents, and the same encoder, by its weights, is not computed again,
    however the rows are split; what was interrupted goes on, and several calls at once share the work.

    Args:
        source: images, or texts.
        encoder: as `midmix.models.find_encoder` gives it.
        folder: where features are kept; midmix's cache where None.
        watch: is told of the progress.
        stop: whether to stop; then KeyboardInterrupt is raised.

    Raises:
        InputError: for rows that the encoder does not take, images that cannot be decoded, infinite features.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from midmix.data import from_arrays
        >>> from midmix.models import ImageInputs
        >>> images = np.zeros((8, 3, 4, 4), np.uint8) + np.arange(8, dtype=np.uint8)[:, None, None, None]
        >>> encoder = Encoder(torch.nn.AdaptiveAvgPool2d(1), ImageInputs(size=(4, 4))).eval()
        >>> with TemporaryDirectory() as name:
        ...     found = embedded(from_arrays(images, [0, 1] * 4), encoder, folder=Path(name))
        ...     found.train.shape, found.encoding.shape
        ((3,), (3, 4, 4))
    """
    texts = isinstance(encoder.inputs, TextInputs)
    if len(source.train.shape) != len(encoder.inputs.shape) or texts != isinstance(
        source.train.inputs, TextRows
    ):
        wanted = "texts" if texts else f"images {list(encoder.inputs.shape)}"
        raise InputError(
            f"{source.name}: has rows of shape {list(source.train.shape)}, and network {encoder.network!r} takes "
            f"{wanted}; name an encoder of such rows, --text for columns of texts, or --network linear for features"
        )
    parts = [replace(part, inputs=as_tokens(encoder, part.inputs)) for part in (source.train, source.test)]
    keys = [row_keys(part.inputs) for part in parts]
    store, order = _store(parts, keys, encoder, folder)
    if not store.finished:
        compute(store, encoder, [part.inputs for part in parts], order, watch, stop)
    about = {**record_of(encoder), "rows": store.folder.name}
    encoding = Encoding(
        encoder=about,
        shape=source.train.shape,
        train_rows=rows_digest(parts[0]),
        test_rows=rows_digest(parts[1]),
    )
    train, test = (replace(part, inputs=store.rows(own)) for part, own in zip(parts, keys, strict=True))
    return replace(source, train=train, test=test, columns=(), table=(), encoding=encoding)


def compute(
    store: Store,
    encoder: Encoder,
    inputs: Sequence[Inputs],
    order: NDArray[np.int64],
    watch: Watch,
    stop: Callable[[], bool],
) -> None:
    """Fills a store, from where it was interrupted.

    Args:
        store: to fill.
        encoder: what makes the features.
        inputs: of the rows; a row's number counts through all of them.
        order: the number of the row whose features stand at each place.
        watch, stop: as `embedded` has them.
    """
    store.prepare()
    features = open_memmap(store.folder / FEATURES, mode="r+")
    done = open_memmap(store.folder / DONE, mode="r+")
    total, rows = len(store.keys), _Several(inputs)
    left = np.flatnonzero(done == 0)
    # Each process in an order of its own, so that several that meet part again.
    left = np.random.default_rng(secrets.randbits(64)).permutation(left)
    encoder.eval()
    watch(min(total, int(done.sum()) * CHUNK), total)
    for chunk, batch in _decoded(rows, order, (int(chunk) for chunk in left if not done[chunk])):
        if stop():
            raise KeyboardInterrupt
        if done[chunk]:  # by another process, while the rows were decoded
            continue
        found = encode(encoder, batch)
        if not bool(found.isfinite().all()):
            raise InputError(
                f"network {encoder.network!r}: makes features that are not finite; are its weights its own?"
            )
        features[chunk * CHUNK : chunk * CHUNK + len(found)] = found.numpy()
        done[chunk] = 1
        watch(min(total, int(done.sum()) * CHUNK), total)
    features.flush()  # before it is said that they are there
    with atomic_write(store.folder / ABOUT) as part:
        part.write_text(json.dumps({**record_of(encoder), "count": total}, indent=1), encoding="utf-8")


def _decoded(rows: _Several, order: NDArray[np.int64], chunks: Iterator[int]) -> Iterator[tuple[int, Tensor]]:
    """Each chunk's rows, decoded while the chunk before is encoded."""
    with ThreadPoolExecutor(1) as ahead:
        waiting: list[tuple[int, Future[Tensor]]] = []
        for chunk in chunks:
            places = torch.from_numpy(order[chunk * CHUNK : (chunk + 1) * CHUNK])
            waiting.append((chunk, ahead.submit(rows.__getitem__, places)))
            if len(waiting) > 1:
                first, batch = waiting.pop(0)
                yield first, batch.result()
        for last, batch in waiting:
            yield last, batch.result()


@torch.inference_mode()
def encode(encoder: Encoder, batch: Tensor) -> Tensor:
    """Features `float32 [B, D]` of rows as they are stored, on the CPU."""
    batch = batch.to(next(encoder.parameters(), torch.zeros(())).device)
    batch = batch if isinstance(encoder.inputs, TextInputs) else to_float(batch)
    if batch.dim() == 4:
        batch = batch.contiguous(memory_format=torch.channels_last)
    return encoder.features(batch).float().cpu()


def row_keys(inputs: Inputs) -> NDArray[np.void]:
    """16 bytes for each row, by its contents, of images that are still encoded by their files': SHA-256, cut.

    Keys of texts begin with their length, so that texts of one length stand together.
    """
    texts = isinstance(inputs, TextRows)

    def key(content: bytes) -> bytes:
        digest = hashlib.sha256(content).digest()
        return min(len(content), 2**32 - 1).to_bytes(4, "big") + digest[:12] if texts else digest[:16]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        if isinstance(inputs, Tensor):
            rows = inputs.numpy()
            found = list(
                pool.map(lambda row: key(np.ascontiguousarray(rows[row]).tobytes()), range(len(rows)))
            )
        else:
            content = getattr(inputs, "content", None)
            if content is None:
                raise InputError("rows: are decoded on access and cannot be told by their contents")
            found = list(pool.map(lambda row: key(content(row)), range(len(inputs))))
    return np.frombuffer(b"".join(found), dtype="V16")


def _store(
    parts: Sequence[Labelled], keys: Sequence[NDArray[np.void]], encoder: Encoder, folder: Path | None
) -> tuple[Store, NDArray[np.int64]]:
    """Where the features of these rows are, and which row stands at which place."""
    together = np.concatenate(keys)
    unique, order = np.unique(together, return_index=True)
    about: dict[str, Any] = {
        "encoder": record_of(encoder),
        "code": None if (code := code_of(encoder.network, "network")) is None else code.digest,
        "libraries": [_version(name) for name in _LIBRARIES],
        "rows": [str(getattr(parts[0].inputs, "prepared_as", list(parts[0].shape))), len(unique)],
    }
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    digest.update(unique.tobytes())
    place = (cache_folder() / "features" if folder is None else folder) / digest.hexdigest()[:32]
    return Store(place, unique, encoder.width), order.astype(np.int64)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


class _Several:
    """Rows of several inputs as one."""

    def __init__(self, inputs: Sequence[Inputs]) -> None:
        self.inputs = inputs
        self.starts = np.cumsum([0, *map(len, inputs)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, rows: Tensor) -> Tensor:
        which = torch.from_numpy(np.searchsorted(self.starts, rows.numpy(), side="right") - 1)
        parts = {
            number: inputs[rows[which == number] - int(self.starts[number])]
            for number, inputs in enumerate(self.inputs)
            if bool((which == number).any())
        }
        first = next(iter(parts.values()))
        if len(parts) == 1:
            return first
        longest = max(part.shape[-1] for part in parts.values())  # of texts, whose lengths differ
        found = first.new_full((len(rows), *first.shape[1:-1], longest), PADDING if first.dim() == 2 else 0)
        for number, part in parts.items():
            found[which == number, ..., : part.shape[-1]] = part
        return found

"""What worker processes are sent: plain bytes, sources by name, and a file of tensors that all map into memory."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

from cloudpickle import CloudPickler
from safetensors.torch import load_file, save_file
from torch import Tensor

from midmix.data import Grouped, Source
from midmix.files import atomic_write
from midmix.studies.named import NamedSource


class _Pickler(CloudPickler):  # type: ignore[misc]
    """Leaves the tensors out, under the keys by which they come back, and sources that can be read by their name."""

    def __init__(self, file: io.BytesIO, *, by_name: bool) -> None:
        super().__init__(file)
        self.tensors: dict[str, Tensor] = {}
        self.by_name = by_name

    def persistent_id(self, found: Any) -> str | NamedSource | None:
        if isinstance(found, Source | Grouped):
            return NamedSource.of(found) if self.by_name or _streams(found) else None
        if type(found) is not Tensor or not found.numel():
            return None
        key = str(len(self.tensors))
        self.tensors[key] = found.detach().cpu().clone()  # a view's file would hold all that it is a view of
        return key


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, tensors: dict[str, Tensor]) -> None:
        super().__init__(file)
        self._tensors = tensors

    def persistent_load(self, key: Any) -> Any:
        return key.read() if isinstance(key, NamedSource) else self._tensors[key]


def _streams(found: Source | Grouped) -> bool:
    """Whether its rows are not in memory: what a pickle would hold is then as long as the data, or longer."""
    source = found.source if isinstance(found, Grouped) else found
    return not isinstance(source.train.inputs, Tensor)


def pack(found: Any, path: Path, *, by_name: bool = False) -> bytes:
    """Anything as bytes, its tensors in a file of their own.

    Args:
        path: of that file.
        by_name: whether sources are packed by name and digest where reading them again gives the same rows; those
            whose rows are not in memory always are.

    Example:
        >>> import torch
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     packed = pack({"x": torch.ones(2)}, Path(folder) / "tensors")
        ...     unpack(packed, Path(folder) / "tensors")
        {'x': tensor([1., 1.])}
    """
    buffer = io.BytesIO()
    pickler = _Pickler(buffer, by_name=by_name)
    pickler.dump(found)
    with atomic_write(path) as part:
        save_file(pickler.tensors, part)
    return buffer.getvalue()


def unpack(packed: bytes, path: Path) -> Any:
    """What `pack` packed; for bytes of one's own launcher only, since they are a pickle.

    Raises:
        InputError: where a source that was packed by name has other rows here.
    """
    return _Unpickler(io.BytesIO(packed), load_file(path)).load()

"""What worker processes are sent: plain bytes, and one file of tensors that all of them map into memory."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

from cloudpickle import CloudPickler
from safetensors.torch import load_file, save_file
from torch import Tensor

from midmix.files import atomic_write


class _Pickler(CloudPickler):  # type: ignore[misc]
    """Leaves the tensors out, under the keys by which they come back."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.tensors: dict[str, Tensor] = {}

    def persistent_id(self, found: Any) -> str | None:
        if type(found) is not Tensor or not found.numel():
            return None
        key = str(len(self.tensors))
        self.tensors[key] = found.detach().cpu().clone()  # a view's file would hold all that it is a view of
        return key


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, tensors: dict[str, Tensor]) -> None:
        super().__init__(file)
        self._tensors = tensors

    def persistent_load(self, key: Any) -> Tensor:
        return self._tensors[key]


def pack(found: Any, path: Path) -> bytes:
    """Anything as bytes, its tensors in a file of their own.

    Example:
        >>> import torch
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     packed = pack({"x": torch.ones(2)}, Path(folder) / "tensors")
        ...     unpack(packed, Path(folder) / "tensors")
        {'x': tensor([1., 1.])}
    """
    buffer = io.BytesIO()
    pickler = _Pickler(buffer)
    pickler.dump(found)
    with atomic_write(path) as part:
        save_file(pickler.tensors, part)
    return buffer.getvalue()


def unpack(packed: bytes, path: Path) -> Any:
    """What `pack` packed; for bytes of one's own launcher only, since they are a pickle."""
    return _Unpickler(io.BytesIO(packed), load_file(path)).load()

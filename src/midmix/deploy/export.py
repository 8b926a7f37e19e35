"""Networks for other programs, checked against the original on real rows before they are kept."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from midmix.errors import InputError
from midmix.files import atomic_write, check_file
from midmix.models import to_float

TOLERANCE = 1e-4
"""Logits may differ by so much, relative to the largest; sums are added in another order there."""


def export_program(network: nn.Module, rows: Tensor, path: Path) -> float:
    """Writes a `torch.export` program (`.pt2`) for any number of rows.

    Args:
        network: in evaluation mode.
        rows: two or more real rows, as `LoadedModel.features` gives them.
        path: to write.

    Returns:
        The largest difference of its logits from the network's on these rows.

    Raises:
        InputError: the network cannot be exported, or the program gives other logits; nothing is written then.
    """
    batch, expected = _asked(network, rows)
    check_file(path)
    program = _program(network, batch)
    with atomic_write(path) as part, part.open("wb") as file:
        torch.export.save(program, file)
        file.flush()
        found = torch.export.load(str(part)).module()(batch)
        return _checked(found.detach().numpy(), expected, "torch.export")


def export_onnx(network: nn.Module, rows: Tensor, path: Path) -> float:
    """Writes an ONNX file, of any number of rows; arguments and result as `export_program`.

    Raises:
        InputError: as `export_program` does, and where the extra `midmix[onnx]` is not installed.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  (what torch exports with)
    except ImportError:
        raise InputError("ONNX: needs onnx, onnxscript and onnxruntime; pip install midmix[onnx]") from None
    batch, expected = _asked(network, rows)
    check_file(path)
    with atomic_write(path) as part, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own parts
        exported = torch.onnx.export(
            _program(network, batch),
            (batch,),
            dynamo=True,
            input_names=["rows"],
            output_names=["logits"],
            verbose=False,
        )
        assert exported is not None
        exported.save(str(part), external_data=False)
        session = onnxruntime.InferenceSession(part.read_bytes(), providers=["CPUExecutionProvider"])
        (found,) = session.run(None, {session.get_inputs()[0].name: batch.numpy()})
        return _checked(found, expected, "ONNX")


def _asked(network: nn.Module, rows: Tensor) -> tuple[Tensor, np.ndarray]:
    if len(rows) < 2:
        raise InputError(f"rows: {len(rows)}; at least two are needed to check an export by")
    batch = to_float(rows)
    try:
        with torch.inference_mode():
            return batch, network.eval()(batch).numpy()
    except RuntimeError as error:
        raise InputError(
            f"rows: have shape {list(rows.shape[1:])}, which the network does not take; give rows of training's shape"
        ) from error


def _program(network: nn.Module, batch: Tensor) -> torch.export.ExportedProgram:
    try:
        return torch.export.export(network, (batch,), dynamic_shapes=({0: torch.export.Dim("rows")},))
    except Exception as error:  # whatever a network's own code cannot be traced through
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)[:160]
        raise InputError(f"network: cannot be exported ({reason})") from error


def _checked(found: np.ndarray, expected: np.ndarray, what: str) -> float:
    difference = float(np.abs(found - expected).max()) if found.shape == expected.shape else float("inf")
    if not difference <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise InputError(f"{what}: gives other logits than the network (by {difference:.2g}); it is not kept")
    return difference

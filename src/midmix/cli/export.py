"""`midmix export`: a trained model for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from midmix.cli.console import console, note
from midmix.cli.flags import Config, Trust
from midmix.data import place_of
from midmix.data.labels import listing
from midmix.deploy import export_onnx, export_program, load, model_card
from midmix.errors import InputError
from midmix.files import atomic_write, check_file
from midmix.training.record import RECORD
from midmix.training.run_folder import HISTORY, MODEL, TEST

NAMES = {"onnx": "model.onnx", "torch": "model.pt2", "card": "README.md"}
CHECKED_ROWS = 256


def export(
    run: Path,
    source: str | None = None,
    /,
    *,
    to: Literal["onnx", "torch", "card"] = "onnx",
    out: Path | None = None,
    trust: Trust = False,
    config: Config = None,
) -> None:
    """Write a trained model for other programs: ONNX, a program of `torch.export`, or a card that describes it.

    What is written is run on real rows first, and kept only where its logits are those of the model. It takes any
    number of rows as the network does, with a table's columns made features as in training, and gives logits.

    Parameters
    ----------
    run
        Folder of a finished run: that of `midmix train`, or `DIR/runs/NAME` of `midmix compare`.
    source
        Rows to check it by, as for `midmix predict`; labels are not needed. [default: what the run was trained on]
    to
        `onnx` needs the extra `midmix[onnx]`; `card` is Markdown with the results on the run's test rows.
    out
        File to write. [default: model.onnx, model.pt2 or README.md in the run's folder]
    """
    target = run / NAMES[to] if out is None else out
    if to == "card":
        text = model_card(run)
        _check_target(target, run, None)
        with atomic_write(target) as part:
            part.write_text(text, encoding="utf-8")
        console.print(f"Card: {target}", highlight=False, soft_wrap=True)
        return
    model = load(run, trust=trust)
    source = (
        model.record.get("reading", {}).get("source") if source is None else source
    )  # records of old have none
    if source is None:
        raise InputError(
            f"{run}: does not say which rows it was trained on; name rows to check the export by"
        )
    _check_target(target, run, source)
    rows = model.features(place_of(source), most=CHECKED_ROWS)
    difference = (export_onnx if to == "onnx" else export_program)(model.network, rows, target)
    note(
        f"takes rows of shape {list(rows.shape[1:])}, gives logits of {listing(model.classes)}, in this order"
    )
    note(
        f"checked on {len(rows):,} rows of {source}: logits differ from the model's by {difference:.2g} at most"
    )
    console.print(f"Model: {target}", highlight=False, soft_wrap=True)


def _check_target(target: Path, run: Path, source: str | None) -> None:
    """Sees that the file may be written, and that neither the run nor the rows would be lost by it."""
    check_file(target)
    read = [run / name for name in (RECORD, MODEL, HISTORY, TEST)] + (
        [] if source is None else [Path(source).expanduser()]
    )
    if target.exists() and any(target.samefile(path) for path in read if path.exists()):
        raise InputError(
            f"--out {target}: is a file of the run, or of the rows that are read; choose another"
        )

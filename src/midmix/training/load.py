"""The network of a finished run, made again; no code of its files is executed."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from midmix.data import LabelledFeatures
from midmix.errors import InputError
from midmix.methods import Method, Spec
from midmix.models import Encoder, describe, is_encoder
from midmix.models.tuning import HEAD
from midmix.registry import is_reference
from midmix.training.encoders import Headed, encoder_of
from midmix.training.network import make_network
from midmix.training.predict import features_of
from midmix.training.record import RECORD
from midmix.training.run_folder import MODEL, check_trained, finished, read_predictions
from midmix.training.settings import Settings


def read_features(folder: Path, *, trust: bool = False) -> LabelledFeatures:
    """The test rows' features, labels and logits at a finished run's last epoch, and its linear classifier."""
    predictions = read_predictions(folder)
    model, record = load_model(folder, trust=trust, whole=False)
    num_classes = len(record["classes"])
    head = features_of(model, num_classes, record.get("classifier")).classifier(model, num_classes)
    weights = None
    if isinstance(head, nn.Linear):
        weights = head.weight.detach(), None if head.bias is None else head.bias.detach()
    return LabelledFeatures(
        predictions.features, predictions.labels, tuple(record["classes"]), predictions.logits, weights
    )


def load_model(folder: Path, *, trust: bool = False, whole: bool = True) -> tuple[nn.Module, dict[str, Any]]:
    """The trained network of a finished run, in evaluation mode, and the run's record.

    Of a classifier that was trained on an encoder's features (`tune` "head") it is both, or without `whole` the
    classifier alone.

    Executes no code of the files. A network that `module:function` or a file made is made by that code again, where it
    lay then and only as it was then, and only with `trust`.

    Raises:
        InputError: where there is no finished run, or it diverged, or its model file is of another network; where it
            needs code that is not trusted, or has changed.

    Example:
        >>> import torch
        >>> from tempfile import TemporaryDirectory
        >>> from midmix.data import from_arrays
        >>> from midmix.methods import Method
        >>> from midmix.training import Run, Settings, train_run
        >>> source = from_arrays(torch.eye(3).repeat(20, 1), torch.arange(3).repeat(20))
        >>> run = Run(Method.parse("erm"), seed=0, settings=Settings(network="mlp-8", epochs=1))
        >>> with TemporaryDirectory() as folder:
        ...     _ = train_run(run, source, Path(folder))
        ...     model, record = load_model(Path(folder))
        >>> model(torch.eye(3)).shape, record["classes"]
        (torch.Size([3, 3]), ['0', '1', '2'])
    """
    record = finished(folder)
    if record is None:
        raise InputError(
            f"{folder}: holds no finished run (no {RECORD}); name a run's folder, such as DIR/runs/erm-seed0"
        )
    check_trained(record, folder)
    known = Settings().as_dict()
    settings = Settings(**{name: value for name, value in record["settings"].items() if name in known})
    method = Method.read(record["method"])
    references = [
        name for name in (settings.network, *(part.name for _, part in method.parts)) if is_reference(name)
    ]
    if references and not trust:
        files = ", ".join(f"{code['reference']} ({code['file']})" for code in record["code"]) or ", ".join(
            references
        )
        raise InputError(
            f"{folder}: this model is made by code of its own, {files}, which would be run; look at it, and say "
            "--trust (trust=True) if you trust it"
        )
    if references:
        settings, method = _where_it_lay(settings, method, record["code"])
    if not record["parameters"]:
        raise InputError(
            f"{folder}: holds results only, for what {method} fits cannot be kept as plain data; train another method "
            "to predict with, such as ridge or erm+balanced_softmax"
        )
    encoder = _encoder(folder, settings, record) if settings.tune == HEAD else None
    if encoder is None and is_encoder(settings.network):  # its weights are the model file's
        settings = replace(settings, weights="none")
    shape = tuple(record["shape"]) if encoder is None else (encoder.width,)
    model = make_network(settings, method, shape, len(record["classes"]), seed=0)
    try:
        model.load_state_dict(load_file(folder / MODEL))
    except (RuntimeError, SafetensorError, OSError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{folder / MODEL}: is not a {describe(model)} of this run: {reason}") from error
    if encoder is not None and whole:
        model = Headed(encoder, model)
    return model.eval(), record


def _encoder(folder: Path, settings: Settings, record: dict[str, Any]) -> Encoder:
    """The encoder on whose features the run's classifier was trained."""
    encoder, known = encoder_of(settings), record["encoder"]
    if encoder is None or known is None or encoder.digest() != known["digest"]:
        raise InputError(
            f"{folder}: was trained on features of {settings.network}, whose weights have changed since; bring them "
            "back as they were, or train again"
        )
    return encoder


def _where_it_lay(settings: Settings, method: Method, code: list[dict[str, str]]) -> tuple[Settings, Method]:
    """The same with own code named by its file, once that is seen to be as it was."""
    files: dict[str, str] = {}
    names = [settings.network, *([] if method.head is None else [method.head.name])]
    for entry in code:
        file = Path(entry["file"])
        digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16] if file.is_file() else None
        if digest != entry["digest"]:
            change = "is gone" if digest is None else "has changed"
            raise InputError(f"{file}: the code that made this model {change}; bring it back as it was")
        module, _, function = entry["reference"].rpartition(":")
        files[entry["reference"]] = f"{file}:{function}"
        files |= {
            name: f"{file}:{function}" for name in names if _file_of(name) == (Path(module).name, function)
        }
    head = method.head
    if head is not None:
        head = Spec(files.get(head.name, head.name), head.options)
    return replace(settings, network=files.get(settings.network, settings.network)), replace(
        method, head=head
    )


def _file_of(reference: str) -> tuple[str, str]:
    """The file's own name and the function of `path/to/file.py:function`."""
    module, _, function = reference.rpartition(":")
    return Path(module).name, function

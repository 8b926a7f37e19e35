"""A finished run as a model to be asked."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from huggingface_hub import ModelCard, ModelHubMixin
from torch import Tensor, nn

from midmix.data import load_unlabelled
from midmix.decisions import DecisionRule
from midmix.deploy.card import model_card
from midmix.errors import InputError
from midmix.training import load_model, predict_logits, preparation_of, reading_of, run_rule
from midmix.training.predict import as_tokens
from midmix.training.record import RECORD
from midmix.training.run_folder import MODEL

_TAGS = ["midmix", "imbalanced-classification"]


class LoadedModel(ModelHubMixin):
    """The network of a finished run with what leads from rows to it, and from its logits to classes.

    `push_to_hub("owner/name")`, `save_pretrained(folder)` and `LoadedModel.from_pretrained("owner/name")` are those of
    `huggingface_hub`: the run's record, its weights and its card are what is shared; no code is.

    Attributes:
        folder: of the run.
        network: the network, in evaluation mode, from features or images to logits.
        record: the run's record.
        classes: names of the classes.
    """

    folder: Path
    network: nn.Module
    record: Mapping[str, Any]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return tuple(self.record["classes"])

    def features(self, rows: Any, *, most: int | None = None) -> Tensor:
        """What the network takes, of rows as people have them.

        Args:
            rows: text or path of a source without labels, as `midmix predict` takes; a data frame or Arrow table with
                the columns of training; or an array `[N, *shape]` of what the network takes.
            most: how many rows at most, the first ones; None for all. Images of the others are not decoded.

        Raises:
            InputError: rows that are not what the model was trained on.
        """
        preparation, shape = preparation_of(self.record), tuple(self.record["shape"])
        if isinstance(rows, str | Path):
            found = load_unlabelled(
                rows,
                shape=shape,
                columns=self.record["columns"],
                preparation=preparation,
                **reading_of(self.record),
            )
            inputs = as_tokens(self.network, found.inputs)
            count = len(found) if most is None else min(most, len(found))
            return inputs[:count] if isinstance(inputs, Tensor) else inputs[torch.arange(count)]
        if not isinstance(rows, np.ndarray | Tensor):
            from midmix.data.tables.encode import encode_columns
            from midmix.data.tables.estimator import arrow_of

            table = arrow_of(rows)
            if preparation is not None:
                return preparation.apply(encode_columns(table, preparation.columns, where="rows")[0])[:most]
            from midmix.data.columns import features_of

            rows = features_of(table, self.record["columns"], where="rows")[0]
        try:
            values = torch.as_tensor(rows)
        except (TypeError, ValueError, RuntimeError) as error:  # of texts and objects
            raise InputError(
                "rows: hold other things than numbers; give numbers, or a frame of columns"
            ) from error
        if values.is_complex():
            raise InputError("rows: are complex numbers; give real ones")
        if tuple(values.shape[1:]) != shape:
            raise InputError(f"rows: have shape {list(values.shape[1:])}, but the model wants {list(shape)}")
        return values[:most]

    def logits(self, rows: Any) -> Tensor:
        """Logits `float32 [N, C]`; rows as in `features`."""
        return predict_logits(self.network, self.features(rows))

    @cached_property
    def rule(self) -> DecisionRule:
        """From logits to probabilities for the training data's prior, and to decisions, as `midmix predict` has it."""
        return run_rule(self.folder, self.record)

    def predict_proba(self, rows: Any) -> np.ndarray:
        """Probabilities `[N, C]` in the order of `classes`, as `midmix predict` writes them; rows as in `features`.

        NaN of a classifier whose scores are none.
        """
        found = self.rule.probabilities(self.logits(rows))
        if not self.record["probabilities"]:
            found = torch.full_like(found, torch.nan)
        probabilities: np.ndarray = found.numpy()
        return probabilities

    def decide(self, rows: Any) -> np.ndarray:
        """Name of the class of each row, `[N]`, as `midmix predict` writes it; rows as in `features`."""
        names: np.ndarray = np.array(self.classes)[self.rule.decide(self.logits(rows)).numpy()]
        return names

    def generate_model_card(self, *arguments: Any, **keywords: Any) -> ModelCard:
        """The card that is pushed: `model_card` with the Hub's own header."""
        tags = "\n".join(f"- {tag}" for tag in _TAGS)
        return ModelCard(f"---\nlibrary_name: midmix\ntags:\n{tags}\n---\n\n{model_card(self.folder)}")

    def _save_pretrained(self, save_directory: Path) -> None:
        for name in (RECORD, MODEL):
            shutil.copyfile(self.folder / name, Path(save_directory) / name)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **keywords: Any) -> Self:
        folder = Path(model_id)
        if not folder.is_dir():
            from huggingface_hub import snapshot_download

            passed: dict[str, Any] = {
                name: keywords.get(name)
                for name in ("revision", "cache_dir", "force_download", "local_files_only", "token")
            }
            folder = Path(snapshot_download(model_id, allow_patterns=[RECORD, MODEL], **passed))
        return cls._of(folder, trust=False)

    @classmethod
    def _of(cls, folder: Path, *, trust: bool) -> Self:
        loaded = cls()
        loaded.folder = folder
        loaded.network, loaded.record = load_model(folder, trust=trust)
        return loaded


def load(folder: str | Path, *, trust: bool = False) -> LoadedModel:
    """The model of a finished run.

    Args:
        folder: of the run: that of `midmix train`, or `DIR/runs/NAME` of `midmix compare`.
        trust: run the code of its own that the model names.

    Raises:
        InputError: as `midmix.training.load_model` does.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from midmix.data import from_arrays
        >>> from midmix.methods import Method
        >>> from midmix.training import Run, Settings, train_run
        >>> source = from_arrays(torch.eye(3).repeat(20, 1), ["a", "b", "c"] * 20)
        >>> run = Run(Method.parse("erm"), seed=0, settings=Settings(network="mlp-8", epochs=1))
        >>> with TemporaryDirectory() as folder:
        ...     _ = train_run(run, source, Path(folder))
        ...     model = load(folder)
        >>> model.classes, model.predict_proba(np.eye(3, dtype=np.float32)).shape
        (('a', 'b', 'c'), (3, 3))
    """
    return LoadedModel._of(Path(folder).expanduser(), trust=trust)

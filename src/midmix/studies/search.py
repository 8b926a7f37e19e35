"""Equal tuning: for every line the same number of draws over its settings and options, on training rows alone."""

from __future__ import annotations

import importlib.util
import json
import math
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from midmix.data import Labelled, Source
from midmix.errors import InputError
from midmix.files import atomic_write, read_json
from midmix.measures import confusion_matrix
from midmix.methods.ranges import Range, defaults_of, ranges_of
from midmix.studies.options import RunnerOptions
from midmix.studies.runner import run_all
from midmix.studies.task import Attempt, Rows
from midmix.training.run import Run
from midmix.training.run_folder import read_predictions
from midmix.training.seeds import stream
from midmix.training.train import train_run
from midmix.training.tuned import Tuned

FOLDER, OUTCOME, DRAWS, TRIALS = "search", "search.json", "draws.json", "trials"
FOLDS = 3
MOST_DRAWS = 10_000
DECAYS = {"sgd": Range(1e-5, 0.3, log=True), "adamw": Range(1e-3, 10, log=True)}
"""Weight decay by optimizer: that of SGD is part of the gradient, that of AdamW is not."""
_SEARCH = 0x736561726368


@dataclass(frozen=True)
class Search:
    """Chooses settings and options for a line.

    Each draw is trained on all folds but one of the training rows that the run's seed draws, and scored by the balanced
    accuracy over the held-out rows of all folds together. The first draw is what was given; the others are those of
    Optuna's TPE sampler (Bergstra et al. 2011). The best wins, of equal ones the earliest. Test rows are never seen.

    Attributes:
        source: as the comparison has it.
        draws: how many, alike for every line.
    """

    source: Source
    draws: int

    def specification(self) -> dict[str, Any]:
        return {"search_draws": self.draws, "search_folds": FOLDS}

    def carry_out(self, run: Run, folder: Path, attempt: Attempt) -> None:
        train = run.split(self.source).train
        folds = folds_of(train.labels, FOLDS, seed=run.seed)
        space = space_of(run)
        kept: list[dict[str, Any]] = []
        if (folder / DRAWS).is_file():
            kept = read_json(folder / DRAWS, "the draws of a search", {"draws"})["draws"]
        while len(kept) < (self.draws if space else 1):  # without a space there is nothing else to draw
            number = len(kept)
            values = (
                {} if number == 0 else draw(space, defaults(run), kept, number, self.draws, seed=run.seed)
            )
            kept.append(
                {"values": values, "score": self._score(run, train, folds, values, number, folder, attempt)}
            )
            attempt.still_ours()
            with atomic_write(folder / DRAWS) as path:
                path.write_text(json.dumps({"draws": kept}, indent=1))
            shutil.rmtree(folder / TRIALS, ignore_errors=True)
        best = max(kept, key=lambda one: -math.inf if one["score"] is None else one["score"])
        tuned = Tuned(
            self.draws, FOLDS, rows=f"the {len(train)} training rows of seed {run.seed}", chosen=best["values"],
            score=best["score"], score_before=kept[0]["score"],
        )  # fmt: skip
        attempt.still_ours()
        with atomic_write(folder / OUTCOME) as path:
            path.write_text(
                json.dumps(
                    {"method": str(run.method), "seed": run.seed, "tuned": tuned.as_dict(), "draws": kept},
                    indent=1,
                )
            )
        (folder / DRAWS).unlink(missing_ok=True)

    def rows(self, folder: Path) -> Rows:
        path = folder / OUTCOME
        return [read_json(path, "the outcome of a search", {"method", "tuned"})] if path.is_file() else []

    def _score(
        self,
        run: Run,
        train: Labelled,
        folds: Sequence[Tensor],
        values: Mapping[str, Any],
        number: int,
        folder: Path,
        attempt: Attempt,
    ) -> float | None:
        """Balanced accuracy over the held-out rows; None where training with these values diverges."""
        tried = replace(run, tuned=Tuned(self.draws, FOLDS, chosen=values)).chosen
        settings = replace(
            tried.settings, evaluate_every=tried.settings.epochs
        )  # the last epoch is what counts
        matrix = torch.zeros(len(train.classes), len(train.classes), dtype=torch.long)
        for place, held_out in enumerate(folds):
            rest = torch.ones(len(train), dtype=torch.bool)
            rest[held_out] = False
            source = Source(self.source.name, train.select(rest.nonzero().flatten()), train.select(held_out))
            fold = replace(tried, settings=settings, imbalance=None, groups=None)
            path = folder / TRIALS / f"{number}-{place}"
            try:
                train_run(
                    fold,
                    source,
                    path,
                    callback=attempt.callback(),
                    checkpoint_seconds=attempt.checkpoint_seconds,
                )
            except InputError:
                if number == 0:  # what was given cannot be trained
                    raise
                return None
            found = read_predictions(path)
            matrix += confusion_matrix(found.logits, found.labels)
        return float((matrix.diagonal() / matrix.sum(dim=1)).nanmean())


def search(
    template: Run, runs: Sequence[Run], source: Source, draws: int, folder: Path, options: RunnerOptions
) -> dict[str, Tuned]:
    """Searches for every line, into `folder/search`; the choice by the text of its method.

    Searches that are finished are not done again, and one that was interrupted goes on, at the draw where it was.

    Raises:
        InputError: where Optuna is missing, and as `run_all` does.
    """
    check_search(draws)
    task = Search(source, draws)
    searches = [replace(template, method=run.method) for run in runs]
    # Whoever does a part of the runs needs every choice: all parts share all searches.
    run_all(task, searches, folder / FOLDER, replace(options, part=None))
    found = [row for one in searches for row in task.rows(folder / FOLDER / "runs" / one.name)]
    return {row["method"]: Tuned(**row["tuned"]) for row in found}


def check_search(draws: int) -> None:
    """Sees that a search can be done.

    Raises:
        InputError: below one draw, or where Optuna is missing.
    """
    if not 1 <= draws <= MOST_DRAWS:
        raise InputError(
            f"search: {draws} draws; at least one is needed, a dozen to find anything, and {MOST_DRAWS:,} at most"
        )
    if importlib.util.find_spec("optuna") is None:
        raise InputError("search: needs Optuna; pip install 'midmix[search]'")


def space_of(run: Run) -> dict[str, Range]:
    """Where a search looks: rate, decay and length around those given, and the open options of the method.

    Example:
        >>> from midmix.methods import Method
        >>> from midmix.training import Settings
        >>> sorted(space_of(Run(Method.parse("erm+balanced_softmax"), 0, Settings())))
        ['balanced_softmax:tau', 'epochs', 'learning_rate', 'weight_decay']
        >>> sorted(space_of(Run(Method.parse("ridge"), 0, Settings())))
        ['ridge:alpha']
    """
    settings, own = run.settings, ranges_of(run.method)
    if run.method.baseline is not None:
        return own
    return {
        "learning_rate": Range(settings.learning_rate / 8, settings.learning_rate * 8, log=True),
        "weight_decay": DECAYS[settings.optimizer],
        "epochs": Range(max(1, settings.epochs // 4), settings.epochs * 2, log=True, whole=True),
        **own,
    }


def defaults(run: Run) -> dict[str, Any]:
    """The values of the first draw."""
    given = run.settings.as_dict()
    own = defaults_of(run.method)
    return own if run.method.baseline is not None else {
        **{name: given[name] for name in ("learning_rate", "weight_decay", "epochs")}, **own
    }  # fmt: skip


def draw(
    space: Mapping[str, Range],
    given: Mapping[str, Any],
    kept: Sequence[Mapping[str, Any]],
    number: int,
    draws: int,
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """The values of the next draw, by all that came before: the same ones for a seed, whoever asks.

    Half of the draws are at random, the others where the better ones of before lie.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    kinds = {
        name: optuna.distributions.IntDistribution(int(one.low), int(one.high), log=one.log)
        if one.whole
        else optuna.distributions.FloatDistribution(one.low, one.high, log=one.log)
        for name, one in space.items()
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            seed=stream(_SEARCH + seed, number) % 2**32, n_startup_trials=max(4, draws // 2)
        )
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for one in kept:
            values = {**given, **one["values"]}
            if one["score"] is not None and all(values[name] in space[name] for name in space):
                known = {name: values[name] for name in space}
                study.add_trial(
                    optuna.trial.create_trial(params=known, distributions=kinds, value=one["score"])
                )
        found = study.ask(kinds).params
    return {name: space[name].tidy(value) for name, value in found.items()}


def folds_of(labels: Tensor, folds: int, *, seed: int) -> list[Tensor]:
    """The rows that each fold holds out, spread over the classes; the only row of a class is held out by none.

    Example:
        >>> held_out = folds_of(torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 2]), 3, seed=0)
        >>> [len(rows) for rows in held_out], 8 in torch.cat(held_out)
        ([2, 3, 3], False)
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(stream(_SEARCH, seed)))
    grouped, place = labels[order].sort(stable=True)
    rank = torch.arange(len(labels)) - torch.searchsorted(grouped, grouped)
    # Each class begins with another fold, else the first would hold out every class of one row or two.
    fold = (rank + grouped) % folds
    fold[torch.bincount(labels)[grouped] < 2] = -1
    return [order[place[fold == one]].sort().values for one in range(folds)]

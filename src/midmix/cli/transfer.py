"""`midmix transfer`: train on groups, recognise their members."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from cyclopts import Group, Parameter

from midmix.cli.console import console, introduce, note
from midmix.cli.flags import Config, Out, RunningFlags, SourceFlags, TrainingFlags, Whole
from midmix.cli.progress import part_done, progress_of_runs
from midmix.data import load_grouped
from midmix.methods import parse_methods
from midmix.studies import check_comparison
from midmix.studies import transfer as run_transfer
from midmix.studies.transfer import LOWER, UPPER
from midmix.training import Settings

GROUPS = Group("Groups", sort_key=2)
FEATURE_EPOCHS = 25
"""Epochs of pre-training on rows of features; images have those of a comparison."""
EVALUATIONS = 5
"""Evaluated epochs: only the last is probed, the others make the curves."""


@Parameter(name="*", group=GROUPS)
@dataclass(frozen=True)
class GroupFlags:
    """Which classes there are, and which groups they are in."""

    fine: str | None = None
    "Column or array of the fine labels. [default: fine_label, or with --hierarchy that of --label]"

    coarse: str | None = None
    "Column or array of the coarse labels. [default: coarse_label]"

    hierarchy: str | None = None
    "CSV file with columns fine and coarse; or living-17, non-living-26, entity-13, entity-30 for ImageNet's folders."

    wordnet: Path | None = None
    "For these: folder or ZIP file of WordNet 3.0 (data.noun), or the hierarchy of BREEDS. [default: NLTK's WordNet]"

    classes_per_group: Whole | None = None
    "Fine classes taken from each group; smaller groups are left out. [default: all]"

    pick: Literal["first", "random"] = "first"
    "Which of them."

    images_per_class: Whole | None = None
    "Training rows taken of each fine class, at random. [default: all]"


@Parameter(name="*", group=GROUPS)
@dataclass(frozen=True)
class ProbeFlags:
    """How features are measured."""

    validation: float = 0.2
    "Share of the training rows of each fine class held out, by which the probes' regularisation is chosen."

    splits: Literal["drawn", "fixed"] = "drawn"
    "Where the source has no test split of its own: drawn by each seed, or one for all."

    finetune_epochs: Whole = 0
    "Epochs in which the whole network is then trained on the fine labels; 0 for none."

    def options(self) -> dict[str, Any]:
        """Keywords of `midmix.studies.transfer`."""
        return asdict(self)


def transfer(
    source: str,
    /,
    *,
    methods: str = "erm,mixup,manifold-mixup,am-mixup,balanced-am-mixup",
    seeds: Whole = 3,
    out: Out = Path("transfer"),
    config: Config = None,
    reading: SourceFlags = SourceFlags(),  # noqa: B008  (frozen)
    groups: GroupFlags = GroupFlags(),
    probes: ProbeFlags = ProbeFlags(),
    training: TrainingFlags = TrainingFlags(),  # noqa: B008
    running: RunningFlags = RunningFlags(),  # noqa: B008
) -> None:
    """Train encoders on groups of classes, freeze them, and tell the classes apart on their features.

    An encoder that has collapsed a group to a point has thrown its classes away. Beside the methods stand an encoder
    trained on the fine labels and one that was not trained. Writes `results.parquet` (a row a method and seed),
    `tables.md`, `report.html` with its `figures/`, and `runs/` into the output folder. Repeat the command to go on
    where it was interrupted; add methods or seeds and only what is new is run.

    Parameters
    ----------
    source
        As for `midmix compare`, with fine and coarse labels: `digits` has groups by shape, `uoft-cs/cifar100`
        columns of both; for others see the flags on groups.
    methods
        As for `midmix compare`; they train on the groups.
    seeds
        How many seeds, 0 and up. The same seed is the same split and the same initial weights for each method.
    """
    check_comparison(out)
    lines = parse_methods([text for text in methods.split(",") if text.strip()])
    options = reading.options()
    label = options.pop("label")
    loaded = load_grouped(source, **{**options, **asdict(groups), "fine": groups.fine or label})
    introduce(loaded.source, probes.splits)
    sizes = loaded.hierarchy.sizes()
    fewest, most = int(sizes.min()), int(sizes.max())
    note(f"{len(sizes)} groups of {fewest if fewest == most else f'{fewest} to {most}'} classes")
    settings = _settings(loaded.source.train.kind, training.options())
    with progress_of_runs(out) as watch, running.open(out) as where:
        done = run_transfer(
            loaded, lines, out, settings, seeds=seeds, watch=watch, say=note, **where, **probes.options()
        )
    if part_done(done, [str(line) for line in (*lines, UPPER, LOWER)], seeds, where["part"]):
        return
    from midmix.reports import (  # after the runs: matplotlib takes a second
        given_flags,
        health_of,
        read_transfer,
        terminal_health,
        terminal_transfer_verdict,
        transfer_table,
        write_transfer,
    )

    found = read_transfer(out)
    again = ["midmix", "transfer", source, *given_flags(reading, groups, probes, training)]
    console.print(transfer_table(found))
    if signs := health_of(found.comparison).signs:
        console.print(terminal_health(signs), highlight=False)
    console.print(f"Report: {write_transfer(out, again=again)}\n", highlight=False, soft_wrap=True)
    console.print(terminal_transfer_verdict(found, again), highlight=False, crop=False)


def _settings(kind: Literal["images", "features"], given: dict[str, Any]) -> Settings:
    """Those of a comparison, save that fewer epochs are run on features and few are evaluated."""
    if kind == "features" and given["epochs"] is None:
        given = {**given, "epochs": FEATURE_EPOCHS}
    settings = Settings.for_kind(kind, **given)
    every = given["evaluate_every"] or max(1, settings.epochs // EVALUATIONS)
    return Settings.for_kind(kind, **{**given, "evaluate_every": every})

"""What one run is: all that its numbers depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal

from torch import nn

from midmix.data import Hierarchy, Ranks, Source, Splits
from midmix.errors import InputError
from midmix.methods import Method
from midmix.registry import Code, code_of
from midmix.training.augment import is_augmented, prepare_loss
from midmix.training.baseline import check_baseline
from midmix.training.encoders import encoder_of, encoder_record
from midmix.training.identity import groups_digest, names_digest, rows_digest
from midmix.training.network import make_network
from midmix.training.predict import features_of
from midmix.training.settings import Settings
from midmix.training.split import Split, draw_split
from midmix.training.stages import rehearse_stages, start_head
from midmix.training.tuned import Tuned

SEEDS = 2**63
"""Seeds are below it."""


@dataclass(frozen=True)
class Run:
    """What one run is: everything that its numbers depend on, besides the source's rows.

    Attributes:
        method: what is trained, and how.
        seed: of the split, the network's weights, and all draws in training.
        settings: how the network is trained.
        imbalance, profile, ranks, validation, groups, splits: as `draw_split` takes them.
        tuned: what a search chose for this method, to be set in place of its options and of the settings.

    Example:
        >>> Run(Method.parse("am-mixup:beta=0.5"), seed=3, settings=Settings(), imbalance=100).name
        'am-mixup_beta=0.5-seed3'
    """

    method: Method
    seed: int
    settings: Settings
    imbalance: float | None = None
    profile: Literal["exp", "step"] = "exp"
    validation: float = 0.0
    groups: Hierarchy | None = None
    ranks: Ranks = "fixed"
    splits: Splits = "fixed"
    tuned: Tuned | None = None

    @property
    def chosen(self) -> Run:
        """The same run with what the search chose in its method and settings."""
        if self.tuned is None:
            return self
        return replace(
            self,
            method=self.tuned.method(self.method),
            settings=self.tuned.settings(self.settings),
            tuned=None,
        )

    def __post_init__(self) -> None:
        if not 0 <= self.seed < SEEDS:
            raise InputError(f"seed: {self.seed}; a whole number of 0 … 2**63 - 1 is needed")

    @property
    def name(self) -> str:
        """Name of the run's folder."""
        return f"{self.method.slug}-seed{self.seed}"

    def specification(self, source: Source) -> dict[str, Any]:
        """What its numbers depend on, besides method and seed: plain data, by which a folder is known."""
        encoder: Mapping[str, Any] | None
        if source.encoding is not None:
            encoder, rows = source.encoding.encoder, (source.encoding.train_rows, source.encoding.test_rows)
        else:
            encoder, rows = (
                encoder_record(self.settings),
                (rows_digest(source.train), rows_digest(source.test)),
            )
        return {
            "train_rows": rows[0],
            "test_rows": rows[1],
            "class_names": names_digest(source.train.classes),
            "groups": None if self.groups is None else groups_digest(self.groups),
            "imbalance": self.imbalance,
            # Without an imbalance a profile is of no account.
            **({} if self.imbalance is None else {"profile": self.profile, "ranks": self.ranks}),
            "validation": self.validation,
            **({"splits": self.splits} if source.drawn else {}),
            **({"code": [asdict(code) for code in found]} if (found := self.code()) else {}),
            **({} if self.tuned is None else {"search_draws": self.tuned.draws}),
            **({} if encoder is None else {"encoder": dict(encoder)}),
            **self.settings.as_dict(),
        }

    def code(self) -> tuple[Code, ...]:
        """Whose own code it runs, with digests."""
        network = code_of(self.settings.network, "network")
        return (*self.method.code(), *(() if network is None else (network,)))

    def split(self, source: Source) -> Split:
        """The run's rows of a source."""
        return draw_split(
            source,
            seed=self.seed,
            imbalance=self.imbalance,
            profile=self.profile,
            validation=self.validation,
            groups=self.groups,
            ranks=self.ranks,
            splits=self.splits,
        )

    def network(self, split: Split) -> nn.Module:
        """The run's network for these rows, with its first weights."""
        return make_network(
            self.settings, self.method, split.train.shape, len(split.train.classes), self.seed
        )


def check_runs(runs: Sequence[Run], source: Source) -> None:
    """Sees that runs which differ in their lines only can begin, before anything is written.

    Raises:
        InputError: for rows that cannot be split so, and a network that cannot be built for them, not be mixed, or not
            be measured because its classifier cannot be told.
    """
    split = runs[0].split(source)
    num_classes = len(split.train.classes)
    augmented = is_augmented(runs[0].settings, split.train)
    for run in runs:
        if run.method.needs_validation and split.validation is None:
            raise InputError(
                f"{run.method}: a stage chooses on held-out rows; give a share, validation=0.2 (--validation)"
            )
        if run.method.baseline is not None:
            check_baseline(run.method, split.train)
            continue
        try:
            model = run.network(split)
            mix, loss = run.method.make_mix(num_classes, split.train.counts()), run.method.make_loss()
            features_of(model, num_classes, run.method.classifier)
            prepare_loss(
                loss, model, num_classes, classifier=run.method.classifier, augmented=augmented, seed=run.seed
            )
            mix.check_rows(split.train.shape)
            mix.attach(model, loss=loss).remove()
            rehearse_stages(run.method, model, split)
            if getattr(run.method.make_head(), "needs_names", False):
                start_head(run.method, model, split, partial(encoder_of, run.settings))
        except InputError as error:
            raise InputError(f"{run.method}: {error}") from error

"""Flags that several commands share. Each group is a dataclass whose fields are the flags."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import CoercionError, Group, Parameter, Token

from midmix.data import ViewCount
from midmix.errors import InputError
from midmix.training.published import recipe

DATA = Group("Data", sort_key=1)
SPLIT = Group("Split", sort_key=2)
TRAINING = Group("Training", sort_key=3)
DECISIONS = Group("Probabilities and decisions", sort_key=4)
RUNNING = Group("Where runs are done", sort_key=5)


def _whole(kind: object, tokens: Sequence[Token]) -> int:
    """Cyclopts itself rounds: of 1.5 seeds it would make two."""
    try:
        return int(tokens[0].value.removesuffix(".0"))
    except ValueError:
        raise CoercionError(token=tokens[0], target_type=int) from None


def names_in(text: str | None) -> list[str] | None:
    """The names in a list of them that commas separate; an empty one is no column's, and is refused as such."""
    return None if text is None else [name.strip() for name in text.split(",")]


def check_projection(method: Literal["pca", "umap"]) -> None:
    """Sees that the projection can be had, before anything is read or trained."""
    if method != "pca":
        from midmix import reports  # matplotlib takes a second

        reports.check_projection(method)


Whole = Annotated[int, Parameter(converter=_whole)]
Config = Annotated[
    Path | None, Parameter(help="YAML file that gives what the flags give; flags override it.")
]
Views = Annotated[
    ViewCount,
    Parameter(
        help="Views of each image whose logits are averaged: 2, with its mirror image; 5, with four shifts; 10, both."
    ),
]
Trust = Annotated[
    bool,
    Parameter(negative=(), help="Run the code of its own that the model names, after you have looked at it."),
]
Track = Annotated[
    str | None,
    Parameter(
        help="Trackers to tell of runs, separated by commas: tensorboard, wandb, mlflow, …, or module:Class. "
        "[default: none]"
    ),
]
Out = Annotated[Path, Parameter(help="Folder for what is written; made if it is not there.")]


@Parameter(name="*", group=DATA)
@dataclass(frozen=True)
class SourceFlags:
    """How to read a source."""

    label: str | None = None
    "Column or array of the labels. [default: label or labels]"

    features: str | None = None
    "Columns of the features, separated by commas. [default: embeddings; else all columns that can be learnt from]"

    keep: str | None = None
    "Columns of a table to take though they look like ids or constants, separated by commas."

    exclude: str | None = None
    "Columns of a table to leave out, separated by commas."

    text: str | None = None
    "Columns of texts, separated by commas, of which an encoder of texts makes features."

    image: str | None = None
    "Column of the images. [default: the only column of image bytes]"

    test_fraction: float | None = None
    "Share of the rows that becomes the test split where the source has none. [default: 0.2]"

    image_size: Whole | None = None
    "Side in pixels of the square that images are scaled and cropped to. [default: as they are; an encoder's own]"

    skip_broken: Annotated[bool, Parameter(negative=())] = False
    "Go on without images that cannot be decoded, instead of stopping."

    list: str | None = None
    "Of a published split, such as imagenet-lt, the list of its training images: a path and a label a line. \
[default: its usual name in --root]"

    list_test: str | None = None
    "The list of test images. [default: as --list; without, a share of the training images]"

    root: str | None = None
    "Folder from which the paths in lists are. [default: the list's own]"

    workers: Whole | None = None
    "Processes that decode images which do not fit in memory; 0 for threads. [default: one a core, at most 8]"

    def options(self) -> dict[str, Any]:
        """Keywords of `midmix.data.load`."""
        named = {name: names_in(getattr(self, name)) for name in ("features", "keep", "exclude", "text")}
        return {**asdict(self), **named}


@Parameter(name="*", group=DECISIONS)
@dataclass(frozen=True)
class DecisionFlags:
    """What probabilities are to hold for, and what decisions are to be good at."""

    prior: str | None = None
    "How frequent the classes are: data (as in the training data), uniform, or shares like 0.9,0.1. [default: data]"

    aim: str | None = None
    "accuracy, balanced, f1 (f2, f0.5, …), recall@precision=0.9, or costs=FILE.csv. [default: accuracy]"

    calibrate: Literal["none", "temperature", "bias"] = "none"
    "Fit a temperature, or a bias for each class too, on the rows that --validation held out in training."

    positive: str | None = None
    "Of two classes, the one that is looked for. [default: the one with fewer training rows]"

    def options(self) -> dict[str, Any]:
        """Keywords of `midmix.training.run_rule`."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@Parameter(name="*", group=RUNNING)
@dataclass(frozen=True)
class RunningFlags:
    """Where many runs are done, and how many at a time."""

    jobs: Whole | None = None
    "Runs at a time, each in its own process. [default: one a core for features on a CPU, else 1; a cluster's workers]"

    executor: str = "local"
    "local; slurm[:option=value,…], such as slurm:partition=gpu,timeout_min=240; dask[:tcp://HOST:PORT]; or \
module:function that makes an executor of so many workers."

    part: str | None = None
    "Only a part of the runs, i/n with i from 0, as for an array of jobs; all parts share the folder. [default: all]"

    threads: Whole | None = None
    "Of each run; its bits depend on them. [default: 1 for features on a CPU, else the cores shared out to the jobs]"

    @contextmanager
    def open(self, folder: Path) -> Iterator[dict[str, Any]]:
        """Keywords of `midmix.studies.compare`, whose executor lasts as long as the block.

        Raises:
            InputError: for an executor or a part that there is not.
        """
        from midmix.studies import open_executor  # imports torch

        part = None if self.part is None else part_in(self.part)
        with open_executor(self.executor, self.jobs, folder) as opened:
            yield {
                "jobs": opened.jobs,
                "executor": opened.executor,
                "part": part,
                "threads": self.threads or opened.threads,
            }


def part_in(text: str) -> tuple[int, int]:
    """Which of how many parts.

    Raises:
        InputError: for what is no `i/n` with i in 0 … n - 1.

    Example:
        >>> part_in("0/8")
        (0, 8)
    """
    first, _, second = text.partition("/")
    if not (first.isdecimal() and second.isdecimal() and int(first) < int(second)):
        raise InputError(
            f"--part {text}: give i/n with i from 0 to n - 1, such as 0/8 for the first of eight"
        )
    return int(first), int(second)


@Parameter(name="*", group=SPLIT)
@dataclass(frozen=True)
class SplitFlags:
    """Which of the source's rows are trained on."""

    imbalance: float | None = None
    "Draw a long-tailed subsample: rows of the largest class over rows of the smallest. [default: all rows]"

    profile: Literal["exp", "step"] = "exp"
    "How the counts of that subsample fall from the first class to the last."

    ranks: Literal["drawn", "fixed"] = "drawn"
    "Its most frequent class, and so on: drawn with each seed, or in their order, as in published long-tailed sets."

    splits: Literal["drawn", "fixed"] = "drawn"
    "Where the source has no test split of its own: drawn by each seed, or one for all (with --search, always one)."

    validation: float = 0.0
    "Share of the training rows held out to choose an epoch by, beside the last."

    def options(self) -> dict[str, Any]:
        """Keywords of `midmix.training.draw_split`."""
        return asdict(self)


@Parameter(name="*", group=TRAINING)
@dataclass(frozen=True)
class TrainingFlags:
    """How each network is trained; defaults depend on whether rows are features or images."""

    network: str | None = None
    "linear, cosine, mlp, mlp-256-64, resnet-8/20/32/56, module:function, or a pretrained encoder: timm:NAME, \
hf:OWNER/NAME, or a local folder. [default: resnet-20 for images; linear for features of an encoder, which are 128 \
measured columns or more, alike in scale; else mlp]"

    weights: str | None = None
    "Of an encoder: pretrained, which downloads what is not in the cache, a file, or none. [default: a folder's own]"

    tune: str | None = None
    "Of an encoder: head trains a classifier on its features, which are computed once and kept; light trains biases, \
normalisation and adapters (midmix[light]); last:N its last N blocks; all everything. \
[default: head with an encoder]"

    width: Whole | None = None
    "Channels of a ResNet's first stage, or units of every hidden layer. [default: 16 for resnet, 128 for mlp]"

    epochs: Whole | None = None
    "Passes over the training rows. [default: 100 for features, 20 with linear, cosine and --tune head or light, 60 \
for images, 10 with --tune last:N or all]"

    batch_size: Whole | None = None
    "Rows of a step. [default: 64 for features, 128 with linear and cosine and for images, 32 with an encoder]"

    optimizer: Literal["sgd", "adamw"] | None = None
    "sgd (Nesterov) or adamw. [default: sgd]"

    learning_rate: float | None = None
    "At its peak, then a cosine to 0. [default: 0.05 for features, 0.1 with linear and cosine and for images, \
0.02 with --tune light, 0.01 with last:N or all of an encoder]"

    momentum: float | None = None
    "Of sgd. [default: 0.9]"

    weight_decay: float | None = None
    "Of weights; biases and normalisation are not decayed. [default: 0.0005, 0.01 with linear and cosine, \
0.0001 with --tune last:N or all of an encoder]"

    warmup_epochs: float | None = None
    "Epochs in which the learning rate rises. [default: 5, 1 with linear and cosine and with an encoder]"

    accumulate: Whole | None = None
    "Batches whose gradients make one step. [default: 1]"

    augment: str | None = None
    "crop-flip, random-resized-crop, flip, color-jitter, autoaugment, randaugment, cutout of images, or several like \
crop-flip+autoaugment+cutout; noise on features; or none. [default: none for features, crop-flip for images]"

    precision: Literal["fp32", "bf16", "fp16"] | None = None
    "Of arithmetic under autocast. [default: fp32]"

    channels_last: bool | None = None
    "Memory format of images. [default: --channels-last]"

    compile: Annotated[bool | None, Parameter(negative=())] = None
    "torch.compile the network; needs a C++ compiler. [default: no]"

    evaluate_every: Whole | None = None
    "Epochs between evaluations. [default: 1]"

    recipe: str | None = None
    "Settings of a paper for what is not said otherwise: imagenet-lt-resnet50, inaturalist-2018-resnet50, \
cifar10-lt-resnet32, cifar100-lt-resnet32."

    def options(self) -> dict[str, Any]:
        """Keywords of `midmix.training.Settings.for_rows`."""
        given = asdict(self)
        if (name := given.pop("recipe")) is None:
            return given
        return {**given, **{key: value for key, value in recipe(name).items() if given[key] is None}}

"""Commands that a reader can paste, made from what a run's record says."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Literal

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from midmix.data.encoded_features import FEWEST
from midmix.methods import Method
from midmix.models import is_encoder
from midmix.models.tuning import HEAD
from midmix.training.settings import Settings

_SPLIT = ("imbalance", "profile", "ranks", "splits", "validation")
_PLAIN = {
    "profile": "exp",
    "ranks": "drawn",
    "splits": "drawn",
    "validation": 0.0,
    "skip_broken": False,
    "prepare": True,
}
"""What goes without saying beside the settings."""
_NO_FLAGS = ("source", "seed", "interpolation", "crop", "scaled_later", "lazy")
"""Of how a source was read: `midmix train --seed` is that of the run, and how images are scaled an encoder's."""


def train_command(source: str, line: str, flags: Sequence[str] = ()) -> list[str]:
    """The arguments of the command that trains one line and keeps its model.

    Example:
        >>> print(paste(train_command("my data.csv", "am-mixup+balanced_softmax", ["--label", "kind"])))
        midmix train 'my data.csv' --method am-mixup+balanced_softmax --label kind
    """
    return ["midmix", "train", source, "--method", line, *flags]


def given_flags(*groups: Any) -> list[str]:
    """The flags of a command that are not at their default, of dataclasses whose fields are flags.

    Example:
        >>> given_flags(Settings(epochs=30, compile=True))
        ['--epochs', '30', '--compile']
    """
    return [
        part
        for group in groups
        for one in fields(group)
        if (value := getattr(group, one.name)) != one.default and value is not None
        for part in _flag(one.name, value)
    ]


def source_of(about: Mapping[str, Any]) -> str:
    """Where a run's rows came from, as a command takes it; `SOURCE` where the record does not say."""
    reading = about.get("reading")
    place = reading.get("source") if isinstance(reading, Mapping) else None
    return str(place or about.get("source") or "SOURCE")


def flags_of(about: Mapping[str, Any]) -> list[str]:
    """The flags that read the same rows and train in the same way; what is a default is left out.

    Args:
        about: a run's record, `run.json`.

    Example:
        >>> flags_of({"imbalance": 50.0, "ranks": "drawn", "settings": {"epochs": 30, "network": "mlp"}})
        ['--imbalance', '50', '--epochs', '30']
    """
    tune, network = (about.get("settings", {}).get(name) for name in ("tune", "network"))
    images = len(about.get("shape", [0])) > 1 and tune != HEAD
    kind: Literal["images", "features"] = "images" if images else "features"
    plain = {**_PLAIN, **Settings.for_kind(kind, network=network, tune=tune).as_dict()}
    plain["tune"] = HEAD if is_encoder(network or "") else Settings.tune
    epochs = about.get("settings", {}).get("epochs")
    plain["evaluate_every"] = Settings.for_kind(
        kind, network=network, tune=tune, epochs=epochs
    ).evaluate_every
    # Of many features the default network depends on what is measured of them, so it is always named.
    plain["network"] = None if about.get("shape", [0])[0] >= FEWEST else Settings.for_kind(kind).network
    reading = {k: v for k, v in about.get("reading", {}).items() if k not in _NO_FLAGS}
    if about.get("reading", {}).get("scaled_later"):
        reading.pop("image_size", None)  # the encoder's own
    said = {"ranks": "fixed", **about}  # of records from before there were drawn ones
    split = {name: said[name] for name in _SPLIT if name in said}
    if split.get("splits") == "own":
        split.pop("splits")
    if split.get("imbalance") is None:
        split.pop("profile", None)
        split.pop("ranks", None)
    given = {**reading, **split, **about.get("settings", {})}
    return [
        part
        for name, value in given.items()
        if value is not None and value != plain.get(name)
        for part in _flag(name, value)
    ]


def tuned_commands(abouts: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, list[str]]]:
    """Of the lines that a search chose settings for: the method with its options, and the flags that train it so.

    Args:
        abouts: records of runs.

    Example:
        >>> about = {"method": "ridge", "search": {"chosen": {"ridge:alpha": 30.0}}, "settings": {"epochs": 30}}
        >>> tuned_commands([about])
        {'ridge': ('ridge:alpha=30', ['--epochs', '30'])}
    """
    return {
        str(about["method"]): (
            str(Method.parse(about["method"]).with_options(about["search"]["chosen"])),
            flags_of(about),
        )
        for about in abouts
        if about.get("search")
    }


def tuning_of(abouts: Iterable[Mapping[str, Any]]) -> str:
    """How lines were tuned, in a sentence; that they were not, too.

    Args:
        abouts: records of runs.

    Example:
        >>> tuning_of([{"method": "erm"}])
        'Nothing was tuned for a line: settings and options are as they were given, or defaults.'
    """
    searches = [about["search"] for about in abouts if about.get("search")]
    if not searches:
        return "Nothing was tuned for a line: settings and options are as they were given, or defaults."
    one = searches[0]
    return (
        f"Every line was tuned by {one['draws']} draws over learning rate, weight decay, epochs and its own options, "
        f"by the {one['measure'].replace('_', ' ')} in {one['folds']}-fold cross-validation of {one['rows']}; "
        "no test row was seen."
    )


def choices_of(abouts: Iterable[Mapping[str, Any]]) -> list[str]:
    """What the search chose for each line, a text each.

    Example:
        >>> choices_of([{"method": "ridge", "search": {"chosen": {"ridge:alpha": 30.0}}}])
        ['ridge: ridge:alpha 30']
    """
    found = {str(about["method"]): about["search"]["chosen"] for about in abouts if about.get("search")}
    return [
        f"{line}: " + (", ".join(f"{name} {value:g}" for name, value in chosen.items()) or "as given")
        for line, chosen in found.items()
    ]


def paste(arguments: Sequence[str], width: int | None = None) -> str:
    """The command as a shell takes it, every argument quoted that needs it.

    Args:
        arguments: the command and its arguments.
        width: of a line; longer commands go on in the next one, after a backslash. None for one line.

    Example:
        >>> print(paste(["midmix", "train", "a b", "--method", "erm"], width=24))
        midmix train 'a b' \\
            --method erm
    """
    parts = [shlex.quote(argument) for argument in arguments]
    if width is None:
        return " ".join(parts)
    # a flag stays with its value
    units: list[str] = []
    for i, part in enumerate(parts):
        if i and parts[i - 1].startswith("--") and not part.startswith("--"):
            units[-1] += f" {part}"
        else:
            units.append(part)
    lines = [units[0]]
    for unit in units[1:]:
        if len(lines[-1]) + len(unit) + 3 <= width:
            lines[-1] += f" {unit}"
        else:
            lines.append(f"    {unit}")
    return " \\\n".join(lines)


class Command:
    """A command for ``rich``, broken where a shell lets it go on, when it learns the terminal's width."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = command

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(paste(self.command, options.max_width), style="cyan", no_wrap=True, overflow="ignore")


def _flag(name: str, value: object) -> list[str]:
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return [flag] if value else [f"--no-{name.replace('_', '-')}"]
    if isinstance(value, float):
        return [flag, f"{value:g}" if float(f"{value:g}") == value else repr(value)]
    if isinstance(value, (list, tuple)):
        return [flag, ",".join(map(str, value))]
    return [flag, str(value)]

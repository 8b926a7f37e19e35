"""A line of a comparison: a method with its options, and a criterion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import yaml
from torch import Tensor

from midmix import losses
from midmix.errors import InputError
from midmix.mixing import Criterion, Mix, recipe, recipes


@dataclass(frozen=True)
class Line:
    """A method and a criterion, as one writes them: `METHOD[:option=value…][+criterion]`.

    Attributes:
        method: a recipe's name with its options, "am-mixup:beta=0.5:clean_weight=1".
        criterion: name of a per-sample loss.

    Example:
        >>> line = Line.parse("balanced-am-mixup:clean_weight=1+balanced_softmax")
        >>> line.method, line.criterion, line.options
        ('balanced-am-mixup:clean_weight=1', 'balanced_softmax', {'clean_weight': 1})
        >>> print(line)
        balanced-am-mixup:clean_weight=1 + balanced_softmax
    """

    method: str
    criterion: str = "cross_entropy"

    @classmethod
    def parse(cls, text: str) -> Line:
        """The line that a text stands for.

        Raises:
            InputError: for a text of another form, and for methods, options, values and criteria that do not exist.
        """
        method, _, criterion = (part.strip() for part in text.partition("+"))
        line = cls(method, criterion or "cross_entropy")
        line.mix(num_classes=2)
        line.per_sample_loss()
        return line

    @property
    def name(self) -> str:
        """The recipe's name, without its options."""
        return self.method.split(":")[0]

    @property
    def options(self) -> dict[str, Any]:
        """The recipe's options, their values read as YAML scalars."""
        found: dict[str, Any] = {}
        for text in self.method.split(":")[1:]:
            option, equals, value = text.partition("=")
            if not (option and equals and value):
                raise InputError(
                    f"method {self.method!r}: {text!r} is not option=value; write {self.name}:option=value"
                )
            found[option.strip()] = _value(value)
        return found

    @property
    def classifier(self) -> str | None:
        """Name of the network's classifier, where the line says it (`site=`)."""
        site = self.options.get("site")
        return site if isinstance(site, str) else None

    @property
    def slug(self) -> str:
        """The line as a folder's name."""
        return self.method.replace(":", "_").replace("/", "-") + (
            "" if self.criterion == "cross_entropy" else f"+{self.criterion}"
        )

    def mix(self, num_classes: int, class_counts: Sequence[int] | Tensor | None = None) -> Mix:
        """A fresh mix of this method.

        Raises:
            InputError: for methods, options and values that do not exist, and an accuracy that nobody would tell.
        """
        mix = recipe(self.name, num_classes, **{"class_counts": class_counts, **self.options})
        if self.options.get("accuracy") == "given":
            raise InputError(
                f"{self.method}: a line is told no accuracy, and λ would stay 1; use accuracy=running or accuracy=epoch"
            )
        return mix

    def per_sample_loss(self) -> Criterion:
        """A fresh criterion."""
        return losses.criterion(self.criterion)

    def __str__(self) -> str:
        return self.method if self.criterion == "cross_entropy" else f"{self.method} + {self.criterion}"


def parse_lines(texts: Sequence[str]) -> tuple[Line, ...]:
    """The lines of a comparison; none for all recipes, each with cross-entropy.

    Raises:
        InputError: as `Line.parse` does, and for a line that stands there twice.

    Example:
        >>> [str(line) for line in parse_lines(["erm", "mixup:alpha=0.2"])]
        ['erm', 'mixup:alpha=0.2']
    """
    lines = tuple(Line.parse(text) for text in (texts or recipes()))
    twice = [str(line) for line, count in Counter(lines).items() if count > 1]
    if twice:
        raise InputError(f"methods: {', '.join(twice)} stands there more than once; name each line once")
    return lines


def _value(text: str) -> Any:
    """A YAML scalar; numbers such as 1e-3 too, which YAML takes for text, and text that is no YAML as it is."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = text
    if isinstance(value, str):
        with suppress(ValueError):
            return float(value)
    return value

"""One part of a method as one writes it: a name and its options."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import yaml

from midmix.errors import InputError
from midmix.registry import is_reference


@dataclass(frozen=True)
class Spec:
    """`NAME[:option=value…]`. A name may be `module:function` or `path/to/file.py:function`.

    Attributes:
        name: of a part that the registry of its kind knows.
        options: pairs of option and value, values read as YAML scalars.

    Example:
        >>> spec = Spec.parse("am-mixup:beta=0.5")
        >>> spec.name, spec.as_dict(), str(spec)
        ('am-mixup', {'beta': 0.5}, 'am-mixup:beta=0.5')
        >>> Spec.parse("mypackage.losses:focal:gamma=2").name
        'mypackage.losses:focal'
    """

    name: str
    options: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Spec:
        """The part that a text stands for.

        Raises:
            InputError: for a text of another form.
        """
        name, *rest = (part.strip() for part in text.split(":"))
        if rest and is_reference(f"{name}:{rest[0]}"):
            name = f"{name}:{rest.pop(0)}"
        options: dict[str, Any] = {}
        for part in rest:
            option, equals, value = part.partition("=")
            option = option.strip()
            if not (option and equals and value):
                raise InputError(f"method {text!r}: {part!r} is not option=value; write {name}:option=value")
            if option in options:
                raise InputError(f"method {text!r}: {option} stands there twice; give it one value")
            options[option] = _value(value)
        if not name:
            raise InputError(f"method {text!r}: a name is missing; write NAME[:option=value…][+LOSS]")
        return cls(name, tuple(options.items()))

    def as_dict(self) -> dict[str, Any]:
        """The options."""
        return dict(self.options)

    def with_options(self, options: Mapping[str, Any]) -> Spec:
        """The same part with these options set."""
        return Spec(self.name, tuple({**self.as_dict(), **options}.items()))

    def __str__(self) -> str:
        return ":".join([self.name, *(f"{option}={_text(value)}" for option, value in self.options)])


def _value(text: str) -> Any:
    """A YAML scalar; numbers such as 1e-3 too, which YAML takes for text, and text that is no YAML as it is."""
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):  # of numbers and lists without end
        value = text
    if value is not None and not isinstance(value, bool | int | float):
        value = text.strip()
        with suppress(ValueError):
            return float(value)
    return value


def _text(value: object) -> str:
    """As short as it can be read back from: two values have two texts, by which their runs are told apart."""
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value).lower() if isinstance(value, bool) else str(value)

"""What goes wrong because of what came in: one line that says what, where and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from midmix.text import printable


class InputError(ValueError):
    """Input that midmix cannot work with. The message is one line for people; commands exit with code 2.

    What cannot be shown in it, of names of files, columns and classes, is escaped.

    Args:
        message: the line.

    Example:
        >>> raise InputError("labels: row 3 is negative (-1); classes are numbered from 0")
        Traceback (most recent call last):
        ...
        midmix.errors.InputError: labels: row 3 is negative (-1); classes are numbered from 0
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class RunsFailedError(InputError):
    """Some runs of several failed, each for a reason of its own; the others have finished. Commands exit with 1."""


class DivergedError(InputError):
    """Training whose loss, answers or weights are no longer finite. In a comparison it ends its own run alone."""


class UnknownNameError(InputError):
    """A name that nobody knows, for callers that can say more about it; see `unknown`."""


def unknown(kind: str, name: object, known: Iterable[str]) -> UnknownNameError:
    """The error for a name that nobody knows, with the nearest names that are valid.

    Example:
        >>> str(unknown("method", "am-mixpu", ["erm", "mixup", "am-mixup"]))
        "unknown method 'am-mixpu': did you mean am-mixup, mixup? Known: am-mixup, erm, mixup"
    """
    names = sorted(known)
    near = get_close_matches(str(name), names, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(near)}? " if near else ""
    return UnknownNameError(f"unknown {kind} {str(name)!r}: {hint}Known: {', '.join(names)}")

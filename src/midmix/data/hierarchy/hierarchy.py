"""Fine classes in coarse groups."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from midmix.data.dataset import Labelled
from midmix.data.labels import listing
from midmix.errors import InputError
from midmix.text import printable


@dataclass(frozen=True)
class Hierarchy:
    """Which group each fine class belongs to.

    Attributes:
        fine: names of the F fine classes, as `Labelled.classes` has them.
        coarse: names of the G groups.
        group: group of each fine class, `int64 [F]`, in `0 … G-1`.

    Example:
        >>> pets = Hierarchy(("beagle", "poodle", "siamese", "tabby"), ("dog", "cat"), torch.tensor([0, 0, 1, 1]))
        >>> [pets.fine[c] for c in pets.members(1)]
        ['siamese', 'tabby']
        >>> rows = Labelled(torch.zeros(3, 2), torch.tensor([3, 0, 1]), pets.fine)
        >>> pets.coarsened(rows).labels, pets.coarsened(rows).classes
        (tensor([1, 0, 0]), ('dog', 'cat'))
    """

    fine: tuple[str, ...]
    coarse: tuple[str, ...]
    group: Tensor

    def members(self, group: int) -> list[int]:
        """The fine classes of a group."""
        return [int(c) for c in (self.group == group).nonzero().flatten()]

    def sizes(self) -> Tensor:
        """Fine classes of each group, `int64 [G]`."""
        return torch.bincount(self.group, minlength=len(self.coarse))

    def coarsened(self, data: Labelled) -> Labelled:
        """The same rows, labelled with their groups."""
        return replace(data, labels=self.group[data.labels], classes=self.coarse)


def hierarchy_of(
    fine: Sequence[str], group_of: Mapping[str, str], *, where: str, order: Iterable[str] | None = None
) -> Hierarchy:
    """The hierarchy of these classes by a mapping from class to group, both by name.

    Args:
        fine: the classes, in the order of their indices.
        group_of: group of each class; classes that `fine` lacks are left alone.
        where: what messages call the mapping.
        order: names of the groups in their order; by first member where None.

    Raises:
        InputError: a class has no group, a group has only one class, or there is only one group.

    Example:
        >>> hierarchy_of(("a", "b", "c", "d"), {"a": "x", "b": "y", "c": "x", "d": "y"}, where="map").group
        tensor([0, 1, 0, 1])
    """
    missing = [name for name in fine if name not in group_of]
    if missing:
        raise InputError(
            f"{where}: {len(missing)} of {len(fine)} classes have no group: {listing(missing)}; give each class one"
        )
    sizes = Counter(group_of[name] for name in fine)
    single = [group for group, size in sizes.items() if size == 1]
    if single:
        raise InputError(
            f"{where}: {len(single)} group(s) with a single fine class, {listing(single)}, in which there is "
            "nothing to tell apart; add classes or put them into another group"
        )
    if len(sizes) < 2:
        raise InputError(f"{where}: all classes are in one group; at least two groups are needed to train on")
    coarse = tuple(
        name for name in (order or dict.fromkeys(group_of[name] for name in fine)) if name in sizes
    )
    number = {name: index for index, name in enumerate(coarse)}
    return Hierarchy(tuple(fine), coarse, torch.tensor([number[group_of[name]] for name in fine]))


def read_mapping(path: Path) -> dict[str, str]:
    """A mapping from fine class to group: a CSV or TSV file with columns `fine` and `coarse`, or of two columns.

    Two columns need no header. Spaces around a cell are no part of it.

    Raises:
        InputError: the file cannot be read so, a cell is empty, or a fine class stands in two groups.
    """
    rows = _rows(path)
    if not rows:
        raise InputError(f"{path}: is empty; give a line fine,coarse and then the group of each fine class")
    header = [cell.lower() for cell in rows[0][1]]
    if {"fine", "coarse"} <= set(header):
        places = header.index("fine"), header.index("coarse")
        del rows[0]
    elif len(header) == 2:
        places = 0, 1
        if not header[0]:  # the header of a table whose classes are its index
            del rows[0]
    else:
        raise InputError(f"{path}: needs a column fine and a column coarse, but has {', '.join(rows[0][1])}")
    found: dict[str, str] = {}
    for line, cells in rows:
        if len(cells) != len(header):
            raise InputError(
                f"{path}: line {line} has {len(cells)} cells, the first line {len(header)}; put names that "
                "hold a delimiter into quotes"
            )
        fine, coarse = (cells[place] for place in places)
        if not fine or not coarse:
            raise InputError(f"{path}: line {line} has an empty cell; give each fine class its group")
        if found.setdefault(fine, coarse) != coarse:
            raise in_two_groups(f"{path}, line {line}", fine, found[fine], coarse)
    return found


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """The lines of a CSV file that are not empty, with their numbers; the delimiter is found."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        first = text.lstrip().partition("\n")[0]
        delimiter = max(",;\t|", key=first.count)
        if delimiter not in first:  # names of one word with a space between
            delimiter = " "
        reader = csv.reader(
            io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True
        )
        rows = [(reader.line_num, [printable(cell.strip()) for cell in cells]) for cells in reader]
    except (OSError, ValueError, csv.Error) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not a readable CSV file of fine and coarse classes ({reason})") from None
    return [(line, cells) for line, cells in rows if any(cells)]


def in_two_groups(where: str, fine: str, one: str, other: str) -> InputError:
    """The error for a fine class in two groups."""
    return InputError(
        f"{where}: the fine class {fine!r} is in two groups, {one!r} and {other!r}; a fine class belongs to one"
    )

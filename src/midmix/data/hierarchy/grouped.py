"""Sources whose classes lie in groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Unpack, get_args

import torch
from torch import Tensor

from midmix.data.assemble import assemble
from midmix.data.dataset import Labelled, RawSplit, Source
from midmix.data.hierarchy.breeds import BREEDS, breeds_groups
from midmix.data.hierarchy.hierarchy import Hierarchy, hierarchy_of, in_two_groups, read_mapping
from midmix.data.hierarchy.taxonomy import find_taxonomy
from midmix.data.labels import listing, name_of
from midmix.data.load import place_of
from midmix.data.options import OptionKeywords, Options
from midmix.data.readers.builtin import GROUPS
from midmix.data.readers.images import ImageFolder
from midmix.data.readers.reader import place_at, reader_of
from midmix.data.split import draw_per_class
from midmix.errors import InputError, UnknownNameError, unknown

Pick = Literal["first", "random"]
FINE, COARSE = "fine_label", "coarse_label"


@dataclass(frozen=True)
class Grouped:
    """A source labelled with its fine classes, and the groups that they lie in.

    Attributes:
        source: with the fine labels.
        hierarchy: which class is in which group.
        reading: the keywords that `load_grouped` was called with; empty for rows from elsewhere.

    Example:
        >>> digits = load_grouped("digits")
        >>> digits.hierarchy.coarse, digits.hierarchy.group.tolist()
        (('round', 'straight', 'open'), [0, 1, 2, 2, 1, 2, 0, 1, 0, 0])
        >>> digits.coarse().train.counts().tolist()
        [428, 325, 325]
    """

    source: Source
    hierarchy: Hierarchy
    reading: Mapping[str, Any] = field(default_factory=dict)

    def coarse(self) -> Source:
        """The same rows, labelled with their groups."""
        coarsened = self.hierarchy.coarsened
        return replace(self.source, train=coarsened(self.source.train), test=coarsened(self.source.test))


def load_grouped(
    source: str | Path,
    *,
    fine: str | None = None,
    hierarchy: str | Path | None = None,
    wordnet: str | Path | None = None,
    classes_per_group: int | None = None,
    pick: Pick = "first",
    images_per_class: int | None = None,
    **options: Unpack[OptionKeywords],
) -> Grouped:
    """A source of `midmix.data.load` with a fine and a coarse label.

    The groups come from `hierarchy` where it is given; for `digits`, from the shape of the strokes ({0, 6, 8, 9} with a
    closed loop, {1, 4, 7} straight, {2, 3, 5} open curves); else from a column beside that of the fine labels, as
    CIFAR-100 has on the Hub (`uoft-cs/cifar100`, 20 superclasses).

    Args:
        source: name or path.
        fine: column or array of the fine labels; `fine_label` where None, or with `hierarchy`, what `load` finds.
        hierarchy: a CSV file with columns `fine` and `coarse`, which names the group of every class; or `living-17`,
            `non-living-26`, `entity-13`, `entity-30` for groups of ImageNet's classes (see `breeds_groups`): classes
            outside them are left out.
        wordnet: for these, a WordNet 3.0 database or the corrected hierarchy of BREEDS (see `find_taxonomy`); None
            for the WordNet that NLTK has downloaded.
        classes_per_group: fine classes taken from each group; smaller groups are left out. None takes all, and for
            the sets of BREEDS as many as theirs have.
        pick: which of them, `"first"` or `"random"`, drawn from `seed`.
        images_per_class: training rows taken of each fine class, drawn from `seed`; None takes all.
        **options: as for `load`, and `coarse`, the column or array of the coarse labels (`coarse_label` where None);
            `seed` draws classes and rows as well.

    Raises:
        InputError: what `load` raises; a fine class in two groups; a group with one class; a class without a group.
    """
    name, mapping = str(source), _mapping_name(hierarchy)
    given = Options.of(**options)
    coarse, seed = given.coarse, given.seed
    if mapping is not None and coarse is not None:
        raise InputError(
            "coarse labels: given by a column (--coarse) and by --hierarchy; give one of the two"
        )
    if wordnet is not None and mapping not in BREEDS:
        raise InputError(f"--wordnet: goes with --hierarchy {', '.join(BREEDS)}")
    by_column = mapping is None and name not in GROUPS
    fine = fine or given.label
    asked = fine or coarse or given.features or given.image
    chosen = replace(
        given,
        label=fine or (FINE if by_column else None),
        coarse=coarse or (COARSE if by_column else None),
    )
    place = place_at(name)
    reader = reader_of(place)
    if by_column and not asked and isinstance(reader, ImageFolder) and place.is_folder:
        raise InputError(
            f"{name}: holds no table, so no column of groups; name the group of each class with --hierarchy "
            f"(hierarchy=), a CSV file with columns fine and coarse, or one of {', '.join(BREEDS)}"
        )
    try:
        raw = reader.read(place, chosen)
    except UnknownNameError as error:
        if not by_column:
            raise
        raise InputError(
            f"{error}; name the columns of fine and coarse labels with --fine and --coarse, or give --hierarchy"
        ) from None
    if by_column and raw.train.coarse is None:
        raise InputError(
            f"{name}: has no column of groups; give --hierarchy, a CSV file with columns fine and coarse"
        )

    order = None
    if by_column:
        group_of, order = _pairs(raw.splits, name)
    whole = assemble(name, raw, chosen)
    if mapping in BREEDS:
        tree = find_taxonomy(None if wordnet is None else place_at(str(wordnet)).path)
        group_of = breeds_groups(mapping, whole.train.classes, tree, where=name)
        classes_per_group = classes_per_group or BREEDS[mapping].classes
        whole = _with_classes(whole, [c for c, label in enumerate(whole.train.classes) if label in group_of])
    elif mapping is not None:
        group_of = read_mapping(Path(mapping).expanduser())
    elif not by_column:
        group_of = GROUPS[name]
    where = mapping if mapping is not None and mapping not in BREEDS else name
    grouped = Grouped(whole, hierarchy_of(whole.train.classes, group_of, where=where, order=order))
    if classes_per_group is not None:
        grouped = _narrowed(grouped, classes_per_group, pick, seed)
    if images_per_class is not None:
        grouped = replace(grouped, source=_thinned(grouped.source, images_per_class, seed))
    reading = {
        **given.record(), "source": place_of(name), "fine": fine, "wordnet": _path(wordnet),
        "hierarchy": hierarchy if mapping in BREEDS else _path(hierarchy), "pick": pick,
        "classes_per_group": classes_per_group, "images_per_class": images_per_class,
    }  # fmt: skip
    return replace(grouped, reading=reading)


def _path(given: str | Path | None) -> str | None:
    return None if given is None else str(Path(given).expanduser().resolve())


def _mapping_name(hierarchy: str | Path | None) -> str | None:
    if hierarchy is None or str(hierarchy) in BREEDS:
        return None if hierarchy is None else str(hierarchy)
    path = place_at(str(hierarchy)).path
    if path.is_file():
        return str(hierarchy)
    if path.suffix.lower() in (".csv", ".tsv") or len(path.parts) > 1:
        raise InputError(f"--hierarchy {hierarchy}: there is no such file")
    raise unknown("hierarchy", hierarchy, (*BREEDS, "FILE.csv"))


def _pairs(parts: Sequence[RawSplit], name: str) -> tuple[dict[str, str], list[str]]:
    """The group of each fine class by name, and the groups in the order of their numbers or names."""
    found: dict[str, str] = {}
    order: dict[str, None] = {}
    for part in parts:
        assert part.coarse is not None
        pairs = dict.fromkeys(zip(part.labels.values.tolist(), part.coarse.values.tolist(), strict=True))
        for coarse in sorted({coarse for _, coarse in pairs}):
            order.setdefault(name_of(coarse, part.coarse.names))
        for fine, coarse in pairs:
            label, group = name_of(fine, part.labels.names), name_of(coarse, part.coarse.names)
            if found.setdefault(label, group) != group:
                raise in_two_groups(name, label, found[label], group)
    return found, list(order)


def _narrowed(grouped: Grouped, classes: int, pick: Pick, seed: int) -> Grouped:
    """So many fine classes of each group; groups that have fewer are left out."""
    if pick not in get_args(Pick):
        raise unknown("pick", pick, get_args(Pick))
    if classes < 2:
        raise InputError(
            f"classes a group: {classes}; a group needs at least 2, or there is nothing to tell apart"
        )
    hierarchy = grouped.hierarchy
    kept: list[int] = []
    small: list[str] = []
    generator = torch.Generator().manual_seed(seed)
    for group, label in enumerate(hierarchy.coarse):
        members = torch.tensor(hierarchy.members(group))
        if len(members) < classes:
            small.append(label)
            continue
        order = torch.randperm(len(members), generator=generator) if pick == "random" else slice(None)
        kept += members[order][:classes].tolist()
    if len(hierarchy.coarse) - len(small) < 2:
        largest = int(hierarchy.sizes().max())
        raise InputError(
            f"classes a group: {classes}, but fewer than two groups have so many; the largest has {largest}"
        )
    kept.sort()
    notes = [f"fine classes: {len(kept)} of {len(hierarchy.fine)}, the {pick} {classes} of each group"]
    if small:
        notes.append(f"groups with fewer than {classes} fine classes are left out: {listing(small)}")
    source = _with_classes(grouped.source, kept)
    group_of = {hierarchy.fine[c]: hierarchy.coarse[int(hierarchy.group[c])] for c in kept}
    narrowed = hierarchy_of(source.train.classes, group_of, where=source.name, order=hierarchy.coarse)
    return Grouped(replace(source, notes=(*source.notes, *notes)), narrowed)


def _thinned(source: Source, rows: int, seed: int) -> Source:
    """So many training rows of each class."""
    if rows < 2:
        raise InputError(f"images a class: {rows}; at least 2 are needed, one of them to validate by")
    counts = source.train.counts()
    kept = draw_per_class(source.train.labels, counts.clamp(max=rows), seed=seed)
    notes = [f"training rows: {len(kept):,} of {len(source.train):,}, at most {rows} of a fine class"]
    return replace(source, train=source.train.select(kept), notes=(*source.notes, *notes))


def _with_classes(source: Source, classes: Sequence[int]) -> Source:
    """The rows of these classes, which are numbered anew in this order."""
    number = torch.full((len(source.train.classes),), -1)
    number[list(classes)] = torch.arange(len(classes))
    names = tuple(source.train.classes[c] for c in classes)

    def chosen(data: Labelled) -> Labelled:
        rows: Tensor = (number[data.labels] >= 0).nonzero().flatten()
        found = data.select(rows)
        return replace(found, labels=number[found.labels], classes=names)

    return replace(source, train=chosen(source.train), test=chosen(source.test))

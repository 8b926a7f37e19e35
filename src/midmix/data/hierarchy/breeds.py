"""Groups of ImageNet classes in the manner of BREEDS, computed from a tree of WordNet's nouns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from midmix.data.hierarchy.taxonomy import Taxonomy, wnid
from midmix.errors import InputError, unknown


@dataclass(frozen=True)
class Breeds:
    """A task of Santurkar, Tsipras & Mądry, "BREEDS: Benchmarks for Subpopulation Shift", ICLR 2021.

    Attributes:
        root: the WordNet id below which the groups lie.
        level: depth of the groups below `entity` in the authors' corrected hierarchy.
        groups: how many there are.
        classes: fine classes a group.
    """

    root: str
    level: int
    groups: int
    classes: int


ENTITY, LIVING_THING, ARTIFACT = "n00001740", "n00004258", "n00021939"
BREEDS = {
    "living-17": Breeds(LIVING_THING, level=5, groups=17, classes=4),
    "non-living-26": Breeds(ARTIFACT, level=5, groups=26, classes=4),
    "entity-13": Breeds(ENTITY, level=3, groups=13, classes=20),
    "entity-30": Breeds(ENTITY, level=4, groups=30, classes=8),
}


def breeds_groups(name: str, classes: Sequence[str], taxonomy: Taxonomy, *, where: str) -> dict[str, str]:
    """The group of each class that is in one, by name; classes are those whose names begin with a WordNet id.

    With a corrected hierarchy (`Taxonomy.calibrated`) the groups are those of BREEDS: the nodes at the task's level
    (counted along the longest path) below its root, with at least as many of the classes as a group needs. Where a
    class is below two of them it goes to the first by id.

    WordNet's own depths do not say how coarse a node is, and the authors corrected them by hand. With WordNet alone the
    groups are a cut through the tree of first hypernyms instead: from the root, the group with most classes is
    replaced by those of its children that have enough of them, until there are as many groups as the task has
    (of the last children only the largest, where all would be too many). So number and size are those of BREEDS;
    which groups they are is not, and what BREEDS moved below `artifact` (food, geological formations) is not
    among the non-living ones.

    Raises:
        InputError: an unknown task, no class named by a WordNet id, or too few groups.
    """
    if name not in BREEDS:
        raise unknown("hierarchy", name, BREEDS)
    task = BREEDS[name]
    class_of = {node: label for label in classes if (node := wnid(label)) is not None}
    if not class_of:
        raise InputError(
            f"{where}: {name} needs classes named by their WordNet id, such as n02085620 (ImageNet's folders are); "
            f"the first here is {classes[0]!r}"
        )
    known = {node for node in class_of if node in taxonomy}
    if taxonomy.calibrated:
        groups = _at_level(task, known, taxonomy)
    else:
        groups = _cut(task, known, taxonomy)
        if len(groups) < task.groups:
            raise InputError(
                f"{where}: {name} needs {task.groups} groups of at least {task.classes} classes, but the {len(known)} "
                f"classes that WordNet knows give {len(groups)}; use the folder of all of ImageNet's classes"
            )
    if len(groups) < 2:
        raise InputError(
            f"{where}: {name} needs groups of at least {task.classes} classes, but the {len(known)} classes that the "
            f"hierarchy knows give {len(groups)}; use the folder of all of ImageNet's classes"
        )
    twice = {label for label, times in Counter(map(taxonomy.name, groups)).items() if times > 1}
    found: dict[str, str] = {}
    for group, nodes in groups.items():
        label = taxonomy.name(group)
        for node in sorted(nodes):
            found.setdefault(class_of[node], f"{label} {group}" if label in twice else label)
    return found


def _at_level(task: Breeds, classes: set[str], taxonomy: Taxonomy) -> dict[str, set[str]]:
    """The nodes at the task's level that have enough classes, by id, with these."""
    depths: dict[str, int] = {}

    def depth(node: str) -> int:
        if node not in depths:
            above = taxonomy.parents.get(node, ())
            depths[node] = 1 + max(map(depth, above)) if above else 0
        return depths[node]

    below: dict[str, set[str]] = {}
    for leaf in classes:
        ancestors = _ancestors(leaf, taxonomy)
        if task.root in ancestors:
            for node in ancestors:
                if depth(node) == task.level and task.root in _ancestors(node, taxonomy):
                    below.setdefault(node, set()).add(leaf)
    return {node: below[node] for node in sorted(below) if len(below[node]) >= task.classes}


def _ancestors(node: str, taxonomy: Taxonomy) -> set[str]:
    """The node and all above it."""
    found, left = {node}, [node]
    while left:
        above = set(taxonomy.parents.get(left.pop(), ())) - found
        found |= above
        left += above
    return found


def _cut(task: Breeds, classes: set[str], taxonomy: Taxonomy) -> dict[str, set[str]]:
    """The cut that `breeds_groups` describes: group → its classes."""
    members: dict[str, set[str]] = {}
    children: dict[str, set[str]] = {}
    for leaf in classes:
        node = leaf
        members.setdefault(node, set()).add(leaf)
        while above := taxonomy.parents.get(node):
            children.setdefault(above[0], set()).add(node)
            members.setdefault(above[0], set()).add(leaf)
            node = above[0]

    def by_size(node: str) -> tuple[int, str]:
        return -len(members[node]), node

    def large(node: str) -> list[str]:
        """The children that can be groups, the largest first."""
        return sorted((c for c in children.get(node, ()) if len(members[c]) >= task.classes), key=by_size)

    def narrowest(node: str) -> str:
        """The lowest node with the same classes: its name says most."""
        while (below := large(node)) and members[below[0]] == members[node]:
            node = below[0]
        return node

    groups = {narrowest(task.root)} if task.root in members else set()
    while len(groups) < task.groups and (open_ := [node for node in groups if large(node)]):
        largest = min(open_, key=by_size)
        groups.remove(largest)
        groups.update(narrowest(node) for node in large(largest)[: task.groups - len(groups)])
    return {node: members[node] for node in sorted(groups)}

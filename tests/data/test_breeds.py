"""Groups of ImageNet's classes, on trees that one can draw on paper."""

from __future__ import annotations

import os
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from midmix.data import load_grouped
from midmix.data.hierarchy import breeds
from midmix.data.hierarchy.breeds import BREEDS, Breeds, breeds_groups
from midmix.data.hierarchy.taxonomy import Taxonomy, find_taxonomy, read_wordnet
from midmix.errors import InputError

# A line of data.noun: id, file, n, number of words in hex, (word, id)…, number of pointers, pointers…, gloss.
LINES = """\
  1 This software and database is being provided to you
00001740 03 n 01 entity 0 000 | that which is
00004258 03 n 02 living_thing 0 animate_thing 0 001 @ 00001740 n 0000 | a living entity
02084071 05 n 02 dog 0 domestic_dog 0 003 @ 00004258 n 0000 #m 02083346 n 0000 ~ 01322604 n 0000 | @ dog
02085620 05 n 01 Chihuahua 0 001 @ 02084071 n 0000 | an old breed
09411430 15 n 01 Rhine 0 002 @i 00001740 n 0000 @ 00004258 n 0000 | a river
"""


def numbered(name: str) -> str:
    """A readable name as a WordNet id: `node(12)` is n00000012."""
    return f"n{int(name):08}"


def tree(edges: dict[str, str], *, calibrated: bool = False) -> Taxonomy:
    """A tree from parent by child; nodes are called by their names, and their ids are made from them."""
    parents: dict[str, tuple[str, ...]] = {child: (parent,) for child, parent in edges.items()}
    return Taxonomy(parents, {}, calibrated)


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    def define(**fields: int) -> str:
        monkeypatch.setitem(
            BREEDS, "test", Breeds("n00000001", **{"level": 2, "groups": 3, "classes": 2, **fields})
        )
        return "test"

    return define


# 1 ─ 10 ─ 100 ─ {1001 … 1004}, 101 ─ {1011, 1012}
#   └ 20 ─ {2001, 2002, 2003}, 30 ─ 3001
EDGES = {
    **dict.fromkeys((numbered(f"100{k}") for k in (1, 2, 3, 4)), numbered("100")),
    **dict.fromkeys((numbered(f"101{k}") for k in (1, 2)), numbered("101")),
    **dict.fromkeys((numbered(f"200{k}") for k in (1, 2, 3)), numbered("20")),
    numbered("3001"): numbered("30"),
    **dict.fromkeys((numbered("100"), numbered("101")), numbered("10")),
    **dict.fromkeys((numbered("10"), numbered("20"), numbered("30")), numbered("1")),
}
LEAVES = sorted(node for node in EDGES if node > numbered("1000"))


def found(name: str, taxonomy: Taxonomy, classes: list[str] = LEAVES) -> dict[str, int]:
    return dict(Counter(breeds_groups(name, classes, taxonomy, where="x").values()))


def test_the_cut_splits_the_largest_group_first(task: Callable[..., str]) -> None:
    assert found(task(groups=2), tree(EDGES)) == {numbered("10"): 6, numbered("20"): 3}
    assert found(task(groups=3), tree(EDGES)) == {
        numbered("100"): 4, numbered("101"): 2, numbered("20"): 3,
    }  # fmt: skip


def test_too_many_children_give_the_largest_of_them(task: Callable[..., str]) -> None:
    edges = {f"n{100 * k + j:08}": f"n{k:08}" for k in (2, 3, 4) for j in range(k)}
    edges |= {f"n{k:08}": "n00000001" for k in (2, 3, 4)}
    leaves = [node for node in edges if int(node[1:]) >= 100]
    assert found(task(groups=2), tree(edges), leaves) == {"n00000003": 3, "n00000004": 4}


def test_a_group_has_the_narrowest_name_for_its_classes(task: Callable[..., str]) -> None:
    chain = EDGES | {numbered("10"): numbered("9"), numbered("9"): numbered("1")}
    assert found(task(groups=2), tree(chain)) == {numbered("10"): 6, numbered("20"): 3}


def test_several_parents_count_once_by_the_first(task: Callable[..., str]) -> None:
    both = tree(EDGES)
    both.parents[numbered("1001")] = (numbered("20"), numbered("100"))
    assert found(task(groups=3), both) == {numbered("100"): 3, numbered("101"): 2, numbered("20"): 4}


def test_too_few_groups(task: Callable[..., str]) -> None:
    with pytest.raises(InputError, match=r"test needs 9 groups of at least 2 classes, but the 10 .* give 3"):
        found(task(groups=9), tree(EDGES))


def test_a_corrected_hierarchy_is_cut_at_its_level(task: Callable[..., str]) -> None:
    corrected = tree(EDGES, calibrated=True)
    assert found(task(level=1), corrected) == {numbered("10"): 6, numbered("20"): 3}
    assert found(task(level=2), corrected) == {numbered("100"): 4, numbered("101"): 2}
    assert found(task(level=1, classes=1), corrected)[numbered("30")] == 1
    with pytest.raises(InputError, match="but the 10 classes that the hierarchy knows give 1"):
        found(task(level=2, classes=3), corrected)


def test_the_level_counts_the_longest_path(task: Callable[..., str]) -> None:
    corrected = tree(EDGES, calibrated=True)
    corrected.parents[numbered("20")] = (numbered("1"), numbered("10"))
    assert found(task(level=2), corrected) == {
        numbered("100"): 4, numbered("101"): 2, numbered("20"): 3,
    }  # fmt: skip


def test_two_groups_of_one_name_keep_apart(task: Callable[..., str]) -> None:
    named = tree(EDGES)
    named.names.update({numbered("10"): "crane", numbered("20"): "crane"})
    assert set(found(task(groups=2), named)) == {f"crane {numbered('10')}", f"crane {numbered('20')}"}


def test_classes_without_ids() -> None:
    with pytest.raises(InputError, match="named by their WordNet id, such as n02085620"):
        breeds_groups("living-17", ["tench", "goldfish"], tree({}), where="x")


def test_wordnet_is_read_as_it_is_written() -> None:
    wordnet = read_wordnet(LINES.splitlines())
    assert wordnet.name("n02084071") == "dog"
    assert wordnet.name("n00004258") == "living thing"
    assert wordnet.parents["n02085620"] == ("n02084071",)
    assert wordnet.parents["n02084071"] == ("n00004258",), (
        "pointers in the gloss and of other kinds are no parents"
    )
    assert wordnet.parents["n09411430"] == ("n00001740", "n00004258")
    assert "n00001740" in wordnet
    assert "n00000000" not in wordnet


def test_another_wordnet_is_refused() -> None:
    with pytest.raises(InputError, match=r"not that of WordNet 3\.0"):
        read_wordnet(LINES.replace("02084071", "02086723").splitlines())


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_a_wordnet_at_a_path(tmp_path: Path, kind: str) -> None:
    if kind == "folder":
        (tmp_path / "data.noun").write_text(LINES)
        path = tmp_path
    else:
        path = tmp_path / "wordnet.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("wordnet/data.noun", LINES)
    assert not find_taxonomy(path).calibrated
    assert find_taxonomy(path).name("n02085620") == "Chihuahua"


def test_a_corrected_hierarchy_at_a_path(tmp_path: Path) -> None:
    (tmp_path / "class_hierarchy.txt").write_text("n00000001 dummy1\ndummy1 n00000002\n")
    (tmp_path / "node_names.txt").write_text("n00000002\tanimal, beast\n")
    read = find_taxonomy(tmp_path)
    assert read.calibrated
    assert read.parents["n00000002"] == ("dummy1",)
    assert read.name("n00000002") == "animal, beast"
    (tmp_path / "class_hierarchy.txt").write_text("n00000001\n")
    with pytest.raises(InputError, match="line 1 is not a pair"):
        find_taxonomy(tmp_path)


def test_no_wordnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"holds neither data\.noun"):
        find_taxonomy(tmp_path)
    monkeypatch.setitem(sys.modules, "nltk", None)
    monkeypatch.setitem(sys.modules, "nltk.data", None)
    with pytest.raises(InputError, match=r"pip install nltk and run python -m nltk\.downloader wordnet"):
        find_taxonomy(None)


def test_a_folder_of_imagenet(
    image_folder: Callable[..., Path], tmp_path: Path, task: Callable[..., str]
) -> None:
    """From class folders to groups, with a corrected hierarchy; what is in no group is left out."""
    folder = image_folder(dict.fromkeys(LEAVES, 4))
    (tmp_path / "class_hierarchy.txt").write_text(
        "".join(f"{above} {below}\n" for below, above in EDGES.items())
    )
    found = load_grouped(folder, hierarchy=task(level=1, classes=3), wordnet=tmp_path)
    assert found.hierarchy.coarse == (numbered("10"), numbered("20"))
    assert found.hierarchy.sizes().tolist() == [3, 3], "as many as the task has"
    assert len(found.source.train.classes) == 6
    assert int(found.source.train.labels.max()) == 5


def test_all_four_on_the_real_wordnet() -> None:
    path = Path(os.environ.get("MIDMIX_WORDNET", "/usr/share/wordnet"))
    synsets = pytest.importorskip("timm").__path__[0] + "/data/_info/imagenet_synsets.txt"
    if not (path / "data.noun").is_file() or not Path(synsets).is_file():
        pytest.skip(
            "no WordNet 3.0 at MIDMIX_WORDNET or /usr/share/wordnet, or no list of ImageNet's classes"
        )
    wordnet, classes = find_taxonomy(path), Path(synsets).read_text().split()
    for name, task in breeds.BREEDS.items():
        sizes = Counter(breeds_groups(name, classes, wordnet, where="x").values())
        assert len(sizes) == task.groups
        assert min(sizes.values()) >= task.classes
        assert ("bird" in sizes) == (name != "non-living-26")

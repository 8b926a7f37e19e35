"""Fine classes in coarse groups, from columns, mappings and what is built in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from midmix.data import load_grouped
from midmix.data.hierarchy import read_mapping
from midmix.errors import InputError, UnknownNameError

ANIMALS = {"beagle": "dog", "poodle": "dog", "husky": "dog", "tabby": "cat", "siamese": "cat", "carp": "fish"}
Write = Callable[..., Path]


@pytest.fixture
def table(tmp_path: Path) -> Write:
    """A CSV file with `rows` rows of each class of a mapping, and two features that tell the classes apart."""

    def write(groups: dict[str, str], rows: int = 6, name: str = "animals.csv", **columns: Any) -> Path:
        fine = [label for label in groups for _ in range(rows)]
        frame = pd.DataFrame(
            {"x": np.arange(len(fine)) + 0.5, "y": [1.5, 2.5] * (len(fine) // 2), "fine_label": fine}
        )
        frame["coarse_label"] = [groups[label] for label in fine]
        frame.assign(**columns).to_csv(tmp_path / name, index=False)
        return tmp_path / name

    return write


def without(*labels: str) -> dict[str, str]:
    return {fine: coarse for fine, coarse in ANIMALS.items() if fine not in labels}


def mapping(folder: Path, groups: dict[str, str], header: str = "fine,coarse") -> Path:
    path = folder / "groups.csv"
    path.write_text("\n".join([header, *(f"{fine},{coarse}" for fine, coarse in groups.items())]))
    return path


def test_columns_are_found_and_are_no_features(table: Write) -> None:
    found = load_grouped(table(without("carp")))
    assert found.source.columns == ("x", "y")
    assert found.hierarchy.fine == ("beagle", "husky", "poodle", "siamese", "tabby")
    assert found.hierarchy.coarse == ("cat", "dog")
    assert found.hierarchy.group.tolist() == [1, 1, 1, 0, 0]
    assert found.hierarchy.members(0) == [3, 4]
    assert found.hierarchy.sizes().tolist() == [2, 3]


def test_coarse_rows_are_the_fine_rows(table: Write) -> None:
    found = load_grouped(table(without("carp")))
    coarse = found.coarse()
    assert coarse.train.inputs is found.source.train.inputs
    names = [ANIMALS[found.source.train.classes[c]] for c in found.source.train.labels]
    assert [coarse.train.classes[c] for c in coarse.train.labels] == names
    assert coarse.test.classes == coarse.train.classes == ("cat", "dog")


def test_numbered_groups_are_never_features(table: Write) -> None:
    numbers = {"a": 0, "b": 0, "c": 1, "d": 1}
    path = table({fine: str(group) for fine, group in numbers.items()})
    found = load_grouped(path)
    assert found.source.columns == ("x", "y")
    assert found.hierarchy.coarse == ("0", "1")
    with pytest.raises(InputError, match="'coarse_label' is the label and cannot be a feature"):
        load_grouped(path, features=["x", "coarse_label"])


def test_named_columns(table: Write) -> None:
    groups = without("carp")
    path = table(groups, kind=[groups[label][::-1] for label in groups for _ in range(6)])
    found = load_grouped(path, fine="fine_label", coarse="kind", features=["x"])
    assert found.hierarchy.coarse == ("god", "tac")


def test_an_npz_file_with_its_own_test_rows(tmp_path: Path) -> None:
    fine, x = np.arange(4).repeat(3), np.random.default_rng(0).normal(size=(12, 2))
    arrays: dict[str, Any] = {
        "x": x,
        "y": fine,
        "group": fine // 2,
        "x_test": x,
        "y_test": fine,
        "group_test": fine // 2,
    }
    np.savez(tmp_path / "a.npz", **arrays)
    found = load_grouped(tmp_path / "a.npz", fine="y", coarse="group")
    assert found.hierarchy.group.tolist() == [0, 0, 1, 1]
    assert len(found.source.test) == 12
    np.savez(tmp_path / "b.npz", **{**arrays, "group_test": fine % 2})
    with pytest.raises(InputError, match="in two groups"):
        load_grouped(tmp_path / "b.npz", fine="y", coarse="group")
    np.savez(tmp_path / "c.npz", **{**arrays, "group": fine[:5]})
    with pytest.raises(InputError, match="12 labels but 5 groups"):
        load_grouped(tmp_path / "c.npz", fine="y", coarse="group")


@pytest.mark.parametrize("header", ["fine,coarse", "breed,species"])
def test_a_mapping_for_a_folder_of_images(image_folder: Write, tmp_path: Path, header: str) -> None:
    folder = image_folder(dict.fromkeys(without("carp"), 4))
    found = load_grouped(folder, hierarchy=mapping(tmp_path, ANIMALS, header))
    assert found.hierarchy.coarse == ("dog", "cat")
    assert found.hierarchy.group.tolist() == [0, 0, 0, 1, 1]


def test_a_mapping_replaces_built_in_groups(tmp_path: Path) -> None:
    parity = {str(digit): ("even", "odd")[digit % 2] for digit in range(10)}
    found = load_grouped("digits", hierarchy=mapping(tmp_path, parity))
    assert found.hierarchy.group.tolist() == [0, 1] * 5


@pytest.mark.parametrize("pick", ["first", "random"])
def test_some_classes_a_group_and_some_rows_a_class(table: Write, pick: Any) -> None:
    path = table(ANIMALS | {"trout": "fish"}, rows=10)
    found = load_grouped(path, classes_per_group=2, pick=pick, images_per_class=3, test_fraction=0.5)
    assert found.hierarchy.sizes().tolist() == [2, 2, 2]
    assert found.source.train.counts().tolist() == [3] * 6
    assert found.source.test.counts().tolist() == [5] * 6
    dogs = {found.hierarchy.fine[c] for c in found.hierarchy.members(1)}
    assert dogs == {"beagle", "husky"} if pick == "first" else len(dogs) == 2
    assert any("6 of 7" in note for note in found.source.notes)


def test_random_picks_follow_the_seed(table: Write) -> None:
    groups = {f"{group}{k:02}": group for group in "ab" for k in range(30)}
    path = table(groups, rows=4)

    def drawn(seed: int) -> tuple[str, ...]:
        return load_grouped(path, classes_per_group=5, pick="random", seed=seed).hierarchy.fine

    assert drawn(1) == drawn(1) != drawn(2)


def test_groups_that_are_too_small_are_left_out_and_named(table: Write) -> None:
    found = load_grouped(table(ANIMALS | {"trout": "fish"}), classes_per_group=2)
    assert found.hierarchy.coarse == ("cat", "dog", "fish")
    three = ANIMALS | {"lion": "cat"}
    del three["carp"]
    found = load_grouped(table(three | {"trout": "fish", "carp": "fish"}), classes_per_group=3)
    assert found.hierarchy.coarse == ("cat", "dog")
    assert any("left out: 'fish'" in note for note in found.source.notes)


def test_a_fine_class_in_two_groups(table: Write, tmp_path: Path) -> None:
    path = table(without("carp"))
    frame = pd.read_csv(path)
    frame.loc[len(frame) - 1, "coarse_label"] = "dog"
    frame.to_csv(path, index=False)
    with pytest.raises(InputError, match="fine class 'siamese' is in two groups, 'cat' and 'dog'"):
        load_grouped(path)
    twice = mapping(tmp_path, without("carp"))
    twice.write_text(twice.read_text() + "\ntabby,dog")
    with pytest.raises(InputError, match="line 7: the fine class 'tabby' is in two groups, 'cat' and 'dog'"):
        load_grouped(path, fine="fine_label", hierarchy=twice, features="x")


def test_a_group_with_one_member(table: Write) -> None:
    with pytest.raises(InputError, match="a single fine class, 'fish'"):
        load_grouped(table(ANIMALS))


def test_a_mapping_that_misses_classes(table: Write, tmp_path: Path) -> None:
    path = table(ANIMALS)
    with pytest.raises(InputError, match="2 of 6 classes have no group: 'husky', 'tabby'"):
        load_grouped(path, fine="fine_label", hierarchy=mapping(tmp_path, without("tabby", "husky")))


def test_mappings_that_are_none(tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("a,b,c\n1,2,3\n")
    with pytest.raises(InputError, match="a column fine and a column coarse, but has a, b, c"):
        load_grouped("digits", hierarchy=bad)
    bad.write_text("fine,coarse\n1,\n")
    with pytest.raises(InputError, match="line 2 has an empty cell"):
        load_grouped("digits", hierarchy=bad)
    with pytest.raises(InputError, match="there is no such file"):
        load_grouped("digits", hierarchy=tmp_path / "none.csv")
    with pytest.raises(InputError, match="unknown hierarchy 'living-18': did you mean living-17"):
        load_grouped("digits", hierarchy="living-18")


@pytest.mark.parametrize(
    "text",
    [
        "a,one\nb,one\nc,two\nd,two\n",
        " a , one\nb, one\n\nc ,two\nd,two",
        "coarse;Fine\none;a\none; b\ntwo;c\ntwo;d\n",
        "fine\tsize\tcoarse\na\t\tone\nb\t3\tone\nc\t\ttwo\nd\t\ttwo\n",
        ',coarse\n"a",one\nb,"one"\nc,two\nd,two\n',
        "\ufefffine,coarse\r\na,one\r\nb,one\r\nc,two\r\nd,two\r\n",
        "a one\nb  one\nc two\nd two\n",
        "breed,species\na,one\nb,one\nc,two\nd,two\n",
    ],
)
def test_forms_of_a_mapping(tmp_path: Path, text: str) -> None:
    path = tmp_path / "groups.csv"
    path.write_text(text, encoding="utf-8")
    found = read_mapping(path)
    assert found.items() >= {"a": "one", "b": "one", "c": "two", "d": "two"}.items()
    assert len(found) == 4 + text.startswith(
        "breed"
    )  # only fine,coarse can be told from a class and its group


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; give a line fine,coarse"),
        (" \n\n", "is empty"),
        ("fine,coarse\na,one\nb, \n", "line 3 has an empty cell"),
        ("a,one\na,two\n", "line 2: the fine class 'a' is in two groups"),
        ("fine,coarse\nbeagle, the small one,dog\n", "line 2 has 3 cells, the first line 2; put names"),
        ("fine,coarse\nbeagle\n", "line 2 has 1 cells"),
        ('fine,coarse\n"beagle,dog\n', "not a readable CSV file"),
        ("beagle\n", "needs a column fine and a column coarse, but has beagle"),
    ],
)
def test_mappings_that_cannot_be_read(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "groups.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_mapping(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_options_that_do_not_fit(table: Write, tmp_path: Path) -> None:
    path = table(without("carp"))
    with pytest.raises(InputError, match="give one of the two"):
        load_grouped(path, coarse="coarse_label", hierarchy=mapping(tmp_path, ANIMALS))
    with pytest.raises(InputError, match="at least 2"):
        load_grouped(path, classes_per_group=1)
    with pytest.raises(InputError, match="fewer than two groups have so many; the largest has 3"):
        load_grouped(path, classes_per_group=3)
    with pytest.raises(InputError, match="at least 2 are needed"):
        load_grouped(path, images_per_class=1)
    with pytest.raises(InputError, match="goes with --hierarchy living-17"):
        load_grouped(path, wordnet=tmp_path)
    with pytest.raises(InputError, match="unknown pick 'last'"):
        load_grouped(path, classes_per_group=2, pick="last")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="always the same"):
        load_grouped("digits", coarse="shape")
    plain = tmp_path / "plain.csv"
    pd.DataFrame({"x": [1, 2], "label": ["a", "b"]}).to_csv(plain, index=False)
    with pytest.raises(InputError, match="with --fine and --coarse, or give --hierarchy"):
        load_grouped(plain)


def test_tiny_imagenet(real_data: Path) -> None:
    found = load_grouped(
        real_data / "tiny-imagenet-32" / "test.parquet", classes_per_group=5, images_per_class=20
    )
    assert len(found.hierarchy.coarse) == 19
    assert found.hierarchy.sizes().tolist() == [5] * 19
    assert found.source.train.counts().tolist() == [20] * 95
    insects = found.hierarchy.coarse.index("insect")
    assert "n02165456_ladybug" in {
        found.hierarchy.fine[c] for c in range(95) if found.hierarchy.group[c] == insects
    }


def test_a_folder_of_images_has_no_column(image_folder: Write) -> None:
    folder = image_folder({"a": 2, "b": 2})
    with pytest.raises(
        InputError,
        match=r"pets: holds no table, so no column of groups; .* --hierarchy .* fine and coarse, or",
    ):
        load_grouped(folder)
    with pytest.raises(InputError, match="leave out options on columns"):
        load_grouped(folder, coarse="kind")


def test_only_unknown_columns_are_told_of_the_flags(
    table: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = table(without("carp"))
    with pytest.raises(UnknownNameError, match="did you mean fine_label") as caught:
        load_grouped(path, fine="fine_lable", hierarchy=mapping(tmp_path, ANIMALS))
    assert "--coarse" not in str(caught.value)
    with pytest.raises(InputError, match=r"did you mean fine_label.* with --fine and --coarse, or give"):
        load_grouped(path, fine="fine_lable")
    monkeypatch.chdir(tmp_path)
    Path("unknown column.csv").write_text("x,fine_label,coarse_label\n")  # what it is called says nothing
    with pytest.raises(InputError, match=r"no rows$"):
        load_grouped("unknown column.csv")

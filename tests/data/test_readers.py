"""Which reader takes a source, and one of somebody else."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from midmix.cli.flags import SourceFlags
from midmix.data import (
    READERS,
    LabelColumn,
    Options,
    Place,
    RawSource,
    RawSplit,
    Reader,
    load,
    load_features,
    load_unlabelled,
)
from midmix.data.options import OptionKeywords
from midmix.data.readers.reader import readers
from midmix.errors import InputError


class Numbers(Reader):
    """Lines of a label and numbers."""

    what: ClassVar[str] = "a file of lines"
    suffixes: ClassVar[tuple[str, ...]] = (".numbers",)

    def read(self, place: Place, options: Options) -> RawSource:
        lines = [line.split() for line in place.path.read_text().splitlines()]
        labels = LabelColumn(np.array([label for label, *_ in lines], dtype=object))
        rows = torch.tensor([[float(number) for number in numbers] for _, *numbers in lines])
        return RawSource(RawSplit(place.name, rows, labels))


@pytest.fixture
def own_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    READERS.names()  # ours are there
    monkeypatch.setattr(READERS, "_ours", dict(READERS._ours))
    READERS.register(name="numbers")(Numbers)


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    path = tmp_path / "pets.numbers"
    path.write_text("cat 1 2\ndog 3 4\ncat 5 6\ndog 7 8\n")
    return path


@pytest.mark.usefixtures("own_reader")
def test_an_own_reader_is_asked_by_everything_that_reads(numbers: Path) -> None:
    source = load(numbers, test_fraction=0.5)
    assert source.train.classes == ("cat", "dog")
    assert source.train.shape == (2,)
    assert load_features(numbers).features.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]
    assert len(load_unlabelled(numbers, shape=(2,))) == 4
    with pytest.raises(
        InputError, match=r"did you mean .*pets\.numbers\? A source is digits, .*a file of lines, "
    ):
        load(numbers.with_name("pet.numbers"))


def test_without_it_nobody_reads_the_file(numbers: Path) -> None:
    with pytest.raises(
        InputError, match=r"not a kind of file that can be read; use \.parquet \.csv \.tsv \.npz"
    ):
        load(numbers)


@pytest.mark.usefixtures("own_reader")
def test_a_reader_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(READERS._ours, "wrong", load)
    with pytest.raises(InputError, match=r"reader 'wrong': is no subclass of midmix\.data\.Reader"):
        load("digits")


def test_names_come_first_and_the_network_last() -> None:
    known = [type(reader).__name__ for reader in readers()]
    assert known[0] == "Builtin"
    assert known[-2:] == ["ImageFolder", "Hub"]


def test_one_declaration_of_options() -> None:
    names = {field.name for field in fields(Options)}
    assert OptionKeywords.__annotations__.keys() == names
    assert {field.name for field in fields(SourceFlags)} == names - {
        *("coarse", "seed", "prepare", "known"),
        *("crop", "interpolation", "lazy", "scaled_later"),  # an encoder says them
    }
    with pytest.raises(InputError, match="unknown option of a source 'lable': did you mean label"):
        load("digits", lable="x")  # type: ignore[call-arg]

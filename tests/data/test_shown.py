"""Names that a terminal would obey, of sources, columns and links, are escaped in whatever is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from midmix.data import load, load_features, load_unlabelled
from midmix.errors import InputError

ESC = "\x1b[31m\rred\u2028"
SHOWN = r"\x1b[31m\rred\u2028"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / f"{ESC}.csv"
    path.write_text(
        f"a{ESC.replace(chr(13), '')},note{ESC[:5]},label\n" + "1,u,x\n2,v,y\n" * 4, encoding="utf-8"
    )
    return path


def test_names_and_notes(source: Path) -> None:
    found = load(source)
    assert found.name.endswith(f"{SHOWN}.csv")
    assert found.columns == ("a\x1b[31mred\u2028", "note\x1b[31m")  # by which rows to predict are found
    notes = (*load(source, exclude="note\x1b[31m").notes, *load_features(source).notes)
    assert r"'note\x1b[31m'" in notes[0]
    assert all(note.isprintable() for note in notes)
    assert len(load_unlabelled(source, shape=(1,), columns=found.columns[:1])) == 8
    assert load(**found.reading).columns == found.columns


@pytest.mark.parametrize("options", [{"label": "b"}, {"features": "b"}, {"label": "note"}, {"image_size": 4}])
def test_errors(source: Path, options: dict[str, str]) -> None:
    with pytest.raises(InputError) as caught:
        load(source, **options)  # type: ignore[arg-type]
    assert str(caught.value).isprintable()
    assert SHOWN in str(caught.value)


def test_other_errors(source: Path, tmp_path: Path) -> None:
    for name in (source.with_name(f"{ESC}.cvs"), source.with_name(f"{ESC}.npz")):
        name.write_text("nothing")
        with pytest.raises(InputError) as caught:
            load(name)
        assert str(caught.value).isprintable()
    folder = tmp_path / f"folder{ESC}"
    folder.mkdir()
    with pytest.raises(InputError) as caught:
        load(folder)
    assert SHOWN in str(caught.value)
    assert str(caught.value).isprintable()

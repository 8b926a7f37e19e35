"""Test rows of a source that has no test split of its own: drawn by each seed, or one split for all."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from midmix.data import Source, from_arrays, load, redrawn
from midmix.errors import InputError
from midmix.methods import Method
from midmix.training import Run, Settings, draw_split, refit_run, train_run


@pytest.fixture
def numbered() -> Source:
    """Rows that tell their own number; three classes of 40, 20 and 10."""
    labels = np.repeat([0, 1, 2], [40, 20, 10])
    return from_arrays(np.arange(70, dtype=np.float32)[:, None].repeat(2, 1), labels)


def rows_of(data) -> set[int]:
    return set(data.inputs[:, 0].int().tolist())


def test_a_split_drawn_anew_has_as_many_rows_of_each_class_and_loses_none(numbered):
    seen = []
    for seed in range(30):
        found, rows = redrawn(numbered, seed=seed)
        assert found.test.counts().equal(numbered.test.counts())
        assert found.train.counts().equal(numbered.train.counts())
        assert rows_of(found.train) | rows_of(found.test) == set(range(70))
        assert not rows_of(found.train) & rows_of(found.test)
        assert len(rows) == len(found.test)
        labels = torch.repeat_interleave(torch.arange(3), torch.tensor([40, 20, 10]))
        assert found.test.labels.equal(labels[found.test.inputs[:, 0].long()])  # each row kept its label
        seen.append(frozenset(rows_of(found.test)))
    assert len(set(seen)) == 30
    often = np.bincount([row for rows in seen for row in rows], minlength=70)[
        :40
    ]  # a fifth of the largest class
    assert often.min() >= 1
    assert often.max() <= 14  # of 30 draws 6 are expected, with a deviation of 2.2
    assert redrawn(numbered, seed=3)[1].equal(redrawn(numbered, seed=3)[1])


def test_each_seed_has_its_own_test_rows_and_a_hash_that_says_so(numbered):
    fixed = [draw_split(numbered, seed=seed) for seed in (0, 1)]
    drawn = [draw_split(numbered, seed=seed, splits="drawn") for seed in (0, 1)]
    assert rows_of(fixed[0].test) == rows_of(fixed[1].test) == rows_of(numbered.test)
    assert rows_of(drawn[0].test) != rows_of(drawn[1].test)
    assert len({split.hash for split in drawn}) == 2
    held_out = draw_split(numbered, seed=1, splits="drawn", validation=0.2, imbalance=4)
    assert rows_of(held_out.test) == rows_of(drawn[1].test)
    assert not rows_of(held_out.test) & (rows_of(held_out.train) | rows_of(held_out.validation))


def test_a_test_split_of_its_own_is_never_drawn_anew():
    x, y = np.eye(6, dtype=np.float32), [0, 1, 2, 0, 1, 2]
    source = from_arrays(x, y, x, y)
    both = [draw_split(source, seed=5, splits=splits) for splits in ("drawn", "fixed")]
    assert rows_of(both[0].test) == rows_of(both[1].test)
    assert both[0].hash == both[1].hash
    run = Run(Method.parse("erm"), 0, Settings(network="mlp-8"), splits="drawn")
    assert "splits" not in run.specification(source)


def test_large_images_stay_undecoded(tmp_path, monkeypatch):
    from PIL import Image

    from midmix.data import images

    for name, colour in (("cat", 40), ("dog", 200)):
        (tmp_path / name).mkdir()
        for number in range(10):
            Image.new("RGB", (8, 8), (colour, number, 0)).save(tmp_path / name / f"{number}.png")
    monkeypatch.setattr(images, "EAGER_BYTES", 0)
    source = load(tmp_path)
    found, _ = redrawn(source, seed=1)
    assert type(found.test.inputs) is type(source.test.inputs)
    pixels = found.test.inputs[torch.arange(len(found.test))]
    assert (pixels[:, 0, 0, 0] == torch.tensor([40, 200])[found.test.labels]).all()


def test_rows_of_another_kind_are_refused_with_the_way_out(numbered):
    class Own:
        shape = (2,)

        def __len__(self) -> int:
            return 3

    own = Own()
    strange = replace(numbered, train=replace(numbered.train, inputs=own))
    with pytest.raises(InputError, match="--splits fixed"):
        redrawn(strange, seed=0)


def test_the_record_says_it_and_a_run_of_another_split_is_another_run(numbered, tmp_path):
    run = Run(Method.parse("erm"), 1, Settings(network="mlp-8", epochs=1), splits="drawn")
    record = train_run(run, numbered, tmp_path)
    assert record["splits"] == "drawn"
    assert train_run(run, numbered, tmp_path)["split_hash"] == record["split_hash"]
    with pytest.raises(InputError, match="splits is 'drawn' there and 'fixed' here"):
        train_run(replace(run, splits="fixed"), numbered, tmp_path)
    old = json.loads((tmp_path / "run.json").read_text())
    del old["splits"]  # of before: one split for all seeds
    (tmp_path / "run.json").write_text(json.dumps(old))
    with pytest.raises(InputError, match="splits is 'fixed' there and 'drawn' here"):
        train_run(run, numbered, tmp_path)


def test_a_refitted_run_is_measured_on_the_rows_that_its_run_held_out(numbered, tmp_path):
    run = Run(Method.parse("erm"), 3, Settings(network="mlp-8", epochs=2), splits="drawn")
    before = train_run(run, numbered, tmp_path / "erm")
    after = refit_run(tmp_path / "erm", "tau_norm", numbered, tmp_path / "tau")
    assert after["split_hash"] == before["split_hash"]
    assert after["splits"] == "drawn"
    tested = [np.load(tmp_path / name / "test.npz")["labels"] for name in ("erm", "tau")]
    assert np.array_equal(*tested)

"""Images that stay in their files: random parts are cut out as they are decoded, the same by any number of workers."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.training.test_resume import assert_same, with_interruptions

from midmix.data import Source, load
from midmix.data.images import LazyImages
from midmix.training import Fit, Settings


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Photos of several sizes in three classes of 20, 8 and 4."""
    folder, number = tmp_path_factory.mktemp("photos"), 0
    for name, rows in (("ant", 20), ("bee", 8), ("cat", 4)):
        (folder / name).mkdir()
        for row in range(rows):
            number += 1
            random = np.random.default_rng(number)
            image = Image.fromarray(random.integers(0, 256, (4, 5, 3), dtype=np.uint8))
            file = io.BytesIO()
            image.resize((20 + row, 30)).save(file, "JPEG")
            (folder / name / f"{row}.jpg").write_bytes(file.getvalue())
    return load(folder, image_size=12, lazy=True)


@pytest.fixture
def settings(short: Settings) -> Settings:
    return replace(short, network="resnet-8", width=4, batch_size=7, augment="random-resized-crop+flip")


def with_workers(source: Source, workers: int) -> Source:
    assert isinstance(source.train.inputs, LazyImages)
    return replace(source, train=replace(source.train, inputs=replace(source.train.inputs, workers=workers)))


def test_the_number_of_workers_changes_no_bit_and_a_run_resumes_to_the_row(photos, settings, start, tmp_path):
    whole = start(with_workers(photos, 0), settings, "balanced-am-mixup")
    whole.run()
    other = start(with_workers(photos, 2), settings, "balanced-am-mixup")
    other.run()
    assert_same(other, whole)

    def make(**more) -> Fit:
        fit: Fit = start(with_workers(photos, 1), settings, "balanced-am-mixup", folder=tmp_path, **more)
        return fit

    assert_same(with_interruptions(make, (2, 3)), whole)


def test_each_epoch_and_each_view_sees_other_parts(photos, settings, start, monkeypatch):
    fit = start(with_workers(photos, 0), replace(settings, augment="random-resized-crop"), "erm+supcon")
    assert fit.augment is None
    seen = []
    monkeypatch.setattr(fit, "_train_step", lambda *batch: seen.append((batch[0], batch[3])))
    monkeypatch.setattr(fit, "_end_epoch", lambda: setattr(fit, "epoch", fit.epoch + 1))
    monkeypatch.setattr(fit, "_look", lambda: None)
    fit.run()
    rows = torch.cat([view for views in seen for view in views])
    assert rows.shape == (2 * 2 * len(photos.train), 3, 12, 12)
    assert len(torch.unique(rows.flatten(1), dim=0)) == len(rows)


def test_every_loss_of_two_views_takes_parts_as_its_augmentation(photos, settings, start):
    only = replace(settings, augment="random-resized-crop", epochs=1)
    for name in ("supcon", "bcl"):
        assert start(with_workers(photos, 0), only, f"erm+{name}").run()[-1]["train_loss"] > 0


def test_rows_in_memory_are_cropped_on_their_device(photos, settings, start):
    inputs = photos.train.inputs[torch.arange(len(photos.train))]
    fit = start(replace(photos, train=replace(photos.train, inputs=inputs)), settings, "erm")
    assert fit.augment is not None
    found = fit.augment(inputs, torch.Generator().manual_seed(0))
    assert found.shape == inputs.shape
    assert not found.equal(inputs)
    fit.run()


def test_the_command_line_reads_photos_from_their_files_where_parts_of_them_are_wanted(photos, tmp_path):
    from midmix.cli.flags import SourceFlags, TrainingFlags
    from midmix.cli.sources import open_source

    folder = Path(photos.reading["source"])
    for augment, lazy in (("random-resized-crop", True), ("flip", False), (None, False)):
        flags = TrainingFlags(augment=augment).options()
        source, _ = open_source(str(folder), SourceFlags(image_size=12, workers=0).options(), flags)
        assert isinstance(source.train.inputs, LazyImages) == lazy
    with pytest.raises(ValueError, match="differ in size"):
        open_source(
            str(folder), SourceFlags().options(), TrainingFlags(augment="random-resized-crop").options()
        )

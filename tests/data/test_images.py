"""Folders and tables of images: pixels, classes, splits, broken files, lazy decoding."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from midmix.data import Labelled, images, load, load_unlabelled
from midmix.data.encoded import decode, size_of
from midmix.errors import InputError

Writer = Callable[..., Path]


def pixels(seed: int, height: int = 8, width: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def batch(data: Labelled) -> torch.Tensor:
    return data.inputs[torch.arange(len(data))]


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


class TestFolder:
    def test_classes_pixels_and_stratified_test_split(self, image_folder: Writer) -> None:
        source = load(image_folder({"dog": 10, "cat": 5}))
        assert source.train.classes == ("cat", "dog")
        assert source.train.kind == "images"
        assert source.train.shape == (3, 8, 8)
        assert source.train.counts().tolist() == [4, 8]
        assert source.test.counts().tolist() == [1, 2]
        assert isinstance(source.train.inputs, torch.Tensor)
        assert source.train.inputs.dtype == torch.uint8
        whole = torch.cat([batch(source.train), batch(source.test)])
        labels = torch.cat([source.train.labels, source.test.labels])
        written = {pixels(k).tobytes(): int(k < 10) for k in range(15)}
        found = {
            image.permute(1, 2, 0).numpy().tobytes(): label
            for image, label in zip(whole, labels.tolist(), strict=True)
        }
        assert found == written
        assert source.notes == ("test split: 3 of 15 rows, drawn by class with seed 0",)

    def test_seed_and_fraction_of_the_drawn_split(self, image_folder: Writer) -> None:
        folder = image_folder({"dog": 10, "cat": 10})
        half, again, other = (load(folder, test_fraction=0.5, seed=seed) for seed in (1, 1, 2))
        assert len(half.test) == 10
        assert batch(half.test).equal(batch(again.test))
        assert not batch(half.test).equal(batch(other.test))

    @pytest.mark.parametrize(("name", "noted"), [("test", False), ("val", True)])
    def test_train_beside_test(self, image_folder: Writer, name: str, noted: bool) -> None:
        image_folder({"dog": 3, "cat": 2}, "pets/train")
        folder = image_folder({"dog": 2, "cat": 1}, f"pets/{name}").parent
        source = load(folder)
        assert source.train.counts().tolist() == [2, 3]
        assert source.test.counts().tolist() == [1, 2]
        assert any("test split" in note for note in source.notes) == noted
        with pytest.raises(InputError, match="test split of its own"):
            load(folder, test_fraction=0.1)

    def test_a_class_may_be_called_train(self, image_folder: Writer) -> None:
        assert load(image_folder({"train": 2, "bus": 2})).train.classes == ("bus", "train")

    @pytest.mark.parametrize(("train", "test"), [("Train", "Test"), ("TRAIN", "Val"), ("train", "TEST")])
    def test_splits_may_be_written_with_capitals(self, image_folder: Writer, train: str, test: str) -> None:
        image_folder({"dog": 3, "cat": 2}, f"pets/{train}")
        source = load(image_folder({"dog": 2, "cat": 1}, f"pets/{test}").parent)
        assert source.train.classes == ("cat", "dog")
        assert source.train.counts().tolist() == [2, 3]
        assert source.test.counts().tolist() == [1, 2]
        assert source.notes == (("test split: the folder Val",) if test == "Val" else ())

    def test_classes_beside_a_class_called_train_that_has_folders(self, image_folder: Writer) -> None:
        folder = image_folder({"train/steam": 2, "train/electric": 2, "bus": 2, "car": 2, "test": 2})
        with pytest.raises(
            InputError, match=r"train holds folders of classes, .* beside it in 'bus', 'car' would be left"
        ) as caught:
            load(folder)
        assert "\n" not in str(caught.value)

    def test_folders_without_images_beside_the_splits(self, image_folder: Writer) -> None:
        folder = image_folder({"train/dog": 3, "train/cat": 3, "test/dog": 1, "test/cat": 1})
        (folder / "annotations").mkdir()
        (folder / "annotations" / "boxes.txt").write_text("0 0 8 8")
        source = load(folder)
        assert (len(source.train), len(source.test), source.notes) == (6, 2, ())

    def test_what_is_left_out_is_noted(self, image_folder: Writer) -> None:
        folder = image_folder({"train/dog": 4, "train/cat": 4, "test": 3, "val/dog": 1, "val/cat": 1})
        for place, count in (("train", 2), ("val", 1), (".", 5)):
            for k in range(count):
                (folder / place / f"loose{k}.png").write_bytes(encode(Image.new("RGB", (8, 8))))
        assert load(folder).notes == (
            f"left out 5 images in {folder} itself, in no class folder",
            f"left out 2 images in {folder}/train itself, in no class folder",
            "left out the 3 images of the folder test, which holds no class folders",
            "test split: the folder val",
            f"left out 1 images in {folder}/val itself, in no class folder",
        )
        image_folder({"test/dog": 1, "test/cat": 1})
        assert load(folder).notes[-1] == (
            "left out the 3 images of the folder val, test rows are there already"
        )

    def test_images_beside_class_folders_are_noted(self, image_folder: Writer) -> None:
        folder = image_folder({"dog": 3, "cat": 3})
        (folder / "loose.png").write_bytes(encode(Image.new("RGB", (8, 8))))
        assert load(folder).notes[0] == f"left out 1 images in {folder} itself, in no class folder"

    def test_links_that_lead_nowhere_are_noted(self, image_folder: Writer, tmp_path: Path) -> None:
        folder = image_folder({"dog/poodle": 2, "dog/boxer": 2, "cat": 3})
        for place in ("dog/poodle/lost.png", "cat/lost", "cat/.hidden.png", "emu"):
            (folder / place).symlink_to(tmp_path / "nowhere")
        (folder / "cat" / "loop.png").symlink_to(folder / "cat" / "loop.png")
        (folder / "cat" / "kept.png").symlink_to(folder / "cat" / "000.png")
        source = load(folder, test_fraction=0.5)
        assert len(source.train) + len(source.test) == 8
        assert source.notes[0] == (
            f"left out 4 links in {folder} that lead nowhere: "
            "'emu', 'cat/loop.png', 'cat/lost', 'dog/poodle/lost.png'"
        )
        rows = load_unlabelled(folder, shape=(3, 8, 8))
        assert len(rows) == 8
        assert rows.notes == (
            f"left out 4 links in {folder} that lead nowhere: "
            "'cat/loop.png', 'cat/lost', 'dog/poodle/lost.png', 'emu'",
        )

    def test_links_that_lead_nowhere_beside_splits(self, image_folder: Writer, tmp_path: Path) -> None:
        folder = image_folder({"train/dog": 4, "train/cat": 4, "val/dog": 1, "val/cat": 1})
        for place in ("test", "train/emu", "val/cat/lost.png"):
            (folder / place).symlink_to(tmp_path / "nowhere")
        assert load(folder).notes == (
            f"left out 1 links in {folder} that lead nowhere: 'test'",
            f"left out 1 links in {folder}/train that lead nowhere: 'emu'",
            "test split: the folder val",
            f"left out 1 links in {folder}/val that lead nowhere: 'cat/lost.png'",
        )

    def test_a_class_of_links_that_lead_nowhere(self, image_folder: Writer, tmp_path: Path) -> None:
        folder = image_folder({"dog": 3, "cat": 0})
        (folder / "cat" / "a.png").symlink_to(tmp_path / "nowhere")
        with pytest.raises(InputError, match="cat: no images in this class folder but 1 links that lead"):
            load(folder)
        with pytest.raises(InputError, match="cat: no images in this folder but 1 links that lead nowhere"):
            load_unlabelled(folder / "cat", shape=(3, 8, 8))

    @pytest.mark.parametrize("name", ["test.csv", "train-00001-of-00002.csv"])
    def test_a_file_of_a_split_that_leads_nowhere(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "train-00000-of-00002.csv").write_text("a,label\n" + "1,x\n2,y\n" * 4)
        (tmp_path / name).symlink_to(tmp_path / "nowhere")
        with pytest.raises(InputError, match=rf"{name}: not a readable CSV file .*No such file"):
            load(tmp_path)

    def test_other_files_and_deeper_folders(self, image_folder: Writer) -> None:
        folder = image_folder({"dog/poodle": 2, "dog/boxer": 2, "cat": 3})
        (folder / "dog" / "notes.txt").write_text("about dogs")
        (folder / ".cache").mkdir()
        source = load(folder)
        assert source.train.classes == ("cat", "dog")
        assert len(source.train) + len(source.test) == 7

    def test_nothing_is_written(self, image_folder: Writer) -> None:
        folder = image_folder({"dog": 3, "cat": 3})
        before = sorted(folder.rglob("*"))
        load(folder)
        assert sorted(folder.rglob("*")) == before

    def test_no_data(self, tmp_path: Path) -> None:
        with pytest.raises(
            InputError, match="no data; a source folder holds a folder of images for each class"
        ):
            load(tmp_path)
        (tmp_path / "loose.png").write_bytes(encode(Image.new("RGB", (2, 2))))
        with pytest.raises(InputError, match="1 images in no class folder"):
            load(tmp_path)

    def test_a_class_folder_without_images(self, image_folder: Writer) -> None:
        folder = image_folder({"dog": 3, "cat": 0})
        with pytest.raises(InputError, match=r"cat: no images in this class folder"):
            load(folder)

    def test_a_class_of_one_image(self, image_folder: Writer) -> None:
        folder = image_folder({"dog": 3, "cat": 1})
        with pytest.raises(
            InputError, match=r"with a single row, 'cat', which cannot be in training and test both"
        ):
            load(folder)

    def test_a_class_of_one_image_beside_a_test_split_is_just_rare(self, image_folder: Writer) -> None:
        image_folder({"dog": 3, "cat": 1}, "pets/train")
        assert load(image_folder({"dog": 1, "cat": 1}, "pets/test").parent).train.counts().tolist() == [1, 3]

    def test_only_one_class(self, image_folder: Writer) -> None:
        with pytest.raises(InputError, match="only one class, 'dog'"):
            load(image_folder({"dog": 3}))

    def test_a_test_class_that_training_lacks(self, image_folder: Writer) -> None:
        image_folder({"dog": 2, "cat": 2}, "pets/train")
        folder = image_folder({"dog": 1, "emu": 1, "yak": 1}, "pets/test").parent
        with pytest.raises(
            InputError, match="test rows have classes that the training rows lack: 'emu', 'yak'; add"
        ):
            load(folder)

    def test_a_class_without_test_rows_is_noted(self, image_folder: Writer) -> None:
        image_folder({"dog": 2, "cat": 2}, "pets/train")
        source = load(image_folder({"dog": 1}, "pets/test").parent)
        assert source.notes == ("classes without a test row, whose accuracy stays unknown: 'cat'",)

    def test_columns_of_a_folder(self, image_folder: Writer) -> None:
        with pytest.raises(InputError, match="holds no table"):
            load(image_folder({"dog": 2, "cat": 2}), label="species")


class TestBroken:
    @pytest.fixture
    def folder(self, image_folder: Writer) -> Path:
        folder = image_folder({"dog": 5, "cat": 5})
        (folder / "dog" / "000.png").write_bytes(b"")
        (folder / "dog" / "001.png").write_bytes(b"<html>not found</html>")
        whole = (folder / "cat" / "002.png").read_bytes()
        (folder / "cat" / "002.png").write_bytes(whole[: len(whole) // 2])
        return folder

    @pytest.mark.parametrize("budget", [images.EAGER_BYTES, 0], ids=["eager", "lazy"])
    def test_skipped_and_noted(self, folder: Path, budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(images, "EAGER_BYTES", budget)
        source = load(folder, skip_broken=True)
        assert len(source.train) + len(source.test) == 7
        assert (source.train.counts() + source.test.counts()).tolist() == [4, 3]
        assert "left out 3 of 10 images broken or empty" in source.notes[0]
        written = {pixels(k).tobytes(): int(k < 5) for k in range(10)}
        for data in (source.train, source.test):
            for image, label in zip(batch(data), data.labels.tolist(), strict=True):
                assert written[image.permute(1, 2, 0).numpy().tobytes()] == label

    def test_counted_and_named(self, folder: Path) -> None:
        with pytest.raises(InputError, match=r"3 of 10 images broken or empty") as caught:
            load(folder)
        message = str(caught.value)
        for name in ("cat/002.png", "dog/000.png: empty", "dog/001.png: not an image", "--skip-broken"):
            assert name in message
        assert "\n" not in message

    def test_found_on_access_when_lazy(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(images, "EAGER_BYTES", 0)
        for name in ("000.png", "001.png"):
            (folder / "dog" / name).unlink()
        source = load(folder)  # the header of the file that is cut off is whole
        with pytest.raises(InputError, match=r"cat/002.png: broken image .*--skip-broken"):
            torch.cat([batch(source.train), batch(source.test)])

    def test_all_broken(self, image_folder: Writer) -> None:
        folder = image_folder({"dog": 1, "cat": 1})
        for path in folder.rglob("*.png"):
            path.write_bytes(b"")
        with pytest.raises(InputError, match="none of the 2 images can be read"):
            load(folder, skip_broken=True)

    def test_a_class_that_is_broken_whole(self, image_folder: Writer) -> None:
        folder = image_folder({"dog": 3, "cat": 2})
        for path in (folder / "cat").iterdir():
            path.write_bytes(b"")
        with pytest.raises(InputError, match="only one class, 'dog'"):
            load(folder, skip_broken=True)

    @pytest.mark.skipif(os.geteuid() == 0, reason="the superuser reads everything")
    def test_unreadable_file(self, image_folder: Writer) -> None:
        folder = image_folder({"dog": 3, "cat": 2})
        (folder / "cat" / "000.png").chmod(0)
        with pytest.raises(InputError, match="Permission denied"):
            load(folder)


class TestSize:
    def test_images_that_differ_need_a_size(self, image_folder: Writer) -> None:
        image_folder({"dog": 3}, height=6, width=9)
        folder = image_folder({"cat": 3})
        with pytest.raises(InputError, match=r"differ in size \(6×9, 8×8, height × width\); .* --image-size"):
            load(folder)
        source = load(folder, image_size=5)
        assert source.train.shape == (3, 5, 5)

    @pytest.mark.parametrize("image_size", [0, -3])
    def test_no_pixels(self, image_folder: Writer, image_size: int) -> None:
        with pytest.raises(InputError, match=rf"--image-size {image_size}: a side in pixels is at least 1"):
            load(image_folder({"dog": 3, "cat": 3}), image_size=image_size)

    def test_scaled_and_cropped_around_the_centre(self) -> None:
        image = np.zeros((20, 40, 3), dtype=np.uint8)
        image[:, 10:30] = 200  # exactly what a square around the centre keeps
        assert (decode(encode(Image.fromarray(image)), size=(10, 10))[:, 1:-1] == 200).all()
        assert (decode(encode(Image.fromarray(image)), size=(20, 20)) == 200).all()
        assert decode(encode(Image.fromarray(image)), size=(10, 30)).shape == (10, 30, 3)  # height, width

    @pytest.mark.parametrize("image_size", [None, 5])
    def test_lazy_equals_eager(
        self, image_folder: Writer, image_size: int | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = image_folder({"dog": 30, "cat": 20})
        eager = load(folder, image_size=image_size)
        monkeypatch.setattr(images, "EAGER_BYTES", 0)
        lazy = load(folder, image_size=image_size)
        assert not isinstance(lazy.train.inputs, torch.Tensor)
        assert lazy.train.shape == eager.train.shape
        assert lazy.train.kind == "images"
        assert lazy.train.labels.equal(eager.train.labels)
        rows = torch.tensor([5, 0, 0, 17])
        assert lazy.train.inputs[rows].equal(eager.train.inputs[rows])
        chosen = torch.tensor([7, 3, 9])
        assert batch(lazy.train.select(chosen)).equal(batch(eager.train.select(chosen)))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    values = np.tile(np.arange(0, 256, 32, dtype=np.uint8), (8, 1))
    if mode == "I;16":
        data = encode(Image.fromarray(values.astype(np.uint16) * 256))
    elif mode == "CMYK":
        data = encode(Image.fromarray(values).convert("CMYK"), "TIFF")
    elif mode == "P":
        data = encode(Image.fromarray(values).convert("P"), transparency=bytes(range(256)))
    else:
        data = encode(Image.fromarray(values).convert(mode))
    decoded = decode(data, size=None)
    assert decoded.shape == (8, 8, 3)
    assert decoded.dtype == np.uint8
    assert (decoded[..., 0] == decoded[..., 2]).all()
    if mode != "1":
        assert np.abs(decoded[0, :, 0].astype(int) - values[0]).max() <= 8


GREY16 = (np.arange(64).reshape(8, 8) * 1024 + 7).astype(np.uint16)


@pytest.mark.parametrize(
    ("kind", "order"), [("PNG", "<u2"), ("TIFF", "<u2"), ("TIFF", ">u2"), ("PPM", "<u2")]
)
def test_sixteen_bits_keep_the_upper_eight(kind: str, order: str) -> None:
    data = encode(Image.fromarray(GREY16.astype(order)), kind)
    expected = np.repeat((GREY16 >> 8).astype(np.uint8)[..., None], 3, axis=2)
    assert np.array_equal(decode(data, size=None), expected)


@pytest.mark.parametrize(
    ("values", "said"),
    [(GREY16 / 65535, "float"), (GREY16.astype(np.int32) * 9, "32-bit or signed integer")],
    ids=["float", "integer"],
)
@pytest.mark.parametrize("budget", [images.EAGER_BYTES, 0], ids=["eager", "lazy"])
def test_pixels_without_a_known_range_are_refused(
    image_folder: Writer, values: np.ndarray, said: str, budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "EAGER_BYTES", budget)
    folder = image_folder({"dog": 3, "cat": 3})
    wide = values.astype(np.float32) if values.dtype.kind == "f" else values
    (folder / "dog" / "x.tif").write_bytes(encode(Image.fromarray(wide), "TIFF"))
    with pytest.raises(InputError, match=rf"dog/x.tif: pixels of type {said}, of unknown range; save them"):
        load(folder)


class TestParquet:
    def test_hub_layout(self, hub_parquet: Writer) -> None:
        hub_parquet("pets/train.parquet", [0, 1, 1])
        source = load(hub_parquet("pets/test.parquet", [1, 0]).parent)
        assert source.train.classes == ("cat", "dog")
        assert source.train.labels.tolist() == [0, 1, 1]
        assert source.test.labels.tolist() == [1, 0]
        assert np.array_equal(batch(source.train)[2].permute(1, 2, 0).numpy(), pixels(2))

    def test_shards_in_a_clone_of_the_hub(self, hub_parquet: Writer, tmp_path: Path) -> None:
        hub_parquet("pets/data/train-00000-of-00002.parquet", [0, 1])
        hub_parquet("pets/data/train-00001-of-00002.parquet", [1, 1, 0])
        hub_parquet("pets/data/validation-00000-of-00001.parquet", [0, 1])
        source = load(tmp_path / "pets")
        assert source.train.labels.tolist() == [0, 1, 1, 1, 0]
        assert source.notes == ("test split: validation-00000-of-00001.parquet",)

    def test_one_file_is_split(self, hub_parquet: Writer) -> None:
        source = load(hub_parquet("pets.parquet", [0, 1] * 5))
        assert source.train.counts().tolist() == [4, 4]

    def test_another_label_column(self, hub_parquet: Writer) -> None:
        path = hub_parquet("pets.parquet", [0, 1] * 5, label="fine_label")
        with pytest.raises(InputError, match=r"no column named label; .*--label.*: img, fine_label"):
            load(path)
        with pytest.raises(InputError, match=r"unknown column in .*'finelabel': did you mean fine_label\?"):
            load(path, label="finelabel")
        assert load(path, label="fine_label").train.classes == ("cat", "dog")

    def test_a_named_class_without_rows_is_left_out(self, hub_parquet: Writer) -> None:
        source = load(hub_parquet("pets.parquet", [0, 2] * 5, names=("cat", "dog", "emu")))
        assert source.train.classes == ("cat", "emu")
        assert source.notes[0] == "classes without a training row are left out: 'dog'"

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            ([0, 1, None], "the label of row 2 .* is missing"),
            ([0, -1, 1], r"row 1 .* is negative \(-1\)"),
            ([0, 1, 2], "the label of row 2 .* is 2, of 2 class names"),
            ([1, 1, 1], "only one class, 'dog'"),
        ],
    )
    def test_wrong_labels(self, hub_parquet: Writer, labels: list[int | None], message: str) -> None:
        with pytest.raises(InputError, match=message):
            load(hub_parquet("pets.parquet", labels))

    def test_not_an_image_column(self, hub_parquet: Writer) -> None:
        with pytest.raises(InputError, match=r"column 'label' is of type int64; images are"):
            load(hub_parquet("pets.parquet", [0, 1, 0, 1]), image="label")

    def test_not_parquet(self, tmp_path: Path) -> None:
        (tmp_path / "a.parquet").write_bytes(b"PAR")
        with pytest.raises(InputError, match="not a readable PARQUET file") as caught:
            load(tmp_path / "a.parquet")
        assert "\n" not in str(caught.value)


class TestUnlabelled:
    def test_a_folder_at_any_depth(self, image_folder: Writer) -> None:
        rows = load_unlabelled(image_folder({"a": 1, "b/c": 2}), shape=(3, 4, 4))
        assert rows.names == ("a/000.png", "b/c/000.png", "b/c/001.png")
        assert rows.inputs.shape == (3, 3, 4, 4)

    @pytest.mark.parametrize("budget", [images.EAGER_BYTES, 0], ids=["eager", "lazy"])
    def test_images_that_are_not_square(
        self, image_folder: Writer, budget: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(images, "EAGER_BYTES", budget)
        folder = image_folder({"a": 2, "b": 1}, height=6, width=9)
        rows = load_unlabelled(folder, shape=(3, 6, 9))
        found = rows.inputs[torch.arange(3)].permute(0, 2, 3, 1).numpy()
        assert np.array_equal(found, np.stack([pixels(k, 6, 9) for k in range(3)]))  # as in training
        assert load_unlabelled(folder, shape=(3, 12, 6)).inputs[torch.tensor([0])].shape == (1, 3, 12, 6)

    def test_one_image(self, image_folder: Writer) -> None:
        path = image_folder({"a": 1}) / "a" / "000.png"
        rows = load_unlabelled(path, shape=(3, 8, 8))
        assert rows.names == ("000.png",)
        assert np.array_equal(rows.inputs[torch.tensor([0])][0].permute(1, 2, 0).numpy(), pixels(0))

    def test_a_table_of_images(self, hub_parquet: Writer) -> None:
        assert load_unlabelled(hub_parquet("a.parquet", [0, 1]), shape=(3, 8, 8)).names == (
            "row 0 (0.png)",
            "row 1 (1.png)",
        )

    def test_broken(self, image_folder: Writer) -> None:
        folder = image_folder({"a": 2})
        (folder / "a" / "000.png").write_bytes(b"")
        with pytest.raises(InputError, match=r"1 of 2 images broken or empty .*000.png: empty"):
            load_unlabelled(folder, shape=(3, 8, 8))
        rows = load_unlabelled(folder, shape=(3, 8, 8), skip_broken=True)
        assert rows.names == ("a/001.png",)
        assert "left out 1 of 2" in rows.notes[0]

    def test_images_for_a_model_of_features(self, image_folder: Writer) -> None:
        with pytest.raises(InputError, match=r"holds images, but the model wants rows of shape \[64\]"):
            load_unlabelled(image_folder({"a": 1}), shape=(64,))


@pytest.mark.parametrize("read", [lambda data: decode(data, size=None), size_of], ids=["decode", "size_of"])
def test_a_program_is_no_image(read: Callable[[bytes], object], monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    monkeypatch.setattr(
        "subprocess.Popen", lambda *call, **_: started.append(call)
    )  # Ghostscript, if anything
    monkeypatch.setattr("subprocess.check_call", lambda *call, **_: started.append(call))
    with pytest.raises(ValueError, match="not an image"):
        read(encode(Image.new("RGB", (4, 4)), "EPS"))
    assert not started


class TestPathsInTables:
    def table(self, folder: Path, paths: list[str]) -> Path:
        images = pa.array([{"bytes": None, "path": path} for path in paths])
        labels = [k % 2 for k in range(len(paths))]
        pq.write_table(pa.table({"img": images, "label": labels}), folder / "t.parquet")
        return folder / "t.parquet"

    def test_inside_the_folder(self, image_folder: Writer) -> None:
        folder = image_folder({"a": 4})
        paths = [f"a/{k:03}.png" for k in range(3)] + [str(folder / "a" / "003.png")]
        assert len(load_unlabelled(self.table(folder, paths), shape=(3, 8, 8))) == 4
        assert len(load(self.table(folder, paths)).test) == 2

    @pytest.mark.parametrize("way", ["dots", "whole", "link", "pipe"])
    def test_nothing_else_is_opened(self, image_folder: Writer, tmp_path: Path, way: str) -> None:
        folder = image_folder({"a": 3})
        secret = tmp_path / "secret.png"
        secret.write_bytes((folder / "a" / "000.png").read_bytes())
        (folder / "link").symlink_to(secret)
        os.mkfifo(folder / "pipe")  # to read it would wait for ever
        path = {"dots": "../secret.png", "whole": str(secret)}.get(way, way)
        with pytest.raises(InputError, match="no regular file inside the source's folder"):
            load(self.table(folder, ["a/000.png", "a/001.png", "a/002.png", path]))


@pytest.mark.parametrize("metadata", [b"", b"{", b'{"info": 3}', b'{"info": {"features": {"label": 1}}}'])
def test_metadata_that_cannot_be_read(tmp_path: Path, metadata: bytes) -> None:
    table = pa.table({"a": [1, 2, 3, 4], "label": [0, 1, 0, 1]})
    pq.write_table(table.replace_schema_metadata({"huggingface": metadata}), tmp_path / "t.parquet")
    with pytest.raises(
        InputError, match=r"t.parquet: its metadata `huggingface`, .* cannot be read"
    ) as caught:
        load(tmp_path / "t.parquet")
    assert "\n" not in str(caught.value)


def test_a_side_beyond_reason(image_folder: Writer) -> None:
    with pytest.raises(InputError, match="--image-size 1000000: a side in pixels is at most 8192"):
        load(image_folder({"dog": 3, "cat": 3}), image_size=1_000_000)


def test_names_that_cannot_be_shown_are_escaped(tmp_path: Path) -> None:
    for name in (b"caf\xe9", b"red\x1b[31m"):
        folder = os.fsencode(tmp_path / "pets") + b"/" + name
        os.makedirs(folder)  # noqa: PTH103  (a path of bytes)
        for k in range(2):
            with open(folder + b"/%d.png" % k, "wb") as file:  # noqa: PTH123
                file.write(encode(Image.new("RGB", (4, 4))))
    source = load(tmp_path / "pets", test_fraction=0.5)
    assert source.train.classes == (r"caf\udce9", r"red\x1b[31m")
    rows = load_unlabelled(tmp_path / "pets", shape=(3, 4, 4))
    assert rows.names[::2] == (r"caf\udce9/0.png", r"red\x1b[31m/0.png")
    assert all(name.isprintable() for name in rows.names)

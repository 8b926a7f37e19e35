"""Encoders by name: what is found, with which weights and preprocessing, and what is refused without a download."""

from __future__ import annotations

import json
import pickle
import time
import uuid
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import midmix
from midmix.errors import InputError
from midmix.models import Encoder, ImageInputs, build, find_encoder, fit_normalization

CODE = """
from torch import nn
from midmix.models import Encoder, ImageInputs

INPUTS = ImageInputs(size=(8, 8), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))

def body():
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1))

def encoder():
    return Encoder(body(), INPUTS)

def chosen(weights="none"):
    made = Encoder(body(), INPUTS)
    made.given = weights
    return made

def whole(num_classes):
    return nn.Sequential(body(), nn.Flatten(), nn.Linear(6, num_classes))
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of one's own in the current folder."""
    name = f"encoders_{uuid.uuid4().hex}"
    (tmp_path / f"{name}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    return name


class TestTimm:
    def test_features_are_those_of_timm_for_normalised_images(self) -> None:
        timm = pytest.importorskip("timm")
        model = build("timm:test_resnet", (3, 64, 64), 5, seed=3, weights="none")
        assert isinstance(model, Encoder)
        assert model.network == "timm:test_resnet"
        cfg = timm.get_pretrained_cfg("test_resnet")
        assert model.inputs.size == cfg.input_size[1:]
        assert (model.inputs.mean, model.inputs.std, model.inputs.crop) == (cfg.mean, cfg.std, cfg.crop_pct)
        bare = timm.create_model("test_resnet", num_classes=0).eval()
        bare.load_state_dict(model.body.state_dict())
        x = torch.rand(2, 3, *model.inputs.size)
        shifted = (x - torch.tensor(cfg.mean).view(3, 1, 1)) / torch.tensor(cfg.std).view(3, 1, 1)
        with torch.no_grad():
            torch.testing.assert_close(model.eval().features(x), bare(shifted))
            assert model(x).shape == (2, 5)

    def test_a_size_can_be_named(self) -> None:
        pytest.importorskip("timm")
        for name, size in (("test_vit@80", 80), ("test_resnet@40", 40)):
            encoder = find_encoder(f"timm:{name}", "none")
            assert encoder.inputs.size == (size, size)
            assert encoder(torch.rand(1, 3, 33, 50)).shape == (
                1,
                encoder.width,
            )  # whatever the images' own size

    def test_weights_of_a_file_are_the_files(self, tmp_path: Path) -> None:
        timm = pytest.importorskip("timm")
        torch.manual_seed(7)
        theirs = timm.create_model("test_resnet", num_classes=11)
        save_file(theirs.state_dict(), tmp_path / "theirs.safetensors")
        torch.save(
            {"state_dict": {f"module.{k}": v for k, v in theirs.state_dict().items()}},
            tmp_path / "theirs.pth",
        )
        for name in ("theirs.safetensors", "theirs.pth"):
            found = find_encoder("timm:test_resnet", str(tmp_path / name)).body.state_dict()
            assert all(torch.equal(value, theirs.state_dict()[key]) for key, value in found.items())

    def test_a_folder_that_timm_saves(self, tmp_path: Path) -> None:
        timm = pytest.importorskip("timm")
        theirs = timm.create_model("test_resnet", num_classes=4)
        timm.models.save_for_hf(theirs, tmp_path / "model", safe_serialization=True)
        encoder = find_encoder(str(tmp_path / "model"))
        ours, whole = encoder.body.state_dict(), theirs.state_dict()
        assert all(torch.equal(value, whole[key]) for key, value in ours.items())

    def test_names_that_nobody_knows(self) -> None:
        pytest.importorskip("timm")
        with pytest.raises(InputError, match=r"unknown network 'timm:resnet19': did you mean timm:resnet18"):
            find_encoder("timm:resnet19", "none")


class TestTransformers:
    def test_images_by_the_first_token_and_its_own_numbers(self, vit_tiny: Path) -> None:
        from transformers import ViTModel

        encoder = find_encoder(str(vit_tiny))
        assert encoder.inputs == ImageInputs((16, 16), (0.4, 0.5, 0.6), (0.2, 0.3, 0.4), "bicubic")
        bare = ViTModel.from_pretrained(vit_tiny, add_pooling_layer=False).eval()
        x = torch.rand(3, 3, 16, 16)
        with torch.no_grad():
            expected = bare(pixel_values=encoder.normalize(x)).last_hidden_state[:, 0]
            torch.testing.assert_close(encoder(x), expected)

    def test_texts_by_the_mean_of_their_own_tokens(self, bert_tiny: Path) -> None:
        from transformers import BertModel

        encoder = find_encoder(str(bert_tiny))
        tokens = encoder.inputs.tokenize(["a very good film", "bad"])
        assert tokens.shape == (2, 6)
        bare = BertModel.from_pretrained(bert_tiny, add_pooling_layer=False).eval()
        with torch.no_grad():
            found = encoder(tokens)
            for row, length in enumerate((6, 3)):
                alone = bare(input_ids=tokens[row : row + 1, :length]).last_hidden_state.mean(1)
                torch.testing.assert_close(found[row : row + 1], alone)

    def test_names_of_classes_by_the_text_side_which_is_no_part_of_the_encoder(self, clip_tiny: Path) -> None:
        from transformers import AutoTokenizer, CLIPModel

        encoder = find_encoder(str(clip_tiny))
        whole = CLIPModel.from_pretrained(clip_tiny).eval()
        x = torch.rand(2, 3, 16, 16)
        texts = AutoTokenizer.from_pretrained(clip_tiny)(
            ["a photo of a good film.", "a photo of a bad."], padding=True, return_tensors="pt"
        )
        with torch.no_grad():
            torch.testing.assert_close(
                encoder(x), whole.get_image_features(pixel_values=encoder.normalize(x)).pooler_output
            )
            asked = {name: texts[name] for name in ("input_ids", "attention_mask")}
            expected = whole.get_text_features(**asked).pooler_output
        torch.testing.assert_close(encoder.features_of_names(["good_film", "bad"]), expected)
        assert not any("text" in name for name in encoder.state_dict())

    def test_names_of_classes_are_texts_for_an_encoder_of_texts(
        self, bert_tiny: Path, vit_tiny: Path
    ) -> None:
        encoder = find_encoder(str(bert_tiny))
        with torch.no_grad():
            expected = encoder(encoder.inputs.tokenize(["good film"]))
        torch.testing.assert_close(encoder.features_of_names(["good_film"]), expected)
        with pytest.raises(InputError, match=r"has no text side .*start=means"):
            find_encoder(str(vit_tiny)).features_of_names(["good"])

    def test_longer_texts_are_cut(self, bert_tiny: Path) -> None:
        encoder = find_encoder(str(bert_tiny))
        assert encoder.inputs.tokenize(["good " * 100]).shape == (1, 16)

    def test_random_weights_are_by_the_seed(self, vit_tiny: Path) -> None:
        first, same, other = (find_encoder(str(vit_tiny), "none", seed=seed).digest() for seed in (1, 1, 2))
        assert first == same != other
        assert find_encoder(str(vit_tiny)).digest() not in (first, other)


class TestFunctions:
    def test_an_encoder_gets_a_classifier_and_keeps_its_normalisation(self, own: str) -> None:
        model = build(f"{own}:encoder", (3, 8, 8), 4, seed=0)
        assert model(torch.rand(2, 3, 8, 8)).shape == (2, 4)
        fit_normalization(model, torch.rand(20, 3, 8, 8) * 100)
        assert model.normalize.mean.flatten().tolist() == [0.5, 0.5, 0.5]

    def test_weights_go_to_who_takes_them(self, own: str, tmp_path: Path) -> None:
        assert find_encoder(f"{own}:chosen", "pretrained").given == "pretrained"
        with pytest.raises(InputError, match=r"does not take weights=, so it has its own"):
            find_encoder(f"{own}:encoder", "pretrained")
        body = find_encoder(f"{own}:encoder").body
        save_file({key: value + 1 for key, value in body.state_dict().items()}, tmp_path / "b.safetensors")
        again = find_encoder(f"{own}:encoder", str(tmp_path / "b.safetensors")).body
        assert torch.equal(again[0].weight, body[0].weight + 1)

    def test_a_whole_network_is_no_encoder(self, own: str) -> None:
        assert not isinstance(build(f"{own}:whole", (3, 8, 8), 4), Encoder)
        with pytest.raises(InputError, match=r"the function wants num_classes=; for an encoder"):
            find_encoder(f"{own}:whole")


class TestWeights:
    """What is refused, in one line and at once; nothing is downloaded that was not asked for."""

    @pytest.mark.parametrize("name", ["timm:resnet18", "hf:prajjwal1/bert-tiny"])
    def test_must_be_named(self, name: str) -> None:
        with pytest.raises(InputError, match=r"say which weights: --weights pretrained .*, a file, or none"):
            find_encoder(name)

    @pytest.mark.parametrize("name", ["timm:resnet18", "hf:prajjwal1/bert-tiny"])
    def test_out_of_reach_is_said_at_once(
        self, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        pytest.importorskip("timm")
        import huggingface_hub.constants as hub

        monkeypatch.setattr(hub, "ENDPOINT", "http://127.0.0.1:9")  # where nobody listens
        monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
        said: list[str] = []
        started = time.monotonic()
        with pytest.raises(
            InputError, match=r"is not in the cache and cannot be had from the Hugging Face Hub"
        ):
            find_encoder(name, "pretrained", say=said.append)
        assert time.monotonic() - started < 20
        assert not said

    def test_without_being_asked_for_the_hub_is_not_asked(self, tmp_path: Path, monkeypatch) -> None:
        import huggingface_hub.constants as hub

        monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
        with pytest.raises(InputError, match=r"is not in the cache; say --weights pretrained to download it"):
            find_encoder("hf:prajjwal1/bert-tiny", "none")

    def test_files_that_would_run_code_are_not_read(self, own: str, tmp_path: Path) -> None:
        class Payload:
            def __reduce__(self):
                return Path.touch, (tmp_path / "executed",)

        (tmp_path / "bad.pth").write_bytes(pickle.dumps(Payload()))
        with pytest.raises(InputError, match=r"bad.pth: cannot be read as weights"):
            find_encoder(f"{own}:encoder", str(tmp_path / "bad.pth"))
        torch.save({"weight": Payload()}, tmp_path / "worse.pth")
        with pytest.raises(InputError, match=r"worse.pth: cannot be read as weights \(it would run code\)"):
            find_encoder(f"{own}:encoder", str(tmp_path / "worse.pth"))
        assert not (tmp_path / "executed").exists()

    def test_weights_of_another_network(self, own: str, tmp_path: Path) -> None:
        save_file({"0.weight": torch.zeros(6, 3, 3, 3)}, tmp_path / "w.safetensors")
        with pytest.raises(InputError, match=r"of its 2 weights 1 are missing, such as 0\.bias"):
            find_encoder(f"{own}:encoder", str(tmp_path / "w.safetensors"))
        save_file({"0.weight": torch.zeros(6, 3, 5, 5), "0.bias": torch.zeros(6)}, tmp_path / "w.safetensors")
        with pytest.raises(InputError, match=r"1 have another shape, such as 0\.weight"):
            find_encoder(f"{own}:encoder", str(tmp_path / "w.safetensors"))

    def test_what_is_trained_from_the_beginning_has_none(self) -> None:
        with pytest.raises(InputError, match=r"weights: none beside network 'resnet-8'"):
            build("resnet-8", (3, 8, 8), 4, weights="none")

    def test_a_folder_that_is_no_model(self, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text(json.dumps({"a": 1}))
        with pytest.raises(InputError, match=r"names neither an architecture of timm nor a model_type"):
            find_encoder(str(tmp_path))
        (tmp_path / "config.json").write_text("{")
        with pytest.raises(InputError, match=r"is not JSON, or was cut"):
            find_encoder(str(tmp_path))

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        (tmp_path / "encoder").mkdir()
        with pytest.raises(InputError, match=r"holds no config.json of a model"):
            build(f"{tmp_path}/encoder", (3, 8, 8), 2, seed=0)
        (tmp_path / "encoder" / "config.json").write_text("{}")
        with pytest.raises(
            InputError, match=r"there is no such folder; did you mean .*/encoder\? .* hf:OWNER"
        ):
            build(f"{tmp_path}/encodr/", (3, 8, 8), 2, seed=0, weights="pretrained")


def test_a_body_that_gives_no_features() -> None:
    with pytest.raises(InputError, match=r"a batch of shape \(2, 3, 8, 8\) fails"):
        Encoder(nn.Linear(5, 5), ImageInputs((8, 8)))


def test_features_are_mixed_in_an_encoder_as_in_our_networks(own: str) -> None:
    from midmix.training.step import can_divide

    model = build(f"{own}:encoder", (3, 8, 8), 3, seed=0)
    mix = midmix.balanced_am_mixup(num_classes=3).attach(model)
    assert can_divide(model, mix)
    with mix(torch.tensor([0, 1, 2, 0])):
        logits = model(torch.rand(4, 3, 8, 8))
    mix.loss(logits).backward()
    assert model.body[0].weight.grad is not None
    mix.remove()


def test_a_file_of_a_whole_run_is_read_back(own: str, tmp_path: Path) -> None:
    model = build(f"{own}:encoder", (3, 8, 8), 3, seed=0)
    save_file(model.state_dict(), tmp_path / "m.safetensors")
    again = find_encoder(f"{own}:encoder", str(tmp_path / "m.safetensors"))
    assert torch.equal(again.body[0].weight, model.body[0].weight)
    assert "fc.weight" in load_file(tmp_path / "m.safetensors")

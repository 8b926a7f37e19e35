"""What every test may ask for: real data, a printed seed, an importable torchvision."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import torch

hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("fuzz", deadline=None, max_examples=5_000)  # of each: 100,000 and more

# Declared to the dispatcher only, never run: torchvision describes these to it while it is imported.
TORCHVISION_OPERATORS = (
    "nms",
    "qnms",
    "roi_align",
    "_roi_align_backward",
    "ps_roi_align",
    "_ps_roi_align_backward",
    "roi_pool",
    "_roi_pool_backward",
    "ps_roi_pool",
    "_ps_roi_pool_backward",
    "deform_conv2d",
    "_deform_conv2d_backward",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=0, metavar="N", help="seed of the random tests (default: 0)")


def pytest_report_header(config: pytest.Config) -> str:
    data = os.environ.get("MIDMIX_DATA", "unset, tests on real data are skipped")
    return f"seed: {config.getoption('seed')} (--seed), MIDMIX_DATA: {data}"


def pytest_configure(config: pytest.Config) -> None:
    # Of tensors as small as the tests' two threads wait for each other much longer than they compute.
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the commands that tests start
    config.stash[_OPERATORS] = _declare_torchvision_operators()


_OPERATORS = pytest.StashKey["torch.library.Library | None"]()


def _declare_torchvision_operators() -> torch.library.Library | None:
    """Let torchvision be imported where its compiled part does not load, as beside a CPU build of torch.

    timm and transformers import torchvision as soon as it is installed; without its operators that fails. The
    returned library undoes its declarations when it is collected, so it has to be kept.
    """
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None:
        return None
    for compiled in Path(found.origin).parent.glob("_C*.so"):
        try:
            torch.ops.load_library(str(compiled))
        except OSError:
            continue
        return None
    library = torch.library.Library("torchvision", "DEF")
    for operator in TORCHVISION_OPERATORS:
        library.define(f"{operator}(...) -> ...")
    return library


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The seed of this test run, as its header shows it."""
    return int(request.config.getoption("seed"))


@pytest.fixture
def generator(seed: int) -> torch.Generator:
    """A fresh generator at the seed of this test run."""
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="session")
def midmix_data() -> Path:
    """The folder of real image sets that `MIDMIX_DATA` names."""
    named = os.environ.get("MIDMIX_DATA")
    if not named:
        pytest.skip("MIDMIX_DATA is unset: it names the folder of real image sets")
    folder = Path(named)
    if not folder.is_dir():
        pytest.fail(f"MIDMIX_DATA names {named}, which is not a folder; unset it to skip these tests")
    return folder


@pytest.fixture(scope="session")
def values(midmix_data: Path) -> dict[str, Any]:
    """Inputs, parameters and outputs of published code by name, float64, twelve digits."""
    file = midmix_data.parent / "reference" / "values.json"
    if not file.is_file():
        pytest.skip("no reference values beside MIDMIX_DATA")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film", "book", "very", "a"]


@pytest.fixture(scope="session")
def bert_tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of Transformers' with a text encoder of random weights and its tokenizer."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("bert-tiny")
    (folder / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=16,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.BertModel(config).save_pretrained(folder)
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def clip_tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of Transformers' with an encoder of images and texts, of random weights, and its tokenizer."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("clip-tiny")
    (folder / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    own = {"hidden_size": 12, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.CLIPConfig(
        text_config={
            **own,
            "vocab_size": len(WORDS),
            "max_position_embeddings": 12,
            "eos_token_id": 3,
            "bos_token_id": 2,
        },
        vision_config={**own, "image_size": 16, "patch_size": 8},
        projection_dim=8,
    )
    torch.manual_seed(0)
    transformers.CLIPModel(config).save_pretrained(folder)
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder

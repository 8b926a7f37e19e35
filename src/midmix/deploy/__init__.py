"""Models out of the tool: loaded, exported, described and shared."""

from midmix.deploy.card import model_card
from midmix.deploy.export import export_onnx, export_program
from midmix.deploy.loaded import LoadedModel, load

__all__ = ["LoadedModel", "export_onnx", "export_program", "load", "model_card"]

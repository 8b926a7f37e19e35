"""Encoders by name: of timm, of Transformers, of a local folder, or of one's own function."""

from midmix.models.pretrained.find import FOLDER, SCHEMES, find_encoder, is_encoder, no_folder

__all__ = ["FOLDER", "SCHEMES", "find_encoder", "is_encoder", "no_folder"]

"""What a user may say about a source."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """How to read a source; every field is a keyword of `load` and a flag of the command line.

    Attributes:
        label: column (Parquet, CSV, Hub) or array (NPZ) of the labels; `None` finds `label` or `labels`.
        coarse: column or array of the groups that the labels are in, where they are wanted; see `load_grouped`.
        features: columns or array of the features; `None` takes every column but the label that holds
            numbers, or lists of numbers as embeddings are.
        image: column of the images; `None` finds the only column of image bytes.
        test_fraction: share of the rows that becomes the test split where the source has none (0.2 if `None`).
        image_size: side in pixels; images are scaled and cropped around their centre to this square.
        skip_broken: leave out images that cannot be decoded, instead of stopping.
        seed: draws the test split where the source has none. It is not the seed of a run: every run of a
            comparison sees the same test rows.
    """

    label: str | None = None
    coarse: str | None = None
    features: tuple[str, ...] | None = None
    image: str | None = None
    test_fraction: float | None = None
    image_size: int | None = None
    skip_broken: bool = False
    seed: int = 0

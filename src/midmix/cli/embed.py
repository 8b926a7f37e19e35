"""`midmix embed`: an encoder's features of a source, in a file that every command reads."""

from __future__ import annotations

import time
from pathlib import Path

from midmix import data
from midmix.cli.console import console, introduce
from midmix.cli.flags import Config, SourceFlags
from midmix.cli.sources import encoder_for, features_of, reading_for
from midmix.data.features_file import check_features_file, write_features
from midmix.errors import InputError


def embed(
    source: str,
    /,
    *,
    network: str,
    weights: str | None = None,
    out: Path = Path("features.parquet"),
    config: Config = None,
    reading: SourceFlags = SourceFlags(),  # noqa: B008  (frozen)
) -> None:
    """Make features of images or texts by a pretrained encoder, and write them with names and labels.

    `midmix compare`, `train`, `analyze` and the others read the file. Features are kept in midmix's cache as they are
    made, so that the same command goes on where it was interrupted, several at once share the work, and
    `--tune head` on the same rows finds them there.

    Parameters
    ----------
    source
        A folder of images, or a table with a column of images or texts; as for `midmix compare`.
    network
        `timm:NAME`, `hf:OWNER/NAME`, a local folder, or `module:function` (`file.py:function`) that returns a
        `midmix.models.Encoder`.
    weights
        `pretrained`, which downloads what is not in the cache, a file, or `none`. [default: a folder's own]
    out
        A `.parquet` or `.npz` file; or a folder, for `train.parquet` and `test.parquet` where the source has a test
        split of its own.
    """
    check_features_file(out)
    encoder = encoder_for({"network": network, "weights": weights})
    if encoder is None:
        raise InputError(
            f"--network {network}: is no pretrained encoder; name timm:NAME, hf:OWNER/NAME, a local folder, or a "
            "function that returns a midmix.models.Encoder"
        )
    loaded = data.load(source, split=False, **reading_for(reading.options(), encoder, lazy=True))
    introduce(loaded)
    splits = len(loaded.train) > 0
    check_features_file(out, splits=splits)
    started = time.perf_counter()
    found = features_of(loaded, encoder)
    seconds = time.perf_counter() - started
    train, test = (
        (part, data.names_of(rows.inputs))
        for part, rows in ((found.train, loaded.train), (found.test, loaded.test))
    )
    write_features(out, train, test) if splits else write_features(out, test)
    count = len(loaded.train) + len(loaded.test)
    console.print(
        f"{count:,} rows of {found.test.shape[0]} features ({count / seconds:,.0f} a second): {out}",
        highlight=False,
        soft_wrap=True,
    )

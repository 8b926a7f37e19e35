"""From parts, as they were read, to a source."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from midmix.data import images
from midmix.data.dataset import Inputs, Labelled, RawSource, RawSplit, Source
from midmix.data.encoded import ListedImages, Scaling
from midmix.data.labels import encode, listing
from midmix.data.mapped import MappedRows
from midmix.data.options import Options
from midmix.data.split import validation_split
from midmix.data.tables.leaks import leak_notes
from midmix.data.texts import TextColumn, text_rows
from midmix.errors import InputError
from midmix.text import printable

DEFAULT_TEST_FRACTION = 0.2
LARGEST_SIDE, MOST_WORKERS = 8192, 256


def assemble(name: str, raw: RawSource, options: Options, *, split: bool = True) -> Source:
    """Decode, check and number the rows of a source, and draw its test split if it has none.

    Without `split` all rows of such a source are test rows, save where the source itself says what is drawn.

    Raises:
        InputError: for everything that `load` refuses in rows and labels.
    """
    name, train, test = printable(name), raw.train, raw.test
    if test is not None and options.test_fraction is not None:
        raise InputError(f"{name}: has a test split of its own; leave out --test-fraction (test_fraction=)")
    parts = list(raw.splits)
    if (options.keep or options.exclude) and not train.table:
        raise InputError(
            f"{name}: has no columns to choose among; leave out --keep and --exclude (keep=, exclude=)"
        )
    if (options.list or options.list_test or options.root) and not isinstance(train.rows, ListedImages):
        raise InputError(
            f"{name}: is no list of images; leave out --list, --list-test and --root (list=, list_test=, root=)"
        )
    if options.text and not isinstance(train.rows, TextColumn):
        raise InputError(f"{name}: has no columns of text; leave out --text (text=)")
    if options.image_size is not None and options.image_size < 1:
        raise InputError(
            f"{name}: --image-size {options.image_size}: a side in pixels is at least 1 (image_size=)"
        )
    if options.image_size is not None and options.image_size > LARGEST_SIDE:
        raise InputError(
            f"{name}: --image-size {options.image_size}: a side in pixels is at most {LARGEST_SIDE} (image_size=)"
        )
    if options.workers is not None and not 0 <= options.workers <= MOST_WORKERS:
        raise InputError(
            f"{name}: --workers {options.workers}: 0, for threads, to {MOST_WORKERS} processes decode images (workers=)"
        )
    scaling = Scaling(options.interpolation, options.crop)
    if (
        options.image_size is not None
        and isinstance(train.rows, Tensor | MappedRows)
        and not options.scaled_later
    ):
        raise InputError(
            f"{name}: holds no encoded images that could be scaled; leave out --image-size (image_size=)"
        )
    least = 2 if split or test is not None or raw.test_fraction is not None else 1
    _encode(parts, name, least)  # labels that are wrong are told before the images are decoded
    inputs, parts, skipped = _open(parts, options, None if options.image_size is None else scaling, name)
    labels, classes, label_notes = _encode(parts, name, least)
    splits = [Labelled(rows, indices, classes) for rows, indices in zip(inputs, labels, strict=True)]
    notes = tuple(map(printable, (*train.notes, *skipped, *label_notes)))
    table = train.table
    if len(splits) == 2:
        if splits[0].shape != splits[1].shape:
            raise InputError(
                f"{name}: training rows have shape {list(splits[0].shape)}, test rows {list(splits[1].shape)}; "
                "both need the same"
            )
        leaks = leak_notes(splits[0], splits[1], table)
        return Source(name, splits[0], splits[1], train.columns, (*notes, *leaks), table=table)

    (whole,) = splits
    given = raw.test_fraction if raw.test_fraction is not None else options.test_fraction
    if not split and raw.test_fraction is None:
        return Source(name, whole.select(torch.arange(0)), whole, train.columns, notes, table=table)
    fraction = DEFAULT_TEST_FRACTION if given is None else given
    single = [classes[c] for c in (whole.counts() == 1).nonzero().flatten().tolist()]
    if single:
        raise InputError(
            f"{name}: {len(single)} class(es) with a single row, {listing(single)}, which cannot be in training and "
            "test both; add rows, remove the class, or give a test split of your own"
        )
    train_rows, test_rows = validation_split(whole.labels, fraction=fraction, seed=options.seed)
    note = f"test split: {len(test_rows)} of {len(whole)} rows, drawn by class with seed {options.seed}"
    drawn = whole.select(train_rows), whole.select(test_rows)
    leaks = leak_notes(*drawn, table)
    return Source(name, *drawn, train.columns, (*notes, note, *leaks), drawn=True, table=table)


def _encode(
    parts: Sequence[RawSplit], name: str, least: int
) -> tuple[list[Tensor], tuple[str, ...], tuple[str, ...]]:
    train, test, classes, notes = encode(
        parts[0].labels, parts[1].labels if len(parts) == 2 else None, where=name, least=least
    )
    return [train] if test is None else [train, test], classes, notes


def _open(
    parts: list[RawSplit], options: Options, scaling: Scaling | None, name: str
) -> tuple[list[Inputs], list[RawSplit], tuple[str, ...]]:
    """Inputs of each part, the parts without the rows that could not be read, and a note on those."""
    texts = [part.rows for part in parts if isinstance(part.rows, TextColumn)]
    if texts:
        return [text_rows(one) for one in texts], parts, ()
    ready: list[Inputs] = [part.rows for part in parts if isinstance(part.rows, Tensor | MappedRows)]
    encoded = [part.rows for part in parts if not isinstance(part.rows, Tensor | MappedRows)]
    if ready:
        return ready, parts, ()
    size = images.first_size(encoded[0], image_size=options.image_size)
    if size is None:
        raise InputError(
            f"{name}: none of the {len(encoded[0])} images can be read; are they JPEG, PNG or the like?"
        )
    total = sum(map(len, encoded))
    eager = not options.lazy and 3 * size[0] * size[1] * total <= images.EAGER_BYTES
    opened = [
        images.open_images(
            one,
            where=part.where,
            size=size,
            scaling=scaling,
            eager=eager,
            skip_broken=options.skip_broken,
            workers=options.workers,
        )
        for one, part in zip(encoded, parts, strict=True)
    ]
    notes = images.note_broken(name, list(zip(encoded, opened, strict=True)), skip_broken=options.skip_broken)
    kept = [part.with_labels_of(one.kept) for part, one in zip(parts, opened, strict=True)]
    return [one.inputs for one in opened], kept, notes

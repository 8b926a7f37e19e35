"""Tables, archives and images that are damaged, lie, or are not what their names say."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from tests.faults.attempts import Case
from tests.faults.stock import QUICK, command, files, write_images

Expected = Literal["line", "fine", "either"]
ROWS = "\n".join(f"{row},{row % 3},{'xyz'[row % 3]}" for row in range(30))

CSV: dict[str, tuple[bytes | str, Expected]] = {
    "empty": ("", "line"),
    "a line break": ("\n", "line"),
    "names alone": ("a,b,label\n", "line"),
    "one row": ("a,b,label\n1,2,x\n", "line"),
    "one class": ("a,b,label\n1,2,x\n2,3,x\n3,4,x\n", "line"),
    "a class of one row": (f"a,b,label\n{ROWS}\n1,2,rare\n", "line"),
    "NUL bytes": (b"a,b,label\n" + b"\0" * 100, "line"),
    "a NUL in a label": (f"a,b,label\n{ROWS}".encode().replace(b"x", b"x\0"), "either"),
    "rows of other lengths": (f"a,b,label\n{ROWS}\n1,2\n", "line"),
    "longer rows": (f"a,b,label\n{ROWS}\n1,2,x,4\n", "line"),
    "two columns of one name": (f"a,a,label\n{ROWS}", "line"),
    "two columns of labels": ("a,label,label\n" + ROWS, "line"),
    "label and labels": (f"a,label,labels\n{ROWS}", "either"),
    "no label": (f"a,b,c\n{ROWS}", "line"),
    "no names": (ROWS, "line"),
    "a mark of the byte order": (b"\xef\xbb\xbf" + f"a,b,label\n{ROWS}".encode(), "fine"),
    "UTF-16": (f"a,b,label\n{ROWS}".encode("utf-16"), "line"),
    "Latin-1 in a label": (f"a,b,label\n{ROWS}".encode().replace(b"x", b"\xe9"), "line"),
    "Latin-1 in a name": (b"a,\xe9,label\n" + ROWS.encode(), "line"),
    "a missing value": (f"a,b,label\n{ROWS}\n,1,x", "fine"),
    "a missing label": (f"a,b,label\n{ROWS}\n1,1,", "line"),
    "no labels at all": ("a,b,label\n" + "1,2,\n" * 9, "line"),
    "NaN": (f"a,b,label\n{ROWS}\nnan,1,x", "fine"),
    "infinity": (f"a,b,label\n{ROWS}\n-inf,1,x", "line"),
    "beyond 32 bits": (f"a,b,label\n{ROWS}\n1e300,1,x", "line"),
    "beyond 64 bits": (f"a,b,label\n{ROWS}\n1e400,1,x", "line"),
    "text among numbers": (f"a,b,label\n{ROWS}\nhello,1,x", "either"),
    "no numbers": ("a,b,label\n" + "u,v,x\nu,w,y\n" * 9, "fine"),
    "labels alone": ("label\n" + "x\ny\n" * 9, "line"),
    "an open quote": (f'a,b,label\n{ROWS}\n1,2,"x', "either"),
    "semicolons": (f"a,b,label\n{ROWS}".replace(",", ";"), "fine"),
    "tabs": (f"a,b,label\n{ROWS}".replace(",", "\t"), "fine"),
    "a field of a megabyte": (f"a,b,label\n{ROWS}\n1,2,{'x' * 2**20}", "line"),
    "a name of a megabyte": (f"a,{'b' * 2**20},label\n{ROWS}", "either"),
    "twenty thousand columns": (
        ",".join(["label", *(f"c{n}" for n in range(20_000))]) + ("\nx" + ",1" * 20_000) * 3, "line"),
    "an image": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "line"),
    "a Parquet file": (b"PAR1" + b"\0" * 50 + b"PAR1", "line"),
    "a pickle": (b"\x80\x04cos\nsystem\n(S'touch exploded'\ntR.", "line"),
    "labels with control characters": (f"a,b,label\n{ROWS}".replace("x", "\x1b[31mx\x07"), "fine"),
    "labels in quotes over two lines": (f"a,b,label\n{ROWS}".replace("x", '"x\ny"'), "either"),
    "labels like formulas": (f"a,b,label\n{ROWS}".replace("x", "=1+1"), "fine"),
    "labels like paths": (f"a,b,label\n{ROWS}".replace("x", "../../x"), "fine"),
    "labels like markup": (f"a,b,label\n{ROWS}".replace("x", "<script>alert(1)</script>[red]"), "fine"),
    "labels of other scripts": (f"a,b,label\n{ROWS}".replace("x", "猫\u202eé"), "fine"),
    "labels with blanks": (f"a,b,label\n{ROWS}".replace("x", " x "), "either"),
    "names with control characters": (f"a\x1b[31m,b,label\n{ROWS}", "fine"),
    "labels in digits": (f"a,b,label\n{ROWS}".replace("x", "01").replace("y", "1"), "fine"),
    "true and false": (f"a,b,label\n{ROWS}".replace("x", "true"), "fine"),
    "constant features": ("a,b,label\n" + "1,1,x\n1,1,y\n" * 15, "either"),
    "dates": ("a,b,d,label\n" + "\n".join(f"{n},2020-01-01,1,{'xy'[n % 2]}" for n in range(30)), "either"),
}  # fmt: skip

TEXT = {"test rows of other columns": ("a,b,label\n", "c,d,label\n"),
        "test rows of other classes": ("a,b,label\n", "a,b,label\n1,2,w\n"),
        "no test rows": ("a,b,label\n", "a,b,label\n")}  # fmt: skip


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def header_that_lies(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    """An archive whose array says it has another shape than its bytes are."""
    header = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    array = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 400
    file = io.BytesIO(npz(y=np.arange(100) % 2))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("x.npy", array)
    return file.getvalue()


X, Y = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32), np.arange(60) % 3
ARCHIVES: dict[str, tuple[bytes, Expected]] = {
    **{f"{x} and {y}": (npz(**{x: X, y: Y}), "fine") for x in ("x", "X", "features", "data") for y in ("y", "labels")},
    "empty": (b"", "line"), "no archive": (b"hello", "line"), "an archive of nothing": (npz(), "line"),
    "x alone": (npz(x=X), "line"), "y alone": (npz(y=Y), "line"), "other lengths": (npz(x=X, y=Y[:-1]), "line"),
    "no rows": (npz(x=X[:0], y=Y[:0]), "line"), "no features": (npz(x=X[:, :0], y=Y), "line"),
    "an empty test part": (npz(x=X, y=Y, x_test=X[:0], y_test=Y[:0]), "line"),
    "half a test part": (npz(x=X, y=Y, x_test=X), "line"),
    "a test part of another width": (npz(x=X, y=Y, x_test=X[:, :2], y_test=Y), "line"),
    "a test part of other classes": (npz(x=X, y=Y, x_test=X, y_test=Y + 3), "line"),
    "a number for x": (npz(x=np.float32(1), y=Y), "line"), "one dimension": (npz(x=X[:, 0], y=Y), "line"),
    "five dimensions": (npz(x=np.zeros((60, 1, 1, 1, 1)), y=Y), "line"),
    "two dimensions of labels": (npz(x=X, y=np.eye(3)[Y]), "line"),
    "complex": (npz(x=X.astype(np.complex64), y=Y), "line"), "text": (npz(x=X.astype(str), y=Y), "line"),
    "dates": (npz(x=X.astype("M8[s]"), y=Y), "line"), "records": (npz(x=np.zeros(60, "i4,f4"), y=Y), "line"),
    "NaN": (npz(x=np.where(X > 2, np.nan, X), y=Y), "line"),
    "infinity": (npz(x=np.where(X > 2, np.inf, X), y=Y), "line"),
    "beyond 32 bits": (npz(x=X.astype(float) * 1e300, y=Y), "line"),
    "negative labels": (npz(x=X, y=Y - 1), "line"), "fractions as labels": (npz(x=X, y=Y + 0.5), "line"),
    "NaN as a label": (npz(x=X, y=np.where(Y == 1, np.nan, Y)), "line"),
    "a class number beyond reason": (npz(x=X, y=np.where(Y == 1, 2**62, Y)), "fine"),
    "a class number of a billion": (npz(x=X, y=np.where(Y == 1, 10**9, Y)), "fine"),
    "bytes as labels": (npz(x=X, y=np.array([b"a", b"b", b"\xff"])[Y]), "either"),
    "objects": (npz(x=X, y=np.array([{}] * 60)), "line"), "one class": (npz(x=X, y=Y * 0), "line"),
    "fewer names than classes": (npz(x=X, y=Y, classes=np.array(["a", "b"])), "line"),
    "names twice": (npz(x=X, y=Y, classes=np.array(["a", "a", "b"])), "line"),
    "names of objects": (npz(x=X, y=Y, classes=np.array([None, "a", "b"])), "line"),
    "a lying header": (header_that_lies((100, 2)), "line"), "a shorter header": (header_that_lies((10, 1)), "line"),
    "a header of a terabyte": (header_that_lies((10**12, 1)), "line"),
    "a header below zero": (header_that_lies((-1, 1)), "line"),
    "a header beyond 64 bits": (header_that_lies((2**70, 1)), "line"),
    "a header of objects": (header_that_lies((100, 1), "|O"), "line"),
    "a header of no type": (header_that_lies((100, 1), "hello"), "line"),
    "float16": (npz(x=X.astype(np.float16), y=Y), "fine"), "big-endian": (npz(x=X.astype(">f8"), y=Y), "fine"),
    "booleans": (npz(x=X > 0, y=Y), "fine"), "Fortran's order": (npz(x=np.asfortranarray(X), y=Y), "fine"),
}  # fmt: skip


def parquet(table: dict[str, Any], metadata: dict[bytes, bytes] | None = None) -> bytes:
    made = pa.table(table)
    file = io.BytesIO()
    pq.write_table(made.replace_schema_metadata(metadata) if metadata else made, file)
    return file.getvalue()


PNG = io.BytesIO()
Image.new("RGB", (4, 4)).save(PNG, "png")
GOOD = {"a": [n / 7 for n in range(30)], "label": ["x", "y", "z"] * 10}
PICTURE = {"bytes": PNG.getvalue(), "path": None}
PARQUETS: dict[str, tuple[bytes, Expected]] = {
    "empty": (b"", "line"), "no Parquet": (b"hello" * 100, "line"), "marks alone": (b"PAR1PAR1", "line"),
    "no rows": (parquet({"a": pa.array([], pa.int64()), "label": pa.array([], pa.string())}), "line"),
    "no columns": (parquet({}), "line"), "names in names": (parquet({**GOOD, "s": [{"a": {"b": 1}}] * 30}), "either"),
    "lists of other lengths": (parquet({**GOOD, "e": [[1.0] * (1 + n % 2) for n in range(30)]}), "line"),
    "a missing list": (parquet({**GOOD, "e": [None, *[[1.0]] * 29]}), "line"),
    "a missing label": (parquet({**GOOD, "label": [None, *GOOD["label"][1:]]}), "line"),
    "lists as labels": (parquet({**GOOD, "label": [[1]] * 30}), "line"),
    "fractions as labels": (parquet({**GOOD, "label": [0.5, 1.5, 2.5] * 10}), "either"),
    "dictionaries": (parquet({**GOOD, "label": pa.array(GOOD["label"]).dictionary_encode()}), "fine"),
    "bytes as labels": (parquet({**GOOD, "label": [b"x", b"\xff", b"z"] * 10}), "either"),
    "images that are none": (parquet({"image": [b"hello"] * 30, "label": GOOD["label"]}), "line"),
    "an image that is missing": (parquet({"image": [None, *[PICTURE] * 29], "label": GOOD["label"]}), "line"),
    "an image of nothing": (
        parquet({"image": [{"bytes": None, "path": None}] * 30, "label": GOOD["label"]}), "line"),
    **{f"an image at {path}": (
        parquet({"image": [{"bytes": None, "path": path}] * 30, "label": GOOD["label"]}), "line")
        for path in ("/etc/passwd", "../outside.png", "/dev/zero", "nowhere.png", ".", "", "fifo", "\x1b[31m",
                     "x" * 5000, "http://localhost:1/x.png")},
    **{f"metadata {metadata[:30]!r}": (parquet(GOOD, {b"huggingface": metadata}), "either") for metadata in (
        b"", b"hello", b"[]", b"{}", b"null", b"\xff", b'{"info": 5}', b'{"info": {"features": []}}',
        b'{"info": {"features": {"label": {"names": 5, "_type": "ClassLabel"}}}}',
        b'{"info": {"features": {"label": {"names": ["x"], "_type": "ClassLabel"}}}}', b"[" * 100_000)},
}  # fmt: skip


def cases() -> Iterator[Case]:
    """One file each, and folders of images."""
    train = ("--out", "out", *QUICK)
    for name, (content, expected) in CSV.items():
        yield Case(
            "CSV", name, command("train", "d.csv", *train, given=[files({"d.csv": content})]), expected
        )
    for name, (first, second) in TEXT.items():
        given = [files({"d/train.csv": first + ROWS, "d/test.csv": second})]
        yield Case("CSV", name, command("train", "d", *train, given=given))
    for name, (archive, expected) in ARCHIVES.items():
        given = [files({"d.npz": archive})]
        yield Case("NPZ", name, command("train", "d.npz", *train, given=given), expected)
        yield Case("NPZ", f"{name}, analysed", command("analyze", "d.npz", "--out", "out", given=given),
                   "fine" if expected == "fine" else "either")  # fmt: skip
    for name, (table, expected) in PARQUETS.items():
        given = [files({"d/d.parquet": table, "outside.png": PNG.getvalue()}), _fifo("d/fifo")]
        yield Case("Parquet", name, command("train", "d/d.parquet", *train, given=given), expected)
    for suffix, whole in (("npz", npz(x=X, y=Y)), ("parquet", parquet(GOOD)), ("png", PNG.getvalue())):
        for share in (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
            cut = whole[: int(len(whole) * share)]
            if suffix == "png":
                given = [write_images, files({"images/cat/0.png": cut})]
                yield Case("images", f"cut at {share:.0%}", command("train", "images", *train, given=given))
            else:
                given = [files({f"d.{suffix}": cut})]
                group = {"npz": "NPZ", "parquet": "Parquet"}[suffix]
                yield Case(group, f"cut at {share:.0%}", command("train", f"d.{suffix}", *train, given=given))
    for suffix in ("csv", "npz", "parquet", "png"):
        for kind, make in (("a pipe", _fifo), ("a folder", _folder), ("a link to nowhere", _dangling),
                           ("a link to itself", _circle), ("a link to /dev/zero", _zero)):  # fmt: skip
            given = [make(f"d.{suffix}")]
            yield Case(
                "special files", f"{kind}, .{suffix}", command("train", f"d.{suffix}", *train, given=given)
            )


def _fifo(name: str) -> Callable[[Path], None]:
    return lambda folder: os.mkfifo(folder / name)


def _folder(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).mkdir()


def _dangling(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).symlink_to("nowhere")


def _circle(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).symlink_to(name)


def _zero(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).symlink_to("/dev/zero")

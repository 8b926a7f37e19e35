"""Everything that has a name is found here: our own parts, those of installed packages, and one's own code.

A name stands for

1. one of ours, which its own file registers with a decorator;
2. an entry point of an installed package, in the group of its kind (`midmix.losses`, `midmix.recipes`, …);
3. `module:function`, of an importable module or one in the current folder, or `path/to/file.py:function`.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar, overload

from midmix.errors import InputError, unknown

LIBRARIES = ("timm", "hf")
"""What stands before a colon and is no module: libraries of pretrained networks."""
T = TypeVar("T")
Kept = TypeVar("Kept")


class Registry(Generic[T]):
    """The parts of one kind, by name.

    Args:
        kind: what messages call one of them, "loss".
        group: the entry points' group in which other packages register theirs, "midmix.losses".
        hyphens: whether names are written with hyphens, "am-mixup" for `am_mixup`.
        package: the package whose modules register ours; they are imported when a name is first asked for. None where
            whoever makes the registry registers them itself.

    Example:
        >>> shapes = Registry[Callable[[], str]]("shape", "midmix.shapes")
        >>> @shapes.register
        ... def round_one() -> str:
        ...     return "round"
        >>> shapes.names(), shapes.find("round_one")()
        (('round_one',), 'round')
        >>> shapes.find("square")
        Traceback (most recent call last):
        ...
        midmix.errors.UnknownNameError: unknown shape 'square': Known: module:function, round_one
    """

    def __init__(self, kind: str, group: str, package: str | None = None, *, hyphens: bool = False) -> None:
        self.kind, self.group, self.package, self.hyphens = kind, group, package, hyphens
        self._ours: dict[str, T] = {}
        self._imported = package is None

    @overload
    def register(self, part: Kept, /) -> Kept: ...
    @overload
    def register(self, part: None = None, /, *, name: str) -> Callable[[Kept], Kept]: ...
    def register(
        self, part: Kept | None = None, /, *, name: str | None = None
    ) -> Kept | Callable[[Kept], Kept]:
        """A decorator that registers a function or class under its own name, or under another."""

        def keep(part: Kept) -> Kept:
            found = name or str(part.__name__)  # type: ignore[attr-defined]
            found = found.replace("_", "-") if self.hyphens else found
            if found in self._ours:
                raise ValueError(f"{self.kind} {found!r} is registered twice")
            self._ours[found] = part  # type: ignore[assignment]
            return part

        return keep if part is None else keep(part)

    def names(self) -> tuple[str, ...]:
        """Ours in the order of registration, then those of installed packages."""
        return tuple(dict.fromkeys((*self._all_ours(), *self._entries)))

    @property
    def ours(self) -> tuple[str, ...]:
        """Those that come with this package."""
        return tuple(self._all_ours())

    def __contains__(self, name: str) -> bool:
        return name in self._all_ours() or name in self._entries or is_reference(name)

    def find(self, name: str) -> T:
        """The part of this name. One of `module:function` or `file.py:function` is imported, which runs its code.

        Raises:
            InputError: for a name that nobody knows, with the nearest ones; for code that cannot be imported.
        """
        ours = self._all_ours()
        if name in ours:
            return ours[name]
        if name in self._entries:
            return self._entry(self._entries[name])
        if is_reference(name):
            return import_reference(name, self.kind)  # type: ignore[return-value]
        raise unknown(self.kind, name, (*self.names(), "module:function"))

    def _entry(self, entry: EntryPoint) -> T:
        try:
            part: T = entry.load()
        except Exception as error:  # somebody's module can fail in any way
            reason = " ".join(str(error).split())
            raise InputError(
                f"{self.kind} {entry.name!r}: the installed package's {entry.value} cannot be imported: {reason}"
            ) from error
        return part

    def _all_ours(self) -> dict[str, T]:
        if not self._imported and self.package is not None:
            self._imported = True
            package = importlib.import_module(self.package)
            for module in pkgutil.iter_modules(package.__path__):
                importlib.import_module(f"{self.package}.{module.name}")
        return self._ours

    @cached_property
    def _entries(self) -> dict[str, EntryPoint]:
        return {entry.name: entry for entry in entry_points(group=self.group)}


@dataclass(frozen=True)
class Code:
    """Somebody's own code behind a name, as a record names it.

    Attributes:
        reference: `module:function`, or `/whole/path/file.py:function`.
        file: the whole path of the file that defines it.
        digest: the first 16 hex digits of SHA-256 over that file.
    """

    reference: str
    file: str
    digest: str


def is_reference(name: str) -> bool:
    """Whether a name is of the form `module:function` or `file.py:function`.

    Example:
        >>> is_reference("my.networks:wide"), is_reference("nets/own.py:wide"), is_reference("resnet-8")
        (True, True, False)
        >>> is_reference("timm:resnet18")
        False
    """
    module, colon, function = name.rpartition(":")
    if not colon or not function.isidentifier() or module in LIBRARIES:
        return False
    return module.endswith(".py") or all(part.isidentifier() for part in module.split("."))


def import_reference(name: str, kind: str) -> Callable[..., object]:
    """The function or class that `module:function` or `file.py:function` names; importing runs its module's code.

    Modules are looked for in the current folder first, then among the installed packages.

    Raises:
        InputError: no such module, file or function; a module that cannot be imported; not a function.
    """
    module_name, _, attribute = name.rpartition(":")
    module = _module(module_name, name, kind)
    found: object = getattr(module, attribute, None)
    if found is None:
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise unknown(f"function in module {module_name!r}", attribute, known)
    if not callable(found):
        raise InputError(
            f"{kind} {name!r}: {attribute!r} is an object of type {type(found).__name__}, not a function"
        )
    return found


def call(kind: str, name: str, make: Callable[..., Any], *given: object, **options: object) -> Any:
    """What a function of this name makes.

    Raises:
        InputError: by somebody's own, named `module:function`, for whatever it raises.

    Example:
        >>> call("loss", "math:sqrt", __import__("math").sqrt, -1)
        Traceback (most recent call last):
        ...
        midmix.errors.InputError: loss 'math:sqrt': the function failed: ValueError: math domain error
    """
    try:
        return make(*given, **options)
    except InputError:
        raise
    except Exception as error:  # somebody's function can fail in any way
        if not is_reference(name):
            raise
        raise InputError(f"{kind} {name!r}: the function failed: {_short(error)}") from error


def code_of(name: str, kind: str) -> Code | None:
    """Whose code a name stands for; None for ours and for an installed package's entry point.

    Raises:
        InputError: as `import_reference` does.
    """
    if not is_reference(name):
        return None
    found = import_reference(name, kind)
    try:
        file = Path(inspect.getsourcefile(inspect.unwrap(found)) or "").resolve()
        digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    except (TypeError, OSError):  # built in, or without its source
        return Code(name, "", "")
    module_name, _, attribute = name.rpartition(":")
    if module_name.endswith(".py"):
        name = f"{Path(module_name).expanduser().resolve()}:{attribute}"
    return Code(name, str(file), digest)


def _module(module_name: str, name: str, kind: str) -> ModuleType:
    if module_name.endswith(".py"):
        return _module_of_file(Path(module_name).expanduser().resolve(), name, kind)
    with current_folder_importable():
        try:
            return importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is not None and (module_name + ".").startswith(error.name + "."):
                raise InputError(
                    f"{kind} {name!r}: no module {error.name!r} in the current folder or the installed packages"
                ) from error
            raise InputError(f"{kind} {name!r}: importing {module_name!r} failed: {error}") from error
        except Exception as error:
            raise InputError(f"{kind} {name!r}: importing {module_name!r} failed: {_short(error)}") from error


def _module_of_file(path: Path, name: str, kind: str) -> ModuleType:
    if not path.is_file():
        raise InputError(f"{kind} {name!r}: there is no file {path}")
    unique = f"_midmix_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if unique in sys.modules:
        return sys.modules[unique]
    spec = importlib.util.spec_from_file_location(unique, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module  # before it runs: its dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[unique]
        raise InputError(f"{kind} {name!r}: importing {path} failed: {_short(error)}") from error
    return module


@contextmanager
def current_folder_importable() -> Iterator[None]:
    """A command, unlike `python -m`, does not look for modules where the user stands."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]


def parameters_of(make: Callable[..., object]) -> Mapping[str, inspect.Parameter]:
    """What a function takes, by name.

    Raises:
        InputError: where it does not say.
    """
    try:
        return inspect.signature(make).parameters
    except (ValueError, TypeError) as error:  # of functions that are built in some do not
        raise InputError(f"{make!r}: does not say what it takes; write a function around it") from error


def options_of(make: Callable[..., object], *, without: Collection[str] = ()) -> dict[str, Any]:
    """The keyword options of a function that makes a part, with their defaults.

    Raises:
        InputError: for a function whose signature cannot be read.

    Example:
        >>> def make(num_classes, *, alpha: float = 1.0, site=None): ...
        >>> options_of(make, without=("num_classes",))
        {'alpha': 1.0, 'site': None}
    """
    empty = inspect.Parameter.empty
    return {
        option.name: None if option.default is empty else option.default
        for option in parameters_of(make).values()
        if option.name not in without and option.kind not in (option.VAR_KEYWORD, option.VAR_POSITIONAL)
    }


def check_options(
    name: str, given: Mapping[str, object], known: Mapping[str, object], *, auto: Collection[str] = ()
) -> None:
    """Sees that options exist, and that numbers are numbers; options in `auto` may be the word "auto" as well.

    Raises:
        InputError: for an unknown option, with the nearest valid ones; for a value of another kind than the default.

    Example:
        >>> check_options("mixup", {"alhpa": 1}, {"alpha": 1.0})
        Traceback (most recent call last):
        ...
        midmix.errors.UnknownNameError: unknown option of mixup 'alhpa': did you mean alpha? Known: alpha
    """
    kinds = {bool: "true or false", int: "a number", float: "a number"}
    for option, value in given.items():
        if option not in known:
            if not known:
                raise InputError(f"{name}: takes no option, so {option}={value} cannot be")
            raise unknown(f"option of {name}", option, known)
        kind = kinds.get(type(known[option]))
        if option in auto and value == "auto":
            continue
        if kind is not None and kinds.get(type(value)) != kind:
            raise InputError(f"{name}:{option}={value}: must be {kind}{' or auto' if option in auto else ''}")

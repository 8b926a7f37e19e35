"""Weights of the Hugging Face Hub: taken from the cache, or downloaded once they were asked for and named."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

from midmix.errors import InputError

_SECONDS = 10
"""After which the Hub counts as out of reach."""
WEIGHTS = ("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json")
OLD_WEIGHTS = ("pytorch_model.bin", "pytorch_model-*-of-*.bin", "pytorch_model.bin.index.json")
"""Taken where there are no others; nothing but tensors is read of them."""


def from_hub(
    network: str, repository: str, others: tuple[str, ...], *, download: bool, say: Callable[[str], None]
) -> Path:
    """The folder in which a repository's files lie.

    Args:
        network: how the user called it.
        repository: `owner/name`.
        others: patterns of the files beside weights that are needed.
        download: whether what is not in the cache may be downloaded; it is said before.
        say: is told.

    Raises:
        InputError: it is not in the cache and may not be downloaded, or the Hub cannot be reached or has no such
            repository.
    """
    from huggingface_hub import HfApi, snapshot_download

    found = _cached(repository)
    if found is not None and (
        not download or any(_has(found, patterns) for patterns in (WEIGHTS, OLD_WEIGHTS))
    ):
        return found
    if not download:
        raise InputError(
            f"network {network!r}: {repository} is not in the cache; say --weights pretrained to download it, or "
            "name a local folder"
        )
    try:
        info = HfApi().model_info(repository, files_metadata=True, timeout=_SECONDS)
    except Exception as error:  # the client's own errors differ from one of its releases to the next
        raise InputError(
            f"network {network!r}: {repository} is not in the cache and cannot be had from the Hugging Face Hub "
            f"({_reason(error)}); name a file with --weights, or a local folder"
        ) from error
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    weights = next(
        (some for some in (WEIGHTS, OLD_WEIGHTS) if any(_fits(name, some) for name in sizes)), None
    )
    if weights is None:
        raise InputError(f"network {network!r}: {repository} has no weights for PyTorch; choose another")
    wanted = [name for name in sizes if _fits(name, (*weights, *others))]
    total = sum(sizes[name] for name in wanted)
    say(f"downloading {repository} from the Hugging Face Hub: {len(wanted)} files, {total / 1e6:,.0f} MB")
    try:
        return Path(snapshot_download(repository, revision=info.sha, allow_patterns=wanted))
    except Exception as error:
        raise InputError(
            f"network {network!r}: {repository} cannot be downloaded ({_reason(error)})"
        ) from error


def weights_of(folder: Path) -> list[Path]:
    """The files of weights in a folder; those that run no code, where there are such."""
    for patterns in (WEIGHTS, OLD_WEIGHTS):
        found = [path for path in sorted(folder.iterdir()) if _fits(path.name, patterns)]
        if found := [path for path in found if path.suffix != ".json"]:
            return found
    return []


def _cached(repository: str) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    except HFValidationError as error:
        raise InputError(f"network: {' '.join(str(error).split())[:160]}") from error


def _has(folder: Path, patterns: tuple[str, ...]) -> bool:
    return any(_fits(path.name, patterns) for path in folder.iterdir())


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def _reason(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:140]

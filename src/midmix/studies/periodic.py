"""Something that is done every so often while something else goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def every(seconds: float, act: Callable[[], object], name: str) -> Iterator[None]:
    """Does something every so often, in a thread of this name, while the block lasts; the first time after one wait.

    Example:
        >>> seen = threading.Event()
        >>> with every(0.001, seen.set, name="midmix example"):
        ...     seen.wait(10)
        True
    """
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(seconds):
            act()

    thread = threading.Thread(target=go_on, daemon=True, name=name)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()

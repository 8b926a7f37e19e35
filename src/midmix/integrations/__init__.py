"""midmix in the training code that people already have: thin, and each imported only when it is asked for.

`midmix.integrations.sklearn` is always there; `lightning`, `transformers` and `timm` need the extra of that name
(`pip install midmix[timm]`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from midmix.integrations.sklearn import MidmixClassifier

__all__ = ["MidmixClassifier"]


def __getattr__(name: str) -> object:
    if name == "MidmixClassifier":
        from midmix.integrations.sklearn import MidmixClassifier

        return MidmixClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

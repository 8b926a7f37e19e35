"""The recipes with a mask: whole places are one row's or the other's."""

from __future__ import annotations

from typing import Unpack

from midmix.mixing.labels import TwoSided
from midmix.mixing.mask import Box, ResizedBox, SalientBox
from midmix.mixing.mix import Mix
from midmix.mixing.pairing import RandomPairs
from midmix.mixing.ratio import BetaRatio, ScaleRatio
from midmix.mixing.recipes import RECIPES, Settings
from midmix.mixing.site import Input


@RECIPES.register
def cutmix(
    num_classes: int, *, alpha: float = 1.0, per_row: bool = False, **settings: Unpack[Settings]
) -> Mix:
    """CutMix (Yun et al. 2019, arXiv 1905.04899): a box of the partner's pixels.

    `x̃ = M ⊙ x_i + (1-M) ⊙ x_j`, loss `λ ℓ(c_i) + (1-λ) ℓ(c_j)` where λ is the mean of M as it was laid, clipped at
    the image's edge; asked for is `λ ~ Beta(α, α)`. Their CIFAR runs mix half of the batches: `probability=0.5`.

    Args:
        num_classes: C.
        alpha: of the Beta distribution; 1 is uniform.
        per_row: a box and a λ for each row instead of one for the batch.

    Raises:
        InputError: where α is not above 0, and as `Mix` does.

    Example:
        >>> import torch
        >>> images, y = torch.rand(4, 3, 8, 8), torch.tensor([0, 2, 1, 1])
        >>> plan = cutmix(num_classes=3).plan(y, torch.Generator().manual_seed(4), inputs=images)
        >>> pasted = (plan.apply(images) != images).any(1).float().mean((1, 2))  # the share that is the partner's
        >>> bool((pasted <= plan.targets[1][1]).all())
        True
    """
    settings["site"] = settings.get("site") or Input()
    ratio = BetaRatio(alpha, per_row=per_row)
    return Mix(
        RandomPairs(), ratio, TwoSided(), mask=Box(per_row=per_row), num_classes=num_classes, **settings
    )


@RECIPES.register
def resize_mix(
    num_classes: int,
    *,
    low: float = 0.1,
    high: float = 0.8,
    per_row: bool = False,
    **settings: Unpack[Settings],
) -> Mix:
    """ResizeMix (Qin et al. 2020, arXiv 2012.11101): the whole partner, made small, pasted into a box.

    The box's sides are a share τ ~ U(low, high) of the image's, and λ is the share of pixels left to the owner.

    Args:
        num_classes: C.
        low: least τ.
        high: largest τ.
        per_row: a box for each row instead of one for the batch.

    Raises:
        InputError: where not 0 ≤ low ≤ high ≤ 1, and as `Mix` does; in use, for tables' rows.

    Example:
        >>> import torch
        >>> images, y = torch.rand(4, 3, 8, 8), torch.tensor([0, 2, 1, 1])
        >>> plan = resize_mix(num_classes=3).plan(y, torch.Generator().manual_seed(4), inputs=images)
        >>> plan.apply(images).shape
        torch.Size([4, 3, 8, 8])
    """
    settings["site"] = settings.get("site") or Input()
    ratio = ScaleRatio(low, high, per_row=per_row)
    return Mix(
        RandomPairs(),
        ratio,
        TwoSided(),
        mask=ResizedBox(per_row=per_row),
        num_classes=num_classes,
        **settings,
    )


@RECIPES.register
def saliency_mix(num_classes: int, *, alpha: float = 1.0, **settings: Unpack[Settings]) -> Mix:
    """SaliencyMix (Uddin et al. 2021, arXiv 2006.01791), by the model's own gradients.

    As `cutmix`, but the box lies around the partner's most salient pixel, each row's own. Saliency is the norm of the
    gradient of the clean row's cross-entropy (PuzzleMix, Kim et al. 2020, arXiv 2009.06962), averaged over 7 × 7
    pixels, with the model in evaluation mode: one more pass forward and back. The paper takes a fixed detector's.

    Args:
        num_classes: C.
        alpha: of the Beta distribution of λ.

    Raises:
        InputError: where α is not above 0, and as `Mix` does; at any site but the input.

    Example:
        >>> import torch
        >>> images, y = torch.rand(4, 3, 8, 8), torch.tensor([0, 2, 1, 1])
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 3))
        >>> plan = saliency_mix(num_classes=3).plan(y, inputs=images, answer=model)
        >>> plan.apply(images).shape
        torch.Size([4, 3, 8, 8])
    """
    settings["site"] = settings.get("site") or Input()
    return Mix(
        RandomPairs(), BetaRatio(alpha), TwoSided(), mask=SalientBox(), num_classes=num_classes, **settings
    )

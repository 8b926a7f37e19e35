"""RandAugment and colour jitter, for a whole batch at once on the device that it is on."""

from __future__ import annotations

import torch
from torch import Tensor

from midmix.data import operations
from midmix.data.autoaugment import operate, strengths
from midmix.errors import InputError

RANDAUGMENT = (
    "identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate", "brightness", "color", "contrast",
    "sharpness", "posterize", "solarize", "autocontrast", "equalize",
)  # fmt: skip
"""The fourteen operations of the paper's table; identity does nothing."""
BINS = 31


def randaugment(images: Tensor, generator: torch.Generator, *, times: int = 2, magnitude: int = 9) -> Tensor:
    """So many operations for each image, one after the other, each drawn anew, all of one strength.

    Cubuk, Zoph, Shlens and Le 2020, *RandAugment: Practical Automated Data Augmentation with a Reduced Search Space*
    (arXiv 1909.13719); 2 operations at 9 of 30 is the paper's setting for ResNet-50 on ImageNet, with
    strengths as torchvision scales them.

    Args:
        images: `uint8 [B, 3, H, W]`, on any device; left as they are.
        generator: source of the draws. One on the CPU gives the same draws on every device.
        times: how many.
        magnitude: their strength, 0 … 30.

    Returns:
        A new tensor of the same shape, `uint8`; what is moved in from outside is black.

    Raises:
        InputError: for images that are not `uint8`.

    Example:
        >>> images = torch.randint(256, (4, 3, 8, 8), dtype=torch.uint8)
        >>> randaugment(images, torch.Generator().manual_seed(0)).shape
        torch.Size([4, 3, 8, 8])
    """
    if images.dtype != torch.uint8:
        raise InputError(f"images: randaugment needs pixels of 8 bits (uint8), not {images.dtype}")
    shape, device = (times, len(images)), generator.device
    which = torch.randint(len(RANDAUGMENT), shape, generator=generator, device=device).cpu()
    sign = torch.randint(2, shape, generator=generator, device=device).cpu() * 2.0 - 1.0
    out = images.clone(memory_format=torch.contiguous_format)
    for drawn, signs in zip(which, sign, strict=True):
        for number in sorted(set(drawn.tolist()) - {0}):
            name = RANDAUGMENT[number]
            rows = (drawn == number).nonzero().flatten()
            levels = strengths(name, images.shape[-2], images.shape[-1], BINS)
            operate(out, rows, name, levels[magnitude].expand(len(rows)), signs[rows])
    return out


def color_jitter(images: Tensor, generator: torch.Generator, *, share: float = 0.4) -> Tensor:
    """Brightness, contrast and saturation of each image changed by up to a share either way, in an order of its own.

    As torchvision's `ColorJitter(share, share, share)`, with the 0.4 of Kang et al. 2020 (*Decoupling*) and of most
    training on ImageNet.

    Args:
        images: `uint8 [B, 3, H, W]`, on any device; left as they are.
        generator: source of the draws. One on the CPU gives the same draws on every device.
        share: of the change at most, 0 … 1.

    Returns:
        A new tensor of the same shape, `uint8`.

    Raises:
        InputError: for images that are not `uint8`.

    Example:
        >>> images = torch.full((1, 3, 2, 2), 100, dtype=torch.uint8)
        >>> bool((color_jitter(images, torch.Generator().manual_seed(0)) != 100).all())
        True
    """
    if images.dtype != torch.uint8:
        raise InputError(f"images: color-jitter needs pixels of 8 bits (uint8), not {images.dtype}")
    device = generator.device
    order = torch.rand((len(images), 3), generator=generator, device=device).cpu().argsort(1)
    factor = 1 - share + 2 * share * torch.rand((len(images), 3), generator=generator, device=device).cpu()
    out = images.clone(memory_format=torch.contiguous_format)
    for place in range(3):
        for number, other in enumerate((_black, operations.mean_grey, operations.grey)):
            rows = (order[:, place] == number).nonzero().flatten()
            at = rows.to(images.device)
            out[at] = operations.blend(out[at], other(out[at]), factor[rows, number].to(images.device))
    return out


def _black(images: Tensor) -> Tensor:
    return torch.zeros_like(images[:, :1])

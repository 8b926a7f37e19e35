"""AutoAugment's policy for CIFAR-10, for a whole batch at once on the device that it is on."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from midmix.data import operations
from midmix.errors import InputError

POLICY: tuple[tuple[tuple[str, float, int], tuple[str, float, int]], ...] = (
    (("invert", 0.1, 7), ("contrast", 0.2, 6)),
    (("rotate", 0.7, 2), ("translate_x", 0.3, 9)),
    (("sharpness", 0.8, 1), ("sharpness", 0.9, 3)),
    (("shear_y", 0.5, 8), ("translate_y", 0.7, 9)),
    (("autocontrast", 0.5, 8), ("equalize", 0.9, 2)),
    (("shear_y", 0.2, 7), ("posterize", 0.3, 7)),
    (("color", 0.4, 3), ("brightness", 0.6, 7)),
    (("sharpness", 0.3, 9), ("brightness", 0.7, 9)),
    (("equalize", 0.6, 5), ("equalize", 0.5, 1)),
    (("contrast", 0.6, 7), ("sharpness", 0.6, 5)),
    (("color", 0.7, 7), ("translate_x", 0.5, 8)),
    (("equalize", 0.3, 7), ("autocontrast", 0.4, 8)),
    (("translate_y", 0.4, 3), ("sharpness", 0.2, 6)),
    (("brightness", 0.9, 6), ("color", 0.2, 8)),
    (("solarize", 0.5, 2), ("invert", 0.0, 3)),
    (("equalize", 0.2, 0), ("autocontrast", 0.6, 0)),
    (("equalize", 0.2, 8), ("equalize", 0.6, 4)),
    (("color", 0.9, 9), ("equalize", 0.6, 6)),
    (("autocontrast", 0.8, 4), ("solarize", 0.2, 8)),
    (("brightness", 0.1, 3), ("color", 0.7, 0)),
    (("solarize", 0.4, 5), ("autocontrast", 0.9, 3)),
    (("translate_y", 0.9, 9), ("translate_y", 0.7, 9)),
    (("autocontrast", 0.9, 2), ("solarize", 0.8, 3)),
    (("equalize", 0.8, 8), ("invert", 0.1, 3)),
    (("translate_y", 0.7, 9), ("autocontrast", 0.9, 1)),
)
"""The policy found on CIFAR-10 (Cubuk et al. 2018, appendix): pairs of operation, probability, level 0 … 9. Operations
without a strength have a level too, of no account."""

SIGNED = frozenset(
    {
        "shear_x",
        "shear_y",
        "translate_x",
        "translate_y",
        "rotate",
        "brightness",
        "color",
        "contrast",
        "sharpness",
    }
)
"""Operations that go either way with probability 1/2."""

_NAMES = sorted({name for pair in POLICY for name, _, _ in pair})
_OPERATION = torch.tensor([[_NAMES.index(name) for name, _, _ in pair] for pair in POLICY])
_PROBABILITY = torch.tensor([[probability for _, probability, _ in pair] for pair in POLICY])
_LEVEL = torch.tensor([[level for _, _, level in pair] for pair in POLICY])


def autoaugment(images: Tensor, generator: torch.Generator) -> Tensor:
    """One of the policy's 25 pairs of operations for each image, each operation with its probability.

    Cubuk, Zoph, Mané, Vasudevan and Le 2018, *AutoAugment: Learning Augmentation Policies from Data*
    (arXiv 1805.09501). Strengths are those that torchvision and most published results use: brightness, colour,
    contrast and sharpness by 1 ± 0.1·level, where the paper spreads the levels over 0.1 … 1.9.

    Args:
        images: `uint8 [B, 3, H, W]`, on any device; left as they are.
        generator: source of the draws. One on the CPU gives the same draws on every device.

    Returns:
        A new tensor of the same shape, `uint8`; what is moved in from outside is black.

    Raises:
        InputError: for images that are not `uint8`.

    Example:
        >>> images = torch.randint(256, (4, 3, 8, 8), dtype=torch.uint8)
        >>> out = autoaugment(images, torch.Generator().manual_seed(0))
        >>> out.shape, out.dtype
        (torch.Size([4, 3, 8, 8]), torch.uint8)
    """
    if images.dtype != torch.uint8:
        raise InputError(f"images: autoaugment needs pixels of 8 bits (uint8), not {images.dtype}")
    batch, device = len(images), generator.device
    pair = torch.randint(len(POLICY), (batch,), generator=generator, device=device).cpu()
    chance = torch.rand((batch, 2), generator=generator, device=device).cpu()
    sign = torch.randint(2, (batch, 2), generator=generator, device=device).cpu() * 2.0 - 1.0
    out = images.clone(memory_format=torch.contiguous_format)
    for place in (0, 1):
        operation = _OPERATION[pair, place].where(chance[:, place] < _PROBABILITY[pair, place], -1)
        for number in sorted(set(operation.tolist())):
            if number < 0:
                continue
            name = _NAMES[number]
            rows = (operation == number).nonzero().flatten()
            levels = strengths(name, images.shape[-2], images.shape[-1])
            operate(out, rows, name, levels[_LEVEL[pair[rows], place]], sign[rows, place])
    return out


def operate(images: Tensor, rows: Tensor, name: str, strength: Tensor, sign: Tensor) -> None:
    """Does an operation to these rows of `images [B, 3, H, W]`, in place: strength and sign, ±1, are a row's own."""
    if name in SIGNED:
        strength = strength * sign
    at = rows.to(images.device)
    images[at] = OPERATIONS[name](images[at], strength.to(images.device))


def strengths(name: str, height: int, width: int, bins: int = 10) -> Tensor:
    """An operation's strengths at the levels 0 … `bins` − 1, for images of this size.

    Shear as a share, rotation in degrees, translation in whole pixels, added to or taken from a factor of 1 for colour
    and light, bits that stay for posterize, a threshold for solarize; zeros for operations without one.

    Example:
        >>> strengths("rotate", 32, 32).tolist()[::3]
        [0.0, 10.0, 20.0, 30.0]
    """
    level = torch.arange(bins) / (bins - 1)
    scale = {
        "shear_x": 0.3,
        "shear_y": 0.3,
        "rotate": 30.0,
        "brightness": 0.9,
        "color": 0.9,
        "contrast": 0.9,
        "sharpness": 0.9,
    }
    if name in scale:
        return level * scale[name]
    if name in ("translate_x", "translate_y"):
        return (level * (150 / 331 * (width if name == "translate_x" else height))).floor()
    if name == "posterize":
        return 8 - (level * 4).round()
    return 255 - level * 255 if name == "solarize" else level * 0


def _enhance(other: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda images, strength: operations.blend(images, other(images), 1 + strength)


OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "shear_x": lambda images, strength: operations.warp(images, shear_x=strength),
    "shear_y": lambda images, strength: operations.warp(images, shear_y=strength),
    "translate_x": lambda images, strength: operations.warp(images, right=strength),
    "translate_y": lambda images, strength: operations.warp(images, down=strength),
    "rotate": operations.rotate,
    "brightness": _enhance(lambda images: torch.zeros_like(images[:, :1])),
    "color": _enhance(operations.grey),
    "contrast": _enhance(operations.mean_grey),
    "sharpness": _enhance(operations.smooth),
    "posterize": operations.posterize,
    "solarize": operations.solarize,
    "autocontrast": lambda images, strength: operations.autocontrast(images),
    "equalize": lambda images, strength: operations.equalize(images),
    "invert": lambda images, strength: 255 - images,
}
"""Each operation on `uint8 [n, 3, H, W]` with a strength for each image, `[n]`."""

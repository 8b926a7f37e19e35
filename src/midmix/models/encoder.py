"""A pretrained network: rows to features, with its own preprocessing, and a classifier of our own behind it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from midmix.data.encoded import Scaling
from midmix.errors import InputError
from midmix.models.normalize import Normalize

PADDING = -1
"""In place of a token, behind the end of a text that is shorter than the longest of its batch."""


@dataclass(frozen=True)
class ImageInputs:
    """What an encoder wants of images, as it was trained.

    Attributes:
        size: height and width in pixels.
        mean, std: of its normalisation, of three channels of 0 to 1.
        interpolation: by which images are scaled: nearest, bilinear, bicubic or lanczos.
        crop: the share of a side that is kept, around the centre, when an image is scaled to the size.

    Raises:
        InputError: for sizes, numbers or names that cannot be.

    Example:
        >>> ImageInputs(size=(224, 224)).reading()
        {'image_size': 224, 'interpolation': 'bicubic', 'crop': 1.0, 'scaled_later': True}
    """

    size: tuple[int, int]
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: str = "bicubic"
    crop: float = 1.0

    def __post_init__(self) -> None:
        if len(self.size) != 2 or min(self.size) < 1:
            raise InputError(f"size: {self.size}; a height and a width in pixels are needed")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise InputError(
                f"mean, std: {self.mean}, {self.std}; three numbers each are needed, std above 0"
            )
        Scaling(self.interpolation, self.crop)  # refuses what cannot be

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        return (3, *self.size)

    def reading(self) -> dict[str, Any]:
        """Keywords of `midmix.data.load` by which images are decoded as the encoder wants them."""
        height, width = self.size
        if height != width:
            raise InputError(
                f"size: {height}×{width}; images are scaled to squares, so name a size, as in timm:NAME@{height}"
            )
        return {
            "image_size": height,
            "interpolation": self.interpolation,
            "crop": self.crop,
            "scaled_later": True,
        }


@dataclass(frozen=True)
class TextInputs:
    """What an encoder wants of texts.

    Attributes:
        tokenize: texts to token numbers `int64 [B, L]`, `PADDING` behind their ends.
        length: tokens of a text, at most; what is longer is cut.
        vocabulary: how many tokens there are.
    """

    tokenize: Callable[[Sequence[str]], Tensor]
    length: int
    vocabulary: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row: so many tokens, or fewer."""
        return (self.length,)


class Encoder(nn.Module):
    """A pretrained encoder and a classifier: `normalize` → `body` → features `[B, D]` → `fc`.

    Its normalisation is its own, and never fitted to training rows. Images of another size than it was trained with are
    scaled within it. Without `classify`, `fc` leaves the features as they are.

    Args:
        body: from normalised rows to features `[B, D]`, or `[B, D, 1, 1]`; from tokens `[B, L]`, with `PADDING`, where
            rows are texts.
        inputs: what it wants of its rows.
        name: how it is called: what `midmix.models.build` takes.
        texts: of an encoder that was trained on images and texts together, what makes features `[C, D]` of texts; its
            weights are none of the encoder's.

    Raises:
        InputError: where the body does not turn such rows into features; it is tried with two rows of zeros.

    Example:
        >>> body = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())
        >>> encoder = Encoder(body, ImageInputs(size=(8, 8))).classify(5)
        >>> encoder.width, encoder(torch.zeros(2, 3, 16, 16)).shape
        (12, torch.Size([2, 5]))
    """

    own_normalization = True
    widths: tuple[int, ...] = ()

    def __init__(
        self,
        body: nn.Module,
        inputs: ImageInputs | TextInputs,
        *,
        name: str = "encoder",
        texts: Callable[[Sequence[str]], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.network, self.inputs, self.texts = name, inputs, texts
        self.still: tuple[nn.Module, ...] = ()  # stay in evaluation mode, see `prepare_tuning`
        self.normalize: nn.Module = nn.Identity()
        if isinstance(inputs, ImageInputs):
            self.normalize = Normalize((3, 1, 1))
            self.normalize.mean.copy_(torch.tensor(inputs.mean).view(3, 1, 1))
            self.normalize.std.copy_(torch.tensor(inputs.std).view(3, 1, 1))
        self.body = body
        self.fc: nn.Module = nn.Identity()
        self.width = self._tried()

    def classify(self, num_classes: int) -> Self:
        """Puts a fresh linear classifier behind the features; returns the encoder."""
        self.fc = nn.Linear(self.width, num_classes)
        return self

    def train(self, mode: bool = True) -> Self:
        """Training mode, save of what is `still`."""
        super().train(mode)
        for module in self.still:
            module.eval()
        return self

    def get_classifier(self) -> nn.Module:
        """The module that turns features into logits, whatever has taken its place."""
        return self.fc

    def features(self, x: Tensor) -> Tensor:
        """Images `[B, 3, H, W]`, scaled to 0..1, or tokens `[B, L]`, to features `[B, D]`."""
        if isinstance(self.inputs, ImageInputs) and tuple(x.shape[2:]) != self.inputs.size:
            x = _scaled(x, self.inputs)
        found: Tensor = self.body(self.normalize(x))
        return found.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Rows to logits `[B, num_classes]`; to features where there is no classifier."""
        found: Tensor = self.fc(self.features(x))
        return found

    def features_of_names(self, classes: Sequence[str]) -> Tensor:
        """Features `float32 [C, D]` of classes' names, on the CPU: where rows of a class should lie, had it none.

        An encoder of texts takes the names as they are, one of images and texts "a photo of a NAME.", as Radford et al.
        2021 (arXiv 2103.00020) have it; an underscore is a space in both.

        Raises:
            InputError: an encoder of images without a text side.

        Example:
            >>> encoder = Encoder(nn.Flatten(), ImageInputs((2, 2)), texts=lambda names: torch.ones(len(names), 12))
            >>> encoder.features_of_names(["cat", "dog"]).shape
            torch.Size([2, 12])
        """
        names = [name.replace("_", " ") for name in classes]
        with torch.no_grad():
            if isinstance(self.inputs, TextInputs):
                device = next(self.parameters()).device
                return self.features(self.inputs.tokenize(names).to(device)).float().cpu()
            if self.texts is None:
                raise InputError(
                    f"network {self.network!r}: has no text side that knows names of classes; start a head by "
                    "start=means, or name an encoder of images and texts, such as hf:openai/clip-vit-base-patch32"
                )
            return self.texts([f"a photo of a {name}." for name in names]).float().cpu()

    def digest(self) -> str:
        """The first 16 hex digits of SHA-256 over names and bytes of the encoder's weights, its classifier left out."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.state_dict().items()):
            if not name.startswith("fc."):
                digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
                digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()[:16]

    def describe_inputs(self) -> dict[str, Any]:
        """What it wants of its rows, as plain data."""
        if isinstance(self.inputs, ImageInputs):
            found = asdict(self.inputs)
            return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}
        return {"length": self.inputs.length, "vocabulary": self.inputs.vocabulary}

    def _tried(self) -> int:
        if isinstance(self.inputs, ImageInputs):
            rows = torch.zeros(2, *self.inputs.shape)
        else:
            rows = torch.zeros(2, min(4, self.inputs.length), dtype=torch.int64)
        training = [module for module in self.modules() if module.training]
        try:
            with torch.no_grad():
                found = self.eval().features(rows)
        except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise InputError(
                f"network {self.network!r}: a batch of shape {tuple(rows.shape)} fails: {reason}"
            ) from error
        finally:
            for module in training:
                module.training = True
        if len(found) != 2 or found.dim() != 2 or not found.shape[1] or not found.is_floating_point():
            raise InputError(
                f"network {self.network!r}: two rows give a tensor of shape {tuple(found.shape)}; features, one row of "
                "numbers a row, are needed"
            )
        return found.shape[1]


def _scaled(x: Tensor, inputs: ImageInputs) -> Tensor:
    """The images at the encoder's own size; those that are smaller than it, and those that are larger, smoothed."""
    mode = inputs.interpolation if inputs.interpolation in ("bilinear", "bicubic") else "bicubic"
    scaled = F.interpolate(x, inputs.size, mode=mode, antialias=True, align_corners=False)
    return scaled.clamp(0, 1)  # a cubic overshoots at edges, which decoded images cannot

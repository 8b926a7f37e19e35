"""Residual networks for small images."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from midmix.models.normalize import Normalize


class BasicBlock(nn.Module):
    """`ReLU(x + BN(conv(ReLU(BN(conv(x))))))` with 3×3 convolutions and a shortcut without parameters.

    Where a block halves the resolution or widens, the shortcut takes every second pixel and pads the new
    channels with zeros (option A of He et al. 2016).
    """

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.stride = stride
        self.new_channels = after - before

    def forward(self, x: Tensor) -> Tensor:
        """`[B, before, H, W]` to `[B, after, ⌈H/stride⌉, ⌈W/stride⌉]`."""
        residual = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(self.shortcut(x) + residual)

    def shortcut(self, x: Tensor) -> Tensor:
        """The identity, or option A where shapes change."""
        if self.stride > 1:
            # Pooling over one pixel: the same as a strided slice, but its gradient keeps channels_last.
            x = F.avg_pool2d(x, kernel_size=1, stride=self.stride)
        if self.new_channels:
            first = self.new_channels // 2
            x = F.pad(x, (0, 0, 0, 0, first, self.new_channels - first))
        return x


class ResNet(nn.Module):
    """The residual network for CIFAR.

    He et al. 2016, *Deep Residual Learning for Image Recognition*: `normalize` → `stem` →
    `stage1` → `stage2` → `stage3` → mean over pixels → `fc`. Each stage has `(depth - 2) / 6` basic blocks;
    widths are `width`, `2·width`, `4·width`, and the later stages halve the resolution. Convolutions and the
    classifier start from the normal distribution of variance `2 / fan_in` (He et al. 2015). With
    10 classes and width 16, depths 8, 20, 32, 56 have 75,290, 269,722, 464,154, 853,018 parameters.

    Args:
        shape: the shape of one image, `(C, H, W)`.
        num_classes: number of logits.
        depth: layers with weights, `6n + 2`.
        width: channels of the first stage. "ResNet-32" in the literature means 16.

    Example:
        >>> import torch
        >>> model = ResNet((3, 32, 32), 10, depth=8)
        >>> model(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 10])
    """

    def __init__(self, shape: tuple[int, ...], num_classes: int, *, depth: int, width: int = 16) -> None:
        super().__init__()
        blocks = (depth - 2) // 6
        self.depth = depth
        self.widths = (width, 2 * width, 4 * width)
        self.normalize = Normalize(shape)
        self.stem = nn.Sequential(
            nn.Conv2d(shape[0], width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.stage1 = _stage(width, width, blocks, stride=1)
        self.stage2 = _stage(width, 2 * width, blocks, stride=2)
        self.stage3 = _stage(2 * width, 4 * width, blocks, stride=2)
        self.fc: nn.Module = nn.Linear(4 * width, num_classes)
        self.apply(_start)

    @property
    def network(self) -> str:
        """The name that `build` takes for this network."""
        return f"resnet-{self.depth}"

    def get_classifier(self) -> nn.Module:
        """The module that turns features into logits, whatever has taken its place."""
        return self.fc

    def features(self, x: Tensor) -> Tensor:
        """Images `[B, C, H, W]`, scaled to 0..1, to what enters the classifier `fc`, `[B, D]`."""
        x = self.stem(self.normalize(x))
        x = self.stage3(self.stage2(self.stage1(x)))
        return x.mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Images `[B, C, H, W]`, scaled to 0..1, to logits `[B, num_classes]`."""
        logits: Tensor = self.fc(self.features(x))
        return logits


def _stage(before: int, after: int, blocks: int, *, stride: int) -> nn.Sequential:
    first = BasicBlock(before, after, stride)
    return nn.Sequential(first, *(BasicBlock(after, after, stride=1) for _ in range(blocks - 1)))


def _start(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)

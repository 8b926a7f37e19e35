"""Which of a pretrained encoder's weights are trained: all, the last blocks, or little beside what is there."""

from __future__ import annotations

import re

import torch
from torch import nn

from midmix.errors import InputError, unknown
from midmix.models.encoder import Encoder

HEAD, LIGHT, ALL = "head", "light", "all"
MOST_RANK = 4
"""Of an adapter's two matrices; narrower encoders get less, so that the share of trained weights stays alike."""
_NORMS = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)


def last_blocks(tune: str) -> int | None:
    """N of `last:N`; None for `head`, `light` and `all`.

    Raises:
        InputError: for anything else.

    Example:
        >>> last_blocks("last:2"), last_blocks("light")
        (2, None)
    """
    if tune in (HEAD, LIGHT, ALL):
        return None
    name, _, number = tune.partition(":")
    if name != "last":
        raise unknown("tune", tune, (HEAD, LIGHT, "last:N", ALL))
    if not number.isdecimal() or int(number) < 1:
        raise InputError(f"tune: {tune!r}; write how many blocks are trained, such as last:2")
    return int(number)


def prepare_tuning(encoder: Encoder, tune: str, *, seed: int) -> Encoder:
    """Leaves of an encoder those weights to be trained that `tune` says, its classifier always among them.

    - `all`: every weight.
    - `last:N`: the last N blocks and what stands behind them. Blocks are the entries of the list of layers that holds
      most of the weights: a transformer's layers, a convolutional network's stages.
    - `light`: every vector of weights (biases, scales and shifts of normalisations) and a low-rank adapter on each
      linear layer and 1×1 convolution (LoRA, Hu et al. 2022, arXiv 2106.09685; by `peft`): `W + 2 B A` with `A [r, D]`
      drawn, `B` 0 and r the width of the features over 192, between 1 and 4. Mostly 1 to 2 % of the weights, as in
      LIFT (Shi et al. 2024, arXiv 2309.10019).
    - `head`: the classifier alone.

    What is frozen stays in evaluation mode, and under `light` batch statistics are those of the pretraining. With any
    of them the first logits are the same.

    Args:
        encoder: changed in place.
        tune: as above.
        seed: of the adapters' first weights; the global random state is left alone.

    Raises:
        InputError: for another `tune`, more blocks than there are, or `light` without `peft`.

    Example:
        >>> from midmix.models import Encoder, ImageInputs
        >>> body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> encoder = Encoder(body, ImageInputs(size=(8, 8))).classify(5)
        >>> trained_weights(prepare_tuning(encoder, "head", seed=0)), trained_weights(encoder.classify(4))
        (45, 36)
    """
    blocks = last_blocks(tune)
    if tune == ALL:
        return encoder
    for parameter in encoder.body.parameters():
        parameter.requires_grad_(False)
    if blocks is not None:
        _train_last(encoder, blocks)
    elif tune == LIGHT:
        _train_lightly(encoder, seed)
    else:
        encoder.still = (encoder.body,)
    return encoder


def trained_weights(model: nn.Module) -> int:
    """How many weights of a model are trained."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def blocks_of(body: nn.Module) -> list[nn.Module]:
    """The list of layers that holds most of the weights, else the parts of the body, in their order."""
    found = body
    total = _weights(body)
    for module in body.modules():  # a list within a list is met after it, and is the finer division
        if isinstance(module, nn.ModuleList | nn.Sequential) and 2 * _weights(module) > total:
            if sum(_weights(child) > 0 for child in module.children()) < 2:
                continue
            return _with_weights(module)
    return _with_weights(found)


def _with_weights(module: nn.Module) -> list[nn.Module]:
    return [child for child in module.children() if _weights(child)]


def _weights(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _train_last(encoder: Encoder, number: int) -> None:
    blocks = blocks_of(encoder.body)
    if number > len(blocks):
        raise InputError(
            f"tune: last:{number} of {encoder.network}, which has {len(blocks)} blocks; use fewer, or all"
        )
    inside = {id(part) for block in blocks for part in block.modules()}
    trained: set[int] = {id(part) for block in blocks[-number:] for part in block.modules()}
    behind = False
    for module in encoder.body.modules():
        if module is blocks[-1]:
            behind = True
        elif behind and id(module) not in inside:
            trained.add(id(module))
    still = []
    for module in encoder.body.modules():
        if id(module) in trained:
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(True)
        elif not any(id(part) in trained for part in module.modules()):
            still.append(module)
    encoder.still = tuple(still)


def _train_lightly(encoder: Encoder, seed: int) -> None:
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except (ImportError, RuntimeError) as error:
        if isinstance(error, ImportError) and error.name == "peft":
            raise InputError("tune: light needs peft; pip install 'midmix[light]'") from None
        reason = " ".join(str(error).split())[:120]
        raise InputError(
            f"tune: light needs peft, which cannot be imported ({reason}); see that torchvision fits torch"
        ) from error

    names = _adapted(encoder.body)
    if names:
        rank = max(1, min(MOST_RANK, encoder.width // 192))
        config = LoraConfig(
            r=rank, lora_alpha=2 * rank, target_modules="|".join(map(re.escape, names)), bias="none"
        )
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            inject_adapter_in_model(config, encoder.body)
    for name, parameter in encoder.body.named_parameters():
        if parameter.dim() <= 1 or "lora_" in name:
            parameter.requires_grad_(True)
    encoder.still = tuple(module for module in encoder.body.modules() if isinstance(module, _NORMS))


def _adapted(body: nn.Module) -> list[str]:
    """Names of the layers that get an adapter: matrices that a layer of their own applies."""
    within_attention = {
        id(part)
        for module in body.modules()
        if isinstance(module, nn.MultiheadAttention)  # applies its parts' weights itself
        for part in module.modules()
    }
    return [
        name
        for name, module in body.named_modules()
        if name
        and id(module) not in within_attention
        and (
            type(module) is nn.Linear
            or (type(module) is nn.Conv2d and module.kernel_size == (1, 1) and module.groups == 1)
        )
    ]

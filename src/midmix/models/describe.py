"""What a table has to say of a network so that its figures can be compared."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Description:
    """A network's name, the widths of its layers or stages (empty where unknown), its parameter count."""

    network: str
    widths: tuple[int, ...]
    parameters: int

    def __str__(self) -> str:
        widths = f"{'-'.join(map(str, self.widths))}, " if self.widths else ""
        return f"{self.network} ({widths}{self.parameters:,} parameters)"


def describe(model: nn.Module) -> Description:
    """Name, widths and number of parameters (trained or frozen) of `model`.

    A module not made by `build` goes by the name of its class.

    Example:
        >>> from midmix.models import build
        >>> print(describe(build("resnet-32", (3, 32, 32), 10)))
        resnet-32 (16-32-64, 464,154 parameters)
    """
    return Description(
        network=str(getattr(model, "network", type(model).__name__)),
        widths=tuple(getattr(model, "widths", ())),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
    )


def replace_module(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Puts a module in the place of another, wherever it stands in the model.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        >>> replace_module(model, model[0], nn.Identity())
        >>> model[0]
        Identity()
    """
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if child is old:
                setattr(parent, name, new)

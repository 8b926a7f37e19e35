"""The head of its own that a contrastive loss compares rows by."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from midmix.errors import InputError


class Projection(nn.Module):
    """`normalize(W₂ relu(W₁ h + b₁) + b₂)`: features `[…, D]` to points on a sphere, `[…, dim]`.

    The layers are made by `prepare`, when D is known. They are the loss's own: trained with the network, in every
    checkpoint, and not a part of the model that is kept.

    Args:
        dim: of the points, 16 or more.

    Raises:
        InputError: for fewer dimensions; at a call before `prepare`.

    Example:
        >>> import torch
        >>> projection = Projection(16)
        >>> projection.prepare(nn.Linear(4, 3))
        >>> torch.testing.assert_close(projection(torch.ones(2, 4)).norm(dim=1), torch.ones(2))
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        if isinstance(dim, bool) or not isinstance(dim, int) or dim < 16:
            raise InputError(f"dim: {dim} must be a whole number, 16 or more; 128 is usual")
        self.dim = dim
        self.layers = nn.ModuleList()

    def prepare(self, head: nn.Module) -> None:
        """Makes the layers for the features that enter this classifier, from torch's default generator.

        Raises:
            InputError: where it cannot be told how wide they are, or the layers are for others.
        """
        width = getattr(head, "in_features", None)
        if not isinstance(width, int):
            raise InputError(
                f"classifier: a {type(head).__name__} does not say how wide its features are (in_features), so nothing "
                "can be projected; use a network with a linear classifier"
            )
        if self.layers:
            made = self.layers[0].in_features
            if made != width:
                raise InputError(f"loss: is of a network with {made} features, not {width}; make a fresh one")
            return
        device = next((parameter.device for parameter in head.parameters()), None)
        self.layers.extend([nn.Linear(width, width), nn.Linear(width, self.dim)])
        self.layers.to(device)

    @property
    def first_weight(self) -> Tensor:
        """W₁, of whose device and kind of number all that the projection gives is."""
        return self.layers[0].get_parameter("weight")

    def forward(self, features: Tensor) -> Tensor:
        """`[…, D]` to `[…, dim]`, of length 1, in float32 at least."""
        if not self.layers:
            raise InputError("loss: has no projection yet; attach the mix with it, mix.attach(model, loss=…)")
        first, second = self.layers
        hidden = F.relu(first(features.to(self.first_weight)))
        return F.normalize(second(hidden), dim=-1)

"""The recipes that were made for long tails, and those that add to mixup what they need."""

from __future__ import annotations

from typing import Unpack

from midmix.errors import InputError
from midmix.mixing.confusion import ConfusedPairs, TransportPairs
from midmix.mixing.frequency import FrequencyRatio, MarginLabels, PartnerOwns, RemixLabels, WeightedPairs
from midmix.mixing.labels import TwoSided
from midmix.mixing.mask import Box, Channels
from midmix.mixing.mix import Mix
from midmix.mixing.pairing import RandomPairs
from midmix.mixing.ratio import BetaRatio, FixedRatio
from midmix.mixing.recipes import RECIPES, Settings, preset
from midmix.mixing.site import Input


@RECIPES.register
def remix(
    num_classes: int,
    *,
    alpha: float = 1.0,
    kappa: float = 3.0,
    tau: float = 0.5,
    **settings: Unpack[Settings],
) -> Mix:
    """Remix (Chou et al. 2020, arXiv 2007.03943): mixup, whose label goes to the much rarer class alone.

    Args:
        num_classes: C.
        alpha: of the Beta distribution of λ, one for the batch.
        kappa: how many times rarer a class must be.
        tau: the content's share below which the frequent class must be.

    Raises:
        InputError: for α not above 0, κ below 1, τ out of [0, 1], and as `Mix` does.

    Example:
        >>> import torch
        >>> plan = remix(num_classes=2, class_counts=[90, 10]).plan(torch.tensor([0, 1, 0]))
        >>> len(plan.targets)
        2
    """
    settings["site"] = settings.get("site") or Input()
    return Mix(RandomPairs(), BetaRatio(alpha), RemixLabels(kappa, tau), num_classes=num_classes, **settings)


@RECIPES.register
def mamix(num_classes: int, *, alpha: float = 1.0, power: float = -0.25, **settings: Unpack[Settings]) -> Mix:
    """MAMix (Cheng et al. 2023, arXiv 2308.15457): mixup, whose label turns where the classes' margins meet.

    Args:
        num_classes: C.
        alpha: of the Beta distribution of λ, one for the batch.
        power: of the counts in the margins `n^power`; -¼ are LDAM's, and every configuration of the authors' has that.

    Raises:
        InputError: for α not above 0, a power that is not finite, and as `Mix` does.

    Example:
        >>> import torch
        >>> plan = mamix(num_classes=2, class_counts=[90, 10]).plan(torch.tensor([0, 1, 0]))
        >>> len(plan.targets)
        2
    """
    settings["site"] = settings.get("site") or Input()
    return Mix(RandomPairs(), BetaRatio(alpha), MarginLabels(power), num_classes=num_classes, **settings)


@RECIPES.register
def unimix(num_classes: int, *, alpha: float = 0.5, power: float = -1.0, **settings: Unpack[Settings]) -> Mix:
    """UniMix (Xu et al. 2021, arXiv 2111.03874): rare partners, and more of the rarer row in content and label.

    Partners are drawn within the batch by `n^power` of their class, as the authors' code does; for λ see
    `FrequencyRatio`.

    Args:
        num_classes: C.
        alpha: of the Beta distribution.
        power: of the counts; the paper's τ.

    Raises:
        InputError: for α not above 0, a power that is not finite, and as `Mix` does.

    Example:
        >>> import torch
        >>> plan = unimix(num_classes=2, class_counts=[90, 10]).plan(torch.tensor([0, 1, 0]))
        >>> plan.weight.shape
        torch.Size([3])
    """
    settings["site"] = settings.get("site") or Input()
    return Mix(WeightedPairs(power), FrequencyRatio(alpha), TwoSided(), num_classes=num_classes, **settings)


@RECIPES.register
@preset(clean_weight=1.0)
def regmixup(num_classes: int, *, alpha: float = 10.0, **settings: Unpack[Settings]) -> Mix:
    """RegMixup (Pinto et al. 2022, arXiv 2206.14502): cross-entropy and, as its regulariser, mixup near the midpoint.

    `clean_weight` is 1 unless it is given. The loss is the mean of both terms, as in the authors' code, half of the sum
    that the paper writes for η = 1; for another η give `clean_weight=1/η`. The network sees twice the rows.

    Args:
        num_classes: C.
        alpha: of the Beta distribution of λ, far above 1.

    Raises:
        InputError: where α is not above 0, and as `Mix` does.

    Example:
        >>> regmixup(num_classes=3).clean_weight
        1.0
    """
    settings["site"] = settings.get("site") or Input()
    return Mix(RandomPairs(), BetaRatio(alpha), TwoSided(), num_classes=num_classes, **settings)


@RECIPES.register
@preset(probability=0.5)
def cmo(num_classes: int, *, alpha: float = 1.0, power: float = 1.0, **settings: Unpack[Settings]) -> Mix:
    """CMO (Park et al. 2022, arXiv 2112.00412): a rare row's box pasted into any row, as CutMix does.

    Backgrounds are the batch's rows, foregrounds its rows by `n^-power` of their class. `probability` is .5 unless it
    is given, as in the authors' code. They draw foregrounds from the whole data; here a class that a batch is without
    is no foreground in it, so that classes rarer than a batch is long are foregrounds less often (see `WeightedPairs`).

    Args:
        num_classes: C.
        alpha: of the Beta distribution of λ.
        power: of a *row's* weight, as in their code: 1 draws classes evenly. The paper's text gives `n^-r` as a
            *class's* chance, which is `power = 1 + r`.

    Raises:
        InputError: where α is not above 0 or a power is not finite, and as `Mix` does.

    Example:
        >>> import torch
        >>> mix = cmo(num_classes=2, class_counts=[90, 10], probability=1.0)
        >>> plan = mix.plan(torch.tensor([0, 1, 0]), inputs=torch.rand(3, 1, 8, 8))
        >>> len(plan.targets)
        2
    """
    settings["site"] = settings.get("site") or Input()
    pairs = WeightedPairs(-power)
    return Mix(pairs, BetaRatio(alpha), TwoSided(), mask=Box(), num_classes=num_classes, **settings)


@RECIPES.register
@preset(probability=0.5)
def otmix(
    num_classes: int,
    *,
    alpha: float = 1.0,
    power: float = 1.0,
    entropy: float = 0.01,
    **settings: Unpack[Settings],
) -> Mix:
    """The classes' half of OTMix (Gao et al. 2023, NeurIPS), without its test split: `cmo` by optimal transport.

    A foreground goes with the backgrounds whose class its own is taken for. This is not the whole of the method: the
    distance of the rows' features is no part of the cost here; `TransportPairs` says each difference. Confusions
    are seen on the batches that are not mixed: `probability` is .5 unless it is given.

    Args:
        num_classes: C.
        alpha: of the Beta distribution of λ.
        power: of the foregrounds' weights `n^-power`.
        entropy: weight of the entropy, Sinkhorn's ε; the authors' is .01.

    Raises:
        InputError: where α or the entropy is not above 0, and as `Mix` does.

    Example:
        >>> otmix(num_classes=2).probability
        0.5
    """
    settings["site"] = settings.get("site") or Input()
    pairs = TransportPairs(num_classes, power=power, entropy=entropy)
    return Mix(pairs, BetaRatio(alpha), TwoSided(), mask=Box(), num_classes=num_classes, **settings)


@RECIPES.register
def cp_mix(
    num_classes: int, *, alpha: float = 1.0, window: float = 20_000, **settings: Unpack[Settings]
) -> Mix:
    """CP-Mix's pairs (Yoon et al. 2024, arXiv 2411.07621): mixup with a row of a class that one's own is taken for.

    Confusions are those of clean *training* rows, counted as training goes, so it mixes features unless it is told
    otherwise: there clean rows are seen. Partners are rows of the batch. This is not the whole of the method: the paper
    has labels of its own, which heed the imbalance; their formula could not be looked up, and the labels here are
    mixup's.

    Args:
        num_classes: C.
        alpha: of the Beta distribution of λ.
        window: memory of the confusions, in rows.

    Raises:
        InputError: where α or the window is not above 0, and as `Mix` does: at the input it needs clean rows, by
            `probability` below 1 or a clean term.

    Example:
        >>> cp_mix(num_classes=3).needs_clean_logits
        True
    """
    pairs = ConfusedPairs(num_classes, window=window)
    return Mix(pairs, BetaRatio(alpha), TwoSided(), num_classes=num_classes, **settings)


@RECIPES.register
def h2t(num_classes: int, *, share: float = 0.3, **settings: Unpack[Settings]) -> Mix:
    """H2T (Li et al. 2024, arXiv 2306.06963): class-balanced rows, a share of whose channels is other rows'.

    Owners are drawn within the batch so that classes are equally often owners, and the batch's own rows, mostly of
    frequent classes, give a share of the features' channels; the label is the owner's. The paper does this in a second
    stage, to adjust the classifier; here it is done from the first step.

    Args:
        num_classes: C.
        share: of the channels, in [0, 0.5].

    Raises:
        InputError: for a share out of [0, 0.5], and as `Mix` does.

    Example:
        >>> import torch
        >>> mix = h2t(num_classes=2, share=0.5, class_counts=[3, 1])
        >>> plan = mix.plan(torch.tensor([0, 1, 0]), inputs=torch.rand(3, 8))
        >>> plan.weight
        tensor([0.5000, 0.5000, 0.5000])
    """
    if not 0 <= share <= 0.5:
        raise InputError(
            f"share: {share} of the channels must lie in [0, 0.5], or the label would be the other's"
        )
    ratio = FixedRatio(1 - share)
    return Mix(
        WeightedPairs(-1.0), ratio, PartnerOwns(), mask=Channels(), num_classes=num_classes, **settings
    )

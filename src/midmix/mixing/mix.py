"""A mixing method: an assignment of parts, and the two ways to use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from midmix.errors import InputError
from midmix.mixing.attachment import Attachment, keep_masks_out_of_graphs
from midmix.mixing.blend import Blend, Linear
from midmix.mixing.confusion import Confusion
from midmix.mixing.context import HINTS, Loss, RowLoss, Views, as_loss, cross_entropy
from midmix.mixing.labels import BothOwners, Labels, OneSided
from midmix.mixing.mask import Mask
from midmix.mixing.pairing import Pairing
from midmix.mixing.plan import CleanTerm, Plan, Unlaid
from midmix.mixing.prior import Prior
from midmix.mixing.random import seed_of, uniform
from midmix.mixing.ratio import AccuracyRatio, Ratio
from midmix.mixing.site import Features, Input, RandomSite, Site, draw_index, site_of

CPU = torch.device("cpu")


class Batch:
    """One batch in its block: the plan that it is mixed by, and its loss.

    Attributes:
        plan: as `Mix.plan` draws it.
        clean_logits: `[B, C]` of the unmixed rows, without a gradient; None where the mix has not looked at them.
    """

    def __init__(self, mix: Mix, plan: Plan) -> None:
        self._mix, self.plan = mix, plan
        self.clean_logits: Tensor | None = None

    def loss(
        self, logits: Tensor, loss: Loss | RowLoss | None = None, *, views: Views | None = None
    ) -> Tensor:
        """`mix.loss(logits, loss)`, of this batch and no other.

        Raises:
            InputError: as `Mix.loss` does, and where another block has begun since.
        """
        if self._mix._plan is not self.plan:
            raise InputError(
                "loss: another batch's block has begun since; take a batch's loss before the next one"
            )
        if self.plan.clean is not None or not self.plan.mixes:
            mixed, clean = self.plan.split(logits.detach())
            self.clean_logits = mixed if clean is None else clean
        return self._mix.loss(logits, loss, views=views)


class Mix(nn.Module):
    """`Mix = Pairing (who with whom) × Ratio (how much) × Labels (whose label) × Blend (how) × Site (where)`.

    Use it attached to a model, or by hand on features; `midmix.recipes()` names the assignments that have names.
    It is a module for the sake of its buffers (λ's accuracy, class priors): save and load its `state_dict`
    with the model's. Random draws come from the generator given, else from torch's default one. A mix in evaluation
    mode never mixes, and neither does one attached to a model in evaluation mode.

    Args:
        pairing: who is mixed with whom.
        ratio: how much of a mixed row is its owner's, λ.
        labels: whose label a mixed row gets.
        blend: how two rows become one.
        site: where; a string is `input`, `after-NAME` of a module, `features`, `random` (see `site_of`), or names the
            module that is the classifier, whose input is mixed.
        mask: which places are the partner's, in place of a λ everywhere; None where rows are blended.
        num_classes: C.
        class_counts: training samples of each class `[C]`, if known; otherwise learnt as training goes.
        clean_weight: weight of an added term on the unmixed rows; 0 for none.
        probability: share of the batches that are mixed; the others are trained on as they are.

    Raises:
        InputError: for parts that cannot go together, with what to use instead.

    Example:
        >>> from midmix.mixing import AccuracyRatio, InterClassPairs, OneSided
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> x, y = torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 0])
        >>> mix = Mix(InterClassPairs(), AccuracyRatio(), OneSided(), num_classes=3).attach(model)
        >>> with mix(y):
        ...     logits = model(x)
        >>> mix.loss(logits).shape
        torch.Size([])
    """

    progress: Tensor
    _counts: Tensor | None

    def __init__(
        self,
        pairing: Pairing,
        ratio: Ratio,
        labels: Labels = OneSided(),  # noqa: B008  (a frozen part)
        blend: Blend = Linear(),  # noqa: B008
        site: Site | str | None = None,
        *,
        mask: Mask | None = None,
        num_classes: int,
        class_counts: Sequence[int] | Tensor | None = None,
        clean_weight: float = 0.0,
        probability: float = 1.0,
    ) -> None:
        super().__init__()
        if num_classes < 1:
            raise InputError(f"num_classes: {num_classes}; at least one class is needed")
        if not 0 <= clean_weight < float("inf"):
            raise InputError(f"clean_weight: {clean_weight} must be 0 or more, and finite")
        if not 0 <= probability <= 1:
            raise InputError(f"probability: {probability} is a share of the batches and must lie in [0, 1]")
        self.pairing = pairing
        self.ratio = ratio
        self.labels = labels
        self.blend = blend
        self.site = Features() if site is None else site_of(site) if isinstance(site, str) else site
        self.mask = mask
        self.probability = float(probability)
        self.num_classes = num_classes
        self.clean_weight = float(clean_weight)
        self.prior = Prior(num_classes, class_counts)
        self.register_buffer(
            "_counts",
            None if class_counts is None else torch.as_tensor(class_counts).float(),
            persistent=False,
        )
        self.register_buffer("progress", torch.zeros(()), persistent=False)
        self._knows_progress = False
        self._loss: Loss = as_loss(cross_entropy)
        self._generator: torch.Generator | None = None
        self._attachment: Attachment | None = None
        self._sites = 1
        self._plan: Plan | None = None
        self._batch: Batch | None = None
        self._check_parts(self.site)

    def plan(
        self,
        labels: Tensor,
        generator: torch.Generator | None = None,
        *,
        inputs: Tensor | None = None,
        answer: Callable[[Tensor], Tensor] | None = None,
    ) -> Plan:
        """Draws how the batch with these labels is mixed; in evaluation mode, that it is not.

        Args:
            labels: `[B]` int64 in `[0, C)`; any B.
            generator: of the draws, on any device; torch's default one where None.
            inputs: `[B, …]`, what will be mixed, for a mix with a mask: it is laid on these. Without, `Plan.lay` is
                left to do, and the targets are counted in the next block only.
            answer: the model's logits of inputs, for masks that follow its gradient.

        Raises:
            InputError: for labels that are not whole numbers of one dimension in `[0, C)`; as `Plan.lay` does.
        """
        self._check(labels)
        return self.draw(labels, generator, inputs=inputs, answer=answer)

    def draw(
        self,
        labels: Tensor,
        generator: torch.Generator | None = None,
        *,
        inputs: Tensor | None = None,
        answer: Callable[[Tensor], Tensor] | None = None,
        prior: bool = True,
    ) -> Plan:
        """`plan` without its checks, for loops whose labels are known to be classes.

        Args:
            labels: `[B]` int64 in `[0, C)`.
            generator, inputs, answer: as in `plan`.
            prior: whether the loss will ask for the prior. Targets are counted either way.
        """
        if not self.training:
            return self._unmixed(labels)
        if not getattr(self.pairing, "mixes", True):
            self.prior.count_unmixed(labels)
            site = draw_index(self._sites, generator)
            known = self._known(self.prior.of_unmixed if prior else None)
            return Plan.unmixed(labels, blend=self.blend, site=site, **known)
        plan = self._draw(labels, generator)
        site = draw_index(self._sites, generator)
        if plan.unlaid is None:
            return self._counted(plan, prior, site=site, blend=self.blend)
        plan = replace(plan, site=site)
        if self.clean_weight:  # the site adds the clean rows when it lays the mask
            plan = replace(plan, clean=CleanTerm(self.clean_weight))
        return plan if inputs is None else self._counted(plan.lay(inputs, answer), prior)

    def _draw(self, labels: Tensor, generator: torch.Generator | None) -> Plan:
        """Who is mixed with whom, how much and under whose label."""
        if self.probability < 1 and float(uniform(1, CPU, generator)) >= self.probability:
            return Plan.unmixed(labels)
        partner = self.pairing(labels, self.num_classes, generator, **self._facts(self.pairing))
        weight = self.ratio.draw_pairs(labels, partner, generator, **self._facts(self.ratio))

        def relabel(weight: Tensor) -> Plan:
            return self.labels(labels, partner, weight, **self._facts(self.labels))

        plan = relabel(weight)
        if self.mask is None:
            return plan
        return replace(plan, blend=self.blend, unlaid=Unlaid(self.mask, seed_of(generator), relabel))

    def _facts(self, part: object) -> dict[str, Any]:
        """What a part asks for beside labels: the data's counts, where unknown the shares so far; the progress."""
        needs = getattr(part, "needs", ())
        found: dict[str, Any] = {}
        if "counts" in needs:
            found["counts"] = self.prior.of_data() if self._counts is None else self._counts
        if "progress" in needs:
            found["progress"] = self._told
        return found

    def _counted(self, plan: Plan, prior: bool = True, **facts: Any) -> Plan:
        """The plan with these facts, and what is known when its targets, too, have been counted."""
        self.prior.count(plan)
        return replace(plan, **facts, **self._known(self.prior.of_targets if prior else None))

    def _known(self, prior: Callable[[], Tensor] | None) -> dict[str, Any]:
        return {
            "prior": None if prior is None else prior(),
            "clean": CleanTerm(self.clean_weight, self.prior.of_data()) if self.clean_weight else None,
            "counts": self._counts,
            "progress": self._told,
        }

    @property
    def _told(self) -> Tensor | None:
        """The progress, where somebody has told it."""
        return self.progress if self._knows_progress else None

    def observe(
        self,
        logits: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        accuracy: float | Tensor | None = None,
        progress: float | None = None,
    ) -> None:
        """Shows the ratio a batch's *clean* logits `[B, C]` and labels `[B]`, or tells it the accuracy in `[0, 1]`.

        An attached mix observes logits by itself. Over several processes the accuracy is that of all of them.

        Args:
            logits, labels: of clean rows.
            accuracy: in place of them.
            progress: share of the training that is done, in `[0, 1]`, for losses that change on the way (`drw`).

        Raises:
            InputError: where nothing is given, or both logits and an accuracy, or a share is out of `[0, 1]`.
        """
        if progress is not None:
            if not 0 <= progress <= 1:
                raise InputError(f"progress: {progress:g} is a share and must lie in [0, 1]")
            self.progress.fill_(progress)
            self._knows_progress = True
            if logits is None and labels is None and accuracy is None:
                return
        if accuracy is not None and logits is None and labels is None:
            self.ratio.observe_accuracy(accuracy)
        elif accuracy is None and logits is not None and labels is not None:
            watching = self._watching
            if watching and logits.dim() == 2 and logits.shape[1] != self.num_classes:
                raise InputError(
                    f"clean logits: {logits.shape[1]} columns for {self.num_classes} classes, so they are no answer of "
                    "the classifier; name the classifier as the site, or tell the accuracy: accuracy='given'"
                )
            logits = logits.detach()
            for part in watching:
                part.observe(logits, labels)
        else:
            raise InputError("observe: give either clean logits and labels, or accuracy=, or progress=")

    def observe_validation(self, logits: Tensor, labels: Tensor) -> None:
        """Shows the ratio the logits `[N, C]` and labels `[N]` of rows that are not trained on, after an epoch."""
        self.ratio.observe_validation(logits, labels)

    @property
    def needs_validation(self) -> bool:
        """Whether it wants to see held-out rows after every epoch: `observe_validation`."""
        return self.ratio.needs_validation

    @property
    def needs_clean_logits(self) -> bool:
        """Whether it wants to see every batch's clean logits."""
        return bool(self._watching)

    @property
    def needs_progress(self) -> bool:
        """Whether it wants to be told how far the training is: `observe(progress=…)`."""
        return "progress" in self.ratio.needs

    @property
    def _watching(self) -> tuple[Any, ...]:
        parts = (self.ratio, self.pairing)
        return tuple(part for part in parts if getattr(part, "needs_clean_logits", False))

    def end_epoch(self) -> None:
        """Says that an epoch is over, for a ratio that follows the last epoch's accuracy."""
        self.ratio.end_epoch()

    def attach(
        self, model: nn.Module, site: Site | str | None = None, *, loss: Loss | RowLoss | None = None
    ) -> Mix:
        """Hooks this mix into a model, which is not changed otherwise, and returns it.

        Args:
            model: any network. The mix's buffers move to the device of its parameters.
            site: where to mix, in place of the mix's own site; a string as in the mix's own.
            loss: what `mix.loss(logits)` takes where it is not told; cross-entropy until one is given. One that asks
                for features, the head or views has to be given here, so that they are kept for it, and that it makes
                what it learns.

        Raises:
            InputError: where the site is not found in the model, or does not go with the ratio; where the loss asks for
                class counts that the mix was not given; the mix then stays as it was.
        """
        judge = self._loss if loss is None else as_loss(loss)
        if "counts" in judge.needs and self._counts is None:
            raise InputError(
                f"{judge}: needs counts; {HINTS['counts']}, such as balanced_am_mixup(C, class_counts=…)"
            )
        features = Features() if {"features", "head", "views"} & judge.needs else None
        place = self.site if site is None else site_of(site) if isinstance(site, str) else site
        self._check_parts(place)
        sites = place.choices(model, self.num_classes) if isinstance(place, RandomSite) else (place,)
        if features is not None and isinstance(place, Features):
            features = place
        if self.mask is not None:
            keep_masks_out_of_graphs()
        attachment = Attachment(model, sites, self.num_classes, watch=self.needs_clean_logits, keep=features)
        if attachment.keep_head is not None:
            try:
                judge.prepare(attachment.keep_head, self.num_classes)
            except InputError:
                attachment.remove()
                raise
        self.remove()
        self._loss = judge
        self.site, self._attachment = place, attachment
        self._sites = len(sites)
        parameter = next(model.parameters(), None)
        return self if parameter is None else self.to(parameter.device)

    def check_rows(self, shape: Sequence[int]) -> None:
        """Sees that its mask, if it has one, can be laid on what enters a network, or its classifier, for such rows.

        Raises:
            InputError: where it cannot. Of a hidden layer nothing is known before it runs.
        """
        if self.mask is None:
            return
        if isinstance(self.site, Input):
            self.mask.check(shape)
        elif isinstance(self.site, Features) and self.site.name is None:  # by a name it may be any layer
            self.mask.check(shape[:1])

    def fed_prior(self) -> Tensor:
        """Shares `[C]` of the classes among all targets that the loss has been given, those of a clean term too."""
        mixed, clean = self.prior.of_targets(), self.prior.of_data()
        return (mixed + self.clean_weight * clean) / (1 + self.clean_weight)

    def remove(self) -> None:
        """Takes this mix off the model that it is attached to, if any."""
        if self._attachment is not None:
            self._attachment.remove()
        self._attachment, self._sites, self._plan, self._batch = None, 1, None, None

    def forward(
        self, labels: Tensor, generator: torch.Generator | None = None
    ) -> AbstractContextManager[Batch]:
        """`with mix(labels) as batch: logits = model(inputs)` mixes this one batch, where the model trains.

        Its loss is `batch.loss(logits)`, or `mix.loss(logits)` before the next block begins.

        Raises:
            InputError: where no model is attached; as `plan` does.
        """
        if self._attachment is None:
            raise InputError("mix: no model is attached; call mix.attach(model), or use mix.plan(labels)")
        self._plan = None  # a call whose block was forgotten must not leave the loss the batch before
        return self._block(self._attachment, labels, generator)

    @contextmanager
    def _block(
        self, attachment: Attachment, labels: Tensor, generator: torch.Generator | None
    ) -> Iterator[Batch]:
        if attachment.training:
            plan = self.plan(labels, generator)
        else:  # nothing is drawn, nothing is counted
            self._check(labels)
            plan = self._unmixed(labels)
        batch = Batch(self, plan)
        self._plan, self._batch, self._generator = plan, batch, generator
        with attachment.run(plan):
            yield batch
        self._settle(attachment)
        batch.clean_logits = attachment.clean_logits
        if attachment.clean_logits is not None and self.training:
            self.observe(attachment.clean_logits, labels)

    def loss(
        self, logits: Tensor, loss: Loss | RowLoss | None = None, *, views: Views | None = None
    ) -> Tensor:
        """The loss of the batch that the last `with mix(labels)` was for.

        `logits` is what the model returned there, be it as many rows as the batch or more: one a mixed
        row, and one a clean row where there is a clean term. Take it before the next block begins.

        Args:
            logits: `[R, C]`.
            loss: of `midmix.losses`, or any per-sample loss; that which `attach` was given where None.
            views: of the batch's rows, for losses that compare rows.

        Raises:
            InputError: where no such block came before, the model has since run in training mode outside of a block,
                the model did not pass the site, or rows do not fit.
        """
        if self._plan is None or self._attachment is None:
            raise InputError("loss: comes after `with mix(labels): logits = model(inputs)`")
        if self._attachment.stale:
            raise InputError(
                "loss: the model has run in training mode outside of a block since the last `with mix(labels)`, and "
                "these logits may be of other rows; write `with mix(labels): logits = model(inputs)` for every batch"
            )
        if not self._attachment.reached:
            raise InputError(
                f"loss: the model ran without passing {self.site!r}; call it inside the block, name another site, "
                "or attach before a compiled model's first call"
            )
        plan = self._settle(self._attachment)
        if not self._attachment.mixed:  # the model is in evaluation mode
            return self._unmixed(plan.labels).loss(logits, self._loss if loss is None else loss, views=views)
        clean = plan.split(logits)[1]
        if plan.as_they_are and self._watching and self._attachment.clean_logits is None:
            clean = logits
        if clean is not None and self.training and not self._attachment.observed:
            self._attachment.observed = True  # once a batch, however many losses are taken of it
            self.observe(clean, plan.labels)
        judge = self._loss if loss is None else as_loss(loss)
        kept = self._attachment.features if {"features", "head"} & judge.needs else None
        head = None if self._attachment.keep is None else self._attachment.keep_head
        return plan.loss(logits, judge, features=kept, head=head, generator=self._generator, views=views)

    def _settle(self, attachment: Attachment) -> Plan:
        """The plan of the last block, its targets counted as soon as its mask has been laid."""
        plan = self._plan
        assert plan is not None
        if plan.unlaid is not None and attachment.laid is not None:
            self._plan = plan = self._counted(attachment.laid)
            if self._batch is not None:
                self._batch.plan = plan
        return plan

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Buffers move with the module but stay in float32: counts in half precision would stop counting."""
        before = dict(self.named_buffers())
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, buffer in self.named_buffers():
            if buffer.dtype != before[name].dtype:
                buffer.data = before[name].to(buffer.device)
        return self

    def _unmixed(self, labels: Tensor) -> Plan:
        return Plan.unmixed(labels, prior=self.prior.of_data(), counts=self._counts, progress=self._told)

    def _check_parts(self, site: Site) -> None:
        """Raises where parts cannot go together."""
        ratio = self.ratio
        if not callable(getattr(site, "hook", None)):
            raise InputError(
                f"site: {site!r} is none; give the classifier's name in quotes, or Input(), Hidden('…'), Features()"
            )
        hidden = self.clean_weight == 0 and self.probability == 1 and not isinstance(site, Features)
        if ratio.needs_clean_logits and hidden:
            raise InputError(
                f"{type(ratio).__name__} follows the accuracy of clean features, and {site!r} shows mixed ones "
                "only: use site=Features(), or clean_weight above 0, or accuracy='given' with mix.observe(accuracy=…)"
            )
        if self._watching and hidden:
            raise InputError(
                f"{type(self.pairing).__name__} follows the confusion of clean rows, and {site!r} shows mixed ones "
                "only: use site=Features(), or clean_weight above 0, or probability below 1"
            )
        if self.mask is not None:
            self._check_mask(self.mask, site)
        if isinstance(self.pairing, Confusion) and self.pairing.num_classes != self.num_classes:
            raise InputError(
                f"{type(self.pairing).__name__}: num_classes={self.pairing.num_classes} in a mix with "
                f"num_classes={self.num_classes}; both must be the same"
            )
        if isinstance(ratio, AccuracyRatio) and ratio.balanced and ratio.num_classes != self.num_classes:
            raise InputError(
                f"AccuracyRatio: num_classes={ratio.num_classes} in a mix with num_classes={self.num_classes}; "
                "both must be the same"
            )

    def _check_mask(self, mask: Mask, site: Site) -> None:
        """Raises where a mask cannot go with the other parts."""
        if not isinstance(self.blend, Linear):
            raise InputError(f"mask: {mask!r} pastes, and {self.blend!r} blends; leave one out")
        if getattr(self.ratio, "per_row", False) and not mask.per_row:
            raise InputError(
                f"mask: {mask!r} is one for the batch, and {type(self.ratio).__name__} gives each row a λ of its own; "
                "use per_row=True for both"
            )
        if mask.needs_saliency and not isinstance(site, Input):
            raise InputError(
                f"mask: {mask!r} follows the gradient at the model's input, not at {site!r}; use site=Input()"
            )
        if mask.needs_saliency and isinstance(self.labels, BothOwners):
            raise InputError(
                f"mask: {mask!r} is made for one side of a pair, and BothOwners mixes both; use TwoSided()"
            )

    def _check(self, labels: Tensor) -> None:
        if not isinstance(labels, Tensor):
            raise InputError(
                f"labels: a {type(labels).__name__}; class indices are needed, an int64 tensor [B]"
            )
        if labels.dtype != torch.int64 or labels.dim() != 1:
            raise InputError(
                f"labels: {labels.dtype} of shape {tuple(labels.shape)}; class indices are needed, int64 of shape [B]"
            )
        # On an accelerator this check would wait for it; there, out-of-range labels fail in the loss.
        if labels.device.type == "cpu" and len(labels):
            low, high = (int(bound) for bound in labels.aminmax())
            if low < 0 or high >= self.num_classes:
                raise InputError(
                    f"labels: {low if low < 0 else high} is not a class; there are {self.num_classes}, numbered from 0"
                )

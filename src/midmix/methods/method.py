"""What is compared: a method as one specification, in one text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from midmix.errors import InputError, unknown
from midmix.losses import LOSSES, Loss, loss, put_together
from midmix.methods.baselines import BASELINES, Baseline
from midmix.methods.heads import HEADS, Head
from midmix.methods.orders import ORDERS, Order
from midmix.methods.spec import Spec
from midmix.methods.stages import STAGES, Stage
from midmix.mixing import Features, Mix, recipe, site_of
from midmix.mixing.recipes import CORE, RECIPES, recipe_options
from midmix.registry import Code, Registry, call, check_options, code_of, is_reference, options_of

PLAIN = "cross_entropy"
PLACES = {"loss": LOSSES, "order": ORDERS, "head": HEADS}
"""What can stand behind a `+`, and where its names are found."""


@dataclass(frozen=True)
class Method:
    """`Method = Mix × Loss × Order × Head × Stages`: who is mixed, how it is judged, who is drawn, by which classifier,
    and what is done afterwards.

    As a text: `MIX[:option=value…][+PART[:option=value…]…][ >> STAGE[:option=value…]…]`, where a part is a loss
    (several are put together), an order of rows, or a head; each is found by its name.

        am-mixup:beta=0.5                                cutmix+ldam:max_margin=0.3+drw:start=0.8
        balanced-am-mixup+balanced_softmax:tau=1         erm+class_balanced >> tau_norm:tau=0.7

    A baseline (`ridge:alpha=1000`), which is no network and is fitted by itself, stands alone.

    Attributes:
        mix: a recipe of `midmix.mixing`.
        losses: parts of the loss; none for cross-entropy.
        order: who is drawn when; None for every row once an epoch.
        head: the classifier; None for the network's own.
        stages: what follows the training.
        baseline: what is fitted by itself in place of a network; None for a network.

    Example:
        >>> method = Method.parse("balanced-am-mixup:clean_weight=1+balanced_softmax")
        >>> method.mix.name, [part.name for part in method.losses], str(method)
        ('balanced-am-mixup', ['balanced_softmax'], 'balanced-am-mixup:clean_weight=1+balanced_softmax')
        >>> Method.from_dict(method.as_dict()) == method
        True
    """

    mix: Spec
    losses: tuple[Spec, ...] = ()
    order: Spec | None = None
    head: Spec | None = None
    stages: tuple[Spec, ...] = ()
    baseline: Spec | None = None

    @classmethod
    def parse(cls, text: str) -> Method:
        """The method that a text stands for.

        Raises:
            InputError: for a text of another form, and for names, options and values that do not exist.
        """
        method = cls.read(text)
        method.check()
        return method

    @classmethod
    def read(cls, text: str) -> Method:
        """As `parse`, but nothing is made, and nobody's code is run: options and values are not looked at.

        Raises:
            InputError: for a text of another form, and for names that do not exist.
        """
        training, *after = text.split(">>")
        # A plus in a number, 1e+3, is followed by a digit.
        first, *rest = (Spec.parse(part) for part in re.split(r"\+(?!\s*\d)", training))
        if first.name in BASELINES.names():
            if rest or after:
                raise InputError(
                    f"method {text.strip()!r}: {first.name} is fitted by itself, so no loss, order, head or stage goes "
                    f"with it; write {first}"
                )
            return cls(Spec("erm"), baseline=first)
        if first.name not in RECIPES and first.name in LOSSES:
            raise InputError(f"method {text.strip()!r}: {first.name} is a loss; write erm+{first}")
        found: dict[str, list[Spec]] = {"loss": [], "order": [], "head": []}
        for part in rest:
            if part.name != PLAIN:
                found[_place(part)].append(part)
        for place in ("order", "head"):
            if len(found[place]) > 1:
                names = " and ".join(part.name for part in found[place])
                raise InputError(f"method {text.strip()!r}: {names} are both its {place}; leave one out")
        return cls(
            first,
            tuple(found["loss"]),
            next(iter(found["order"]), None),
            next(iter(found["head"]), None),
            tuple(Spec.parse(part.strip()) for part in after),
        )

    def check(self) -> None:
        """Makes every part once.

        Raises:
            InputError: for names, options and values that do not exist.
        """
        self.make_mix(num_classes=2)
        self.make_loss()
        self.make_order()
        self.make_head()
        self.make_stages()
        self.make_baseline()

    def make_mix(self, num_classes: int, class_counts: Sequence[float] | Tensor | None = None) -> Mix:
        """A fresh mix.

        Raises:
            InputError: for options and values that do not exist, and an accuracy that nobody would tell.
        """
        options = self.mix.as_dict()
        if options.get("accuracy") == "given":
            raise InputError(
                f"{self.mix}: a method is told no accuracy, and λ would stay 1; "
                "use accuracy=running, epoch or validation"
            )
        check_options(self.mix.name, options, recipe_options(self.mix.name))  # its own are no options
        return recipe(self.mix.name, num_classes, **{"class_counts": class_counts, **options})

    @property
    def classifier(self) -> str | None:
        """Name of the network's classifier, where the mix is told it (`site=`)."""
        site = self.mix.as_dict().get("site")
        found = site_of(site) if isinstance(site, str) else None
        return found.name if isinstance(found, Features) else None

    def make_loss(self) -> Loss:
        """A fresh loss."""
        return put_together([loss(part.name, **part.as_dict()) for part in self.losses])

    def make_order(self) -> Order:
        """Who is drawn when."""
        spec = self.order or Spec("shuffled")
        return _make(ORDERS, spec, "rows")  # type: ignore[no-any-return]

    def make_head(self) -> Head | None:
        """What makes the classifier; None where the network keeps its own."""
        return None if self.head is None else _make(HEADS, self.head, "make")

    def make_stages(self) -> tuple[Stage, ...]:
        """What follows the training."""
        return tuple(_make(STAGES, stage, "apply") for stage in self.stages)

    def make_baseline(self) -> Baseline | None:
        """What is fitted in place of a network; None where a network is trained."""
        return None if self.baseline is None else _make(BASELINES, self.baseline, "fit")

    @property
    def needs_validation(self) -> bool:
        """Whether a stage chooses something on held-out rows and cannot do without."""
        return any(getattr(stage, "needs_validation", False) for stage in self.make_stages())

    def as_dict(self) -> dict[str, Any]:
        """The method as plain data, as records keep it."""
        return {
            "mix": _plain(self.mix),
            "loss": [_plain(part) for part in self.losses],
            "order": None if self.order is None else _plain(self.order),
            "head": None if self.head is None else _plain(self.head),
            "stages": [_plain(stage) for stage in self.stages],
            "baseline": None if self.baseline is None else _plain(self.baseline),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Method:
        """The method of plain data."""
        return cls(
            _spec(data["mix"]),
            tuple(_spec(part) for part in data["loss"]),
            None if data["order"] is None else _spec(data["order"]),
            None if data["head"] is None else _spec(data["head"]),
            tuple(_spec(stage) for stage in data["stages"]),
            None if data.get("baseline") is None else _spec(data["baseline"]),
        )

    def with_options(self, values: Mapping[str, Any]) -> Method:
        """The same method with these options set, each named `part:option`; values of other parts are passed over.

        Example:
            >>> str(Method.parse("mixup+balanced_softmax").with_options({"mixup:alpha": 0.2, "ridge:alpha": 3}))
            'mixup:alpha=0.2+balanced_softmax'
        """

        def changed(part: Spec | None) -> Spec | None:
            if part is None:
                return None
            named = {tuple(name.rsplit(":", 1)): value for name, value in values.items()}
            return part.with_options(
                {name[-1]: value for name, value in named.items() if name[:-1] == (part.name,)}
            )

        def kept(parts: tuple[Spec, ...]) -> tuple[Spec, ...]:
            return tuple(part for part in map(changed, parts) if part is not None)

        return Method(
            changed(self.mix) or self.mix,
            kept(self.losses),
            changed(self.order),
            changed(self.head),
            kept(self.stages),
            changed(self.baseline),
        )

    @property
    def parts(self) -> tuple[tuple[str, Spec], ...]:
        """Every part with its kind."""
        if self.baseline is not None:
            return (("baseline", self.baseline),)
        single = (("order", self.order), ("head", self.head))
        return (
            ("method", self.mix),
            *(("loss", part) for part in self.losses),
            *((kind, part) for kind, part in single if part is not None),
            *(("stage", stage) for stage in self.stages),
        )

    def code(self) -> tuple[Code, ...]:
        """Whose own code it runs, with digests: part of what a run is."""
        found = (code_of(part.name, kind) for kind, part in self.parts if is_reference(part.name))
        return tuple(code for code in found if code is not None)

    @property
    def before_stages(self) -> Method:
        """The training alone."""
        return Method(self.mix, self.losses, self.order, self.head)

    @property
    def slug(self) -> str:
        """The method as a folder's name."""
        return str(self).replace(" >> ", "~").replace(":", "_").replace("/", "-")

    def __str__(self) -> str:
        if self.baseline is not None:
            return str(self.baseline)
        parts = (self.mix, *self.losses, self.order, self.head)
        training = "+".join(str(part) for part in parts if part is not None)
        return " >> ".join([training, *map(str, self.stages)])


def parse_methods(texts: Sequence[str]) -> tuple[Method, ...]:
    """The lines of a comparison; none for the core recipes, each with cross-entropy.

    Raises:
        InputError: as `Method.parse` does, and for a method that stands there twice.

    Example:
        >>> [str(method) for method in parse_methods(["erm", "mixup:alpha=0.2"])]
        ['erm', 'mixup:alpha=0.2']
    """
    methods = tuple(Method.parse(text) for text in (texts or CORE))
    twice = [str(method) for method, count in Counter(methods).items() if count > 1]
    if twice:
        raise InputError(f"methods: {', '.join(twice)} stands there more than once; name each once")
    return methods


def _place(part: Spec) -> str:
    for place, registry in PLACES.items():
        if part.name in registry.names():
            return place
    if is_reference(part.name):
        return "loss"
    known = [name for registry in PLACES.values() for name in registry.names()]
    raise unknown("loss, order or head", part.name, (*known, "module:function"))


def _make(registry: Registry[Any], spec: Spec, does: str) -> Any:
    """What a part's function makes, which must have a method of this name."""
    make = registry.find(spec.name)
    check_options(spec.name, spec.as_dict(), options_of(make), auto=getattr(make, "auto", ()))
    made = call(registry.kind, spec.name, make, **spec.as_dict())
    if not callable(getattr(made, does, None)):
        raise InputError(
            f"{registry.kind} {spec.name!r}: made a {type(made).__name__}, without a method {does}"
        )
    return made


def _plain(spec: Spec) -> dict[str, Any]:
    return {"name": spec.name, "options": spec.as_dict()}


def _spec(data: Mapping[str, Any]) -> Spec:
    return Spec(str(data["name"]), tuple(data["options"].items()))

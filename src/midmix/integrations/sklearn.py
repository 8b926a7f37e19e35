"""A scikit-learn classifier: a linear head or an MLP on feature arrays, trained with any mix and loss."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from midmix import losses
from midmix.data.split import validation_split
from midmix.errors import InputError
from midmix.integrations.weighted_rows import WeightedRows
from midmix.methods import Method, Spec
from midmix.methods.method import PLAIN
from midmix.mixing import Loss, Mix, RowLoss
from midmix.models import MLP, fit_normalization
from midmix.training import Settings
from midmix.training.schedule import make_optimizer, make_schedule
from midmix.training.step import can_divide, mixed_step

PREDICT_ROWS = 8192  # at a time


class MidmixClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """An MLP, or a linear head, on feature arrays `[N, D]`, for classes of very different sizes.

    What a claim about the default method must stand beside, on the same rows: its controls, as
    `midmix.methods.controls_of` lists them (the same `criterion` with `method="erm"` and `method="mixup"`, and
    `method="balanced-am-mixup:beta=0"`), and scikit-learn's balanced `LogisticRegression`, `RidgeClassifier`,
    `LinearDiscriminantAnalysis` and `HistGradientBoostingClassifier`; `midmix compare --controls` runs them all.

    Features are standardised, in float32; the optimizer is AdamW with a short warm-up and a cosine to 0. Everything
    random follows from `random_state`, and nothing global is touched: neither torch's random state nor its threads.

    **`sample_weight`** says how often a row is there: a weight of 2 is the row twice, a weight of 0 is no row (its
    class too is unknown, if all its rows have weight 0). `fit` learns from the weighted set of distinct (row, label)
    pairs; the order of the rows makes no difference either. An epoch draws `n` rows, row i `n · w_i / Σ w` times,
    rounded up or down at random; n is the sum of the weights, but at least the number of distinct rows, and at most
    the larger of that and 65,536. So weights hold for all that a mix does: who is drawn as a partner, the accuracy
    that λ follows, the class prior of a criterion.

    Args:
        method: a recipe, with options as on the command line ("balanced-am-mixup:clean_weight=1"), or a function
            such as `midmix.am_mixup`, called with the number of classes and `class_counts=`, that returns a `Mix`.
        criterion: name of a loss with its options ("balanced_softmax:tau=0.5"; several with "+"), added to that of the
            method's own text; or a loss of `midmix.losses`, or any per-sample loss.
        hidden: units of each hidden layer; `()` is a linear head.
        epochs: passes over the rows, at most.
        batch_size: rows of a step; "auto" is a 32nd of the rows, between 32 and 512.
        learning_rate: at its peak.
        weight_decay: of weights, not of biases.
        early_stopping: hold out rows of every class, stop when their balanced accuracy no longer rises (nor their
            balanced log-likelihood at the same accuracy), and keep the network of the best epoch.
        validation_fraction: share of each class that is held out for that.
        patience: epochs without a rise after which training stops.
        random_state: seed, `numpy.random.RandomState`, or None for another result each time.

    Attributes:
        classes_: `[C]`, the labels, sorted.
        model_: the network, a `midmix.models.MLP`.
        mix_: the `Mix` as training left it; `mix_.ratio.value` is its λ.
        n_iter_: epochs trained.
        loss_curve_: the mean loss of each epoch.
        validation_scores_: with `early_stopping`, the balanced accuracy of each epoch.
        n_features_in_, feature_names_in_: as in scikit-learn.

    Raises:
        InputError: by `fit`, for options that cannot be, for labels of one class only, for a loss that becomes NaN.

    Example:
        >>> from sklearn.datasets import make_classification
        >>> x, y = make_classification(500, weights=[0.95], class_sep=2.0, random_state=0)
        >>> model = MidmixClassifier(epochs=10, random_state=0).fit(x, y)
        >>> model.predict_proba(x[:3]).shape
        (3, 2)
    """

    def __init__(
        self,
        method: str | Callable[..., Mix] = "balanced-am-mixup",
        *,
        criterion: str | Loss | RowLoss = "cross_entropy",
        hidden: Sequence[int] = (128,),
        epochs: int = 50,
        batch_size: int | str = "auto",
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-2,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.method = method
        self.criterion = criterion
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:  # noqa: N803
        """Trains afresh on `X [N, D]`, labels `y [N]` of any kind, and weights `[N]`, 0 or more."""
        features, y, weight = self._checked(X, y, sample_weight, first=True)
        self.classes_, codes = np.unique(y, return_inverse=True)
        rows = WeightedRows.of(features, codes, weight)
        data, labels = _tensor(features), torch.from_numpy(codes)
        seed = self._begin(len(self.classes_))

        held_out = None
        if self.early_stopping:
            if self.patience < 1:
                raise InputError(f"patience: {self.patience}; at least 1 epoch is needed")
            stay, out = validation_split(labels[rows.index], fraction=self.validation_fraction, seed=seed)
            if not len(out):
                raise InputError(
                    "early_stopping: no class has two distinct rows, one of which could be held out"
                )
            rows, held_out = rows.select(stay), rows.select(out)
        counts = torch.bincount(labels[rows.index], rows.weight, len(self.classes_))
        self._build(data, rows, counts * (rows.epoch / counts.sum()), seed)

        settings = self._settings(rows)
        schedule = make_schedule(self._optimizer, settings, _steps(rows, settings))
        best, best_epoch, best_weights = (-math.inf, -math.inf), 0, self.model_.state_dict()
        self.loss_curve_: list[float] = []
        self.validation_scores_: list[float] = []
        with _attached(self.mix_, self.model_, self._loss):
            for epoch in range(1, settings.epochs + 1):
                self.loss_curve_.append(self._train_epoch(data, labels, rows, settings, schedule))
                if held_out is None:
                    continue
                score = self._balanced_scores(data, labels, held_out)
                self.validation_scores_.append(score[0])
                if score > best:
                    best, best_epoch = score, epoch
                    best_weights = {name: value.clone() for name, value in self.model_.state_dict().items()}
                elif epoch - best_epoch >= self.patience:
                    break
        if held_out is not None:
            self.model_.load_state_dict(best_weights)
        self.n_iter_ = len(self.loss_curve_)
        return self

    def partial_fit(
        self,
        X: ArrayLike,  # noqa: N803
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Trains one epoch more, on these rows, at the full `learning_rate`.

        The first call needs all `classes`, and standardises by its own rows; the class prior is learnt as rows come.
        After `fit` it goes on from there. `epochs` and `early_stopping` are of no account.
        """
        first = not hasattr(self, "classes_")
        if first and classes is None:
            raise InputError("classes: the first call to partial_fit needs them all")
        features, y, weight = self._checked(X, y, sample_weight, first=first)
        if first:
            self.classes_ = np.unique(np.asarray(classes))
        elif classes is not None and not np.array_equal(self.classes_, np.unique(np.asarray(classes))):
            raise InputError("classes: other ones than in the first call; they cannot change")
        strange = np.setdiff1d(y, self.classes_)
        if len(strange):
            raise InputError(f"y: {str(strange[0])!r} is not among the classes of the first call")
        codes = np.searchsorted(self.classes_, y)
        rows = WeightedRows.of(features, codes, weight)
        data, labels = _tensor(features), torch.from_numpy(codes)
        if first:
            self._build(data, rows, None, self._begin(len(self.classes_)))
            self.loss_curve_ = []
            self.n_iter_ = 0
        for group in self._optimizer.param_groups:
            group["lr"] = self.learning_rate
        with _attached(self.mix_, self.model_, self._loss):
            self.loss_curve_.append(self._train_epoch(data, labels, rows, self._settings(rows), None))
        self.n_iter_ += 1
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:  # noqa: N803
        """Probabilities `[N, C]`, float32, in the order of `classes_`."""
        check_is_fitted(self)
        features = validate_data(self, X, dtype=np.float32, order="C", reset=False)
        probabilities: NDArray[np.float32] = self._logits(_tensor(features)).softmax(1).numpy()
        return probabilities

    def predict(self, X: ArrayLike) -> NDArray[Any]:  # noqa: N803
        """The likeliest class of each row, `[N]`."""
        probabilities = self.predict_proba(X)
        labels: NDArray[Any] = self.classes_[probabilities.argmax(1)]
        return labels

    def _checked(
        self, inputs: ArrayLike, targets: ArrayLike, sample_weight: ArrayLike | None, *, first: bool
    ) -> tuple[NDArray[np.float32], NDArray[Any], NDArray[np.float64]]:
        """The rows of weight above 0."""
        x: NDArray[np.float32]
        y: NDArray[Any]
        x, y = validate_data(self, inputs, targets, dtype=np.float32, order="C", reset=first)
        check_classification_targets(y)
        weight: NDArray[np.float64] = _check_sample_weight(sample_weight, x, dtype=np.float64)
        if (weight < 0).any():
            raise InputError("sample_weight: negative weights cannot be; use 0 to leave a row out")
        there = weight > 0
        if there.all():
            return x, y, weight
        if not there.any():
            raise InputError("sample_weight: all are zero; at least one row must count")
        return x[there], y[there], weight[there]

    def _begin(self, classes: int) -> int:
        if classes < 2:
            raise InputError(
                f"y: one class only ({str(self.classes_[0])!r}); a classifier needs at least 2 classes"
            )
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self._generator = torch.Generator().manual_seed(seed)
        return seed

    def _build(self, data: Tensor, rows: WeightedRows, counts: Tensor | None, seed: int) -> None:
        classes = len(self.classes_)
        if any(width < 1 for width in self.hidden):
            raise InputError(f"hidden: {tuple(self.hidden)}; each layer needs at least 1 unit")
        method = Method.parse(self.method) if isinstance(self.method, str) else None
        if method is not None and (method.order or method.head or method.stages or method.baseline):
            raise InputError(
                f"method: {method}; here a method is a mix and a loss; orders, heads, stages and baselines are not"
            )
        self.mix_ = (
            method.make_mix(classes, counts)
            if method is not None
            else self.method(classes, class_counts=counts)  # type: ignore[operator]
        )
        if isinstance(self.criterion, str):
            parts = [Spec.parse(part) for part in self.criterion.split("+") if part]
            named = [losses.loss(part.name, **part.as_dict()) for part in parts if part.name != PLAIN]
            own = [] if method is None or not method.losses else [method.make_loss()]
            self._loss = losses.put_together([*own, *named])
        else:
            self._loss = losses.as_loss(self.criterion)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.model_ = MLP(data.shape[1:], classes, hidden=self.hidden)
        fit_normalization(self.model_, _Drawn(data, rows.draw(self._generator)), batch_size=1024)
        self._optimizer: Optimizer = make_optimizer(
            self.model_, self._settings(rows), [*self._loss.parameters()]
        )

    def _settings(self, rows: WeightedRows) -> Settings:
        return Settings(
            epochs=self.epochs,
            batch_size=_batch_size(self.batch_size, rows),
            optimizer="adamw",
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            warmup_epochs=1,
        )

    # `training.Fit` takes whole runs: every row once an epoch, evaluated on a test split after it. Rows that count more
    # than once, and calls that bring one epoch's rows at a time, are another loop.
    def _train_epoch(
        self,
        data: Tensor,
        labels: Tensor,
        rows: WeightedRows,
        settings: Settings,
        schedule: LRScheduler | None,
    ) -> float:
        drawn = rows.draw(self._generator)
        total = torch.zeros((), dtype=torch.float64)
        self.model_.train()
        divided = can_divide(self.model_, self.mix_)
        for batch in drawn.tensor_split(_steps(rows, settings)):
            if "progress" in self._loss.needs:
                self.mix_.observe(progress=min(len(self.loss_curve_) / self.epochs, 1.0))
            stepped, _ = mixed_step(
                self.model_,
                self.mix_,
                data.index_select(0, batch),
                labels[batch],
                self._loss,
                divided=divided,
                generator=self._generator,
            )
            self._optimizer.zero_grad()
            torch.autograd.backward(stepped.loss)
            self._optimizer.step()
            if schedule is not None:
                schedule.step()
            total += stepped.loss.detach() * len(batch)
        self.mix_.end_epoch()
        self.model_.eval()
        mean = float(total) / len(drawn)
        if not math.isfinite(mean):
            raise InputError(
                f"loss: became {mean} in an epoch; lower the learning_rate ({self.learning_rate:g}), or look for "
                "features of extreme size"
            )
        return mean

    @torch.inference_mode()
    def _logits(self, data: Tensor) -> Tensor:
        return torch.cat([self.model_(part) for part in torch.split(data, PREDICT_ROWS)])

    def _balanced_scores(self, data: Tensor, labels: Tensor, rows: WeightedRows) -> tuple[float, float]:
        """Accuracy and log-likelihood, each the mean over classes of its weighted mean in the class."""
        logits = torch.cat([self._logits(data[part]) for part in torch.split(rows.index, PREDICT_ROWS)])
        own = labels[rows.index]
        right = logits.argmax(1) == own
        likelihood = logits.log_softmax(1).gather(1, own[:, None])[:, 0]
        of_class = torch.bincount(own, rows.weight, len(self.classes_))
        accuracy, mean_likelihood = (
            (torch.bincount(own, rows.weight * row, len(self.classes_)) / of_class)[of_class > 0].mean()
            for row in (right, likelihood)
        )
        return float(accuracy), float(mean_likelihood)


@contextmanager
def _attached(mix: Mix, model: MLP, loss: Loss) -> Iterator[None]:
    """A mix on a model for as long as it trains, so that what is left is a plain network, to be kept and copied."""
    mix.attach(model, loss=loss)
    try:
        yield
    finally:
        mix.remove()


class _Drawn:
    """Rows of a table at these places, read in batches."""

    def __init__(self, data: Tensor, places: Tensor) -> None:
        self.data, self.places = data, places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: Tensor, /) -> Tensor:
        return self.data.index_select(0, self.places[index])


def _batch_size(given: int | str, rows: WeightedRows) -> int:
    if not isinstance(given, str):
        return given
    if given != "auto":
        raise InputError(f"batch_size: {given!r}; give a number of rows, or 'auto'")
    return min(512, max(32, 1 << max(0, round(math.log2(rows.epoch / 32)))))


def _steps(rows: WeightedRows, settings: Settings) -> int:
    return math.ceil(rows.epoch / settings.batch_size)


def _tensor(features: NDArray[np.float32]) -> Tensor:
    """The same memory as a tensor; nothing here writes to it, so a read-only array will do."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        return torch.from_numpy(features)

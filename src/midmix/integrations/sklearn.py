"""A scikit-learn classifier: a linear head or an MLP on feature arrays, trained with any mix and loss."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
from torch import Tensor

from midmix.data.split import validation_split
from midmix.decisions import Aim, LogitPrior, decision_rule, stated_prior
from midmix.errors import InputError
from midmix.integrations.estimator_options import seed_of, settings_of
from midmix.integrations.held_out import Stated, cross_fitted, stated_aim
from midmix.integrations.method_option import Given, make, options, with_options
from midmix.integrations.row_training import RowTraining, logits_of
from midmix.integrations.weighted_rows import WeightedRows
from midmix.mixing import Loss, RowLoss
from midmix.numbers import is_whole
from midmix.training.seeds import ORDER, stream


class MidmixClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """An MLP, or a linear head, on feature arrays `[N, D]`, for classes of very different sizes.

    It is the network, the training and the defaults of `midmix train` on features: the same rows, method and seed give
    the same predictions. Features are standardised, in float32. Everything random follows from `random_state`, and
    nothing global is touched: neither torch's random state nor its threads.

    **Probabilities and decisions.** A method that balances classes is fed another prior than the data's. It is known,
    so `predict_proba` gives probabilities for the prior that is stated, the data's by default, and `predict` the
    decision that is best for the aim: the likeliest class for `accuracy`, and so on; see `midmix.decisions`.
    Thresholds and calibrations are fitted on rows that were held out, each by a network that was trained on the others.

    What a claim about a method must stand beside, on the same rows: its controls, as `midmix.methods.controls_of` lists
    them (the same loss with "erm" and with "mixup", and "balanced-am-mixup:beta=0"), and scikit-learn's balanced
    `LogisticRegression`, `RidgeClassifier`, `LinearDiscriminantAnalysis` and `HistGradientBoostingClassifier`;
    `midmix compare --controls` runs them all.

    **`sample_weight`** says how often a row is there: a weight of 2 is the row twice, a weight of 0 is no row (its
    class too is unknown, if all its rows have weight 0). `fit` learns from the weighted set of distinct (row, label)
    pairs; the order of the rows makes no difference either. An epoch draws `n` rows, row i `n · w_i / Σ w` times,
    rounded up or down at random; n is the sum of the weights, but at least the number of distinct rows, and at most
    the larger of that and 65,536. So weights hold for all that a mix does: who is drawn as a partner, the accuracy
    that λ follows, the class prior of a criterion.

    Args:
        method: a mix and a loss in one text, as on the command line ("am-mixup:beta=0.5+balanced_softmax"); a function
            such as `midmix.am_mixup`, called with the number of classes and `class_counts=`, that returns a `Mix`; or a
            pair of a mix and a loss, each a text or an object. Options in a text are parameters, so that a grid can
            search them: `method__beta`, or `method__balanced_softmax__tau` where two parts have one of that name.
        criterion: a loss beside the method's own; deprecated, since `method` holds it.
        prior: what probabilities hold for: "data", "uniform", or a share for each class, in the order of `classes_`.
        aim: what `predict` is good at: "accuracy" under the prior, "balanced", "f1" (or "f2", "f0.5", …),
            "recall@precision=0.9" of the second class of two, or a matrix of costs, `cost[true][decided]`.
        calibrate: "none"; "temperature", or "bias" for a temperature and a bias for each class.
        cv: folds in which rows are held out for a calibration, or for the threshold of an aim that needs one.
        hidden: units of each hidden layer; `()` is a linear head. None, here and in what follows: as `midmix train` has
            it for such rows, for most tables two layers of 128, 100 epochs, batches of 64.
        epochs: passes over the rows, at most.
        batch_size: rows of a step.
        optimizer: "sgd", with Nesterov momentum 0.9, or "adamw".
        learning_rate: at its peak.
        weight_decay: of weights, not of biases.
        warmup_epochs: in which the rate rises; then a cosine leads to 0.
        early_stopping: hold out rows of every class, stop when their balanced accuracy no longer rises (nor their
            balanced log-likelihood at the same accuracy), and keep the network of the best epoch.
        validation_fraction: share of each class that is held out for that.
        patience: epochs without a rise after which training stops.
        random_state: seed, `numpy.random.RandomState`, or None for another result each time.

    Attributes:
        classes_: `[C]`, the labels, sorted.
        model_: the network, as `midmix.models.build` makes it.
        mix_: the `Mix` as training left it; `mix_.ratio.value` is its λ.
        rule_: the `midmix.decisions.DecisionRule` that leads from logits to probabilities and decisions.
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
        method: Given = "erm+balanced_softmax",
        *,
        criterion: str | Loss | RowLoss | None = None,
        prior: str | Sequence[float] = "data",
        aim: Stated = "accuracy",
        calibrate: str = "none",
        cv: int = 5,
        hidden: Sequence[int] | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        optimizer: Literal["sgd", "adamw"] | None = None,
        learning_rate: float | None = None,
        weight_decay: float | None = None,
        warmup_epochs: float | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.method = method
        self.criterion = criterion
        self.prior = prior
        self.aim = aim
        self.calibrate = calibrate
        self.cv = cv
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup_epochs = warmup_epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters; with `deep`, the options of a method in a text too, as `method__option`."""
        found: dict[str, Any] = super().get_params(deep=False)
        if deep:
            with suppress(InputError):  # of a method that cannot be, which fit says
                found |= {f"method__{name}": value for name, value in options(self.method).items()}
        return found

    def set_params(self, **params: Any) -> Self:
        """Sets parameters, `method` before its options."""
        inner = {name: params.pop(name) for name in list(params) if name.startswith("method__")}
        super().set_params(**params)
        if inner:
            changes = {name.removeprefix("method__"): value for name, value in inner.items()}
            self.method = with_options(self.method, changes)
        return self

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:  # noqa: N803
        """Trains afresh on `X [N, D]`, labels `y [N]` of any kind, and weights `[N]`, 0 or more."""
        features, y, weight = self._checked(X, y, sample_weight, first=True)
        self.classes_, codes = np.unique(y, return_inverse=True)
        rows = WeightedRows.of(features, codes, weight)
        data, labels = _tensor(features), torch.from_numpy(codes)
        seed = self._begin()
        shares = torch.bincount(labels[rows.index], rows.weight, len(self.classes_))
        aim = self._stated(shares)

        held_out = None
        if self.early_stopping:
            if not is_whole(self.patience) or self.patience < 1:
                raise InputError(f"patience: {self.patience!r}; at least 1 epoch is needed")
            stay, out = validation_split(labels[rows.index], fraction=self.validation_fraction, seed=seed)
            if not len(out):
                raise InputError(
                    "early_stopping: no class has two distinct rows, one of which could be held out"
                )
            rows, held_out = rows.select(stay), rows.select(out)
        counts = torch.bincount(labels[rows.index], rows.weight, len(self.classes_))
        training = self._build(data, rows, counts * (rows.epoch / counts.sum()), seed)

        schedule = training.schedule(rows)
        best, best_epoch, best_weights = (-math.inf, -math.inf), 0, self.model_.state_dict()
        with training.attached():
            for epoch in range(1, training.settings.epochs + 1):
                self.loss_curve_.append(training.epoch(data, labels, rows, schedule))
                if held_out is None:
                    continue
                score = training.balanced_scores(data, labels, held_out)
                self.validation_scores_.append(score[0])
                if score > best:
                    best, best_epoch = score, epoch
                    best_weights = {name: value.clone() for name, value in self.model_.state_dict().items()}
                elif epoch - best_epoch >= self.patience:
                    break
        if held_out is not None:
            self.model_.load_state_dict(best_weights)
        self.n_iter_ = len(self.loss_curve_)
        self._decide(aim, shares, (features, codes, weight, seed))
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
        After `fit` it goes on from there. `epochs` and `early_stopping` are of no account, and nothing is held out: an
        aim that needs a threshold, or a calibration, cannot be.
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
            self._build(data, rows, None, self._begin())
            self.n_iter_ = 0
        training = self._training
        for group in training.optimizer.param_groups:
            group["lr"] = training.settings.learning_rate
        with training.attached():
            self.loss_curve_.append(training.epoch(data, labels, rows))
        self.n_iter_ += 1
        shares = self.mix_.prior.of_data().double()
        self._decide(self._stated(shares), shares)
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803
        """Probabilities `[N, C]` of the classes under the stated prior, in the order of `classes_`."""
        logits = self._answers(X)
        probabilities: NDArray[np.float64] = self.rule_.probabilities(logits).numpy()
        return probabilities

    def predict(self, X: ArrayLike) -> NDArray[Any]:  # noqa: N803
        """The class of each row, `[N]`, that is best for the aim."""
        logits = self._answers(X)
        labels: NDArray[Any] = self.classes_[self.rule_.decide(logits).numpy()]
        return labels

    def _answers(self, inputs: ArrayLike) -> Tensor:
        check_is_fitted(self)
        return logits_of(
            self.model_, _tensor(validate_data(self, inputs, dtype=np.float32, order="C", reset=False))
        )

    def _stated(self, shares: Tensor) -> Aim:
        """The aim, once all that is stated of decisions is seen to be possible for these classes."""
        names = [str(name) for name in self.classes_]
        aim = stated_aim(self.aim, names)
        stated_prior(self.prior, shares, names)
        if self.calibrate == "none" and not aim.needs_thresholds:
            decision_rule(LogitPrior.from_counts(shares), shares, prior=self.prior, aim=aim, classes=names)
        return aim

    def _decide(
        self,
        aim: Aim,
        shares: Tensor,
        trained_on: tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64], int] | None = None,
    ) -> None:
        """Makes `rule_`; what has to be fitted is so on rows that networks like this one were not trained on."""
        held_out = None
        if trained_on is not None and (self.calibrate != "none" or aim.needs_thresholds):
            features, codes, weight, seed = trained_on
            plain = clone(self).set_params(prior="data", aim="accuracy", calibrate="none", random_state=seed)
            held_out = cross_fitted(plain, features, codes, weight, folds=self.cv, seed=seed)
        self.rule_ = decision_rule(
            self._training.trained_for(),
            shares,
            prior=self.prior,
            aim=aim,
            calibrate=self.calibrate,
            evidence=None if held_out is None else (held_out.evidence, held_out.labels),
            folds=None if held_out is None else held_out.folds,
            classes=[str(name) for name in self.classes_],
        )

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

    def _begin(self) -> int:
        """The seed, once there are classes to tell apart."""
        if len(self.classes_) < 2:
            raise InputError(
                f"y: one class only ({str(self.classes_[0])!r}); a classifier needs at least 2 classes"
            )
        return seed_of(self.random_state)

    def _build(self, data: Tensor, rows: WeightedRows, counts: Tensor | None, seed: int) -> RowTraining:
        """A new network with a new mix and loss, for these rows."""
        given = self.method
        if self.criterion is not None:
            warnings.warn(
                f"criterion is deprecated: method holds the loss, as in method='mixup+balanced_softmax'; "
                f"here {self.method!r:.60} and {self.criterion!r:.60} may be a pair",
                FutureWarning,
                stacklevel=3,
            )
            given = (self.method, self.criterion)  # type: ignore[assignment]
        classes = len(self.classes_)
        self.mix_, loss = make(given, classes, counts)
        chosen = rows.repeated
        if chosen is None:
            chosen = rows.draw(torch.Generator().manual_seed(stream(seed, ORDER)))
        inputs = data.index_select(0, chosen)
        settings = settings_of(self.get_params(deep=False), inputs)
        self._training = RowTraining.begin(inputs, classes, self.mix_, loss, settings, seed)
        self.model_ = self._training.model
        self.loss_curve_: list[float] = []
        self.validation_scores_: list[float] = []
        return self._training


def _tensor(features: NDArray[np.float32]) -> Tensor:
    """The same memory as a tensor; nothing here writes to it, so a read-only array will do."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        return torch.from_numpy(features)

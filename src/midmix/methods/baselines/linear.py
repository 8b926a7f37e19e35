"""Linear classifiers in closed form, or by a convex fit: scikit-learn's, with classes that count alike."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from torch import Tensor

from midmix.errors import InputError
from midmix.methods.baselines.baseline import BASELINES, Scores, arrays, linear_of
from midmix.methods.values import real, whole


@BASELINES.register(name="logistic")
@dataclass(frozen=True)
class Logistic:
    """Multinomial logistic regression, each row weighted by `N / (C · n_y)`: scikit-learn's `LogisticRegression`.

    Minimises `½ ‖W‖² + C Σ_i w_{y_i} ℓ_i` with the negative log-likelihood ℓ; the intercept is not penalised.

    Args:
        C: inverse strength of the penalty, above 0.
        max_iter: steps of L-BFGS at most; a warning says where they do not suffice.

    Raises:
        InputError: for a C that is not a finite number above 0; by `fit` for a class without rows.

    Example:
        >>> import torch
        >>> features, labels = torch.tensor([[-1.0], [-2.0], [1.0]]), torch.tensor([0, 0, 1])
        >>> Logistic().fit(features, labels, 2, seed=0)(features).argmax(1)
        tensor([0, 0, 1])
    """

    C: float = 1.0
    max_iter: int = 2000
    linear = True
    probabilities = True
    balanced = True

    def __post_init__(self) -> None:
        real("logistic:C", self.C, above=0)
        whole("logistic:max_iter", self.max_iter, least=1)

    def fit(self, features: Tensor, labels: Tensor, num_classes: int, seed: int) -> Scores:
        rows, targets = arrays(features, labels, num_classes, "logistic")
        model = LogisticRegression(C=self.C, class_weight="balanced", max_iter=self.max_iter)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # said below in our words
            model.fit(rows, targets)
        if (model.n_iter_ >= self.max_iter).any():
            warnings.warn(
                f"logistic:C={self.C:g}: not at its optimum after {self.max_iter} steps; raise max_iter, or lower C",
                stacklevel=2,
            )
        return linear_of(model)


@BASELINES.register(name="ridge")
@dataclass(frozen=True)
class Ridge:
    """Ridge regression of the labels' signs, each row weighted by `N / (C · n_y)`: scikit-learn's `RidgeClassifier`.

    Minimises `Σ_i w_{y_i} ‖W z_i + b - t_i‖² + α ‖W‖²` with `t` 1 for the own class and -1 for the others, in closed
    form. Its scores are no log-probabilities.

    Args:
        alpha: strength of the penalty, above 0.

    Raises:
        InputError: for an α that is not a finite number above 0; by `fit` for a class without rows.

    Example:
        >>> import torch
        >>> features, labels = torch.tensor([[-1.0], [-2.0], [1.0]]), torch.tensor([0, 0, 1])
        >>> Ridge().fit(features, labels, 2, seed=0)(features).argmax(1)
        tensor([0, 0, 1])
    """

    alpha: float = 1.0
    linear = True
    probabilities = False

    def __post_init__(self) -> None:
        real("ridge:alpha", self.alpha, above=0)

    def fit(self, features: Tensor, labels: Tensor, num_classes: int, seed: int) -> Scores:
        rows, targets = arrays(features, labels, num_classes, "ridge")
        return linear_of(RidgeClassifier(alpha=self.alpha, class_weight="balanced").fit(rows, targets))


@BASELINES.register(name="lda")
@dataclass(frozen=True)
class ShrunkDiscriminant:
    """Linear discriminants with a uniform prior and a shrunk covariance: `LinearDiscriminantAnalysis` of scikit-learn.

    Gaussian classes with one covariance, the mean over classes of each one's `(1 - s) Σ_c + s tr(Σ_c)/D · I`.

    Args:
        shrinkage: s in [0, 1], or `auto` for the Ledoit-Wolf estimate of each class.

    Raises:
        InputError: for a shrinkage that is neither; by `fit` for a class without rows.

    Example:
        >>> import torch
        >>> features, labels = torch.tensor([[-1.0], [-2.0], [1.0]]), torch.tensor([0, 0, 1])
        >>> ShrunkDiscriminant(shrinkage=0.5).fit(features, labels, 2, seed=0)(features).argmax(1)
        tensor([0, 0, 1])
    """

    shrinkage: float | str = "auto"
    linear = True
    probabilities = True
    balanced = True

    def __post_init__(self) -> None:
        if self.shrinkage == "auto":
            return
        real("lda:shrinkage", self.shrinkage)
        if not 0 <= float(self.shrinkage) <= 1:
            raise InputError(f"lda:shrinkage={self.shrinkage}: must be between 0 and 1, or auto")

    def fit(self, features: Tensor, labels: Tensor, num_classes: int, seed: int) -> Scores:
        rows, targets = arrays(features, labels, num_classes, "lda")
        model = LinearDiscriminantAnalysis(
            solver="lsqr", shrinkage=self.shrinkage, priors=np.full(num_classes, 1 / num_classes)
        )
        with warnings.catch_warnings():
            # The covariance of a class of one row is 0, and meant to be.
            warnings.filterwarnings("ignore", "Only one sample available", UserWarning)
            return linear_of(model.fit(rows, targets))

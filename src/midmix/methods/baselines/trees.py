"""Boosted trees: scikit-learn's, with classes that count alike."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits
from torch import Tensor

from midmix.methods.baselines.baseline import BASELINES, Scores, arrays
from midmix.methods.values import real, whole


@BASELINES.register(name="hist-gradient-boosting")
@dataclass(frozen=True)
class HistGradientBoosting:
    """Gradient boosted trees over binned features, each row weighted by `N / (C · n_y)`, without early stopping:
    scikit-learn's `HistGradientBoostingClassifier`.

    Its trees are not kept: a run of it holds results, and no model.

    Args:
        learning_rate: of each tree, above 0.
        max_iter: rounds; each makes a tree for each class (of two classes, one).
        max_leaf_nodes: of a tree, at least 2.

    Raises:
        InputError: for values that cannot be; by `fit` for a class without rows.

    Example:
        >>> features, labels = torch.arange(100.0)[:, None], (torch.arange(100) >= 80).long()
        >>> fitted = HistGradientBoosting(max_iter=20).fit(features, labels, 2, seed=0)
        >>> fitted(torch.tensor([[10.0], [90.0]])).argmax(1)
        tensor([0, 1])
    """

    learning_rate: float = 0.1
    max_iter: int = 100
    max_leaf_nodes: int = 31
    linear = False
    probabilities = True
    balanced = True

    def __post_init__(self) -> None:
        real("hist-gradient-boosting:learning_rate", self.learning_rate, above=0)
        whole("hist-gradient-boosting:max_iter", self.max_iter, least=1)
        whole("hist-gradient-boosting:max_leaf_nodes", self.max_leaf_nodes, least=2)

    def fit(self, features: Tensor, labels: Tensor, num_classes: int, seed: int) -> Scores:
        rows, targets = arrays(features, labels, num_classes, "hist-gradient-boosting")
        model = HistGradientBoostingClassifier(
            learning_rate=self.learning_rate,
            max_iter=self.max_iter,
            max_leaf_nodes=self.max_leaf_nodes,
            class_weight="balanced",
            early_stopping=False,
            random_state=seed,
        )
        with threadpool_limits(torch.get_num_threads()):
            model.fit(rows, targets)

        def scores(features: Tensor) -> Tensor:
            with threadpool_limits(torch.get_num_threads()):
                found = torch.from_numpy(model.decision_function(features.double().numpy())).float()
            return torch.stack([-found / 2, found / 2], 1) if found.ndim == 1 else found

        return scores

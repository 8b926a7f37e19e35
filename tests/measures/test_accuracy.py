from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from midmix.errors import InputError
from midmix.measures import classification, confusion_matrix, shot_groups
from midmix.measures.accuracy import BY_COUNT, BY_THIRDS


@pytest.fixture
def scored():
    g = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 6, (400,), generator=g)
    logits = 3 * torch.randn(400, 6, generator=g)
    logits[torch.arange(400), labels] += 2
    return logits, labels


def test_agrees_with_scikit_learn(scored):
    logits, labels = scored
    predicted = logits.argmax(1).numpy()
    found = classification(logits, labels, counts=[500, 300, 100, 20, 19, 1])
    assert found.accuracy == pytest.approx(sk.accuracy_score(labels, predicted))
    assert found.balanced_accuracy == pytest.approx(sk.balanced_accuracy_score(labels, predicted))
    assert found.macro_f1 == pytest.approx(sk.f1_score(labels, predicted, average="macro"))
    np.testing.assert_allclose(found.per_class, sk.recall_score(labels, predicted, average=None))
    probabilities = logits.double().softmax(1).numpy()
    assert found.nll == pytest.approx(sk.log_loss(labels, probabilities))
    np.testing.assert_array_equal(confusion_matrix(logits, labels), sk.confusion_matrix(labels, predicted))
    assert found.many == pytest.approx(found.per_class[:2].mean().item())
    assert found.medium == pytest.approx(found.per_class[2:4].mean().item())
    assert found.few == pytest.approx(found.per_class[4:].mean().item())


def test_ece_by_group_is_the_ece_of_the_groups_rows(scored):
    logits, labels = scored
    found = classification(logits, labels, counts=[500, 300, 100, 20, 19, 1])
    rows = labels >= 4
    alone = classification(logits[rows], labels[rows], counts=[500, 300, 100, 20, 19, 1])
    assert found.ece_few == pytest.approx(alone.ece)
    assert alone.ece_few == pytest.approx(alone.ece)
    assert math.isnan(alone.ece_many)


def test_a_class_without_test_rows_is_nan_and_left_out():
    logits = torch.eye(3)[torch.tensor([0, 2, 0, 1])]
    found = classification(logits, torch.tensor([0, 0, 0, 1]), counts=[500, 50, 5])
    assert found.per_class[0].item() == pytest.approx(2 / 3)
    assert math.isnan(found.per_class[2])
    assert found.balanced_accuracy == pytest.approx((2 / 3 + 1) / 2)
    assert found.macro_f1 == pytest.approx((0.8 + 1) / 2)
    assert math.isnan(found.few)
    assert math.isnan(found.ece_few)


@pytest.mark.parametrize(
    ("counts", "rule", "many", "medium", "few"),
    [
        ([101, 100, 20, 19], BY_COUNT, (0,), (1, 2), (3,)),
        ([19, 101, 20], BY_COUNT, (1,), (2,), (0,)),
        ([5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50], BY_THIRDS, (0, 1, 2), (3, 4, 5, 6), (7, 8, 9)),
        ([2, 9, 5, 7], BY_THIRDS, (1,), (2, 3), (0,)),
        ([4, 4, 4, 4, 4], BY_THIRDS, (), (0, 1, 2, 3, 4), ()),
        ([106, 5, 106, 5, 106, 106, 5, 5, 5, 106], BY_THIRDS, (0, 2, 4, 5, 9), (), (1, 3, 6, 7, 8)),
        ([9, 9, 7, 7, 5, 5], BY_THIRDS, (0, 1), (2, 3), (4, 5)),
        ([9, 8, 8, 8, 8, 1], BY_THIRDS, (0,), (1, 2, 3, 4), (5,)),
        ([8, 9], BY_THIRDS, (1,), (), (0,)),
        ([8], BY_THIRDS, (), (0,), ()),
    ],
)
def test_shot_groups(counts, rule, many, medium, few):
    found = shot_groups(torch.tensor(counts))
    assert (found.rule, found.many, found.medium, found.few) == (rule, many, medium, few)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_float_dtype(scored, dtype):
    logits, labels = scored[0].to(dtype), scored[1]
    counts = [500, 300, 100, 20, 19, 1]
    assert classification(logits, labels, counts).nll == classification(logits.double(), labels, counts).nll


@pytest.mark.parametrize(
    ("logits", "labels", "counts", "says"),
    [
        (torch.zeros(3, 2), torch.zeros(2, dtype=torch.long), [1, 1], "3 rows against 2 labels"),
        (torch.zeros(2, 2), torch.tensor([0, 2]), [1, 1], "row 1 is 2 or more"),
        (torch.zeros(2, 2), torch.tensor([0, -1]), [1, 1], "row 1 is negative"),
        (torch.zeros(2, 2), torch.tensor([0.0, 1.0]), [1, 1], "integers"),
        (torch.tensor([[0, 1], [0, torch.nan]]), torch.tensor([0, 1]), [1, 1], "row 1 is not finite"),
        (torch.zeros(0, 2), torch.zeros(0, dtype=torch.long), [1, 1], "at least one"),
        (torch.zeros(2, 2), torch.tensor([0, 1]), [1, 1, 1], "3 training counts for logits of 2"),
        (torch.zeros(2, 2), torch.tensor([0, 1]), [1, -1], "0 or more"),
    ],
)
def test_bad_input_is_named(logits, labels, counts, says):
    with pytest.raises(InputError, match=says):
        classification(logits, labels, counts)

import math

import pytest
import torch

from smalti.config import InputError
from smalti.metrics.class_score import class_score

SURE = 100.0


def test_is_the_number_of_classes_where_each_image_is_surely_of_one():
    logits = SURE * torch.eye(5).repeat(4, 1)
    assert class_score(logits, splits=2).mean == pytest.approx(5.0)


def test_is_1_where_all_images_look_the_same():
    assert class_score(torch.rand(1, 7).expand(30, 7)).mean == pytest.approx(1.0)


def test_of_two_images_by_hand():
    """Shares 3/4 and 1/4 against their mean of 1/2 each."""
    logits = torch.log(torch.tensor([[0.75, 0.25], [0.25, 0.75]]))
    divergence = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert class_score(logits, splits=1).mean == pytest.approx(math.exp(divergence))


def test_splits_follow_the_order_of_the_images():
    logits = torch.cat([SURE * torch.eye(4), SURE * torch.eye(4)[:1].expand(4, 4)])
    # 4 in the first half and 1 in the second
    assert class_score(logits, splits=2) == (pytest.approx(2.5), pytest.approx(1.5))


def test_fewer_images_than_splits_are_refused():
    with pytest.raises(InputError, match="at least 10 images, got 9"):
        class_score(torch.zeros(9, 3))

import pytest
import torch

from smalti.metrics.codebook import CodebookUse


def test_counts_over_batches_of_different_shapes():
    use = CodebookUse(4)
    use.add(torch.tensor([[[0, 0], [1, 3]]]))
    use.add(torch.tensor([[[3, 3, 0]]]))
    assert use.counts.tolist() == [3, 1, 0, 3]


def test_usage_and_dead_codes():
    use = CodebookUse(8)
    use.add(torch.tensor([[[0, 0, 5]]]))
    assert use.usage == 0.25
    assert use.dead == 6


@pytest.mark.parametrize(
    ("codes", "perplexity"),
    [
        ([0, 0, 0], 1.0),
        ([0, 1, 2, 3], 4.0),
        ([0, 0, 1, 2], 2**1.5),  # entropy of (1/2, 1/4, 1/4) is 1.5 bits
    ],
)
def test_perplexity_by_hand(codes, perplexity):
    use = CodebookUse(16)
    use.add(torch.tensor([[codes]]))
    assert use.perplexity == pytest.approx(perplexity)

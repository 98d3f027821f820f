"""FSQ and LFQ: codes that are made of a few rounded numbers."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.quantizers.config import FSQConfig, LFQConfig, levels_for
from smalti.tokenizer.quantizers.fsq import FSQ
from smalti.tokenizer.quantizers.lfq import LFQ


def without_projections(quantizer: FSQ | LFQ, dim: int) -> FSQ | LFQ:
    """Its projections pass on what they get."""
    for projection in (quantizer.project_in, quantizer.project_out):
        projection.weight.data.copy_(torch.eye(dim)[..., None, None])
        projection.bias.data.zero_()
    return quantizer


# FSQ


@pytest.mark.parametrize(
    ("codebook_size", "levels"),
    [
        (3, (3,)),
        (16, (4, 4)),
        (60, (5, 4, 3)),
        (512, (8, 8, 8)),
        (1000, (8, 5, 5, 5)),
        (1024, (8, 8, 4, 4)),
        (16384, (8, 8, 8, 8, 4)),
        (65536, (8, 8, 8, 8, 4, 4)),
    ],
)
def test_levels_follow_from_the_codebook_size(codebook_size, levels):
    assert FSQConfig().levels_of(codebook_size) == levels


@given(st.lists(st.integers(3, 8), min_size=1, max_size=6))
@settings(max_examples=50)
def test_levels_are_found_wherever_there_are_some(levels):
    found = levels_for(math.prod(levels))
    assert math.prod(found) == math.prod(levels)
    assert 3 <= min(found) <= max(found) <= 8
    assert len(found) <= len(levels)


@pytest.mark.parametrize(
    ("options", "size", "reason"),
    [
        ({}, 1001, "1001 is not a product of levels from 3 to 8.*near it are 1000 or 1008"),
        ({}, 2, "2 is not a product of levels from 3 to 8.*near it are 3"),
        ({"levels": (8, 5, 5)}, 1000, r"1000 is not the product.*8 \* 5 \* 5 = 200"),
        ({"levels": (8, 1)}, 8, "greater than or equal to 2"),
        ({"levels": (2048,)}, 2048, "less than or equal to 256"),
    ],
)
def test_sizes_that_levels_do_not_give_are_refused(options, size, reason):
    with pytest.raises(ValidationError, match=reason):
        VQGANConfig.model_validate({"codebook_size": size, "quantizer": {"kind": "fsq", **options}})


def test_numbers_far_out_take_the_outer_levels_and_zero_the_middle():
    """Levels 4 and 5: digits 0 and 0, 2 and 2, 3 and 4."""
    fsq = without_projections(FSQ(FSQConfig(levels=(4, 5)), 20, 2), 2)
    z = torch.tensor([[-9.0, -9.0], [0.0, 0.0], [9.0, 9.0]]).T.view(1, 2, 3, 1)
    assert fsq.encode(z).flatten().tolist() == [0, 2 + 4 * 2, 3 + 4 * 4]
    expected = torch.tensor([[-1.0, -1.0], [0.0, 0.0], [0.5, 1.0]])
    torch.testing.assert_close(fsq(z).z_q[0, :, :, 0].T, expected)


@given(st.lists(st.integers(2, 8), min_size=1, max_size=4))
@settings(max_examples=30)
def test_codes_of_fsq_are_its_digits(levels):
    """Every combination of digits has a code of its own, and comes back from its latent."""
    size = math.prod(levels)
    fsq = without_projections(FSQ(FSQConfig(levels=tuple(levels)), size, len(levels)), len(levels))
    codes = torch.arange(size).view(1, size, 1)
    numbers = fsq.embed(codes) * (fsq.levels // 2)
    assert torch.equal(fsq._codes(numbers.round().long() + fsq.levels // 2), codes)
    lowest, highest = numbers.amin((0, 2, 3)), numbers.amax((0, 2, 3))
    assert torch.equal(highest - lowest + 1, torch.tensor(levels).float())


# LFQ


def test_bits_of_a_code_are_signs():
    lfq = without_projections(LFQ(LFQConfig(), 8, 3), 3)
    z = torch.tensor([[0.5, -2.0, 3.0], [-1.0, -1.0, -1.0]]).T.view(1, 3, 2, 1)
    assert lfq.encode(z).flatten().tolist() == [0b101, 0]
    assert lfq(z).z_q[0, :, :, 0].T.tolist() == [[1, -1, 1], [-1, -1, -1]]


def test_entropy_loss_of_lfq_by_its_definition(generator):
    """From the distances to all codes, in float64."""
    config = LFQConfig(temperature=0.7, sample_entropy_weight=0.3, batch_entropy_weight=0.2)
    lfq = without_projections(LFQ(config, 8, 3), 3)
    z = torch.randn(1, 3, 4, 4, generator=generator)
    codes = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=3))).double()
    rows = z[0].flatten(1).T.double()
    choice = (-torch.cdist(rows, codes).square() / 0.7).softmax(1)
    entropy = torch.special.entr(choice).sum(1).mean()
    of_mean = torch.special.entr(choice.mean(0)).sum()
    loss = lfq(z).entropy_loss.double()
    torch.testing.assert_close(loss, 0.3 * entropy - 0.2 * of_mean, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [3, 1000, 16385])
def test_sizes_that_are_no_powers_of_two_are_refused(size):
    with pytest.raises(ValidationError, match=f"codebook-size {size} is not a power of two"):
        VQGANConfig.model_validate({"codebook_size": size, "quantizer": {"kind": "lfq"}})

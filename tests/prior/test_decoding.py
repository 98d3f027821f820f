import pytest
import torch
import torch.nn.functional as F
from torch import nn

from smalti.prior.base import SequenceSizes
from smalti.prior.gpt.config import GPTConfig
from smalti.prior.gpt.decoding import FEW_ROWS, ProductInParts, prepare, prepare_norm
from smalti.prior.gpt.model import GPT


@pytest.mark.parametrize("rows", [1, 2, FEW_ROWS, FEW_ROWS + 1])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("outputs", [24, 25, 1])
def test_every_way_gives_the_usual_product(rows, outputs, bias, generator):
    linear = nn.Linear(6, outputs, bias=bias)
    x = torch.randn(rows, 6, generator=generator)
    torch.testing.assert_close(prepare(linear, rows, torch.float32)(x), linear(x))


def test_few_float32_rows_on_a_processor_go_in_parts():
    linear = nn.Linear(6, 8)
    assert isinstance(prepare(linear, FEW_ROWS, torch.float32), ProductInParts)
    assert not isinstance(prepare(linear, FEW_ROWS + 1, torch.float32), ProductInParts)
    assert not isinstance(prepare(linear, 1, torch.bfloat16), ProductInParts)


def test_prepared_weights_are_not_copied():
    linear = nn.Linear(6, 8)
    product = prepare(linear, 1, torch.float32)
    assert product.weight.data_ptr() == linear.weight.data_ptr()


def test_weights_are_rounded_once_for_another_format(generator):
    linear = nn.Linear(6, 8)
    x = torch.randn(2, 6, generator=generator).bfloat16()
    expected = F.linear(x, linear.weight.bfloat16(), linear.bias.bfloat16())
    assert torch.equal(prepare(linear, 2, torch.bfloat16)(x), expected)


def test_prepared_norm_is_the_modules(generator):
    norm = nn.LayerNorm(6, eps=0.1)
    nn.init.normal_(norm.weight, generator=generator)
    nn.init.normal_(norm.bias, generator=generator)
    x = torch.randn(2, 6, generator=generator)
    assert torch.equal(prepare_norm(norm)(x), norm(x))


def test_cache_counts_what_it_holds(generator):
    gpt = GPT(GPTConfig(layers=2, heads=2, width=8, dropout=0), SequenceSizes(5, 6)).eval()
    cache = gpt.new_cache(3)
    tokens = torch.randint(5, (3, 4), generator=generator)
    gpt.logits(tokens[:, :3], cache)
    assert cache.length == 3
    gpt.logits(tokens[:, 3:], cache)
    assert cache.length == 4


def test_single_tokens_leave_no_graph(generator):
    gpt = GPT(GPTConfig(layers=1, heads=2, width=8, dropout=0), SequenceSizes(5, 6)).eval()
    logits = gpt.logits(torch.randint(5, (3, 1), generator=generator), gpt.new_cache(3))
    assert not logits.requires_grad

import torch
from torch import nn

from smalti.prior.base import SequenceSizes
from smalti.prior.gpt.config import GPT2Config
from smalti.prior.gpt.decoding import prepare_norm
from smalti.prior.gpt.model import GPT


def test_prepared_norm_is_the_modules(generator):
    norm = nn.LayerNorm(6, eps=0.1)
    nn.init.normal_(norm.weight, generator=generator)
    nn.init.normal_(norm.bias, generator=generator)
    x = torch.randn(2, 6, generator=generator)
    assert torch.equal(prepare_norm(norm)(x), norm(x))


def test_cache_counts_what_it_holds(generator):
    gpt = GPT(GPT2Config(layers=2, heads=2, width=8, dropout=0), SequenceSizes(5, 6)).eval()
    cache = gpt.new_cache(3)
    tokens = torch.randint(5, (3, 4), generator=generator)
    gpt.logits(tokens[:, :3], cache)
    assert cache.length == 3
    gpt.logits(tokens[:, 3:], cache)
    assert cache.length == 4


def test_single_tokens_leave_no_graph(generator):
    gpt = GPT(GPT2Config(layers=1, heads=2, width=8, dropout=0), SequenceSizes(5, 6)).eval()
    logits = gpt.logits(torch.randint(5, (3, 1), generator=generator), gpt.new_cache(3))
    assert not logits.requires_grad

"""Dropout: at which places of a prior a value is dropped, one place at a time.

With a probability of 0.5 what is kept counts twice, so a value of 1 becomes 0 or 2.
"""

import pytest
import torch
from torch import Tensor, nn

from smalti.prior.attention import CausalSelfAttention
from smalti.prior.base import GridSizes
from smalti.prior.block import Block
from smalti.prior.gpt.config import GPT2Config
from smalti.prior.gpt.model import GPT
from smalti.prior.pixelsnail.cell_attention import CellAttention
from smalti.prior.pixelsnail.cond_features import CondLayer
from smalti.prior.pixelsnail.config import PixelSNAILConfig
from smalti.prior.pixelsnail.gated_residual import GatedResidual
from smalti.prior.pixelsnail.model import PixelSNAIL

BATCH, LENGTH, WIDTH, HEADS = 32, 5, 8, 2
OPTIONS = {"width": WIDTH, "heads": HEADS, "dropout": 0.5}
SIZES = GridSizes(11, LENGTH, cond_length=2, grid_height=2, grid_width=2)
GPT_CONFIG = GPT2Config(layers=2, **OPTIONS)
BLOCK = GPT_CONFIG.block
SNAIL_CONFIG = PixelSNAILConfig(blocks=2, **OPTIONS)


def constant(layer: nn.Linear, value: float) -> None:
    """Let a layer give one value whatever it reads."""
    nn.init.zeros_(layer.weight)
    nn.init.constant_(layer.bias, value)


def attend_evenly(layer: CausalSelfAttention | CondLayer) -> None:
    """Every query likes all keys alike, every value is 1, and heads are passed on as they are."""
    constant(layer.qkv, 0.0)
    nn.init.ones_(layer.qkv.bias[2 * WIDTH :])
    constant(layer.projection, 0.0)
    layer.projection.weight.data.fill_diagonal_(1.0)


def add_nothing(layer: CausalSelfAttention | CondLayer) -> None:
    """Let the attention's output be 0."""
    constant(layer.projection, 0.0)


def assert_dropped(values: Tensor) -> None:
    """About half of the ones became 0, the others 2."""
    assert set(values.unique().tolist()) == {0.0, 2.0}
    assert 0.3 < float((values == 0).float().mean()) < 0.7


def blank() -> Tensor:
    return torch.zeros(BATCH, LENGTH, WIDTH)


# Attention weights


def test_an_attention_weight_is_dropped():
    """The first position looks at itself alone, with a weight of 1; a head's values share it."""
    layer = CausalSelfAttention(0, BLOCK, dropout=0.5)
    attend_evenly(layer)
    first = layer(blank())[:, 0]
    assert_dropped(first)
    assert torch.equal(first[:, 0], first[:, WIDTH // HEADS - 1])
    assert not torch.equal(first[:, 0], first[:, -1])
    assert torch.equal(layer.eval()(blank()), torch.ones(BATCH, LENGTH, WIDTH))


def test_an_attention_weight_of_a_cell_is_dropped():
    """The first cell looks at a single conditioning token."""
    layer = CellAttention(0, WIDTH, HEADS, dropout=0.5)
    for linear in (layer.query, layer.cond_kv, layer.cell_kv):
        constant(linear, 1.0)
    cells = torch.zeros(BATCH, 2, 2, WIDTH)
    cond_states = torch.zeros(BATCH, 1, WIDTH)
    assert_dropped(layer(cells, cells, cond_states)[:, 0, 0])
    assert torch.equal(layer.eval()(cells, cells, cond_states), torch.ones_like(cells))


def test_an_attention_weight_of_the_conditioning_is_dropped():
    """With a single token; the output is dropped too, so what is kept counts four times."""
    layer = CondLayer(WIDTH, HEADS, dropout=0.5)
    attend_evenly(layer)
    constant(layer.mlp.contract, 0.0)
    found = layer(torch.zeros(BATCH, 1, WIDTH))[:, 0]
    assert set(found.unique().tolist()) == {0.0, 4.0}
    head = found[:, : WIDTH // HEADS]
    # A dropped weight silences a whole head: with the output alone, that is one head in 16.
    assert 0.4 < float((head == 0).all(1).float().mean()) < 0.8


# Outputs


@pytest.mark.parametrize("layer_class", [Block, CondLayer])
def test_the_output_of_the_attention_is_dropped(layer_class):
    layer = Block(0, BLOCK, 0.5) if layer_class is Block else CondLayer(WIDTH, HEADS, 0.5)
    constant(layer.attention.projection if layer_class is Block else layer.projection, 1.0)
    constant(layer.mlp.contract, 0.0)
    assert_dropped(layer(blank()))
    assert torch.equal(layer.eval()(blank()), torch.ones(BATCH, LENGTH, WIDTH))


@pytest.mark.parametrize("layer_class", [Block, CondLayer])
def test_the_output_of_the_mlp_is_dropped(layer_class):
    layer = Block(0, BLOCK, 0.5) if layer_class is Block else CondLayer(WIDTH, HEADS, 0.5)
    add_nothing(layer.attention if layer_class is Block else layer)
    constant(layer.mlp.contract, 1.0)
    assert_dropped(layer(blank()))
    assert torch.equal(layer.eval()(blank()), torch.ones(BATCH, LENGTH, WIDTH))


def test_a_value_between_two_convolutions_is_dropped():
    layer = GatedResidual(WIDTH, 1, dropout=0.5)
    read: list[Tensor] = []
    layer.second.register_forward_pre_hook(lambda _module, inputs: read.append(inputs[0]))
    cells = torch.zeros(BATCH, 2, 2, WIDTH)
    nn.init.ones_(layer.first.left.bias)
    layer(cells, torch.zeros(BATCH, 1, 1, WIDTH))
    assert_dropped(read[0])


# Embeddings


def test_an_embedding_of_the_transformer_is_dropped():
    """Token and position together: both are set to a half."""
    gpt = GPT(GPT_CONFIG, SIZES)
    nn.init.constant_(gpt.token_embedding.weight, 0.5)
    nn.init.constant_(gpt.position_embedding, 0.5)
    read: list[Tensor] = []
    gpt.blocks[0].register_forward_pre_hook(lambda _module, inputs: read.append(inputs[0]))
    gpt.logits(torch.zeros(BATCH, LENGTH, dtype=torch.int64))
    assert_dropped(read[0])


def test_an_embedding_of_the_convolutional_prior_is_dropped():
    snail = PixelSNAIL(SNAIL_CONFIG, SIZES)
    nn.init.ones_(snail.token_embedding.weight)
    read: list[Tensor] = []
    snail.cond_encoder.register_forward_pre_hook(lambda _module, inputs: read.append(inputs[0]))
    snail.input.register_forward_pre_hook(lambda _module, inputs: read.append(inputs[0]))
    snail.logits(torch.zeros(BATCH, LENGTH, dtype=torch.int64))
    cond_tokens, cells = read
    assert_dropped(cond_tokens)
    assert_dropped(cells.flatten(1, 2)[:, :3])  # the last cell is empty yet


# The option


@pytest.mark.parametrize(
    "prior", [GPT(GPT_CONFIG, SIZES), PixelSNAIL(SNAIL_CONFIG, SIZES)], ids=["gpt", "snail"]
)
def test_the_configured_dropout_reaches_every_place(prior):
    dropped = [module.p for module in prior.modules() if isinstance(module, nn.Dropout)]
    attentions = [
        module.dropout
        for module in prior.modules()
        if isinstance(module, CausalSelfAttention | CellAttention)
    ]
    assert set(dropped) == set(attentions) == {0.5}
    # The embedding, and two blocks of one Dropout each, or of three and one conditioning layer.
    assert (len(dropped), len(attentions)) == ((3, 2) if isinstance(prior, GPT) else (8, 2))

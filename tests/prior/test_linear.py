import pytest
import torch
import torch.nn.functional as F

from smalti.prior.linear import FEW_ROWS, Linear


@pytest.mark.parametrize("rows", [1, 2, FEW_ROWS, FEW_ROWS + 1])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("outputs", [24, 25, 1])
def test_every_route_gives_the_usual_product(rows, outputs, bias, generator):
    layer = Linear(6, outputs, bias=bias)
    x = torch.randn(rows, 1, 6, generator=generator)
    torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias))


def test_rows_that_are_not_contiguous_are_read_rightly(generator):
    layer = Linear(6, 8)
    x = torch.randn(6, 2, 2, generator=generator).permute(1, 2, 0)
    torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias))


def test_gradients_of_few_rows_are_the_usual_ones(generator):
    layer = Linear(6, 8)
    x = torch.randn(2, 1, 6, generator=generator, requires_grad=True)
    inputs = (x, layer.weight, layer.bias)
    ours = torch.autograd.grad(layer(x).square().sum(), inputs)
    usual = torch.autograd.grad(F.linear(*inputs).square().sum(), inputs)
    for gradient, expected in zip(ours, usual, strict=True):
        torch.testing.assert_close(gradient, expected)

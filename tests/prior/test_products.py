import pytest
import torch
import torch.nn.functional as F
from torch import nn

from smalti.compute import has_bfloat16
from smalti.prior import products
from smalti.prior.products import PackedProduct, ProductInParts, packed_copy, prepare


@pytest.mark.parametrize("can_pack", [True, False])
@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("outputs", [24, 25, 1])
def test_every_way_gives_the_usual_product(outputs, bias, rows, can_pack, generator, monkeypatch):
    if not can_pack:
        monkeypatch.setattr(products, "can_pack", lambda: False)
    linear = nn.Linear(6, outputs, bias=bias)
    x = torch.randn(rows, 6, generator=generator)
    torch.testing.assert_close(prepare(linear, rows, torch.float32)(x), linear(x))


def test_the_way_goes_by_rows_format_and_what_onednn_can(monkeypatch):
    linear = nn.Linear(6, 8)
    monkeypatch.setattr(products, "can_pack", lambda: False)
    assert isinstance(prepare(linear, 1, torch.float32), ProductInParts)
    assert prepare(linear, 2, torch.float32).func is F.linear
    assert prepare(linear, 1, torch.bfloat16).func is F.linear
    monkeypatch.undo()
    assert isinstance(prepare(linear, 2, torch.float32), PackedProduct) is products.can_pack()


def test_the_weight_for_one_row_is_not_copied():
    linear = nn.Linear(6, 8)
    product = prepare(linear, 1, torch.float32)
    assert product.weight.data_ptr() == linear.weight.data_ptr()


def test_weights_are_rounded_once_for_another_format(generator):
    linear = nn.Linear(6, 8)
    x = torch.randn(2, 6, generator=generator).bfloat16()
    expected = F.linear(x, linear.weight.bfloat16(), linear.bias.bfloat16())
    assert torch.equal(prepare(linear, 2, torch.bfloat16)(x), expected)


@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize("autocast", [True, False])
def test_bfloat16_is_packed_where_the_processor_has_it_and_rounds_alike(rows, autocast, generator):
    linear = nn.Linear(96, 40)
    x = torch.randn(rows, 96, generator=generator)
    product = prepare(linear, rows, torch.bfloat16)
    is_packed = products.can_pack() and has_bfloat16(torch.device("cpu"))
    assert isinstance(product, PackedProduct) is is_packed
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        result = product(x if autocast else x.bfloat16())
    expected = F.linear(x.bfloat16(), linear.weight.bfloat16(), linear.bias.bfloat16())
    assert result.dtype == torch.bfloat16
    assert torch.equal(result, expected)


def test_bfloat16_is_not_packed_where_it_would_be_emulated(monkeypatch):
    monkeypatch.setattr(products, "has_bfloat16", lambda device: False)
    assert prepare(nn.Linear(6, 8), 4, torch.bfloat16).func is F.linear


def test_packed_copy_computes_the_same_with_the_same_parameters(generator):
    model = nn.Sequential(nn.Linear(6, 8), nn.Sequential(nn.GELU(), nn.Linear(8, 5, bias=False)))
    copied, x = packed_copy(model, 12), torch.randn(3, 4, 6, generator=generator)
    torch.testing.assert_close(copied(x), model(x))
    assert isinstance(copied[1][1].forward, PackedProduct) is products.can_pack()
    assert not isinstance(model[1][1].forward, PackedProduct)
    assert [*map(id, copied.parameters())] == [*map(id, model.parameters())]


def test_no_copy_is_made_where_packing_does_not_help(monkeypatch):
    model = nn.Linear(6, 8)
    assert packed_copy(model.bfloat16(), 4) is model
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert packed_copy(model.float(), 4) is model
    monkeypatch.setattr(products, "can_pack", lambda: False)
    assert packed_copy(model, 4) is model

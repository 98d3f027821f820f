"""Linear layers by oneDNN: the same products and gradients, and only where they are meant."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from smalti.prior import linear as linear_module
from smalti.prior.linear import Linear

ROWS = 64
"""The fewest rows of the layers here that go to oneDNN in these tests."""

pytestmark = pytest.mark.skipif(
    not hasattr(torch.ops.mkldnn, "_linear_pointwise"), reason="this PyTorch has no oneDNN"
)


@pytest.fixture
def rows_by_onednn(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The rows of each product by oneDNN, as on a processor where it is the faster one."""
    rows: list[int] = []
    multiply = linear_module._by_onednn

    def noted(x: Tensor, *others: Tensor | None) -> Tensor:
        rows.append(len(x))
        return multiply(x, *others)

    monkeypatch.setattr(linear_module, "_by_onednn", noted)
    monkeypatch.setattr(linear_module, "is_faster_by_onednn", lambda: True)
    monkeypatch.setattr(linear_module, "LEAST_PRODUCTS", ROWS * 24 * 40)
    return rows


def pair(bias: bool = True) -> tuple[Linear, nn.Linear]:
    """A layer and the same one of PyTorch."""
    torch.manual_seed(0)
    ours, plain = Linear(24, 40, bias=bias), nn.Linear(24, 40, bias=bias)
    plain.load_state_dict(ours.state_dict())
    return ours, plain


LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "square": lambda y: y.square().sum(),
    "sum, whose gradient has no memory of its own": lambda y: y.sum(),
    "of every second feature": lambda y: y[..., ::2].square().sum(),
    "transposed": lambda y: (y.transpose(1, 2) * torch.arange(50.0)).sum(),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("bias", [True, False])
def test_products_and_gradients_are_those_of_pytorch(rows_by_onednn, loss, bias):
    values = torch.randn(24, 50, 2, generator=torch.Generator().manual_seed(1)).permute(2, 1, 0)
    outputs, gradients = [], []
    for layer in pair(bias):
        x = values.clone(memory_format=torch.preserve_format).requires_grad_()
        y = layer(x)
        loss(y).backward()
        outputs.append(y.detach())
        gradients.append([x.grad, *(weight.grad for weight in layer.parameters())])
    assert rows_by_onednn == [100, 100, 40]  # forward, and the gradients of input and weight
    torch.testing.assert_close(*outputs)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


def test_gradients_that_nobody_needs_are_not_computed(rows_by_onednn):
    ours, _ = pair()
    ours(torch.ones(ROWS, 24)).sum().backward()
    assert rows_by_onednn == [ROWS, 40]
    rows_by_onednn.clear()
    ours.requires_grad_(False)(torch.ones(ROWS, 24, requires_grad=True)).sum().backward()
    assert rows_by_onednn == [ROWS, ROWS]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_number_formats_and_few_rows_are_left_to_pytorch(rows_by_onednn, dtype):
    ours, plain = pair()
    x = torch.ones(ROWS, 24)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ours(x), plain(x))
    assert torch.equal(ours(x[1:]), plain(x[1:]))
    assert torch.equal(ours.to(dtype)(x.to(dtype)), plain.to(dtype)(x.to(dtype)))
    assert not rows_by_onednn


def test_a_large_weight_goes_to_onednn_from_one_row_on(rows_by_onednn, monkeypatch):
    ours, plain = pair()
    monkeypatch.setattr(linear_module, "LEAST_WEIGHT", 24 * 40)
    x = torch.linspace(-1, 1, 24)[None]
    torch.testing.assert_close(ours(x), plain(x))
    assert rows_by_onednn == [1]


@pytest.mark.parametrize(
    ("capability", "vendor", "expected"),
    [
        ("AVX512", "AuthenticAMD", True),
        ("AVX512", "GenuineIntel", False),
        ("AVX2", "AuthenticAMD", False),
    ],
)
def test_onednn_is_for_processors_of_amd_with_avx512(
    monkeypatch, tmp_path, capability, vendor, expected
):
    (tmp_path / "cpuinfo").write_text(f"vendor_id\t: {vendor}\n", encoding="utf-8")
    monkeypatch.setattr(linear_module, "CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    assert linear_module.is_faster_by_onednn.__wrapped__() == expected

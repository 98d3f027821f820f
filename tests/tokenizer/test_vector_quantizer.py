"""The nearest-neighbour lookup itself."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smalti.tokenizer import nearest
from smalti.tokenizer.nearest import nearest_entries
from smalti.tokenizer.quantizers.config import VectorQuantizerConfig
from smalti.tokenizer.quantizers.lookup import rotated
from smalti.tokenizer.quantizers.vector import VectorQuantizer


def quantizer_of(entries: torch.Tensor, **options: object) -> VectorQuantizer:
    quantizer = VectorQuantizer(VectorQuantizerConfig(**options), *entries.shape)
    quantizer.codebook.weight.data.copy_(entries)
    return quantizer


def brute_force(vectors: torch.Tensor, entries: torch.Tensor) -> torch.Tensor:
    """Every squared distance in float64, by its definition."""
    differences = vectors.double()[:, None] - entries.double()[None]
    return differences.square().sum(-1).argmin(1)


@given(
    count=st.integers(1, 40), size=st.integers(2, 30), dim=st.integers(1, 16), seed=st.integers(0)
)
@settings(max_examples=50)
def test_codes_equal_brute_force(count, size, dim, seed):
    generator = torch.Generator().manual_seed(seed % 2**63)
    vectors = torch.randn(count, dim, generator=generator)
    entries = torch.randn(size, dim, generator=generator)
    codes = nearest_entries(vectors, entries)
    # Where two entries are as near as float32 can tell, either is right.
    ours = (vectors - entries[codes]).square().sum(1)
    best = (vectors - entries[brute_force(vectors, entries)]).square().sum(1)
    torch.testing.assert_close(ours, best, rtol=1e-4, atol=1e-5)


def test_codes_do_not_depend_on_the_chunks(monkeypatch, generator):
    vectors = torch.randn(100, 4, generator=generator)
    entries = torch.randn(32, 4, generator=generator)
    whole = nearest_entries(vectors, entries)
    for rows in (1, 7, 100):
        monkeypatch.setattr(nearest, "CHUNK_ELEMENTS", rows * len(entries))
        assert torch.equal(nearest_entries(vectors, entries), whole)
    assert torch.equal(whole, brute_force(vectors, entries))


def test_codebook_larger_than_a_chunk_works(monkeypatch, generator):
    monkeypatch.setattr(nearest, "CHUNK_ELEMENTS", 8)
    vectors = torch.randn(5, 4, generator=generator)
    entries = torch.randn(32, 4, generator=generator)
    assert torch.equal(nearest_entries(vectors, entries), brute_force(vectors, entries))


def test_lowest_code_wins_a_tie():
    entries = torch.tensor([[9.0, 9.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    z = torch.tensor([[1.0, 0.0], [0.5, 0.5]]).T.reshape(1, 2, 1, 2)
    assert quantizer_of(entries).encode(z).tolist() == [[[1, 1]]]


@pytest.mark.parametrize("l2_normalised", [False, True])
def test_distinct_codes_survive_embedding_and_encoding(generator, l2_normalised):
    entries = torch.randn(64, 8, generator=generator)
    quantizer = quantizer_of(entries, l2_normalised=l2_normalised)
    codes = torch.arange(64).view(1, 8, 8)
    assert torch.equal(quantizer.encode(quantizer.embed(codes)), codes)


def test_straight_through_gradient_is_all_ones(generator):
    quantizer = quantizer_of(torch.randn(8, 4, generator=generator))
    z = torch.randn(2, 4, 3, 3, generator=generator, requires_grad=True)
    quantizer(z).z_q.sum().backward()
    assert torch.equal(z.grad, torch.ones_like(z))


def test_losses_by_hand():
    """One vector (1, 2) at the entry (0, 4): the mean of 1 and 4."""
    quantized = quantizer_of(torch.tensor([[0.0, 4.0], [9.0, 9.0]]))(
        torch.tensor([1.0, 2.0]).view(1, 2, 1, 1)
    )
    assert quantized.codes.item() == 0
    assert quantized.codebook_loss.item() == 2.5
    assert quantized.commitment_loss.item() == 2.5


def test_l2_normalised_lookup_compares_directions():
    """The long entry in the same direction wins over the near one in another."""
    entries = torch.tensor([[1.0, 1.0], [50.0, 0.0]])
    z = torch.tensor([2.0, 0.1]).view(1, 2, 1, 1)
    assert quantizer_of(entries).encode(z).item() == 0
    quantizer = quantizer_of(entries, l2_normalised=True)
    assert quantizer.encode(z).item() == 1
    assert quantizer.embed(torch.tensor([[[1]]])).flatten().tolist() == [1.0, 0.0]


PEAK_MB = """
import torch
from pathlib import Path
from smalti.tokenizer.nearest import nearest_entries

def peak_mb():
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) // 1024

torch.set_num_threads(1)
vectors, entries = torch.randn(8192, 32), torch.randn(16384, 32)
nearest_entries(vectors[:8], entries)
before = peak_mb()
nearest_entries(vectors, entries)
print(peak_mb() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="reads the peak from /proc")
def test_memory_does_not_grow_with_vectors_times_codes():
    """8,192 vectors and 16,384 codes: all distances at once would be 512 MB."""
    result = subprocess.run(
        [sys.executable, "-c", PEAK_MB],
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    )
    assert 0 < int(result.stdout) < 200


# The rotation trick


def test_rotation_gives_the_entry_and_keeps_its_angle_to_the_gradient(generator):
    """The gradient at the vector is the one at the entry, turned back and scaled."""
    vectors = torch.randn(1, 5, 4, 4, generator=generator, requires_grad=True)
    entries = torch.randn(1, 5, 4, 4, generator=generator)
    gradient = torch.randn(1, 5, 4, 4, generator=generator)
    moved = rotated(vectors, entries)
    assert torch.equal(moved, entries)
    moved.backward(gradient)
    stretch = entries.norm(dim=1) / vectors.norm(dim=1)
    angle_before = torch.cosine_similarity(entries, gradient, dim=1)
    angle_after = torch.cosine_similarity(vectors, vectors.grad, dim=1)
    torch.testing.assert_close(angle_after, angle_before, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(vectors.grad.norm(dim=1), stretch * gradient.norm(dim=1))


@pytest.mark.parametrize(
    ("gradient", "expected"), [("straight_through", [0.0, 1.0]), ("rotation", [2.0, 0.0])]
)
def test_gradient_reaches_the_encoder_as_asked(gradient, expected):
    """A vector to the right becomes an entry upwards, twice as long. An upward gradient stays as it
    is, or turns back by 90 degrees and doubles."""
    quantizer = quantizer_of(torch.tensor([[0.0, 2.0]]), gradient=gradient)
    z = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).requires_grad_()
    quantizer(z).z_q.backward(torch.tensor([0.0, 1.0]).view(1, 2, 1, 1))
    torch.testing.assert_close(z.grad.flatten(), torch.tensor(expected))


@pytest.mark.parametrize("vector", [[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
def test_rotation_of_equal_opposite_and_zero_vectors_is_finite(vector):
    vectors = torch.tensor(vector).view(1, 2, 1, 1).requires_grad_()
    entries = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)
    moved = rotated(vectors, entries)
    moved.sum().backward()
    assert torch.equal(moved, entries)
    assert vectors.grad.isfinite().all()

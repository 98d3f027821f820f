"""IBQ and Gumbel: gradients through the choice among all codes."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from smalti.tokenizer.quantizers import soft
from smalti.tokenizer.quantizers.config import GumbelQuantizerConfig, IBQConfig
from smalti.tokenizer.quantizers.gumbel import GumbelQuantizer, _gumbel_noise
from smalti.tokenizer.quantizers.ibq import IBQ

K = 12
D = 4


def one_hot_through_softmax(logits: Tensor) -> Tensor:
    """The straight-through one-hot (N, K) of both papers, all of it at once."""
    probabilities = logits.softmax(1)
    hard = F.one_hot(logits.argmax(1), K).float()
    return hard - probabilities.detach() + probabilities


@pytest.fixture
def ibq() -> IBQ:
    config = IBQConfig(lookup_dim=None, sample_entropy_weight=0.3, batch_entropy_weight=0.7)
    return IBQ(config, K, D)


@pytest.fixture
def gumbel() -> GumbelQuantizer:
    return GumbelQuantizer(GumbelQuantizerConfig(temperature=0.5, kl_weight=0.3), K, D).eval()


@pytest.fixture
def z(generator) -> Tensor:
    return torch.randn(1, D, 30, 1, generator=generator, requires_grad=True)


def gradients(value: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(value, tensors, retain_graph=True)


@pytest.mark.parametrize("chunk", [K, 7 * K, 2**22])
def test_ibq_passes_the_gradient_of_the_one_hot_to_every_entry(monkeypatch, ibq, z, chunk):
    monkeypatch.setattr(soft, "CHUNK_ELEMENTS", chunk)
    quantized = ibq(z)
    rows = z[0, :, :, 0].T
    latent = one_hot_through_softmax(rows @ ibq.codebook.weight.T) @ ibq.codebook.weight
    weights = torch.linspace(-1, 1, latent.numel()).view(latent.shape)
    ours = gradients((quantized.z_q[0, :, :, 0].T * weights).sum(), z, ibq.codebook.weight)
    theirs = gradients((latent * weights).sum(), z, ibq.codebook.weight)
    torch.testing.assert_close(ours, theirs)
    assert (ours[1].abs().sum(1) > 0).all()


def test_ibq_has_two_quantization_losses(ibq, z):
    """The latent against the vectors with and without the choice's gradient, and commitment."""
    quantized = ibq(z)
    rows = z[0, :, :, 0].T
    entries = ibq.codebook.weight
    indexed = one_hot_through_softmax(rows @ entries.T) @ entries
    chosen = entries[quantized.codes.flatten()]
    codebook_loss = F.mse_loss(indexed, rows) + F.mse_loss(chosen, rows.detach())
    commitment_loss = F.mse_loss(rows, chosen.detach())
    torch.testing.assert_close(quantized.codebook_loss, codebook_loss)
    torch.testing.assert_close(quantized.commitment_loss, commitment_loss)
    ours = gradients(quantized.codebook_loss, z, entries)
    torch.testing.assert_close(ours, gradients(codebook_loss, z, entries))


@pytest.mark.parametrize("chunk", [K, 7 * K, 2**22])
def test_entropy_loss_does_not_depend_on_the_chunks(monkeypatch, ibq, z, chunk):
    monkeypatch.setattr(soft, "CHUNK_ELEMENTS", chunk)
    choice = (z[0, :, :, 0].T @ ibq.codebook.weight.T).softmax(1)
    expected = 0.3 * torch.special.entr(choice).sum(1).mean()
    expected = expected - 0.7 * torch.special.entr(choice.mean(0)).sum()
    loss = ibq(z).entropy_loss
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradients(loss, z), gradients(expected, z))


def test_entropy_is_that_of_all_processes(monkeypatch, ibq, z):
    """The mean of the processes' gradients is the gradient of the whole batch's entropy."""
    parts = z.detach().chunk(2, dim=2)
    means = []
    for part in parts:
        rows = part[0, :, :, 0].T
        means.append((rows @ ibq.codebook.weight.T).softmax(1).mean(0).detach())
    whole = gradients(ibq(z).entropy_loss, ibq.codebook.weight)[0]
    monkeypatch.setattr(soft, "mean_over_processes", lambda _: torch.stack(means).mean(0))
    halves = [gradients(ibq(part).entropy_loss, ibq.codebook.weight)[0] for part in parts]
    torch.testing.assert_close((halves[0] + halves[1]) / 2, whole)


def test_gumbel_passes_the_gradient_of_the_one_hot(gumbel, z):
    """Without noise, in evaluation; the soft choice has the temperature."""
    rows = z[0, :, :, 0].T
    logits = gumbel.scores(rows) / 0.5
    latent = one_hot_through_softmax(logits) @ gumbel.codebook.weight
    parameters = z, gumbel.scores.weight, gumbel.codebook.weight
    ours = gradients(gumbel(z).z_q.square().sum(), *parameters)
    torch.testing.assert_close(ours, gradients(latent.square().sum(), *parameters))


def test_gumbel_noise_draws_each_code_as_often_as_its_probability():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        probabilities = torch.tensor([0.6, 0.3, 0.1])
        logits = probabilities.log().expand(20000, 3)
        drawn = (logits + _gumbel_noise(logits)).argmax(1).bincount(minlength=3) / 20000
    torch.testing.assert_close(drawn, probabilities, rtol=0, atol=0.02)


def test_gumbel_draws_in_training_only(gumbel, z):
    assert torch.equal(gumbel(z).codes, gumbel.encode(z))
    assert not torch.equal(gumbel.train()(z).codes, gumbel.encode(z))


def test_codes_and_gradients_of_training_come_from_the_same_draw(gumbel, z):
    """The backward pass makes the choice again: with the same noise."""
    gumbel.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        ours = gradients(gumbel(z).z_q.square().sum(), z)
        torch.manual_seed(3)
        logits = gumbel.scores(z[0, :, :, 0].T)
        logits = (logits + _gumbel_noise(logits)) / 0.5
    latent = one_hot_through_softmax(logits) @ gumbel.codebook.weight
    torch.testing.assert_close(ours, gradients(latent.square().sum(), z))


def test_kl_term_is_zero_for_an_even_choice_and_log_k_for_a_sure_one(gumbel, z):
    gumbel.scores.weight.data.zero_()
    assert gumbel(z).entropy_loss.item() == pytest.approx(0, abs=1e-8)
    gumbel.scores.bias.data[3] = 100
    expected = 0.3 * torch.tensor(float(K)).log()
    torch.testing.assert_close(gumbel(z).entropy_loss, expected)


def test_temperature_falls_over_the_steps():
    config = GumbelQuantizerConfig(temperature=1.0, final_temperature=0.01, anneal_steps=2)
    gumbel = GumbelQuantizer(config, K, D)
    temperatures = []
    for _ in range(4):
        temperatures.append(gumbel._temperature().item())
        gumbel.finish_step()
    assert temperatures == pytest.approx([1, 0.1, 0.01, 0.01])

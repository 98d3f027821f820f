"""A generation that was stopped goes on to the same codes."""

import pytest
import torch

from smalti.config import InputError
from smalti.prior.gpt.config import GPT2Config
from smalti.prior.gpt.model import GPT
from smalti.sampling.config import SamplingConfig
from smalti.sampling.partial import PartialCodes
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.prior_model import PriorModelConfig
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.vqgan import VQGAN

K = 16
QUIET = {"progress": False}


@pytest.fixture
def pipeline(generator) -> Pipeline:
    config = PriorModelConfig(
        prior=GPT2Config(layers=1, heads=2, width=16, dropout=0),
        vocab_size=K + 1,
        max_length=12,
        codebook_size=K,
        grid_height=3,
        grid_width=4,
    )
    prior = GPT(config.prior, config.sizes)
    with torch.no_grad():
        for weight in prior.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator))
    vqgan = VQGAN(VQGANConfig(codebook_size=K, channel_multipliers=(1, 1)))
    return Pipeline(vqgan.eval(), prior.eval(), config)


def test_hashes_of_versions_without_number_formats_stay():
    assert "precision" not in SamplingConfig().settings()
    assert SamplingConfig(precision="bfloat16").settings()["precision"] == "bfloat16"


def test_hashes_of_versions_without_speculation_stay():
    assert "speculative" not in SamplingConfig().settings()
    assert SamplingConfig(speculative=4).settings()["speculative"] == 4


class StopError(Exception):
    """Ctrl-C, at a cell that the test chooses."""


@pytest.fixture
def stop_after(monkeypatch):
    def set_up(cells: int) -> None:
        advance = PartialCodes.advance

        def stop(self: PartialCodes, done: int) -> None:
            advance(self, done)
            if done == cells:
                raise StopError

        monkeypatch.setattr(PartialCodes, "advance", stop)

    yield set_up
    monkeypatch.undo()


@pytest.mark.parametrize("cells", [1, 17, 40, 41, 79])
def test_stopped_generation_goes_on_to_the_same_codes(
    pipeline, tmp_path, stop_after, monkeypatch, cells
):
    """Two batches of a canvas of 5x8 cells."""
    request, keep = pipeline.request(3, size=(10, 16)), tmp_path / "unfinished.safetensors"
    whole = pipeline.sample_codes(request, 7, batch_size=2, **QUIET)
    stop_after(cells)
    with pytest.raises(StopError):
        pipeline.sample_codes(request, 7, batch_size=2, keep=keep, **QUIET)
    monkeypatch.undo()
    drawn = []
    monkeypatch.setattr(PartialCodes, "advance", lambda self, done: drawn.append(done))
    resumed = pipeline.sample_codes(request, 7, batch_size=2, keep=keep, **QUIET)
    assert torch.equal(resumed, whole)
    assert min(drawn) > cells


@pytest.mark.parametrize("change", ["seed", "config", "size", "stride", "weights"])
def test_other_work_begins_anew(pipeline, tmp_path, stop_after, monkeypatch, change):
    request, keep = pipeline.request(1, size=(10, 16)), tmp_path / "unfinished.safetensors"
    stop_after(20)
    with pytest.raises(StopError):
        pipeline.sample_codes(request, 7, keep=keep, **QUIET)
    monkeypatch.undo()
    seed, config = 7, SamplingConfig()
    if change == "seed":
        seed = 8
    elif change == "config":
        config = SamplingConfig(top_k=3)
    elif change == "stride":
        config = SamplingConfig(stride=2)
    elif change == "size":
        request = pipeline.request(1, size=(16, 10))
    else:
        with torch.no_grad():
            pipeline.prior.head.weight.mul_(2)
    options = {"config": config} | QUIET
    expected = pipeline.sample_codes(request, seed, **options)
    found = pipeline.sample_codes(request, seed, keep=keep, **options)
    assert torch.equal(found, expected)


def test_damaged_file_is_named(pipeline, tmp_path):
    keep = tmp_path / "unfinished.safetensors"
    keep.write_bytes(b"no tensors")
    with pytest.raises(InputError, match="unfinished"):
        pipeline.sample_codes(pipeline.request(1), keep=keep, **QUIET)


def test_codes_of_a_damaged_prior_are_not_kept(pipeline, tmp_path):
    keep = tmp_path / "unfinished.safetensors"
    with torch.no_grad():
        pipeline.prior.head.weight.fill_(float("nan"))
    for _ in range(2):
        with pytest.raises(InputError, match="not finite"):
            pipeline.sample_codes(pipeline.request(1), keep=keep, **QUIET)
        assert not keep.exists()

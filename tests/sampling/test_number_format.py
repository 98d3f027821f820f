"""Pipelines in narrower number formats draw, score and load."""

import pytest
import torch

from helpers.class_pipelines import H, K, W, pipeline_of
from smalti.config import InputError
from smalti.prior.gpt.config import GPT2Config, GPTConfig
from smalti.prior.local.config import LocalConfig
from smalti.prior.pixelsnail.config import PixelSNAILConfig
from smalti.sampling.pipeline import Pipeline
from smalti.tokenizer.vqgan import VQGAN

SHAPES = {
    "gpt2": GPT2Config(layers=1, heads=2, width=16, dropout=0),
    "gpt": GPTConfig(layers=1, heads=2, width=16, dropout=0),
    "local": LocalConfig(layers=1, heads=2, width=16, dropout=0),
    "pixelsnail": PixelSNAILConfig(blocks=1, width=16, dropout=0),
}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_narrow_pipelines_score_nearly_the_same_and_draw(shape, dtype, tmp_path):
    pipeline, codes = pipeline_of(shape), torch.randint(K, (2, H, W))
    expected = pipeline.score(codes, "cat").nats
    assert pipeline.to(dtype) is pipeline
    assert next(pipeline.prior.parameters()).dtype == dtype
    found = pipeline.score(codes, "cat").nats
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05)
    assert pipeline.logits(codes, "cat").dtype == torch.float32
    (picture,) = pipeline.sample(
        1, condition="dog", size=(2 * H, 2 * W + 4), guidance=2.0, progress=False
    )
    assert picture.mode == "RGB"
    request, keep = pipeline.request(1, "dog"), tmp_path / "kept.safetensors"
    drawn = pipeline.sample_codes(request, keep=keep, progress=False)
    assert torch.equal(pipeline.sample_codes(request, keep=keep, progress=False), drawn)


def test_device_and_number_format_are_taken_in_any_way(tmp_path):
    pipeline = pipeline_of(SHAPES["gpt"])
    narrow = torch.bfloat16
    for asked in ({"device": narrow}, {"dtype": "bfloat16"}, {"device": "cpu", "dtype": narrow}):
        pipeline.to(torch.float32)
        pipeline.to(**asked)
        assert (pipeline.tokenizer.dtype, pipeline.device.type) == (narrow, "cpu")
        assert next(pipeline.prior.parameters()).dtype == torch.bfloat16
    pipeline.to(device="cpu")
    assert pipeline.tokenizer.dtype == torch.bfloat16
    pipeline.save_pretrained(tmp_path / "model")
    loaded = Pipeline.from_pretrained(tmp_path / "model", dtype="float16")
    assert (loaded.tokenizer.dtype, loaded.prior.head.weight.dtype) == (torch.float16,) * 2
    with pytest.raises(InputError, match="dtype is half; allowed are float32, bfloat16, float16"):
        loaded.to(dtype="half")


@pytest.mark.parametrize("device", ["gpu", torch.device("cuda:99")])
def test_a_device_that_is_not_there_is_refused(device, tmp_path):
    pipeline = pipeline_of(SHAPES["gpt"])
    pipeline.save_pretrained(tmp_path / "pipeline")
    pipeline.tokenizer.save_pretrained(tmp_path / "tokenizer")
    message = f"device '{device}' is not there"
    with pytest.raises(InputError, match=message):
        pipeline.to(device)
    with pytest.raises(InputError, match=message):
        Pipeline.from_pretrained(tmp_path / "pipeline", device=device)
    with pytest.raises(InputError, match=message):
        VQGAN.from_pretrained(tmp_path / "tokenizer", device=device)


def test_more_conditions_than_codes_are_refused():
    pipeline, codes = pipeline_of(SHAPES["gpt"]), torch.randint(K, (2, H, W))
    alternately = pipeline.score(codes.repeat(2, 1, 1), ["cat", "dog"]).nats
    torch.testing.assert_close(alternately[:2], pipeline.score(codes, ["cat", "dog"]).nats)
    with pytest.raises(InputError, match=r"condition class has 3 values, .* codes of 2 images"):
        pipeline.score(codes, ["cat", "dog", "cat"])

"""`smalti import` of a released transformer, and `smalti train prior --init`."""

import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file

from smalti.sampling.pipeline import Pipeline


@pytest.fixture
def checkpoint(here, oracle_tensors) -> Path:
    """The oracle's unconditional model and its config, `model.safetensors` and `model.yaml`."""
    tensors = {}
    for file, prefix in (("net2net", "transformer."), ("vqmodel", "first_stage_model.")):
        for name, tensor in oracle_tensors(f"{file}_tiny").items():
            if name.startswith("sd."):
                tensors[prefix + name.removeprefix("sd.")] = tensor
    save_file(tensors, here / "model.safetensors")
    params = {
        "transformer_config": {"params": {"n_head": 2}},
        "first_stage_config": {"params": {"ddconfig": {"resolution": 32, "attn_resolutions": [8]}}},
        "cond_stage_config": "__is_unconditional__",
        "sos_token": 32,
        "pkeep": 0.9,
    }
    Path("model.yaml").write_text(yaml.safe_dump({"model": {"params": params}}), encoding="utf-8")
    return here / "model.safetensors"


def test_transformer_is_imported_and_sampled(here, succeed, checkpoint):
    out = succeed("import", checkpoint, "--config", "model.yaml", "--out", "model").out
    for line in (
        "prior: 2 layers, 2 heads, 32 wide, 43,968 parameters; 33 tokens shared",
        "images: 32x32 pixels, 8x8 codes in the order row_major",
        "tokenizer: f = 4, K = 32, D = 16, 1,017,363 parameters",
        "condition: nothing, start token 32",
        "none missing; passed over: none",
        "next: smalti sample model --out samples",
        "smalti train prior --data PHOTOS --init model --image.size 32 --token-keep 0.9 --out RUN",
        "trained with pkeep 0.9",
    ):
        assert line in out
    succeed("sample", "model", "-n", "1", "--out", "samples")
    assert Path("samples/grid.png").is_file()


def test_tokenizer_alone(here, succeed, checkpoint):
    out = succeed("import", checkpoint, "--tokenizer-only", "--out", "vqgan").out
    assert "passed over: transformer (" in out
    assert "smalti train vqgan" in out


def test_run_begins_with_another_prior_and_resumes_without_it(here, succeed, world):
    shutil.copytree(world.prior, "before")
    tiny = [option for option in world.tiny_prior if not option.startswith("--prior.")]
    still = ["--optimizer.learning_rate=1e-12", "--optimizer.weight_decay=0"]
    begin = ["--data", world.photos, "--init", "before", "--image.size=16", "--out", "run"]
    command = ["train", "prior", *begin, *still, *tiny]
    succeed(*command)
    first, again = Pipeline.from_pretrained("before"), Pipeline.from_pretrained("run")
    assert again.config == first.config
    for name, weight in first.prior.state_dict().items():
        torch.testing.assert_close(again.prior.state_dict()[name], weight, rtol=0, atol=1e-6)
    shutil.rmtree("before")
    succeed(*command, "--training.total_steps=5")
    assert Path("run/checkpoints/step_00000005").is_dir()


def test_shape_of_the_first_prior_counts_for_what_no_option_says(here, succeed, world):
    """Its 3 heads of 8 channels fit its width of 24; the default 4 do not."""
    tiny = [option for option in world.tiny_prior if not option.startswith("--prior.")]
    line = ["train", "prior", "--data", world.photos, *tiny, "--training.total-steps=1"]
    shape = ["--prior.layers=1", "--prior.width=24"]
    succeed(*line, "--vqgan", world.vqgan, *shape, "--prior.heads=3", "--out", "first")
    for model in ("first", "first/checkpoints/best"):
        line += ["--init", model, "--image.size=16", *shape]
        prior = yaml.safe_load(succeed(*line, "--print-config").out)["prior"]
        assert (prior["kind"], prior["heads"], prior["width"]) == ("gpt", 3, 24)
    succeed(*line, "--out", "second")
    assert Pipeline.from_pretrained("second").config.prior.heads == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--init nowhere", "nowhere does not exist"),
        ("--init {prior} --vqgan {vqgan}", "the tokenizer comes from the model of --init"),
        ("--init {prior} --condition class", r"\(it has none\); leave condition out"),
        ("--init {prior} --image.size 32", "one of 16x16 pixels; add --image.size 16x16"),
        ("--init {prior} --prior.layers 7", "prior.layers is 7, but the model of .* has 1"),
        ("--init {prior} --ordering spiral_in", "ordering is spiral_in, but .* has row_major"),
        ("--init {vqgan}", "holds a vqgan, but a prior is needed"),
        ("", r"--vqgan RUN \(the tokenizer\) or --init MODEL is required"),
    ],
)
def test_what_cannot_be_begun_with_is_refused(here, call, contents, world, options, words):
    before = contents(here)
    given = options.format(prior=world.prior, vqgan=world.vqgan).split()
    tiny = [option for option in world.tiny_prior if not option.startswith("--prior.")]
    result = call("train", "prior", "--data", world.photos, "--out", "run", *tiny, *given)
    assert result.code == 2, result.err
    (line,) = result.error_lines
    assert re.search(words, line), line
    assert contents(here) == before

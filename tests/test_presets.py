"""Every preset is data that fits its stage, says what it reproduces, and builds."""

import re
from pathlib import Path

import pytest
import torch
import yaml

from smalti.cli.train_config import presets, read_config
from smalti.losses.discriminator import PatchDiscriminator
from smalti.prior.gpt import GPT
from smalti.runs import PriorRunConfig, VQGANRunConfig
from smalti.sequence.conditioners import (
    ClassLabelConfig,
    ConditionerConfig,
    UnconditionalConfig,
)
from smalti.stages.over_fitting import settle_measures
from smalti.stages.prior import prior_model_config
from smalti.stages.vqgan import check_size, resolve_vqgan
from smalti.tokenizer.vqgan import VQGAN

ROOTS = {"vqgan": VQGANRunConfig, "prior": PriorRunConfig}
STAGES = {path: yaml.safe_load(path.read_text())["stage"] for path in presets()}
TOKENIZERS = [path for path, stage in STAGES.items() if stage == "vqgan"]
PRIORS = [path for path, stage in STAGES.items() if stage == "prior"]


def config_of(path: Path, *options: str) -> VQGANRunConfig | PriorRunConfig:
    stage = STAGES[path]
    tokenizer = ["--vqgan", "run"] if stage == "prior" else []
    arguments = ["--preset", path.stem, "--data", "photos", *tokenizer, *options]
    return read_config(ROOTS[stage], arguments)


def conditioners_of(config: PriorRunConfig) -> tuple[ConditionerConfig, ...]:
    if config.condition == ("class",):
        return (ClassLabelConfig(class_names=("cat", "dog")),)
    return (UnconditionalConfig(),)


def by_name(path: Path) -> str:
    return path.stem


def test_there_are_presets_of_both_stages():
    assert TOKENIZERS
    assert PRIORS
    assert len(TOKENIZERS) + len(PRIORS) == len(presets())


@pytest.mark.parametrize("path", presets(), ids=by_name)
def test_header_says_which_row_of_the_paper_it_reproduces(path):
    header = re.match(r"(#.*\n)+", path.read_text())
    assert header
    text = " ".join(header[0].replace("#", " ").split())
    assert re.search(r"Reproduces (no row|the row .+) of the paper's Table 3", text)


@pytest.mark.parametrize("path", presets(), ids=by_name)
def test_every_value_of_the_file_is_in_the_config(path):
    def assert_inside(stored, config):
        for key, value in stored.items():
            if isinstance(value, dict):
                assert_inside(value, config[key])
            else:
                assert config[key] == value

    stored = yaml.safe_load(path.read_text())
    assert stored["stage"] in ROOTS
    assert_inside(stored, config_of(path).model_dump(mode="json"))


@pytest.mark.parametrize("path", TOKENIZERS, ids=by_name)
def test_tokenizer_builds(path):
    config = resolve_vqgan(config_of(path))
    check_size(config)
    content = config.vqgan.content
    with torch.device("meta"):
        vqgan = VQGAN(config.vqgan)
        discriminator = PatchDiscriminator(config.discriminator, content.channels)
        images = content.blank(1, config.image.height_px, config.image.width_px)
        # Without the lookup between them, which needs values.
        outputs = vqgan.decoder(vqgan.from_code(vqgan.latent(images)))
        assert content.to_images(outputs).shape == images.shape
        assert discriminator(outputs).shape[:2] == (1, 1)


@pytest.mark.parametrize("path", PRIORS, ids=by_name)
def test_prior_builds_on_the_tokenizer_of_its_name(path):
    tokenizer = config_of(path.with_stem(path.stem.replace("prior", "vqgan")))
    config = config_of(path).model_copy(update={"image": tokenizer.image})
    config = settle_measures(config, 100, has_held_out=True)
    with torch.device("meta"):
        model = prior_model_config(config, VQGAN(tokenizer.vqgan), conditioners_of(config))
        tokens = torch.zeros(2, model.layout.input_length, dtype=torch.int64)
        logits = GPT(model.prior)(tokens)
    assert logits.shape == (*tokens.shape, model.layout.vocab_size)


@pytest.mark.parametrize("root", ROOTS.values())
def test_defaults_build_without_a_preset(root):
    tokenizer = VQGANRunConfig(data=("photos",))
    check_size(tokenizer)
    with torch.device("meta"):
        vqgan = VQGAN(tokenizer.vqgan)
        if root is PriorRunConfig:
            config = PriorRunConfig(data=("photos",), vqgan="run")
            config = settle_measures(config, 100, has_held_out=True)
            GPT(prior_model_config(config, vqgan, conditioners_of(config)).prior)

"""A run that begins with another model's weights: where it starts, and what it refuses."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from smalti.config import InputError
from smalti.data.loader import BatchLoader
from smalti.metrics.reconstruction import psnr
from smalti.runs import data as run_data
from smalti.runs.config import VQGANRunConfig
from smalti.runs.data import open_data
from smalti.runs.settle import settle_vqgan
from smalti.runs.vqgan import train_vqgan
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.quantizers.config import VectorQuantizerConfig
from smalti.tokenizer.vqgan import VQGAN
from smalti.training.log import read_metrics

SHAPE = VQGANConfig(
    channels=8,
    channel_multipliers=(1, 1),
    code_dim=4,
    latent_channels=8,
    attention_levels=(),
    codebook_size=16,
    quantizer=VectorQuantizerConfig(),
)


@pytest.fixture
def photos(tmp_path):
    """Pieces of one photograph."""
    pixels = np.asarray(data.astronaut())
    for number in range(8):
        path = tmp_path / "photos" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels[:40, 50 * number : 50 * number + 40]).save(path)
    return path.parent


@pytest.fixture
def model(tmp_path):
    """A model folder as an import leaves it."""
    torch.manual_seed(0)
    vqgan = VQGAN(SHAPE).eval()
    torch.nn.init.normal_(vqgan.quantizer.codebook.weight)
    vqgan.save_pretrained(tmp_path / "model")
    return vqgan


@pytest.fixture(autouse=True)
def _no_curves(monkeypatch):
    monkeypatch.setattr(run_data, "draw_curves", lambda _: None)


@pytest.fixture
def config(tmp_path, photos):
    """Makes the config of a run that begins with the model."""

    def make(total_steps=1, **changes):
        return VQGANRunConfig.model_validate(
            {
                "data": (str(photos),),
                "out": str(tmp_path / "run"),
                "init": str(tmp_path / "model"),
                "image": {"size": 16, "resize_px": "keep"},
                "discriminator": {"filters": 4, "layers": 1},
                "loss": {"perceptual": {"kind": "none"}, "adversary": {"kind": "none"}},
                "optimizer": {"learning_rate": 1e-6, "warmup_steps": 0},
                "training": {
                    "batch_size": 4,
                    "device": "cpu",
                    "precision": "float32",
                    "total_steps": total_steps,
                },
            }
            | changes
        )

    return make


def quality(model: VQGAN, run: VQGANRunConfig) -> float:
    """PSNR in dB of the model's reconstructions of what the run is evaluated on."""
    split = open_data(run, classes=False, content=run.vqgan.content)
    batches = BatchLoader(split.train, 4, run.seed, workers=0).evaluation_batches()
    images = torch.cat([batch.images for batch in batches])
    return float(psnr(images, model.reconstruct(images)).mean())


def quality_after(run: VQGANRunConfig) -> float:
    """The same at the end of the run, as it measured it."""
    lines = read_metrics(train_vqgan(run))
    return [line["psnr_db"] for line in lines if line["group"] == "eval"][-1]


def test_run_starts_at_the_quality_of_the_model(config, model):
    run = config(total_steps=3)
    assert quality_after(run) == pytest.approx(quality(model, run), abs=0.05)


def test_run_learns_from_there(config, model):
    run = config(total_steps=20, optimizer={"learning_rate": 3e-3, "warmup_steps": 0})
    assert quality_after(run) > quality(model, run) + 1


def test_shape_comes_from_the_model(config, model):
    assert config().vqgan == VQGANConfig()
    assert settle_vqgan(config()).vqgan == SHAPE


def test_option_that_says_what_the_model_has_is_allowed(config, model):
    assert settle_vqgan(config(vqgan={"codebook_size": 16})).vqgan == SHAPE


@pytest.mark.parametrize(
    ("vqgan", "words"),
    [
        ({"codebook_size": 1024}, "vqgan.codebook_size is 1024, but the model of --init .* 16"),
        ({"channel_multipliers": (1, 2)}, r"channel_multipliers is \(1, 2\), but .* has \(1, 1\)"),
        ({"quantizer": {"kind": "vector", "lookup_dim": 4}}, "vqgan.quantizer is"),
    ],
)
def test_option_that_differs_from_the_model_is_refused(config, model, tmp_path, vqgan, words):
    with pytest.raises(InputError, match=words):
        train_vqgan(config(vqgan=vqgan))
    assert not (tmp_path / "run").exists()


def test_run_goes_on_without_the_model_that_it_began_with(config, model, tmp_path):
    train_vqgan(config(total_steps=1))
    shutil.rmtree(tmp_path / "model")
    train_vqgan(config(total_steps=2))
    assert read_metrics(tmp_path / "run")[-1]["step"] == 2


def test_resumed_run_goes_on_from_its_checkpoint(config, model, tmp_path):
    quick = {"learning_rate": 1e-2, "warmup_steps": 0, "final_factor": 1.0}
    for steps in (2, 3):
        train_vqgan(config(total_steps=steps, optimizer=quick))
    resumed = VQGAN.from_pretrained(tmp_path / "run" / "checkpoints" / "step_00000003")
    whole = train_vqgan(config(total_steps=3, optimizer=quick, out=str(tmp_path / "whole")))
    expected = VQGAN.from_pretrained(whole / "checkpoints" / "step_00000003")
    for name, weight in expected.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], weight)


def test_other_model_for_a_run_that_has_begun_is_refused(config, model, tmp_path):
    train_vqgan(config())
    VQGAN(VQGAN.from_pretrained(tmp_path / "model").config).save_pretrained(tmp_path / "other")
    with pytest.raises(InputError, match=r"begun with another config: init \(was .*model'"):
        train_vqgan(config(init=str(tmp_path / "other")))


def test_missing_model_is_named(config):
    with pytest.raises(InputError, match="model does not exist; give a model folder"):
        train_vqgan(config())

"""A tokenizer's stage examines itself and applies remedies, within a whole run."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from smalti.health.findings import Finding
from smalti.losses.discriminator import PatchDiscriminator
from smalti.model_folder import read_tensors
from smalti.runs import data as run_data
from smalti.runs.config import VQGANRunConfig
from smalti.runs.vqgan import train_vqgan
from smalti.tokenizer.quantizers.vector import VectorQuantizer
from smalti.training.log import read_metrics
from smalti.training.optim import ScheduledAdamW
from smalti.training.vqgan import learner


@pytest.fixture
def config(tmp_path, monkeypatch) -> VQGANRunConfig:
    """A tiny run on pieces of a photograph, with remedies asked for."""
    monkeypatch.setattr(run_data, "draw_curves", lambda _folder: None)
    pixels = np.asarray(data.astronaut())
    (tmp_path / "photos").mkdir()
    for number in range(20):
        piece = pixels[:16, 16 * number : 16 * number + 16]
        Image.fromarray(piece).save(tmp_path / "photos" / f"{number:02}.png")
    return VQGANRunConfig.model_validate(
        {
            "data": (str(tmp_path / "photos"),),
            "out": str(tmp_path / "run"),
            "image": {"size": 16, "resize_px": "keep"},
            "vqgan": {"channels": 8, "channel_multipliers": (1, 1), "codebook_size": 16},
            "discriminator": {"filters": 4, "layers": 1},
            "loss": {
                "perceptual": {"kind": "none"},
                "adversary": {"start": 0, "warmup": 0, "ramp": 0},
            },
            "training": {
                "batch_size": 4,
                "device": "cpu",
                "precision": "float32",
                "total_steps": 4,
                "eval_steps": 2,
                "eval_images": 4,
                "picture_steps": 4,
                "log_steps": 1,
                "auto_remedy": True,
            },
        }
    )


def sick_with(monkeypatch: pytest.MonkeyPatch, *findings: Finding) -> None:
    monkeypatch.setattr(learner, "examine", lambda _lines, _codebook_size: list(findings))


STRONG = Finding("discriminator_too_strong", "strong", "change", "slow_discriminator")
DOMINATES = Finding("adversary_dominates", "dominates", "change", "soften_adversary")
COLLAPSE = Finding("codebook_collapse", "collapse", "change", "restart_codes")
STUCK = Finding("discriminator_stuck", "stuck", "change")


def remedies_of(run: Path) -> list[tuple[int, str]]:
    lines = read_metrics(run)
    return [(line["step"], line["remedy"]) for line in lines if line["group"] == "remedy"]


def factors_of(run: Path, step: int) -> tuple[float, float]:
    """Of the discriminator's learning rate and of the adversary's weight, as a checkpoint has."""
    tensors = read_tensors(run / "checkpoints" / f"step_{step:08d}" / "training.safetensors")
    names = ("discriminator_rate_factor", "adversary_weight_factor")
    rate, weight = (float(tensors[f"remedies/{name}"]) for name in names)
    return rate, weight


def test_remedies_are_applied_once_an_evaluation_and_saved(config, monkeypatch):
    sick_with(monkeypatch, STRONG, DOMINATES, STUCK)
    run = train_vqgan(config)
    both = ["slow_discriminator", "soften_adversary"]
    assert remedies_of(run) == [(step, remedy) for step in (2, 4) for remedy in both]
    assert factors_of(run, 4) == (0.25, 0.25)


def test_factor_reaches_the_adversarys_weight(config, monkeypatch):
    fixed = config.loss.adversary.model_copy(update={"weighing": "fixed", "weight": 0.5})
    loss = config.loss.model_copy(update={"adversary": fixed})
    sick_with(monkeypatch, DOMINATES)
    run = train_vqgan(config.model_copy(update={"loss": loss}))
    lines = [line for line in read_metrics(run) if line["group"] == "train"]
    assert [line["adversary_weight"] for line in lines] == [0.5, 0.5, 0.25, 0.25]


def test_factor_reaches_the_discriminators_learning_rate(config, monkeypatch):
    rates = []
    update = ScheduledAdamW.update

    def noted(self, *options):
        norm = update(self, *options)
        if isinstance(self.module, PatchDiscriminator):
            rates.append(self.param_groups[0]["lr"])
        return norm

    monkeypatch.setattr(ScheduledAdamW, "update", noted)
    train_vqgan(config.model_copy(update={"out": f"{config.out}_healthy"}))
    sick_with(monkeypatch, STRONG)
    train_vqgan(config)
    healthy, slowed = rates[:4], rates[4:]
    factors = [slow / rate for slow, rate in zip(slowed, healthy, strict=True)]
    assert factors == pytest.approx([1, 1, 0.5, 0.5])


def test_nothing_is_touched_unless_asked(config, monkeypatch):
    sick_with(monkeypatch, STRONG, DOMINATES, COLLAPSE)
    training = config.training.model_copy(update={"auto_remedy": False})
    run = train_vqgan(config.model_copy(update={"training": training}))
    assert remedies_of(run) == []
    assert factors_of(run, 4) == (1, 1)


def test_unused_codes_are_moved_onto_latents(config, monkeypatch):
    seen = []

    def restart(self, unused, z):
        seen.append((unused.dtype, unused.shape, z.shape))
        return int(unused.sum())

    monkeypatch.setattr(VectorQuantizer, "restart", restart)
    sick_with(monkeypatch, COLLAPSE)
    run = train_vqgan(config)
    assert seen == [(torch.bool, (16,), (4, 64, 8, 8))] * 2
    evaluated = [line for line in read_metrics(run) if line["group"] == "eval"]
    treated = [line for line in read_metrics(run) if line["group"] == "remedy"]
    told = [f"{line['dead_codes']} unused codes moved" for line in evaluated if line["dead_codes"]]
    assert [line["change"].partition(" onto")[0] for line in treated] == told


def test_evaluation_tells_what_the_findings_need(config):
    (line, _) = (line for line in read_metrics(train_vqgan(config)) if line["group"] == "eval")
    assert line["code_vectors"] == 2 * 8 * 8  # two images are held out
    assert line["dead_codes"] == round(16 * (1 - line["code_use"]))
    assert line["reconstruction_loss"] == pytest.approx(line["pixel_loss"])

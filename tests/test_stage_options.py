"""Each option of a run reaches the part that it is an option of; the parts are looked at untrained.

Every value here differs from its default and from the others of its kind.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from smalti.codes.manifest import read_manifest
from smalti.conditions.low_resolution import LowResolutionPair
from smalti.data.config import TransformConfig
from smalti.data.loader import BatchLoader
from smalti.health.findings import Finding
from smalti.runs import prior_data as prior_data_module
from smalti.runs import vqgan as vqgan_module
from smalti.runs.config import PixelsRunConfig, PriorRunConfig, VQGANRunConfig
from smalti.runs.pixels import train_pixels
from smalti.runs.prior import train_prior
from smalti.runs.stored import read_run_config
from smalti.runs.vqgan import train_vqgan
from smalti.sampling.pipeline import Pipeline
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.pixels import PixelTokenizer
from smalti.tokenizer.vqgan import VQGAN
from smalti.training.config import OptimizerConfig
from smalti.training.loop import Trainer
from smalti.training.prior.learner import PriorLearner
from smalti.training.prior.step import RandomOrders
from smalti.training.vqgan.learner import VQGANLearner

IMAGES = 24

GENERATOR = {"learning_rate": 3e-3, "beta1": 0.1, "beta2": 0.2, "weight_decay": 0.3}
DISCRIMINATOR = {"learning_rate": 4e-3, "beta1": 0.4, "beta2": 0.6, "weight_decay": 0.7}
TRAINING = {
    "total_steps": 30,
    "batch_size": 6,
    "accumulation_steps": 3,
    "ema_decay": 0.25,
    "eval_images": 2,
    "device": "cpu",
    "precision": "float32",
    "workers": 2,
}
MODEL = VQGANConfig(channels=8, channel_multipliers=(1, 1), code_dim=4, codebook_size=16)


@pytest.fixture
def photos(tmp_path) -> Path:
    """Pictures of one colour each, in two classes."""
    for number in range(IMAGES):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (24, 24), (10 * number, 100, 255 - 10 * number)).save(path)
    return tmp_path / "photos"


@pytest.fixture
def trainers(monkeypatch) -> list[Trainer]:
    """The trainers that were made, none of which runs."""
    made: list[Trainer] = []
    for module in (vqgan_module, prior_data_module):
        monkeypatch.setattr(module, "finish", lambda *_: None)
    monkeypatch.setattr(Trainer, "run", lambda trainer: made.append(trainer))
    return made


def vqgan_config(photos: Path, out: Path, **changes: Any) -> VQGANRunConfig:
    values = {
        "data": (str(photos),),
        "out": str(out),
        "seed": 5,
        "held_out": 0.5,
        "image": {"size": 16},
        "vqgan": MODEL.model_dump(),
        "discriminator": {"filters": 4, "layers": 1},
        "loss": {
            "perceptual": {"kind": "none"},
            "adversary": {"start": 7, "warmup": 0.1, "ramp": 0.2},
        },
        "optimizer": GENERATOR,
        "discriminator_optimizer": DISCRIMINATOR,
        "training": TRAINING,
    }
    return VQGANRunConfig.model_validate(values | changes)


def prior_config(photos: Path, out: Path, **changes: Any) -> PriorRunConfig:
    vqgan = out.parent / "vqgan"
    VQGAN(MODEL).save_pretrained(vqgan)
    values = {
        "data": (str(photos),),
        "vqgan": str(vqgan),
        "out": str(out),
        "seed": 5,
        "held_out": 0.5,
        "condition": "class",
        "condition_drop": 0.35,
        "token_keep": 0.65,
        "ordering": "random",
        "ordering_seed": 9,
        "image": {"size": 16},
        "codes": {"views": 3},
        "prior": {"layers": 3, "heads": 2, "width": 16, "dropout": 0.45},
        "optimizer": GENERATOR,
        "training": TRAINING | {"early_stop": 4},
    }
    return PriorRunConfig.model_validate(values | changes)


def assert_optimizer(optimizer: torch.optim.Optimizer, options: dict[str, float]) -> None:
    decaying, others = optimizer.param_groups
    for group in (decaying, others):
        assert group["lr"] == options["learning_rate"]
        assert group["betas"] == (options["beta1"], options["beta2"])
    assert decaying["weight_decay"] == options["weight_decay"]
    assert others["weight_decay"] == 0


# Stage 1


@pytest.fixture
def first(photos, tmp_path, trainers) -> Trainer:
    """Of a run of stage 1."""
    train_vqgan(vqgan_config(photos, tmp_path / "run"))
    return trainers[0]


def test_each_network_of_stage_1_has_its_own_optimizer(first):
    assert isinstance(first.learner, VQGANLearner)
    training = first.learner.training
    assert_optimizer(training.optimizer, GENERATOR)
    assert_optimizer(training.adversary.optimizer, DISCRIMINATOR)
    assert training.optimizer.config == OptimizerConfig(**GENERATOR)
    assert training.adversary.optimizer.config == OptimizerConfig(**DISCRIMINATOR)


def test_lengths_of_stage_1_are_those_asked_for(first):
    training, schedule = first.learner.training, first.learner.training.adversary.schedule
    assert first.learner.config.accumulation_steps == 3
    assert {training.optimizer.total_steps, training.adversary.optimizer.total_steps} == {30}
    assert first.learner.training.average.decay == 0.25
    assert int(schedule.start_step) == 7
    assert schedule.full_step == 7 + 3 + 6  # a tenth and a fifth of the run
    assert (first.seed, first.early_stop) == (5, None)
    assert first.learner.evaluate()["code_vectors"] == 2 * 8 * 8
    assert first.config.total_steps == 30


@pytest.mark.parametrize(
    ("adversary", "comparable_from"),
    [
        ({"start": 7, "warmup": 3, "ramp": 6}, 16),
        ({"start": "auto"}, 30),  # not known yet: none is comparable, to the end of the run
        ({"start": 7, "warmup": 3, "ramp": 90}, 0),  # the full weight never comes
        ({"kind": "none"}, 0),
    ],
    ids=["full", "undecided", "never", "none"],
)
def test_scores_compete_once_the_adversary_has_its_full_weight(
    photos, tmp_path, trainers, adversary, comparable_from
):
    loss = {"perceptual": {"kind": "none"}, "adversary": adversary}
    train_vqgan(vqgan_config(photos, tmp_path / "run", loss=loss))
    assert trainers[0].learner.comparable_from() == comparable_from


def test_a_checkpoint_has_the_state_of_both_networks_and_optimizers(first):
    training, state = first.learner.training, first.learner.state()
    adversary = training.adversary
    modules = {
        "vqgan": training.vqgan,
        "average": training.average.model,
        "discriminator": adversary.discriminator,
        "schedule": adversary.schedule,
        "logit_averages": adversary.averages,
        "remedies": adversary.remedies,
    }
    optimizers = {
        "generator_optimizer": training.optimizer,
        "discriminator_optimizer": adversary.optimizer,
    }
    assert state.modules.keys() == modules.keys()
    assert state.optimizers.keys() == optimizers.keys()
    assert all(state.modules[name] is modules[name] for name in modules)
    assert all(state.optimizers[name] is optimizers[name] for name in optimizers)


@pytest.mark.parametrize("auto_remedy", [True, False])
def test_remedies_are_for_those_who_ask(photos, tmp_path, trainers, auto_remedy):
    training = TRAINING | {"auto_remedy": auto_remedy}
    train_vqgan(vqgan_config(photos, tmp_path / "run", training=training))
    finding = Finding("discriminator_too_strong", "strong", "change", "slow_discriminator")
    assert bool(trainers[0].learner.treat([finding])) == auto_remedy


def test_the_discriminator_is_the_one_asked_for(photos, tmp_path, trainers):
    changes = {"discriminator": {"filters": 6, "layers": 1, "norm": "batch"}}
    train_vqgan(vqgan_config(photos, tmp_path / "run", **changes))
    discriminator = trainers[0].learner.training.adversary.discriminator
    assert discriminator.stem.weight.shape == (6, 3, 4, 4)
    assert discriminator.config.norm == "batch"


def test_the_images_are_read_as_asked_for(photos, tmp_path, trainers):
    image = {"size": [16, 12], "resize_px": 20, "crop": "center", "flip": False, "small": "skip"}
    train_vqgan(vqgan_config(photos, tmp_path / "run", image=image))
    loader = trainers[0].batches.__self__
    assert isinstance(loader, BatchLoader)
    assert (loader.batch_size, loader.workers, loader.chunks) == (6, 2, 3)
    assert loader.dataset.transform == TransformConfig.model_validate(image)
    assert loader.dataset.seed == 5
    assert 8 <= len(loader.dataset) <= 16  # about half are held out


def test_sources_are_drawn_by_their_weights(photos, tmp_path, trainers):
    data = (str(photos / "a"), str(photos / "b"))  # even numbers, and odd ones
    changes = {"data": data, "data_weights": (1e-9, 1.0)}
    train_vqgan(vqgan_config(photos, tmp_path / "run", **changes))
    loader = trainers[0].batches.__self__
    names = [loader.dataset.name(draw.number) for step in range(3) for draw in loader.draws(step)]
    assert {int(Path(name).stem) % 2 for name in names} == {1}


@pytest.mark.parametrize(
    ("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)]
)
def test_each_stage_computes_in_the_precision_asked_for(
    photos, tmp_path, trainers, precision, dtype
):
    training = TRAINING | {"precision": precision}
    train_vqgan(vqgan_config(photos, tmp_path / "a", training=training))
    train_prior(prior_config(photos, tmp_path / "b", training=training))
    assert [trainer.learner.training.compute.dtype for trainer in trainers] == [dtype] * 2


def test_weights_of_a_run_follow_from_its_seed(photos, tmp_path, trainers):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        train_vqgan(vqgan_config(photos, tmp_path / name, seed=seed))
    first, again, other = (
        [
            trainer.learner.training.vqgan.encoder.conv_in.weight,
            trainer.learner.training.adversary.discriminator.stem.bias,
        ]
        for trainer in trainers
    )
    assert all(map(torch.equal, first, again))
    assert not any(map(torch.equal, first, other))


def test_batches_follow_from_the_seed_of_the_run(photos, tmp_path, trainers):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        train_vqgan(vqgan_config(photos, tmp_path / name, seed=seed))
    first, again, other = (
        [trainer.batches.__self__.draws(step) for step in range(2)] for trainer in trainers
    )
    assert first == again != other


# Stage 2


@pytest.fixture
def second(photos, tmp_path, trainers) -> Trainer:
    """Of a run of stage 2."""
    train_prior(prior_config(photos, tmp_path / "run"))
    return trainers[0]


def test_the_prior_has_the_optimizer_asked_for(second):
    assert isinstance(second.learner, PriorLearner)
    assert_optimizer(second.learner.training.optimizer, GENERATOR)
    assert second.learner.training.optimizer.config == OptimizerConfig(**GENERATOR)


@pytest.mark.parametrize("until", [0, 20])
def test_random_orders_are_for_those_who_ask(photos, tmp_path, trainers, until):
    changes = {
        "prior": {"kind": "gpt", "width": 32, "target_positions": True},
        "random_orders": {"all_until": until // 2, "none_from": until},
    }
    train_prior(prior_config(photos, tmp_path / "run", **changes))
    expected = RandomOrders(10, 20) if until else None
    assert trainers[0].learner.config.random_orders == expected


def test_lengths_of_stage_2_are_those_asked_for(second):
    assert second.learner.training.optimizer.total_steps == 30
    assert second.learner.config.accumulation_steps == 3
    assert second.learner.training.average.decay == 0.25
    assert (second.seed, second.early_stop) == (5, 4)
    assert next(second.batches(0)).codes.shape == (6, 8, 8)


def test_what_the_prior_reads_is_as_asked_for(second):
    config, prior = second.learner.config, second.learner.training.prior
    assert (config.condition_drop, config.token_keep) == (0.35, 0.65)
    assert config.ordering.forward.tolist() != list(range(64))
    assert second.learner.model().config.ordering_seed == 9
    assert (len(prior.blocks), prior.blocks[0].attention.heads) == (3, 2)
    assert (prior.config.width, prior.config.dropout) == (16, 0.45)


def test_weights_of_a_prior_follow_from_its_seed(photos, tmp_path, trainers):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        train_prior(prior_config(photos, tmp_path / name, seed=seed))
    first, again, other = (trainer.learner.training.prior.head.weight for trainer in trainers)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_pixelsnail_has_the_shape_asked_for(photos, tmp_path, trainers):
    shape = {
        "kind": "pixelsnail",
        "blocks": 1,
        "residual_blocks": 3,
        "width": 12,
        "heads": 3,
        "kernel_size": 5,
        "dropout": 0.15,
    }
    changes = {"prior": shape, "ordering": "row_major"}
    train_prior(prior_config(photos, tmp_path / "run", **changes))
    assert trainers[0].learner.training.prior.config.model_dump().items() >= shape.items()


def test_a_low_resolution_is_as_low_as_asked_for(photos, tmp_path, trainers, monkeypatch):
    factors = []

    begin = LowResolutionPair.__init__

    def noted(pair, factor):
        factors.append(factor)
        begin(pair, factor)

    monkeypatch.setattr(LowResolutionPair, "__init__", noted)
    changes = {"condition": "low_resolution", "low_resolution_factor": 4}
    train_prior(prior_config(photos, tmp_path / "run", **changes))
    begun = trainers[0].learner.model()
    assert begun.config.conditioners[0].factor == 4
    # A run that begins with it needs not be told.
    tokenizer = VQGAN(MODEL)
    initial = Pipeline(tokenizer, begun.module, begun.config, {"low_resolution": tokenizer})
    initial.save_pretrained(tmp_path / "initial")
    changes = {"init": str(tmp_path / "initial"), "vqgan": None, "condition": (), "prior": {}}
    order = {"ordering": "row_major", "ordering_seed": 1}
    train_prior(prior_config(photos, tmp_path / "next", **changes, **order))
    assert factors == [4, 4]
    assert read_run_config(tmp_path / "next")["low_resolution_factor"] == 4


@pytest.mark.parametrize(("asked", "drop"), [(None, 0.35), (0.6, 0.6)])
def test_a_prior_that_begins_with_another_keeps_what_is_not_asked_for(
    second, photos, tmp_path, trainers, asked, drop
):
    begun = second.learner.model()
    initial = Pipeline(VQGAN(MODEL), begun.module, begun.config)
    initial.save_pretrained(tmp_path / "initial")
    changes = {
        "vqgan": None,
        "init": str(tmp_path / "initial"),
        "condition": (),
        "condition_drop": asked,
        "ordering": "row_major",
        "ordering_seed": 1,
        "prior": {"dropout": 0.25},
        "seed": 6,  # of other new weights
    }
    train_prior(prior_config(photos, tmp_path / "next", **changes))
    learner = trainers[1].learner
    model = learner.model().config
    assert (learner.config.condition_drop, model.condition_drop) == (drop, drop)
    assert (model.ordering, model.ordering_seed) == ("random", 9)
    assert (model.prior.layers, model.prior.dropout) == (3, 0.25)
    assert torch.equal(learner.training.prior.head.weight, begun.module.head.weight)
    assert torch.equal(learner.training.average.model.head.weight, begun.module.head.weight)


def test_a_cache_holds_the_views_asked_for(second):
    views = read_manifest(second.folder / "codes").encoding.views
    assert [view.column for view in views] == ["codes_0", "codes_1", "codes_2"]


# A palette


def test_a_palette_is_as_asked_for(photos, tmp_path, monkeypatch):
    """Of 48 pixels, four of each of a dozen images; they have one colour each."""
    asked = []

    def noted(cls, pixels, codebook_size, iterations, generator):
        asked.append((len(pixels), codebook_size, iterations, generator.initial_seed()))
        return learn(pixels, codebook_size, iterations, generator)

    learn = PixelTokenizer.learn
    monkeypatch.setattr(PixelTokenizer, "learn", classmethod(noted))
    values = {"codebook_size": 5, "pixels": 48, "iterations": 3, "seed": 7, "held_out": 0.5}
    places = {"data": (str(photos),), "out": str(tmp_path / "run")}
    train_pixels(PixelsRunConfig.model_validate(places | values | {"image": {"size": 16}}))
    ((pixels, *others),) = asked
    assert 48 <= pixels <= 64
    assert others == [5, 3, 7]

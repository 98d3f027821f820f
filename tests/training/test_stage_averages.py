"""Both stages: the averaged weights are what is evaluated, drawn and kept, image by image."""

import math

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from smalti.compute import Compute
from smalti.conditions.class_label import ClassLabelConfig
from smalti.conditions.keypoints import KeypointsConfig
from smalti.losses.build import choose_perceptual
from smalti.losses.config import PerceptualConfig
from smalti.prior.build import build_prior
from smalti.prior.gpt.config import GPT2Config
from smalti.prior.pixelsnail.config import PixelSNAILConfig
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.prior_model import PriorModelConfig
from smalti.sampling.scoring import score_codes
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.vqgan import VQGAN
from smalti.training.config import OptimizerConfig
from smalti.training.ema import EMA
from smalti.training.learner import Learner
from smalti.training.optim import ScheduledAdamW
from smalti.training.prior.code_batch import CodeBatch
from smalti.training.prior.learner import PriorLearner
from smalti.training.prior.step import PriorState, PriorStepConfig
from smalti.training.vqgan.config import VQGANLossConfig
from smalti.training.vqgan.learner import VQGANLearner
from smalti.training.vqgan.step import VQGANState, VQGANStepConfig
from smalti.types import Batch

K, ROWS, COLUMNS = 8, 2, 3
CLASSES = ClassLabelConfig(class_names=("cat", "dog"))
POSE = KeypointsConfig(joints=("head",), height_px=4, width_px=6, positions=2)
GPT_SHAPE = GPT2Config(layers=1, heads=2, width=8, dropout=0)
SNAIL_SHAPE = PixelSNAILConfig(blocks=1, width=8, dropout=0)
CPU = Compute(torch.device("cpu"), torch.float32)
VQGAN_CONFIG = VQGANConfig(channels=8, channel_multipliers=(1, 1), code_dim=4, codebook_size=K)


def vqgan_stage(*batches: Tensor) -> VQGANLearner:
    """The same weights at every call."""
    torch.manual_seed(0)
    vqgan = VQGAN(VQGAN_CONFIG)
    loss = VQGANLossConfig(perceptual=PerceptualConfig(kind="none"))
    state = VQGANState(
        vqgan=vqgan,
        forward=vqgan,
        perceptual=choose_perceptual(loss.perceptual),
        average=EMA(vqgan, 0.5),
        optimizer=ScheduledAdamW(vqgan, OptimizerConfig(), 10),
        adversary=None,
        compute=CPU,
    )
    config = VQGANStepConfig(loss, 1)
    held_out = [Batch(["a.png"] * len(images), images, None, {}) for images in batches]
    return VQGANLearner(state, config, lambda: held_out)


def prior_stage(
    batches: list[CodeBatch],
    seed: int = 0,
    conditioner: ClassLabelConfig | KeypointsConfig = CLASSES,
    shape: GPT2Config | PixelSNAILConfig = GPT_SHAPE,
    **options: float,
) -> PriorLearner:
    """Of a prior in which every weight matters."""
    config = PriorModelConfig(
        prior=shape,
        vocab_size=K + 6,
        max_length=ROWS * COLUMNS,
        codebook_size=K,
        conditioners=(conditioner,),
        grid_height=ROWS,
        grid_width=COLUMNS,
    )
    prior = build_prior(config.prior, config.sizes)
    for weight in prior.parameters():
        nn.init.normal_(weight, std=1.0)
    state = PriorState(
        prior, prior, EMA(prior, 0.5), ScheduledAdamW(prior, OptimizerConfig(), 10), CPU
    )
    pipeline = Pipeline(VQGAN(VQGAN_CONFIG).eval(), state.average.model, config)
    step_config = PriorStepConfig(
        layout=config.layout,
        ordering=pipeline.ordering,
        conditioning=pipeline.conditioning,
        accumulation_steps=1,
        **({"condition_drop": 0.0} | options),
    )
    return PriorLearner(state, step_config, pipeline, batches, seed)


def codes_of(*classes: int) -> CodeBatch:
    codes = torch.randint(K, (len(classes), ROWS, COLUMNS))
    return CodeBatch([f"{c}.png" for c in classes], codes, {"class": torch.tensor(classes)})


@pytest.fixture(params=["vqgan", "prior"])
def stage(request) -> Learner:
    if request.param == "vqgan":
        return vqgan_stage(torch.rand(3, 3, 16, 16) * 2 - 1)
    return prior_stage([codes_of(0, 1)])


def spoil(stage: Learner) -> None:
    """Change the weights that are trained, and leave their average as it is."""
    network = stage.training.prior if isinstance(stage, PriorLearner) else stage.training.vqgan
    with torch.no_grad():
        for weight in network.parameters():
            weight.fill_(float("nan"))


def pixels(pictures: dict[str, Image.Image]) -> dict[str, bytes]:
    return {name: picture.tobytes() for name, picture in pictures.items()}


def test_held_out_scores_are_those_of_the_average(stage):
    expected = stage.evaluate()
    spoil(stage)
    assert stage.evaluate() == expected


def test_pictures_are_those_of_the_average(stage):
    expected = pixels(stage.pictures())
    spoil(stage)
    assert pixels(stage.pictures()) == expected


@pytest.mark.parametrize("conditioner", [CLASSES, POSE], ids=["class", "pose"])
def test_pictures_of_a_prior_follow_from_the_seed_of_the_run(conditioner):
    codes = torch.zeros(2, ROWS, COLUMNS, dtype=torch.int64)
    conditions = {"class": torch.tensor([0, 1]), "keypoints": torch.ones(2, 1, 3)}
    batch = CodeBatch(["a.png", "b.png"], codes, {conditioner.kind: conditions[conditioner.kind]})
    drawn = []
    for seed in (5, 5, 6):
        torch.manual_seed(0)
        drawn.append(pixels(prior_stage([batch], seed, conditioner).pictures()))
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_average_is_what_is_kept(stage):
    kept = stage.model().module
    assert kept is stage.training.average.model
    assert stage.state().modules["average"] is kept


def test_a_checkpoint_has_the_trained_weights_and_their_average(stage):
    modules = stage.state().modules
    spoil(stage)
    name = "prior" if isinstance(stage, PriorLearner) else "vqgan"
    assert all(weight.isnan().all() for weight in modules[name].parameters())
    assert all(weight.isfinite().all() for weight in modules["average"].parameters())


def test_held_out_images_are_read_with_their_conditions_and_as_they_are():
    batch = codes_of(0, 1)
    torch.manual_seed(1)
    plain = prior_stage([batch])
    torch.manual_seed(1)
    dropping = prior_stage([batch], condition_drop=0.99, token_keep=0.01)
    assert dropping.evaluate() == plain.evaluate()


# Means over images


def test_held_out_nll_is_the_mean_over_images_whatever_their_batches():
    """A batch of three and one of one: each image counts a quarter."""
    batches = [codes_of(0, 1, 1), codes_of(0)]
    stage = prior_stage(batches)
    of_images = []
    for batch in batches:
        for row, label in zip(batch.codes.flatten(1), batch.conditions["class"], strict=True):
            read = torch.cat([K + label[None], row[:-1]])[None]
            chances = stage.training.average.model(read)[0, :, :K].log_softmax(-1)
            of_images.append(-chances[torch.arange(len(row)), row].mean().item())
    numbers = stage.evaluate()
    assert numbers["nll"] == pytest.approx(sum(of_images) / 4, rel=1e-5)
    assert numbers["score"] == numbers["nll"]
    assert numbers["nll_uniform"] == pytest.approx(math.log(K))
    by_batch = (sum(of_images[:3]) / 3 + of_images[3]) / 2
    assert abs(numbers["nll"] - by_batch) > 0.01


@pytest.mark.parametrize("shape", [GPT_SHAPE, SNAIL_SHAPE], ids=["gpt", "pixelsnail"])
def test_held_out_nll_is_that_of_smalti_score(shape):
    batch = codes_of(0, 1, 1)
    stage = prior_stage([batch], shape=shape)
    pipeline = stage._pipeline
    scored = score_codes(pipeline, batch.codes, batch.conditions)
    assert stage.evaluate()["nll"] == pytest.approx(float(scored.mean()), rel=1e-5)


def test_held_out_errors_are_means_over_images_whatever_their_batches():
    images = torch.rand(4, 3, 16, 16) * 2 - 1
    images[3] *= 0.1  # another error than the others'
    expected, found = (vqgan_stage(*parts).evaluate() for parts in ([images], images.split([3, 1])))
    assert found == pytest.approx(expected, rel=1e-4)
    assert found["code_vectors"] == 4 * 8 * 8

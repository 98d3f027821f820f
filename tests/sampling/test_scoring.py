"""Scores are minus the logarithms of the probabilities that sampling hands to its random choice."""

import pytest
import torch
from torch import Tensor

from smalti.conditions.class_label import ClassLabelConfig
from smalti.conditions.coordinates import CoordinatesConfig
from smalti.conditions.none import UnconditionalConfig
from smalti.config import InputError
from smalti.metrics.nll import nats_per_token
from smalti.prior.build import build_prior
from smalti.prior.gpt.config import GPT2Config
from smalti.prior.pixelsnail.config import PixelSNAILConfig
from smalti.sampling.canvas import Canvas
from smalti.sampling.choice import invert_cdf
from smalti.sampling.config import SamplingConfig
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.prior_model import PriorModelConfig
from smalti.sampling.scoring import score_canvas, score_codes
from smalti.sampling.sliding_window import sample_canvas
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.vqgan import VQGAN

CODES, H, W, N = 8, 4, 6, 3
NONE, CLASSES = UnconditionalConfig(), ClassLabelConfig(class_names=("cat", "dog"))
COORDINATES = CoordinatesConfig(rows=4, columns=4)
GPT_SHAPE = GPT2Config(layers=2, heads=2, width=16, dropout=0)
SNAIL_SHAPE = PixelSNAILConfig(blocks=1, width=16, dropout=0)
ALL_CODES = {"top_k": 0, "temperature": 1.0}


def model_of(*conditioners, prior=GPT_SHAPE, **changes) -> PriorModelConfig:
    options = {"vocab_size": 20, "max_length": 40, "condition_drop": 0.1} | changes
    grid = {"codebook_size": CODES, "grid_height": H, "grid_width": W}
    return PriorModelConfig(prior=prior, conditioners=conditioners, **grid, **options)


def prior_of(model: PriorModelConfig) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(3)
    prior = build_prior(model.prior, model.sizes)
    with torch.no_grad():
        for name, weight in prior.named_parameters():
            if "norm" not in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.5)
    return prior.eval()


def conditions() -> dict[str, Tensor]:
    return {
        "none": torch.zeros(N, 0),
        "class": torch.arange(N) % 2,
        "coordinates": torch.zeros(N, 2, dtype=torch.int64),
    }


def drawn(model, height, width, stride=1) -> tuple[Tensor, Tensor]:
    """Codes (N, height, width), and the probability (N, steps) with which each was drawn."""
    generator, probabilities = torch.Generator().manual_seed(5), []

    def choose(of_codes: Tensor, step: int) -> Tensor:
        codes = invert_cdf(of_codes, torch.rand(N, 1, generator=generator))
        probabilities.append(of_codes.gather(1, codes[:, None])[:, 0])
        return codes

    canvas = Canvas.unknown(torch.zeros(N, height, width, dtype=torch.int64))
    config = SamplingConfig(stride=stride, **ALL_CODES)
    conditioning = model.build_conditioning()
    codes = sample_canvas(
        prior_of(model), model, conditioning, conditions(), canvas, config, choose
    )
    return codes, torch.stack(probabilities, dim=1)


def scored(model, codes, **options) -> Tensor:
    conditioning = model.build_conditioning()
    return score_canvas(prior_of(model), model, conditioning, conditions(), codes, **options)


@pytest.mark.parametrize("size", [(H, W), (7, W), (H, 9), (8, 11)])
@pytest.mark.parametrize(
    ("model", "stride"),
    [
        (model_of(NONE), 1),
        (model_of(CLASSES, COORDINATES), 1),
        (model_of(CLASSES), 3),
        (model_of(NONE, prior=SNAIL_SHAPE, max_length=H * W), 1),
    ],
    ids=["none", "several", "stride", "pixelsnail"],
)
def test_a_score_is_the_probability_with_which_the_code_is_drawn(model, stride, size):
    codes, probabilities = drawn(model, *size, stride)
    nats = scored(model, codes, stride=stride)
    assert nats.shape == (N, *size)
    torch.testing.assert_close(nats.flatten(1), -probabilities.log(), rtol=1e-4, atol=1e-5)


def test_scores_lie_at_their_cells_in_any_ordering():
    model = model_of(CLASSES, ordering="spiral_out")
    codes, probabilities = drawn(model, H, W)
    in_order = scored(model, codes).flatten(1)[:, model.build_ordering().forward]
    torch.testing.assert_close(in_order, -probabilities.log(), rtol=1e-4, atol=1e-5)


def test_scores_of_a_window_sum_to_the_loss_of_its_codes():
    model = model_of(CLASSES)
    layout, codes = model.layout, torch.randint(CODES, (N, H, W))
    cond_tokens = model.build_conditioning().tokens(conditions())
    sequence = layout.join(cond_tokens, codes.flatten(1))
    with torch.no_grad():
        logits = layout.image_logits(prior_of(model).logits(sequence.tokens))
    logits[..., CODES:] = -torch.inf  # conditioning tokens are never drawn
    loss = nats_per_token(logits, sequence.targets) * H * W
    torch.testing.assert_close(scored(model, codes).sum((1, 2)), loss)


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_the_number_of_windows_at_a_time_changes_nothing(batch_size):
    model = model_of(CLASSES)
    codes = torch.randint(CODES, (N, 6, 8))
    whole = scored(model, codes, batch_size=16)
    torch.testing.assert_close(scored(model, codes, batch_size=batch_size), whole)


def test_a_canvas_below_the_window_is_refused():
    with pytest.raises(InputError, match="below one window"):
        scored(model_of(NONE), torch.zeros(N, H - 1, W, dtype=torch.int64))


def test_images_of_a_pipeline_are_scored_under_their_own_conditions():
    model = model_of(CLASSES)
    tokenizer = VQGAN(VQGANConfig(codebook_size=CODES, channel_multipliers=(1, 1)))
    pipeline = Pipeline(tokenizer.eval(), prior_of(model), model)
    codes = torch.randint(CODES, (1, H, W)).expand(3, -1, -1)
    nats = score_codes(pipeline, codes, {"class": torch.tensor([0, 1, 1])}, batch_size=2)
    torch.testing.assert_close(nats[1], nats[2])
    assert not torch.allclose(nats[0], nats[1])

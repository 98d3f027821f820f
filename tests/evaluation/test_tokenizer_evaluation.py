"""The evaluation of tokenizers, on photographs and on tokenizers whose loss is known."""

import pytest
import skimage.data
import torch
import torch.nn.functional as F

from smalti.config import InputError
from smalti.content import RGBContent
from smalti.evaluation.measures import (
    Average,
    Measure,
    Reconstructed,
    code_figures,
    compared,
    psnr_measure,
)
from smalti.evaluation.tokenizer import (
    Evaluation,
    ReconstructionFD,
    evaluate,
    photograph_measures,
)
from smalti.losses.config import PerceptualConfig
from smalti.losses.perceptual import NoPerceptualLoss
from smalti.ranges import from_uint8

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def photographs() -> torch.Tensor:
    """Twelve crops, (12, 3, 32, 32)."""
    picture = from_uint8(torch.from_numpy(skimage.data.astronaut().copy()).permute(2, 0, 1))
    crops = [
        picture[:, y : y + 32, x : x + 32] for y in (40, 200, 360) for x in (40, 160, 280, 400)
    ]
    return torch.stack(crops)


class Spoiling:
    """A tokenizer whose codes are the images' numbers, and whose damage is given."""

    codebook_size = 16
    downsampling_factor = 32
    content = RGBContent()

    def __init__(self, images: torch.Tensor, spoilt: torch.Tensor) -> None:
        self._images, self._spoilt = images, spoilt

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        numbers = [int((self._images == image).all((1, 2, 3)).nonzero()) for image in images]
        return torch.tensor(numbers).view(-1, 1, 1)

    def outputs(self, codes: torch.Tensor) -> torch.Tensor:
        return self._spoilt[codes.flatten()]


def measure(
    images: torch.Tensor, spoilt: torch.Tensor, *measures: Measure, batch_size: int = 5
) -> Evaluation:
    return evaluate(Spoiling(images, spoilt), images.split(batch_size), measures)


def values(evaluation: Evaluation) -> dict[str, float]:
    figures = [*evaluation.figures, *code_figures(evaluation.use)]
    return {figure.name: figure.value for figure in figures}


def frechet(images: torch.Tensor, spoilt: torch.Tensor) -> float:
    return values(measure(images, spoilt, ReconstructionFD(CPU)))["reconstruction_fd"]


def test_a_lossless_tokenizer_has_no_distance(photographs):
    perceptual = NoPerceptualLoss(PerceptualConfig())
    found = values(measure(photographs, photographs, *photograph_measures(perceptual, CPU)))
    assert found["reconstruction_fd"] == pytest.approx(0.0, abs=1e-3)
    assert found["perceptual_distance"] == 0.0
    assert found["ssim"] == pytest.approx(1.0)
    assert found["psnr_db"] == pytest.approx(58.92, abs=0.005)


def test_counts_images_and_codes(photographs):
    evaluation = measure(photographs, photographs)
    found = values(evaluation)
    assert evaluation.images == 12
    assert found["code_use"] == 12 / 16
    assert found["dead_codes"] == 4
    assert found["code_perplexity"] == pytest.approx(12.0)


def test_figures_do_not_depend_on_the_batches(photographs, generator):
    spoilt = photographs + 0.2 * torch.randn(photographs.shape, generator=generator)
    found = []
    for batch_size in (1, 12):
        measures = ReconstructionFD(CPU), psnr_measure()
        found.append(values(measure(photographs, spoilt, *measures, batch_size=batch_size)))
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_no_images_are_refused():
    with pytest.raises(InputError, match="no image to measure"):
        evaluate(Spoiling(torch.zeros(0), torch.zeros(0)), [], [])


def test_average_is_over_images_and_shows_its_unit():
    errors = compared(lambda a, b: (a - b).abs().mean((1, 2, 3)))
    average = Average("error", "error", errors, "{:.1f} dB")
    average.add(Reconstructed(torch.zeros(3, 3, 2, 2), torch.ones(3, 3, 2, 2)))
    average.add(Reconstructed(torch.zeros(1, 3, 2, 2), 5 * torch.ones(1, 3, 2, 2)))
    (figure,) = average.figures()
    assert (figure.value, figure.text) == (2.0, "2.0 dB")


def test_frechet_distance_grows_with_blur(photographs):
    def blurred(factor: int) -> torch.Tensor:
        return F.interpolate(F.avg_pool2d(photographs, factor), size=(32, 32), mode="bilinear")

    assert frechet(photographs, blurred(8)) > 1.2 * frechet(photographs, blurred(2)) > 100


def test_warns_of_fewer_images_than_features():
    fd = ReconstructionFD(CPU)
    fd.add(Reconstructed(torch.zeros(3, 3, 32, 32), torch.zeros(3, 3, 32, 32)))
    (warning,) = fd.warnings()
    assert "3 images" in warning
    assert "1,280 features" in warning


def test_the_frechet_distance_of_one_image_is_refused(photographs):
    with pytest.raises(InputError, match="at least 2 images"):
        frechet(photographs[:1], photographs[:1])


def test_labels_name_the_network_and_never_the_fid():
    fd = ReconstructionFD(CPU)
    fd.add(Reconstructed(torch.zeros(2, 3, 32, 48), torch.zeros(2, 3, 32, 48)))
    (figure,) = fd.figures()
    assert "EfficientNet-Lite0 at 128x192" in figure.label
    assert "FID" not in figure.label

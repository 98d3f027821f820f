"""`smalti score`: computes the negative log-likelihood of images under a prior, code by code."""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smalti.cli.arguments import Parser, not_negative, positive
from smalti.cli.places import output_folder
from smalti.cli.sample import condition_argument, parse_conditions
from smalti.errors import InputError
from smalti.words import all_are, counted

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from smalti.runs.prior_images import PriorImages
    from smalti.sampling.pipeline import Pipeline

SCORES_FILE = "scores.json"


@dataclass(frozen=True, slots=True)
class Score:
    """Negative log-likelihoods of the codes of an image."""

    key: str
    nats: "Tensor"
    """Nats (H, W) float32 of the codes."""
    picture: "Image.Image | None"
    """The image, if its map is to be drawn."""

    @property
    def nats_per_code(self) -> float:
        """Mean of the nats over the codes."""
        return float(self.nats.mean())

    @property
    def bits_per_code(self) -> float:
        """Mean of the bits over the codes."""
        return self.nats_per_code / math.log(2)

    @property
    def bits(self) -> "Tensor":
        """Bits (H, W) float32 of the codes."""
        return self.nats / math.log(2)


def run(arguments: Sequence[str]) -> None:
    """Print the score of each image, and write scores and surprise maps."""
    options = parser().read(arguments)
    out = output_folder(options.out)
    condition = parse_conditions(options.condition)

    from smalti.compute import choose_compute
    from smalti.runs.prior_images import PriorImages, transform_of_run
    from smalti.sampling.pipeline import Pipeline
    from smalti.sampling.sliding_window import check_stride_of

    pipeline = Pipeline.from_pretrained(options.model)
    check_stride_of(options.stride, pipeline.config)
    transform = transform_of_run(options.model, options.small)
    images = PriorImages(pipeline, options.pictures, transform, options.size, condition)
    compute = choose_compute(options.device, "float32")
    pipeline.to(compute.device)
    height, width = images.size_px
    print(f"device: {compute}; {counted(len(images), 'image')}, crops of {height}x{width} pixels")
    scores = _score(options, pipeline, images)
    _show(scores, pipeline)
    _write(out, options, pipeline, images, scores)


def _score(options: argparse.Namespace, pipeline: "Pipeline", images: "PriorImages") -> list[Score]:
    """Score each good image, with a progress bar.

    Raises:
        InputError: there is no good image.
    """
    from tqdm import tqdm

    from smalti.content_images import content_images
    from smalti.sampling.scoring import score_codes

    draw = content_images(pipeline.tokenizer.content).draw
    scores: list[Score] = []
    with tqdm(total=len(images), unit="image", disable=None) as bar:
        for batch in images.batches(options.batch_size):
            codes = pipeline.tokenizer.encode_in_tiles(batch.images.to(pipeline.device))
            nats = score_codes(
                pipeline,
                codes,
                batch.values,
                stride=options.stride,
                batch_size=options.batch_size,
            )
            for key, image, of_image in zip(batch.keys, batch.images, nats, strict=True):
                picture = draw(image) if len(scores) < options.maps else None
                scores.append(Score(key, of_image, picture))
            bar.update(len(batch.keys))
    if not scores:
        raise InputError(f"{all_are(len(images), 'image')} broken or smaller than the crop")
    return scores


def _show(scores: Sequence[Score], pipeline: "Pipeline") -> None:
    """Print a table, and the mean of all."""
    columns = max(len(score.key) for score in scores)
    print(f"{'image':{columns}}  nats a code  bits a code")
    for score in scores:
        print(f"{score.key:{columns}}  {score.nats_per_code:11.3f}  {score.bits_per_code:11.3f}")
    nothing = math.log(pipeline.config.codebook_size)
    mean = sum(score.nats_per_code for score in scores) / len(scores)
    print(f"mean: {mean:.3f} nats a code (knowing nothing: {nothing:.3f})")


def _write(
    out: Path,
    options: argparse.Namespace,
    pipeline: "Pipeline",
    images: "PriorImages",
    scores: Sequence[Score],
) -> None:
    """Write the scores, and the surprise maps of the first images on one scale."""
    from smalti.files import atomic_file, write_json
    from smalti.report.surprise import draw_surprise

    shown = [score for score in scores if score.picture is not None]
    highest = max((float(score.bits.max()) for score in shown), default=0.0)
    codebook_size = pipeline.config.codebook_size
    files: list[str | None] = [None] * len(scores)
    for number, score in enumerate(shown):
        name = Path(score.key).name
        files[number] = f"{number:04d}_{Path(name).stem}.png"
        assert score.picture is not None
        path = out / str(files[number])
        draw_surprise(score.picture, score.bits, highest, codebook_size, name, path)
    report = {
        "model": options.model,
        "size_px": images.size_px,
        "stride": options.stride,
        "skipped": len(images.dataset.broken),
        "nats_per_code_knowing_nothing": math.log(codebook_size),
        "images": [
            _entry(score, images.size_px, file) for score, file in zip(scores, files, strict=True)
        ],
    }
    with atomic_file(out / SCORES_FILE) as temporary:
        write_json(temporary, report)
    maps = f" and {counted(len(shown), 'surprise map')}" if shown else ""
    print(f"done: {SCORES_FILE}{maps} in {out}")


def _entry(score: Score, size_px: tuple[int, int], file: str | None) -> dict[str, Any]:
    """Entry of an image in the file of scores."""
    from smalti.metrics.nll import bits_per_dimension

    return {
        "image": score.key,
        "nats": float(score.nats.sum()),
        "nats_per_code": score.nats_per_code,
        "bits_per_code": score.bits_per_code,
        "bits_per_dimension": bits_per_dimension(score.nats_per_code, score.nats.numel(), *size_px),
        "map": file,
        "bits": [[round(value, 4) for value in row] for row in score.bits.tolist()],
    }


def parser() -> Parser:
    """The options of the command."""
    parser = Parser(
        "score",
        "How well a prior expects images: the negative log-likelihood of their codes, and maps of "
        "where they surprise it.",
    )
    parser.add_prior()
    parser.add_pictures()
    condition_argument(
        parser,
        "as in `smalti sample`; images take several in turn (default: each image's own, from the "
        "data set)",
    )
    parser.add_out(
        "scores", f"folder for {SCORES_FILE} and the maps; files of the same names are replaced"
    )
    parser.add_argument(
        "--maps", type=not_negative, default=100, help="draw maps of so many images, the first ones"
    )
    parser.add_size(
        "resize and crop each image to this size in pixels; a window slides over sizes above "
        "that of the training (default: the given condition's, or that of the training)"
    )
    parser.add_small("as in the run of the prior")
    parser.add_argument(
        "--stride",
        type=positive,
        default=1,
        help="codes scored in one position of the sliding window, as in `smalti sample`",
    )
    parser.add_batch_size(16, "images or windows read at a time")
    parser.add_device()
    return parser

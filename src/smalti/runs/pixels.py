"""`smalti train pixels`: finds a palette of colours."""

from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from smalti.content import RGBContent
from smalti.data.dataset import ImageDataset
from smalti.data.summary import check_sizes
from smalti.model_folder import BEST
from smalti.runs.config import PixelsRunConfig
from smalti.runs.data import open_data, say_skipped
from smalti.runs.folder import check_run_folder, open_run
from smalti.runs.origin import keep_origin
from smalti.runs.training_images import write_training_images
from smalti.tokenizer.pixels import PixelTokenizer
from smalti.training.log import say


def train_pixels(config: PixelsRunConfig) -> Path:
    """Find the palette of a data set by k-means; returns the run folder.

    Raises:
        InputError: the config, the data or the folder do not allow it.

    Reference: arXiv:2012.09841, Sec. 4.3.
    """
    folder = Path(config.out)
    check_run_folder(folder, config)
    model_folder = folder / "checkpoints" / BEST
    if model_folder.is_dir():
        return folder
    split = open_data(config, classes=False, content=RGBContent())
    images = split.train
    check_sizes(images)
    for line in images.folders:
        say(f"folders: {line}")
    generator = torch.Generator().manual_seed(config.seed)
    pixels = draw_pixels(images, config.pixels, config.seed, generator)
    size, iterations = config.codebook_size, config.iterations
    tokenizer = PixelTokenizer.learn(pixels, size, iterations, generator)
    with open_run(folder, config):
        write_training_images(folder, split)
        keep_origin(folder, split.train.fingerprint())
        tokenizer.save_pretrained(model_folder)
    error = pixels - tokenizer.palette[tokenizer.nearest(pixels)]
    say(
        f"palette: {size} colours of {len(pixels)} pixels, whose mean squared error is "
        f"{float(error.square().mean()):.6f}"
    )
    say_skipped(images)
    return folder


def draw_pixels(images: ImageDataset, count: int, seed: int, generator: torch.Generator) -> Tensor:
    """Draw pixels (N, 3) float32 in [-1, 1], the same number from each image.

    Args:
        images: images to draw from, cropped and flipped as in training.
        count: about how many pixels to draw; rounded up to be even, fewer if there are no more.
        seed: seed of the order of the images.
        generator: CPU generator that chooses the pixels.
    """
    each = -(-count // len(images))
    drawn: list[Tensor] = []
    for index in tqdm(images.order(seed, 0)[:count].tolist(), unit="image", disable=None):
        pixels = images.sample(index, 0).image.flatten(1).T
        drawn.append(pixels[torch.randperm(len(pixels), generator=generator)[:each]])
    return torch.cat(drawn)

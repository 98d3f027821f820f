"""`smalti evaluate TOKENIZER --as-prior-data`: what its codes are worth to a prior."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from smalti.cli.arguments import Parser

if TYPE_CHECKING:
    from torch import Tensor

    from smalti.data.dataset import ImageDataset
    from smalti.evaluation.measures import Figure
    from smalti.tokenizer.base import Tokenizer


def as_prior_data_argument(parser: Parser) -> None:
    """Add `--as-prior-data` to the options of `smalti evaluate`."""
    parser.add_argument(
        "--as-prior-data",
        action="store_true",
        help="also train a small prior, always the same one, on the tokenizer's codes of most "
        "images, and give its bits of the others; and the Frechet distance when some codes are "
        "replaced. It takes a minute or several on a processor",
    )


def check_as_prior_data(tokenizer: "Tokenizer", dataset: "ImageDataset") -> None:
    """Refuse what a small prior cannot learn, before the work begins.

    Raises:
        InputError: the images are too few, or have too many codes.
    """
    from smalti.evaluation.as_prior_data import check_codes

    factor, transform = tokenizer.downsampling_factor, dataset.transform
    check_codes(len(dataset), transform.height_px // factor, transform.width_px // factor)


def judge_as_prior_data(
    tokenizer: "Tokenizer", batches: "Callable[[], Iterator[Tensor]]"
) -> "tuple[list[Figure], list[str]]":
    """The figures, and what to know before they are quoted.

    Args:
        tokenizer: in eval mode.
        batches: gives the images from the start, on the tokenizer's device.

    Raises:
        InputError: too few of the images are good.
    """
    import torch
    from tqdm import tqdm

    from smalti.evaluation.as_prior_data import (
        STEPS,
        in_words,
        learn_codes,
        prior_data_figures,
        replaced_figures,
    )
    from smalti.evaluation.extractors import load_extractor

    encoded, size_px = [], (0, 0)
    for images in batches():
        encoded.append(tokenizer.encode(images).cpu())
        device, size_px = images.device, (images.shape[-2], images.shape[-1])
    codes = torch.cat(encoded)
    with tqdm(total=STEPS, unit="step", desc="small prior", disable=None) as bar:
        found = learn_codes(codes, tokenizer.codebook_size, device, bar.update)
    grid = (codes.shape[1], codes.shape[2])
    figures = prior_data_figures(found, tokenizer.codebook_size, grid, size_px)
    if tokenizer.content.kind == "rgb":
        extractor = load_extractor("efficientnet", None, device)
        figures += replaced_figures(tokenizer, batches(), codes, extractor)
    return figures, [in_words(found)]

"""`smalti evaluate TOKENIZER`: measures a tokenizer's reconstructions of a data set."""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from smalti.cli.evaluate_report import show_figures, write
from smalti.cli.output import to_device
from smalti.config import InputError
from smalti.content import ContentConfig
from smalti.data.config import TransformConfig
from smalti.data.dataset import ImageDataset
from smalti.data.loader import BatchLoader
from smalti.data.maps import check_maps
from smalti.data.order import positions_of_some
from smalti.data.split import SceneNames, held_out_images
from smalti.data.summary import check_sizes
from smalti.evaluation.as_prior_data import (
    STEPS,
    check_codes,
    in_words,
    learn_codes,
    prior_data_figures,
    replaced_figures,
)
from smalti.evaluation.extractors import load_extractor
from smalti.evaluation.measures import Figure, code_figures
from smalti.evaluation.tokenizer import evaluate, measures_of
from smalti.model_folder import find_model
from smalti.runs.config import BaseRunConfig, VQGANRunConfig
from smalti.runs.data import open_dataset
from smalti.runs.encoded_images import find_encoded_images
from smalti.runs.state import read_config
from smalti.runs.training_images import find_training_images
from smalti.tokenizer.base import Tokenizer
from smalti.tokenizer.load import load_tokenizer
from smalti.words import counted


def evaluate_tokenizer(options: argparse.Namespace) -> None:
    """Print, and write where asked, what was measured on what."""
    tokenizer = load_tokenizer(options.model)
    trained = read_config(Path(options.model))
    config = _data_config(options, trained)
    dataset, trained_on = _open_images(options, config, tokenizer.content)
    check_sizes(dataset)
    check_maps(dataset)
    if options.as_prior_data:
        f, image = tokenizer.downsampling_factor, config.image
        check_codes(len(dataset), image.height_px // f, image.width_px // f)
    device = to_device(tokenizer, options.device)
    measures = measures_of(tokenizer.content, device)
    batches = _batches(dataset, options.batch_size, device)
    evaluation = evaluate(tokenizer, batches, measures)
    figures = [*evaluation.figures, *code_figures(evaluation.use)]
    warnings = list(evaluation.warnings)
    if options.as_prior_data:
        added, note = _judge_as_prior_data(
            tokenizer, lambda: _batches(dataset, options.batch_size, device)
        )
        figures += added
        warnings.append(note)
    report = _report(options, dataset, evaluation.images, trained_on)
    warnings += [*mixed(evaluation.images, trained_on), *_favour(trained)]
    _show(report)
    show_figures(figures, warnings)
    if options.out:
        write(Path(options.out), report, figures, warnings)


def _data_config(options: argparse.Namespace, trained: BaseRunConfig | None) -> BaseRunConfig:
    """How to read the data: as the run did, with what the options change.

    Raises:
        InputError: there is no run to say the size.
    """
    if trained is None and options.size is None:
        raise InputError(f"{options.model} is no run that says the size of images; give --size")
    image = TransformConfig() if trained is None else trained.image
    asked = {"size": options.size, "small": options.small}
    changed = {name: value for name, value in asked.items() if value is not None}
    image = image.model_copy(update=changed)
    return BaseRunConfig(stage="evaluate", data=tuple(options.data), out=".", image=image)


def _open_images(
    options: argparse.Namespace, config: BaseRunConfig, content: ContentConfig
) -> tuple[ImageDataset, int | None]:
    """The images to measure, and on how many of them the model was trained, if that is known.

    Raises:
        InputError: a source does not exist or is empty, or nothing was held out, or it is not known
            what.
    """
    dataset = open_dataset(config, classes=False, content=content)
    seen = seen_images(options, dataset)
    if options.held_out:
        unseen = unseen_numbers(options.model, seen)
        dataset, seen = dataset.subset(unseen), np.zeros(len(unseen), np.bool_)
    chosen = positions_of_some(len(dataset), options.images or len(dataset))
    return dataset.subset(chosen), None if seen is None else int(seen[chosen].sum())


def unseen_numbers(model: str, seen: NDArray[np.bool_] | None) -> list[int]:
    """Numbers of the images that a model was not trained on, for `--held-out`, by their names.

    A note is printed where none of the names is known, as after files were renamed.

    Raises:
        InputError: there are none, or it is not known which were `seen`.
    """
    if seen is None:
        raise InputError(f"it is not known which images {model} held out; leave out --held-out")
    if seen.all():
        raise InputError(f"{model} holds nothing out of this data; leave out --held-out")
    if not seen.any():
        print(
            f"note: --held-out leaves out no image, as none has the name of a training image of "
            f"{model}; training images under other names would be measured, too"
        )
    return (~seen).nonzero()[0].tolist()


def seen_images(options: argparse.Namespace, dataset: ImageDataset) -> NDArray[np.bool_] | None:
    """Whether the model was trained on each image, (N,), or None if it is not known.

    Raises:
        InputError: the list of images is damaged or, for `--held-out`, the codes of a prior that
            was trained on them alone.
    """
    images = find_training_images(options.model)
    if images is not None:
        return images.among(dataset)
    if options.held_out:  # for a warning alone, reading all shards would take too long
        encoded = find_encoded_images(options.model)
        if encoded is not None:
            return encoded.among(dataset)
    trained = read_config(Path(options.model))
    # A run of an older version held out what its rule gives, of its own data.
    if trained is None or not (options.held_out or set(options.data) == set(trained.data)):
        return None
    return ~held_out_images(dataset, trained.held_out, SceneNames())


def _batches(dataset: ImageDataset, batch_size: int, device: torch.device) -> Iterator[Tensor]:
    """Read center crops (B, ...) in the form of the content to the device, with a progress bar."""
    loader = BatchLoader(dataset, batch_size, seed=0, workers=0)
    total = -(-len(dataset) // batch_size)
    for batch in tqdm(loader.evaluation_batches(), total=total, unit="batch", disable=None):
        yield batch.images.to(device)


def _report(
    options: argparse.Namespace, dataset: ImageDataset, images: int, trained_on: int | None
) -> dict[str, Any]:
    """What was measured on what, as plain data."""
    return {
        "model": str(find_model(options.model)),
        "data": options.data,
        "held_out_only": options.held_out,
        "images": images,
        "training_images": trained_on,
        "skipped": len(dataset.broken),
        "transform": dataset.transform.model_dump(
            mode="json", include={"size", "resize_px", "small"}
        ),
    }


def mixed(images: int, trained_on: int | None) -> list[str]:
    """A warning if training images are among the measured ones, else nothing."""
    if not trained_on:
        return []
    others = "; --held-out measures the others alone" if trained_on < images else ""
    return [
        f"{trained_on:,} of these {images:,} images are training images of the model, by their "
        f"names, and may be kept better than images that it has not seen{others}"
    ]


def _favour(trained: BaseRunConfig | None) -> list[str]:
    """A warning that figures of the run's perceptual network favour the run, if it has one."""
    if not isinstance(trained, VQGANRunConfig):
        return []
    kind = trained.loss.perceptual.kind
    if kind == "none":
        return []
    network = "VGG16 (LPIPS)" if kind == "lpips" else "EfficientNet-Lite0"
    return [
        f"the run learned by {network}'s features, which favours it in figures of that network; "
        "PSNR and SSIM are independent of it"
    ]


def _show(report: dict[str, Any]) -> None:
    """Print what was measured on what."""
    size, resize = report["transform"]["size"], report["transform"]["resize_px"]
    height, width = (size, size) if isinstance(size, int) else size
    part = ", only those that the run was not trained on" if report["held_out_only"] else ""
    print(f"model:  {report['model']}")
    print(f"data:   {counted(report['images'], 'image')} of {', '.join(report['data'])}{part}")
    if report["skipped"]:
        print(f"skipped images (broken, or smaller than the crop): {report['skipped']}")
    print(f"crop:   center, {height}x{width} pixels, resize-px {resize}")


def _judge_as_prior_data(
    tokenizer: Tokenizer, batches: Callable[[], Iterator[Tensor]]
) -> tuple[list[Figure], str]:
    """Figures of what the codes are worth to a prior, and what to know before they are quoted.

    Args:
        tokenizer: in eval mode.
        batches: gives the images from the start, on the tokenizer's device.

    Raises:
        InputError: too few of the images are good.
    """
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
    return figures, in_words(found)

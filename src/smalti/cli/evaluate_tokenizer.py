"""`smalti evaluate TOKENIZER`: measures a tokenizer's reconstructions of a data set."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smalti.cli.as_prior_data import check_as_prior_data, judge_as_prior_data
from smalti.words import counted

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from smalti.content import ContentConfig
    from smalti.data.dataset import ImageDataset
    from smalti.evaluation.measures import Figure
    from smalti.evaluation.tokenizer import Evaluation
    from smalti.runs.config import BaseRunConfig


def evaluate_tokenizer(options: argparse.Namespace) -> None:
    """Print, and write where asked, what was measured on what."""
    from smalti.cli.places import check_file
    from smalti.compute import choose_compute
    from smalti.data.maps import check_maps
    from smalti.data.summary import check_sizes
    from smalti.evaluation.measures import code_figures
    from smalti.evaluation.tokenizer import evaluate, measures_of
    from smalti.tokenizer.load import load_tokenizer

    if "out" in options:
        check_file(Path(options.out), (".json",))
    tokenizer = load_tokenizer(options.model)
    trained = _read_run(Path(options.model))
    config = _data_config(options, trained)
    dataset, trained_on = _open_images(options, config, trained, tokenizer.content)
    check_sizes(dataset)
    check_maps(dataset)
    if options.as_prior_data:
        check_as_prior_data(tokenizer, dataset)
    compute = choose_compute(options.device, "float32")
    print(f"device: {compute}")
    tokenizer.to(compute.device)
    measures = measures_of(tokenizer.content, compute.device)
    batches = _batches(dataset, options.batch_size, compute.device)
    evaluation = evaluate(tokenizer, batches, measures)
    figures = [*evaluation.figures, *code_figures(evaluation.use)]
    told: list[str] = []
    if options.as_prior_data:
        added, told = judge_as_prior_data(
            tokenizer, lambda: _batches(dataset, options.batch_size, compute.device)
        )
        figures += added
    report = _report(options, dataset, evaluation, figures, trained_on)
    report["warnings"] += [*told, *mixed(evaluation.images, trained_on), *_favour(trained)]
    _show(report, figures)
    if "out" in options:
        _write(Path(options.out), report)


def _read_run(path: Path) -> "BaseRunConfig | None":
    """Read the config of a tokenizer's run; None for a model without a run.

    Raises:
        InputError: the config is damaged.
    """
    from pydantic import ValidationError

    from smalti.config import InputError, describe
    from smalti.runs.config import PixelsRunConfig, VQGANRunConfig
    from smalti.runs.stored import CONFIG_FILE, read_run_config

    stored = read_run_config(path)
    if stored is None:
        return None
    root = PixelsRunConfig if stored.get("stage") == "pixels" else VQGANRunConfig
    try:
        return root.model_validate(stored)
    except ValidationError as error:
        raise InputError(f"{path / CONFIG_FILE}: {describe(error)}") from error


def _data_config(options: argparse.Namespace, trained: "BaseRunConfig | None") -> "BaseRunConfig":
    """How to read the data: as the run did, with what the options change.

    Raises:
        InputError: there is no run to say the size.
    """
    from smalti.config import InputError
    from smalti.data.config import TransformConfig
    from smalti.runs.config import BaseRunConfig

    if trained is None and "size" not in options:
        raise InputError(f"{options.model} is no run that says the size of images; give --size")
    image = TransformConfig() if trained is None else trained.image
    changed = {name: getattr(options, name) for name in ("size", "small") if name in options}
    image = image.model_copy(update=changed)
    return BaseRunConfig(stage="evaluate", data=tuple(options.data), out=".", image=image)


def _open_images(
    options: argparse.Namespace,
    config: "BaseRunConfig",
    trained: "BaseRunConfig | None",
    content: "ContentConfig",
) -> "tuple[ImageDataset, int | None]":
    """The images to measure, and on how many of them the model was trained, if that is known.

    Raises:
        InputError: a source does not exist or is empty, or nothing was held out, or it is not known
            what.
    """
    from smalti.config import InputError
    from smalti.data.order import positions_of_some
    from smalti.runs.data import open_dataset

    dataset = open_dataset(config, classes=False, content=content)
    seen = _seen_images(options, trained, dataset)
    if options.held_out and seen is None:
        raise InputError(f"{options.model} is no run: only a run held images out")
    if options.held_out and seen is not None:
        if seen.all():
            raise InputError(
                f"{options.model} holds nothing out of this data; leave out --held-out"
            )
        dataset, seen = dataset.subset((~seen).nonzero()[0].tolist()), seen[~seen]
    chosen = positions_of_some(len(dataset), getattr(options, "images", len(dataset)))
    return dataset.subset(chosen), None if seen is None else int(seen[chosen].sum())


def _seen_images(
    options: argparse.Namespace, trained: "BaseRunConfig | None", dataset: "ImageDataset"
) -> "NDArray[np.bool_] | None":
    """Whether the model was trained on each image, (N,), or None if it is not known."""
    from smalti.data.split import SceneNames, held_out_images
    from smalti.runs.training_images import find_training_images

    images = find_training_images(options.model)
    if images is not None:
        return images.among(dataset)
    # A run of an older version held out what its rule gives, of its own data.
    if trained is None or not (options.held_out or set(options.data) == set(trained.data)):
        return None
    return ~held_out_images(dataset, trained.held_out, SceneNames())


def _batches(
    dataset: "ImageDataset", batch_size: int, device: "torch.device"
) -> "Iterator[Tensor]":
    """Read center crops (B, ...) in the form of the content to the device, with a progress bar."""
    from tqdm import tqdm

    from smalti.data.loader import BatchLoader

    loader = BatchLoader(dataset, batch_size, seed=0, workers=0)
    total = -(-len(dataset) // batch_size)
    for batch in tqdm(loader.evaluation_batches(), total=total, unit="batch", disable=None):
        yield batch.images.to(device)


def _report(
    options: argparse.Namespace,
    dataset: "ImageDataset",
    evaluation: "Evaluation",
    figures: "Sequence[Figure]",
    trained_on: int | None,
) -> dict[str, Any]:
    """What was measured on what, as plain data."""
    from smalti.model_folder import find_model

    return {
        "model": str(find_model(options.model)),
        "data": options.data,
        "held_out_only": options.held_out,
        "images": evaluation.images,
        "training_images": trained_on,
        "skipped": len(dataset.broken),
        "transform": dataset.transform.model_dump(
            mode="json", include={"size", "resize_px", "small"}
        ),
        "figures": {
            figure.name: {"label": figure.label, "value": figure.value} for figure in figures
        },
        "warnings": list(evaluation.warnings),
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


def _favour(trained: "BaseRunConfig | None") -> list[str]:
    """A warning that figures of the run's perceptual network favour the run, if it has one."""
    from smalti.runs.config import VQGANRunConfig

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


def _show(report: dict[str, Any], figures: "Sequence[Figure]") -> None:
    """Print the report as a table, with its warnings."""
    size, resize = report["transform"]["size"], report["transform"]["resize_px"]
    height, width = (size, size) if isinstance(size, int) else size
    part = ", only those that the run was not trained on" if report["held_out_only"] else ""
    print(f"model:  {report['model']}")
    print(f"data:   {counted(report['images'], 'image')} of {', '.join(report['data'])}{part}")
    if report["skipped"]:
        print(f"skipped images (broken, or smaller than the crop): {report['skipped']}")
    print(f"crop:   center, {height}x{width} pixels, resize-px {resize}")
    print()
    columns = max(len(figure.label) for figure in figures)
    for figure in figures:
        print(f"{figure.label:{columns}}  {figure.text:>10}")
    for warning in report["warnings"]:
        print(f"note: {warning}")


def _write(path: Path, report: dict[str, Any]) -> None:
    from smalti.files import atomic_file, write_json

    with atomic_file(path) as temporary:
        write_json(temporary, report)
    print(f"done: {path}")

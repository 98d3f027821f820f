"""`smalti evaluate --samples FOLDER`: other people's pictures beside a reference."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from smalti.cli.evaluate_report import check_itself, show, write

if TYPE_CHECKING:
    from torch import Tensor

    from smalti.data.config import TransformConfig
    from smalti.evaluation.extractors import Extractor
    from smalti.evaluation.protocol import ImageRecord


def evaluate_samples(options: argparse.Namespace) -> None:
    """Compare pictures with a reference, or write a reference alone."""
    from smalti.config import InputError

    if "reference" not in options:
        raise InputError(
            "smalti evaluate needs a MODEL; without one, --reference with --samples or with "
            "--write-reference"
        )
    if "samples" not in options and "write_reference" not in options:
        raise InputError("smalti evaluate --reference needs --samples, or --write-reference")
    from smalti.training.processes import processes

    check_outputs(options)
    with processes():
        _evaluate(options)


def check_outputs(options: argparse.Namespace) -> None:
    """Refuse files that cannot be written, before the work begins.

    Raises:
        InputError: with the reason.
    """
    from smalti.cli.places import check_file
    from smalti.config import InputError

    if "out" in options:
        check_file(Path(options.out), (".json",))
    if "write_reference" in options:
        path = Path(options.write_reference)
        if path.suffix != ".safetensors":
            raise InputError(f"--write-reference {path} must end in .safetensors")
        check_file(path, (".safetensors",))


def _evaluate(options: argparse.Namespace) -> None:
    from smalti.compute import choose_compute
    from smalti.distributed import from_first
    from smalti.evaluation.comparison import check_count, compare
    from smalti.evaluation.extractors import load_extractor
    from smalti.evaluation.protocol import Protocol, versions
    from smalti.evaluation.reference import write_reference
    from smalti.runs.described import find_reference

    compute = choose_compute(options.device, "float32")
    extractor = load_extractor(options.extractor, options.extractor_weights, compute.device)
    print(f"device: {compute}")
    transform = _transform(options)
    warnings: list[str] = []
    described = None
    if "samples" in options:
        described = _describe(options, transform, extractor)
        warnings = check_count(len(described[0]), extractor, options.few)
    reference = find_reference(options.reference, transform, extractor, options.batch_size)
    count = reference.record.images and reference.record.images.count
    if count and (described is None or count < len(described[0])):
        warnings = check_count(count, extractor, options.few)
    check_itself(extractor, reference)
    if "write_reference" in options:
        path = Path(options.write_reference)
        from_first(lambda: write_reference(path, reference, extractor.record))
        print(f"done: {path}")
    if described is None:
        return
    features, images = described
    figures = from_first(lambda: compare(features, reference, extractor, options.seed))
    protocol = Protocol(
        images=images,
        reference=reference.record,
        extractor=extractor.record,
        sampling=None,
        seed=options.seed,
        versions=versions(),
    )
    show(protocol, figures, warnings)
    if "out" in options:
        from_first(lambda: write(Path(options.out), protocol, figures, warnings, {}))


def _transform(options: argparse.Namespace) -> "TransformConfig":
    """Center crops of the size that is asked for, or that all pictures have."""
    from smalti.data.config import TransformConfig
    from smalti.evaluation.batch_file import BatchFile
    from smalti.runs.described import common_size, is_reference_file, open_photographs

    small = getattr(options, "small", "auto")
    if "size" in options:
        return TransformConfig(size=options.size, small=small)
    spec = getattr(options, "samples", options.reference)
    if Path(spec).suffix.lower() == ".npz":
        file = BatchFile(Path(spec))
        return TransformConfig(size=(file.height_px, file.width_px), small=small)
    if is_reference_file(spec):
        from smalti.config import InputError

        raise InputError(f"{spec} is a reference already; give a data set, or --samples")
    dataset = open_photographs([spec], TransformConfig(size=1))
    size = common_size(dataset, "give --size to crop all to one size")
    return TransformConfig(size=size, small=small)


def _describe(
    options: argparse.Namespace, transform: "TransformConfig", extractor: "Extractor"
) -> "tuple[Tensor, ImageRecord]":
    """Features of the pictures, and how they were read."""
    from smalti.config import InputError
    from smalti.evaluation.batch_file import BatchFile
    from smalti.runs.described import (
        describe,
        describe_file,
        good_rows,
        image_record,
        open_photographs,
    )

    if Path(options.samples).suffix.lower() == ".npz":
        file = BatchFile(Path(options.samples))
        if (file.height_px, file.width_px) != (transform.height_px, transform.width_px):
            raise InputError(
                f"{file.path} has images of {file.height_px}x{file.width_px} pixels; leave out "
                "--size"
            )
        return describe_file(file, extractor, options.batch_size)
    dataset = open_photographs([options.samples], transform)
    features = describe(dataset, extractor, options.batch_size, "samples", None)
    features = features[good_rows(features)]
    return features, image_record(dataset, options.samples, len(features))

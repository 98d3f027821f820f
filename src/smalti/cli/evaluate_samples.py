"""`smalti evaluate --samples FOLDER`: other people's pictures beside a reference."""

import argparse
from pathlib import Path

from torch import Tensor

from smalti.cli.evaluate_report import check_reference, show_figures, show_protocol, write
from smalti.cli.output import SHEET_FILE
from smalti.compute import choose_compute
from smalti.config import InputError
from smalti.data.config import TransformConfig
from smalti.data.dataset import ImageDataset
from smalti.distributed import from_first
from smalti.evaluation.batch_file import BatchFile
from smalti.evaluation.comparison import check_count, compare
from smalti.evaluation.extractors import Extractor, load_extractor
from smalti.evaluation.protocol import ImageRecord, Protocol, versions
from smalti.runs.described import (
    common_size,
    describe,
    find_reference,
    good_rows,
    image_record,
    is_reference_file,
    open_photographs,
)
from smalti.sampling.sample_set import check_complete


def evaluate_samples(options: argparse.Namespace) -> None:
    """Compare pictures with a reference, or write a reference alone."""
    if options.samples:
        check_complete(Path(options.samples))
    compute = choose_compute(options.device, "float32")
    extractor = load_extractor(options.extractor, options.extractor_weights, compute.device)
    print(f"device: {compute}")
    transform = _transform(options)
    warnings: list[str] = []
    described = None
    if options.samples:
        described = _describe(options, transform, extractor)
        warnings = check_count(len(described[0]), extractor, options.few)
    reference = find_reference(options.reference, transform, extractor, options.batch_size)
    count = reference.record.images and reference.record.images.count
    if count and (described is None or count < len(described[0])):
        warnings = check_count(count, extractor, options.few)
    check_reference(extractor, reference, options.write_reference)
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
    show_protocol(protocol)
    show_figures(figures, warnings)
    if options.out:
        report = {"protocol": protocol.model_dump(mode="json")}
        from_first(lambda: write(Path(options.out), report, figures, warnings))


def _transform(options: argparse.Namespace) -> TransformConfig:
    """Center crops of the size that is asked for, or that all pictures have."""
    small = options.small or "auto"
    if options.size:
        return TransformConfig(size=options.size, small=small)
    spec = options.samples or options.reference
    if Path(spec).suffix.lower() == ".npz":
        file = BatchFile(Path(spec))
        return TransformConfig(size=(file.height_px, file.width_px), small=small)
    if is_reference_file(spec):
        raise InputError(f"{spec} is a reference already; give a data set, or --samples")
    dataset = _without_sheet(open_photographs([spec], TransformConfig(size=1)))
    size = common_size(dataset, "give --size to crop all to one size")
    return TransformConfig(size=size, small=small)


def _without_sheet(dataset: ImageDataset) -> ImageDataset:
    """The pictures without the sheet that `smalti sample` writes beside them."""
    names = [dataset.name(number) for number in range(len(dataset))]
    pictures = [number for number, name in enumerate(names) if name != SHEET_FILE]
    return dataset.subset(pictures) if pictures else dataset


def _describe(
    options: argparse.Namespace, transform: TransformConfig, extractor: Extractor
) -> tuple[Tensor, ImageRecord]:
    """Features of the pictures, and how they were read."""
    if Path(options.samples).suffix.lower() == ".npz":
        file = BatchFile(Path(options.samples))
        if (file.height_px, file.width_px) != (transform.height_px, transform.width_px):
            raise InputError(
                f"{file.path} has images of {file.height_px}x{file.width_px} pixels; leave out "
                "--size"
            )
        return file.features(extractor, options.batch_size), file.record()
    everything = open_photographs([options.samples], transform)
    dataset = _without_sheet(everything)
    if len(dataset) < len(everything):
        print(f"left out: {SHEET_FILE}, the sheet of the other pictures")
    features = describe(dataset, extractor, options.batch_size, "samples", None)
    features = features[good_rows(features)]
    return features, image_record(dataset, options.samples, len(features))

"""`smalti evaluate PRIOR`: NLL of images, and samples beside a reference."""

import argparse
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from smalti.cli.evaluate_memorisation import KnownAndUnseen, find_images, judge_memorisation
from smalti.cli.evaluate_report import check_reference, show_figures, show_protocol, write
from smalti.cli.evaluate_tokenizer import mixed, seen_images, unseen_numbers
from smalti.cli.places import output_file
from smalti.cli.sample import sampling_options
from smalti.compute import choose_compute
from smalti.config import InputError
from smalti.data.summary import check_sizes
from smalti.distributed import from_first
from smalti.evaluation.comparison import check_count, compare
from smalti.evaluation.extractors import load_extractor
from smalti.evaluation.kept_rows import KeptRows, fill, for_file
from smalti.evaluation.protocol import Protocol, versions
from smalti.evaluation.reference import Reference, reference_of
from smalti.files import atomic_file
from smalti.model_folder import read_tensors, write_tensors
from smalti.runs.described import find_reference, good_rows
from smalti.runs.prior_evaluation import PriorEvaluation
from smalti.runs.prior_images import PriorImages, transform_of_run
from smalti.sampling.pipeline import Pipeline
from smalti.words import all_are, counted

MADE_FROM = "made_from"


@dataclass(frozen=True, slots=True)
class _Work:
    """What is computed, where it is kept meanwhile, and which part of it."""

    evaluation: PriorEvaluation
    folder: Path
    n: int
    share: range
    """Numbers of the samples."""
    memorisation: KnownAndUnseen | None
    """Images to find memorised ones among, where that is asked for."""
    reference: Reference | None
    """The reference, where it is not the data set."""

    @property
    def data_share(self) -> range:
        """Numbers of the images of the data set whose NLL belongs to this share."""
        count = len(self.evaluation.images)
        return range(self.share.start * count // self.n, self.share.stop * count // self.n)


def evaluate_prior(options: argparse.Namespace) -> None:
    """Print and write the figures of a prior, or the part of one of several machines."""
    share, out = _share_and_file(options)
    evaluation, trained_on = _open_prior(options)
    folder = out.with_name(f"{out.stem}.unfinished-{evaluation.fingerprint[:8]}")
    memorisation = find_images(options, evaluation) if options.memorisation else None
    is_part = isinstance(options.images, range)
    reference = None if is_part else _named_reference(options, evaluation)
    work = _Work(evaluation, folder, options.n, share, memorisation, reference)
    warnings = _check_counts(options, work)
    try:
        data, samples = _compute(options, work)
        if is_part:
            from_first(lambda: _write_part(out, work, data, samples))
        else:
            _finish(options, out, work, data, samples, warnings + trained_on)
    except KeyboardInterrupt:
        if folder.is_dir():
            print(f"stopped; what was computed is in {folder}, and the same command goes on")
        raise
    from_first(lambda: shutil.rmtree(folder, ignore_errors=True))


def _share_and_file(options: argparse.Namespace) -> tuple[range, Path]:
    """The samples to work on, and the file to write.

    Raises:
        InputError: there are not so many samples, the file cannot be written, or an option has no
            effect.
    """
    if options.training_data and not options.memorisation:
        raise InputError("--training-data is for --memorisation, which is not given")
    share, suffix, default = range(options.n), ".json", "evaluation.json"
    if isinstance(options.images, range):
        share, suffix = options.images, ".safetensors"
        default = f"evaluation-{share.start}-{share.stop}.safetensors"
        for name in ("join", "memorisation", "write_reference"):
            if getattr(options, name, None):
                raise InputError(
                    f"--{name.replace('_', '-')} is for all samples; leave out --images A:B"
                )
    if share.stop > options.n:
        raise InputError(
            f"--images {share.start}:{share.stop} is outside of the {options.n} samples (-n); "
            f"allowed are 0:{options.n} and parts of it"
        )
    return share, output_file(options.out or default, suffix)


def _open_prior(options: argparse.Namespace) -> tuple[PriorEvaluation, list[str]]:
    """The prior, the images and the extractor; and a warning of training images, if any.

    Raises:
        InputError: one of them is wrong, or an option does not fit to them.
    """
    config = sampling_options(options)
    pipeline = Pipeline.from_pretrained(options.model)
    transform = transform_of_run(options.model, options.small)
    images = PriorImages(pipeline, options.data, transform, options.size)
    seen = seen_images(options, images.dataset)
    if options.held_out:
        unseen = unseen_numbers(options.model, seen)
        images.keep(unseen)
        seen = np.zeros(len(unseen), np.bool_)
    if isinstance(options.images, int):
        chosen = images.choose(options.images)
        seen = None if seen is None else seen[chosen]
    trained_on = None if seen is None else int(seen.sum())
    check_sizes(images.dataset)
    if not any(images.load(number) for number in range(len(images))):
        raise InputError(f"{all_are(len(images), 'image')} broken or smaller than the crop")
    compute = choose_compute(options.device, "float32")
    pipeline.to(compute.device)
    extractor = None
    if pipeline.tokenizer.content.kind == "rgb":
        extractor = load_extractor(options.extractor, options.extractor_weights, compute.device)
    else:
        _refuse_samples(options, pipeline.tokenizer.content.kind)
    evaluation = PriorEvaluation(
        pipeline=pipeline,
        images=images,
        extractor=extractor,
        config=config,
        seed=options.seed,
        batch_size=options.batch_size,
        is_reference=options.reference is None,
    )
    pipeline.check_sampling(config, evaluation.cells)
    height, width = images.size_px
    print(f"device: {compute}; {counted(len(images), 'image')}, crops of {height}x{width} pixels")
    return evaluation, mixed(len(images), trained_on)


def _refuse_samples(options: argparse.Namespace, kind: str) -> None:
    """Refuse what compares samples, of a prior whose samples are no photographs.

    Raises:
        InputError: something of it is asked for.
    """
    for name in ("reference", "write_reference", "join", "memorisation", "part"):
        if getattr(options, name, None):
            raise InputError(
                f"--{name.replace('_', '-')} compares photographs, but this prior draws {kind}; "
                "its NLL alone can be measured"
            )


def _named_reference(options: argparse.Namespace, evaluation: PriorEvaluation) -> Reference | None:
    """The reference that is named, read before the samples are drawn; None where it is the data.

    Raises:
        InputError: it is missing, damaged, of another extractor or of another size.
    """
    if evaluation.extractor is None or evaluation.is_reference:
        return None
    transform = evaluation.images.dataset.transform
    return find_reference(options.reference, transform, evaluation.extractor, options.batch_size)


def _check_counts(options: argparse.Namespace, work: _Work) -> list[str]:
    """Warnings where samples or the reference are few.

    Raises:
        InputError: there are fewer than features, and nobody asked for it.
    """
    evaluation, counts = work.evaluation, [work.n]
    if evaluation.extractor is None:
        return []
    if evaluation.is_reference:
        counts.append(len(evaluation.images))
    elif work.reference is not None and work.reference.record.images is not None:
        counts.append(work.reference.record.images.count)
    return check_count(min(counts), evaluation.extractor, options.few)


def _compute(
    options: argparse.Namespace, work: _Work
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Rows of the images of the data set and of the samples.

    Raises:
        InputError: something of the files to join is missing or of other options.
    """
    evaluation, batch_size = work.evaluation, options.batch_size
    data = KeptRows("data", evaluation.data_rows, work.folder)
    rows = [data]
    if evaluation.extractor is not None:
        rows.append(KeptRows("samples", evaluation.sample_rows, work.folder))
    _join(options.join, work, rows)
    together = min(batch_size, len(evaluation.images))
    of_data = fill(data, work.data_share, together, evaluation.score)
    if evaluation.extractor is None:
        return of_data, {}
    together = min(batch_size, work.n)
    of_samples = fill(
        rows[1], work.share, together, lambda numbers: evaluation.sample(numbers, work.n)
    )
    return of_data, of_samples


def _join(files: Sequence[str], work: _Work, rows: Sequence[KeptRows]) -> None:
    """Take the rows of part files.

    Raises:
        InputError: a file is missing, damaged or of other options, or an image is in none of them.
    """
    for file in files:
        tensors = read_tensors(Path(file))
        if MADE_FROM not in tensors:
            raise InputError(f"{file} is no file of smalti evaluate --images A:B")
        if bytes(tensors[MADE_FROM].tolist()).decode() != work.evaluation.fingerprint:
            raise InputError(
                f"{file} is of another model, other data or other options; give the same as for "
                "--images A:B"
            )
        for one in rows:
            one.take(tensors, file)
    for one, numbers in zip(rows, (work.data_share, work.share), strict=True) if files else ():
        missing = [number for number in numbers if number not in one]
        if missing:
            what = "images of --data" if one.name == "data" else one.name
            raise InputError(
                f"{len(missing)} {what} are in none of the files of --join, the first is "
                f"number {missing[0]}; -n is {work.n}"
            )


def _write_part(
    out: Path, work: _Work, data: dict[str, Tensor], samples: dict[str, Tensor]
) -> None:
    """Write the rows that this machine has computed, for `--join`."""
    made_from = torch.tensor(list(work.evaluation.fingerprint.encode()), dtype=torch.uint8)
    stored = {MADE_FROM: made_from}
    stored |= for_file("data", work.data_share, data)
    stored |= for_file("samples", work.share, samples)
    with atomic_file(out) as temporary:
        write_tensors(temporary, stored)
    print(f"done: {out}; join all parts with --join")


def _finish(
    options: argparse.Namespace,
    out: Path,
    work: _Work,
    data: dict[str, Tensor],
    samples: dict[str, Tensor],
    warnings: list[str],
) -> None:
    """Compute the figures, print and write them."""
    evaluation = work.evaluation
    nats = data["nats"][:, 0]
    nats = nats[nats.isfinite()]
    figures = evaluation.figures(nats)
    reference, extractor = None, evaluation.extractor
    if extractor is not None:
        reference = work.reference or _data_as_reference(options, evaluation, data)
        check_reference(extractor, reference, options.write_reference)
        described = samples["features"]
        figures += from_first(partial(compare, described, reference, extractor, options.seed))
    protocol = Protocol(
        images=evaluation.record(options.model, work.n if reference else 0),
        data=evaluation.images.record(", ".join(options.data), len(nats)),
        reference=reference and reference.record,
        extractor=extractor and extractor.record,
        sampling=evaluation.settings() if reference else None,
        seed=options.seed,
        versions=versions(),
    )
    report: dict[str, Any] = {
        "model": options.model,
        "held_out_only": options.held_out,
        "skipped": len(evaluation.images) - len(nats),
        "protocol": protocol.model_dump(mode="json"),
    }
    if work.memorisation is not None:
        report["memorisation"], more = judge_memorisation(
            work.memorisation,
            evaluation,
            samples,
            out.with_name(f"{out.stem}_pairs"),
            work.folder,
        )
        warnings = warnings + more
    show_protocol(protocol)
    show_figures(figures, warnings)
    from_first(lambda: write(out, report, figures, warnings))


def _data_as_reference(
    options: argparse.Namespace, evaluation: PriorEvaluation, data: dict[str, Tensor]
) -> Reference:
    """The images of the data set as the reference."""
    features = data["features"][good_rows(data["features"])]
    record = evaluation.images.record(", ".join(options.data), len(features))
    return reference_of(features, record)

"""`smalti evaluate PRIOR`: NLL of images, and samples beside a reference."""

import argparse
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smalti.cli.evaluate_report import check_itself, show, write
from smalti.cli.evaluate_samples import check_outputs
from smalti.words import all_are

if TYPE_CHECKING:
    from torch import Tensor

    from smalti.cli.evaluate_memorisation import KnownAndUnseen
    from smalti.evaluation.extractors import Extractor
    from smalti.evaluation.kept_rows import KeptRows
    from smalti.evaluation.measures import Figure
    from smalti.evaluation.reference import Reference
    from smalti.runs.prior_evaluation import PriorEvaluation

DEFAULT_OUT = "evaluation.json"
MADE_FROM = "made_from"


@dataclass(frozen=True, slots=True)
class _Work:
    """What is computed, where it is kept meanwhile, and which part of it."""

    evaluation: "PriorEvaluation"
    folder: Path
    n: int
    share: range
    """Numbers of the samples."""
    memorisation: "KnownAndUnseen | None"
    """Images to find memorised ones among, where that is asked for."""
    reference: "Reference | None"
    """The reference, where it is not the data set."""

    @property
    def data_share(self) -> range:
        """Numbers of the images of the data set whose NLL belongs to this share."""
        count = len(self.evaluation.images)
        return range(self.share.start * count // self.n, self.share.stop * count // self.n)


def evaluate_prior(options: argparse.Namespace) -> None:
    """Print and write the figures of a prior, or the part of one of several machines."""
    from smalti.training.processes import processes

    with processes():
        _evaluate(options)


def _evaluate(options: argparse.Namespace) -> None:
    from smalti.cli.evaluate_memorisation import find_images
    from smalti.cli.evaluate_open import open_prior
    from smalti.distributed import from_first

    is_part = "part" in options
    share = _share(options)
    out = Path(getattr(options, "out", _part_name(share) if is_part else DEFAULT_OUT))
    _check_files(options, out, is_part)
    evaluation, trained_on = open_prior(options)
    folder = out.with_name(f"{out.stem}.unfinished-{evaluation.fingerprint[:8]}")
    memorisation = find_images(options, evaluation) if options.memorisation else None
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


def _share(options: argparse.Namespace) -> range:
    """The samples to work on.

    Raises:
        InputError: there are not so many.
    """
    from smalti.config import InputError

    share = getattr(options, "part", range(options.n))
    if "training_data" in options and not options.memorisation:
        raise InputError("--training-data is for --memorisation, which is not given")
    if share.stop > options.n:
        raise InputError(
            f"--part {share.start}:{share.stop} is outside of the {options.n} samples (-n); "
            f"allowed are 0:{options.n} and parts of it"
        )
    return share


def _part_name(share: range) -> str:
    return f"evaluation-{share.start}-{share.stop}.safetensors"


def _check_files(options: argparse.Namespace, out: Path, is_part: bool) -> None:
    """Refuse files that cannot be written, and options that a part has no use for.

    Raises:
        InputError: with the reason.
    """
    from smalti.cli.places import check_file
    from smalti.config import InputError

    for name in ("join", "memorisation", "write_reference") if is_part else ():
        if getattr(options, name, None):
            raise InputError(f"--{name.replace('_', '-')} is for all samples; leave out --part")
    if is_part:
        check_file(out, (".safetensors",))
        return
    check_outputs(options)
    check_file(out, (".json",))


def _named_reference(
    options: argparse.Namespace, evaluation: "PriorEvaluation"
) -> "Reference | None":
    """The reference that is named, read before the samples are drawn; None where it is the data.

    Raises:
        InputError: it is missing, damaged, of another extractor or of another size.
    """
    from smalti.runs.described import find_reference

    if evaluation.extractor is None or evaluation.is_reference:
        return None
    transform = evaluation.images.dataset.transform
    return find_reference(options.reference, transform, evaluation.extractor, options.batch_size)


def _check_counts(options: argparse.Namespace, work: _Work) -> list[str]:
    """Warnings where samples or the reference are few.

    Raises:
        InputError: there are fewer than features, and nobody asked for it.
    """
    from smalti.evaluation.comparison import check_count

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
) -> "tuple[dict[str, Tensor], dict[str, Tensor]]":
    """Rows of the images of the data set and of the samples.

    Raises:
        InputError: something of the files to join is missing or of other options.
    """
    from smalti.evaluation.kept_rows import KeptRows, fill

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


def _join(files: Sequence[str], work: _Work, rows: "Sequence[KeptRows]") -> None:
    """Take the rows of part files.

    Raises:
        InputError: a file is missing, damaged or of other options, or an image is in none of them.
    """
    from smalti.config import InputError
    from smalti.model_folder import read_tensors

    for file in files:
        tensors = read_tensors(Path(file))
        if MADE_FROM not in tensors:
            raise InputError(f"{file} is no file of smalti evaluate --part")
        if bytes(tensors[MADE_FROM].tolist()).decode() != work.evaluation.fingerprint:
            raise InputError(
                f"{file} is of another model, other data or other options; give the same as for "
                "--part"
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
    out: Path, work: _Work, data: "dict[str, Tensor]", samples: "dict[str, Tensor]"
) -> None:
    """Write the rows that this machine has computed, for `--join`."""
    import torch

    from smalti.evaluation.kept_rows import for_file
    from smalti.files import atomic_file
    from smalti.model_folder import write_tensors

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
    data: "dict[str, Tensor]",
    samples: "dict[str, Tensor]",
    warnings: list[str],
) -> None:
    """Compute the figures, print and write them."""
    from smalti.cli.evaluate_memorisation import judge_memorisation
    from smalti.distributed import from_first
    from smalti.evaluation.protocol import Protocol, versions

    evaluation = work.evaluation
    nats = data["nats"][:, 0]
    nats = nats[nats.isfinite()]
    _check_some(len(nats), len(evaluation.images))
    images = evaluation.images.record(", ".join(options.data), len(nats))
    figures = evaluation.figures(nats)
    reference = None
    if evaluation.extractor is not None:
        reference = work.reference or _data_as_reference(options, evaluation, data)
        figures += _compare(options, reference, evaluation.extractor, samples)
    protocol = Protocol(
        images=evaluation.record(options.model, work.n if reference else 0),
        data=images,
        reference=reference and reference.record,
        extractor=evaluation.extractor and evaluation.extractor.record,
        sampling=evaluation.settings() if reference else None,
        seed=options.seed,
        versions=versions(),
    )
    report: dict[str, Any] = {"model": options.model, "held_out_only": options.held_out}
    report["skipped"] = len(evaluation.images) - len(nats)
    if work.memorisation is not None:
        report["memorisation"], more = judge_memorisation(
            work.memorisation,
            evaluation,
            samples,
            out.with_name(f"{out.stem}_pairs"),
            work.folder,
        )
        warnings = warnings + more
    show(protocol, figures, warnings)
    from_first(lambda: write(out, protocol, figures, warnings, report))


def _check_some(good: int, images: int) -> None:
    from smalti.config import InputError

    if not good:
        raise InputError(f"{all_are(images, 'image')} broken or smaller than the crop")


def _compare(
    options: argparse.Namespace,
    reference: "Reference",
    extractor: "Extractor",
    samples: "dict[str, Tensor]",
) -> "list[Figure]":
    """The figures of the samples beside the reference, which is written where that is asked for."""
    from smalti.distributed import from_first
    from smalti.evaluation.comparison import compare
    from smalti.evaluation.reference import write_reference

    check_itself(extractor, reference)
    if "write_reference" in options:
        path = Path(options.write_reference)
        from_first(lambda: write_reference(path, reference, extractor.record))
        print(f"done: {path}")
    return from_first(lambda: compare(samples["features"], reference, extractor, options.seed))


def _data_as_reference(
    options: argparse.Namespace, evaluation: "PriorEvaluation", data: "dict[str, Tensor]"
) -> "Reference":
    """The images of the data set as the reference."""
    from smalti.evaluation.reference import reference_of
    from smalti.runs.described import good_rows

    features = data["features"][good_rows(data["features"])]
    record = evaluation.images.record(", ".join(options.data), len(features))
    return reference_of(features, record)

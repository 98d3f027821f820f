"""What evaluations print and write: protocol, figures, warnings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from smalti.distributed import from_first
from smalti.evaluation.extractors import Extractor
from smalti.evaluation.measures import Figure
from smalti.evaluation.protocol import ImageRecord, Protocol
from smalti.evaluation.reference import Reference, write_reference
from smalti.evaluation.self_check import (
    check_against_itself,
    check_extractor,
    check_statistics,
)
from smalti.files import atomic_file, write_json


def check_reference(extractor: Extractor, reference: Reference, path: str | None) -> None:
    """Check the reference, the extractor and the statistics against known figures, and say so.

    The reference is then written to `path`, if there is one.

    Raises:
        SelfCheckError: one differs.
        InputError: the file cannot be written.
    """
    check_statistics()
    of_extractor = "" if check_extractor(extractor) else " (none is stored for this extractor)"
    features = reference.features
    check_against_itself(reference.gaussian, None if features is None else features[:2000])
    print(f"self-check: stored sets give their stored figures{of_extractor}, ", end="")
    print("and the reference is at distance 0 from itself")
    if path is not None:
        from_first(lambda: write_reference(Path(path), reference, extractor.record))
        print(f"done: {path}")


def show_protocol(protocol: Protocol) -> None:
    """Print a protocol, a line each."""
    print("protocol:")
    for name, value in _lines(protocol):
        print(f"  {name:11}  {value}")


def show_figures(figures: Sequence[Figure], warnings: Sequence[str]) -> None:
    """Print figures as a table, with what to know before they are quoted."""
    print()
    columns = max(len(figure.label) for figure in figures)
    for figure in figures:
        print(f"{figure.label:{columns}}  {figure.text:>12}")
    for warning in warnings:
        print(f"note: {warning}")


def _lines(protocol: Protocol) -> list[tuple[str, str]]:
    lines = [("images", _images(protocol.images))]
    if protocol.data is not None:
        lines.append(("data", _images(protocol.data)))
    reference = protocol.reference
    if reference is not None:
        of = "" if reference.images is None else f"{_images(reference.images)} "
        print_ = (reference.fingerprint or "not computed")[:16]
        lines.append(("reference", f"{of or reference.source + ' '}(fingerprint {print_})"))
    extractor = protocol.extractor
    if extractor is not None:
        words = f"{extractor.name}, {extractor.features:,} features, {extractor.resize}"
        lines.append(("extractor", f"{words} (weights {extractor.fingerprint[:16]})"))
    if protocol.sampling is not None:
        shown = (f"{name} {value}" for name, value in protocol.sampling.items() if value != [])
        lines.append(("sampling", ", ".join(shown)))
    lines.append(("seed", str(protocol.seed)))
    versions = ", ".join(f"{name} {version}" for name, version in protocol.versions.items())
    return [*lines, ("versions", versions)]


def _images(images: ImageRecord) -> str:
    size = f"{images.height_px}x{images.width_px}"
    chosen = f" (at even distances of {images.chosen_of:,})" if images.chosen_of else ""
    words = f"{images.count:,} of {images.source}{chosen}, {size} pixels"
    if images.kernel == "none":
        return words
    filtered = "with" if images.antialias else "without"
    return f"{words}, {images.crop}; {images.kernel}, {filtered} antialiasing"


def write(
    path: Path, report: dict[str, Any], figures: Sequence[Figure], warnings: Sequence[str]
) -> None:
    """Write figures and warnings as JSON, after the other entries of a report.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    values = {figure.name: {"label": figure.label, "value": figure.value} for figure in figures}
    with atomic_file(path) as temporary:
        write_json(temporary, report | {"figures": values, "warnings": list(warnings)})
    print(f"done: {path}")

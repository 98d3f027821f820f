"""`smalti inspect DATA`: describes a data set."""

from collections.abc import Mapping

from smalti.conditions.opening import pairings_of
from smalti.config import InputError
from smalti.content import DepthContent, RGBContent
from smalti.data.config import TransformConfig
from smalti.data.dataset import ImageDataset
from smalti.data.pairing.matching import Pairing, open_beside
from smalti.data.sources import open_source
from smalti.data.sources.base import ImageSource, printable
from smalti.data.sources.left_out import why_left_out
from smalti.data.sources.part_names import DEPTHS, IMAGES, SEGMENTATIONS
from smalti.data.sources.shards import find_shards
from smalti.data.sources.tar_index import index_tars
from smalti.data.sources.webdataset import WebDatasetSource
from smalti.data.summary import DataSummary, Spread, summarize
from smalti.data.values import values_of, warning_of
from smalti.runs.config import DEFAULT_TRANSFORM
from smalti.words import all_are, counted

MAX_LISTED = 20  # classes and broken files named one by one
MAX_UNPAIRED = 5  # scenes named that lack an image or what goes with it


def describe_data(spec: str, classes: bool, size: tuple[int, int] | None = None) -> None:
    """Print what is in a data set: counts, sizes, colours, pairs, classes, and what is left out.

    Args:
        spec: the data set, as for `--data`.
        classes: whether to count the classes.
        size: height and width in pixels of the crop to compare images with; None is the default
            size of runs.

    Raises:
        InputError: the data set does not exist, or all images that were looked at are broken.
    """
    source = open_source(spec, classes)
    transform = DEFAULT_TRANSFORM if size is None else TransformConfig(size=size)
    dataset = ImageDataset([source], transform, seed=0)
    summary = summarize(dataset)
    if len(summary.broken) == summary.headers_read:
        key, reason = next(iter(summary.broken.items()))
        images = all_are(summary.headers_read, "image")
        raise InputError(f"{spec}: {images} broken, as {key}: {reason}")
    print(f"{spec}: {counted(summary.images, 'image')}")
    _print_images(summary)
    _print_values(source, IMAGES)
    for line in dataset.folders:
        print(f"{'folders:':14}{line}")
    for kind, pairing in pairings_of(source).items():
        _print_pairing(kind, pairing)
    for part in (SEGMENTATIONS, DEPTHS):
        if part in source.parts:
            _print_values(open_beside(source, part), part)
    if summary.class_counts is not None:
        print(f"{'classes:':14}{len(summary.class_counts)}")
        for name, count in list(summary.class_counts.items())[:MAX_LISTED]:
            print(f"  {name}: {count}")
    print(f"{'left out:':14}{counted(sum(summary.left_out.values()), 'file')}")
    for ending, count in summary.left_out.items():
        print(f"  {count} {ending or 'without an ending'}: {why_left_out(ending)}")
    below = f"below {transform.height_px}x{transform.width_px}"
    if len(summary.small) == summary.headers_read:
        print(f"{below + ': ':14}all; --size HEIGHTxWIDTH counts those below another crop")
    else:
        _print_named(below, summary.small)
    _print_named("broken", summary.broken)


def index_data(spec: str) -> None:
    """Make the indexes of a data set of tars, or bring them up to date, and print where they lie.

    Raises:
        InputError: it is no data set of tars, or an index cannot be made or written.
    """
    if not WebDatasetSource.accepts(spec):
        raise InputError(f"--index is for tars, and {printable(spec)} names none")
    for index in index_tars(find_shards(spec, ".tar")):
        tars, images = len(index.table.tars), int(index.table.starts[-1])
        print(f"{index.path}: {counted(images, 'image')} in {counted(tars, 'tar')}")


def _print_images(summary: DataSummary) -> None:
    """Print sizes and colours."""
    if summary.headers_read < summary.images:
        print(f"sizes below are of {summary.headers_read:,} of them")
    for name, spread in (
        ("width", summary.width),
        ("height", summary.height),
        ("shorter side", summary.shorter_side),
    ):
        if spread is not None:
            print(f"{name + ':':14}{_spread(spread)}")
    if summary.modes:
        modes = ", ".join(f"{mode} {count}" for mode, count in summary.modes.items())
        print(f"{'colours:':14}{modes}")


def _print_values(source: ImageSource, part: str) -> None:
    """Print which stored values the files of a part use, and warn of an unused range."""
    content = DepthContent() if part == DEPTHS else RGBContent()
    name = "values:" if part == IMAGES else f"{part}:"
    for values in values_of(source.read, len(source), part):
        print(f"{name + ' ':14}{'' if part == IMAGES else 'values '}{values}")
        warning = None if part == SEGMENTATIONS else warning_of(values, content)
        if warning:
            print(f"  warning: {warning}")


def _print_named(what: str, reasons: Mapping[str, str]) -> None:
    """Print the number of images of a kind, and the first of them with the reasons."""
    print(f"{what + ': ':14}{len(reasons)}")
    for key, reason in list(reasons.items())[:MAX_LISTED]:
        print(f"  {key}: {reason}")
    if len(reasons) > MAX_LISTED:
        print("  ...")


def _print_pairing(kind: str, pairing: Pairing) -> None:
    print(f"{kind + ':':14}{pairing.matched} of {pairing.images} images")
    for what, names in (
        (f"images without {kind}", pairing.missing),
        (f"{kind} without an image", pairing.alone),
    ):
        if names:
            more = ", ..." if len(names) > MAX_UNPAIRED else ""
            listed = ", ".join(map(printable, names[:MAX_UNPAIRED]))
            print(f"  {what}: {len(names)} ({listed}{more})")
    if pairing.alike:
        print(f"  {pairing.alike}")


def _spread(spread: Spread) -> str:
    if spread.min_px == spread.max_px:
        return f"{spread.min_px} px"
    return f"{spread.min_px} to {spread.max_px} px, middle {spread.median_px}"

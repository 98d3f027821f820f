"""`smalti inspect DATA`."""

from smalti.data.dataset import ImageDataset
from smalti.data.paired import Pairing, pairings_of
from smalti.data.sources import open_source
from smalti.data.sources.base import printable
from smalti.data.summary import Spread, summarize
from smalti.data.transforms import TransformConfig

MAX_LISTED = 20  # classes and broken files named one by one
MAX_UNPAIRED = 5  # scenes named that lack an image or what goes with it


def describe_data(spec: str, classes: bool) -> None:
    """Print counts, sizes, colours, paired files, classes and broken files of a data set."""
    source = open_source(spec, classes)
    dataset = ImageDataset([source], TransformConfig(), seed=0)
    summary = summarize(dataset)
    print(f"{spec}: {summary.images} images")
    if summary.headers_read < summary.images:
        print(f"sizes below are of {summary.headers_read} of them")
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
    for line in dataset.folders:
        print(f"{'folders:':14}{line}")
    for kind, pairing in pairings_of(source).items():
        _print_pairing(kind, pairing)
    if summary.class_counts is not None:
        print(f"{'classes:':14}{len(summary.class_counts)}")
        for name, count in list(summary.class_counts.items())[:MAX_LISTED]:
            print(f"  {name}: {count}")
    print(f"{'broken:':14}{len(summary.broken)}")
    for key, reason in list(summary.broken.items())[:MAX_LISTED]:
        print(f"  {key}: {reason}")


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

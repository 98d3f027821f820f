"""`smalti inspect DATA`."""

from smalti.data.dataset import ImageDataset
from smalti.data.sources import open_source
from smalti.data.summary import Spread, summarize
from smalti.data.transforms import TransformConfig

MAX_LISTED = 20  # classes and broken files named one by one


def describe_data(spec: str, classes: bool) -> None:
    """Print counts, sizes, colour layouts, classes and broken files of a data set."""
    dataset = ImageDataset([open_source(spec, classes)], TransformConfig(), seed=0)
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
    if summary.class_counts is not None:
        print(f"{'classes:':14}{len(summary.class_counts)}")
        for name, count in list(summary.class_counts.items())[:MAX_LISTED]:
            print(f"  {name}: {count}")
    print(f"{'broken:':14}{len(summary.broken)}")
    for key, reason in list(summary.broken.items())[:MAX_LISTED]:
        print(f"  {key}: {reason}")


def _spread(spread: Spread) -> str:
    if spread.min_px == spread.max_px:
        return f"{spread.min_px} px"
    return f"{spread.min_px} to {spread.max_px} px, middle {spread.median_px}"

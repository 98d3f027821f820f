"""An image data set of the Hugging Face hub, through the `datasets` library."""

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from smalti import hub
from smalti.config import InputError
from smalti.data.decode import BrokenImageError
from smalti.data.sources.base import (
    LIST_SUFFIXES,
    SHARD_SUFFIXES,
    SOURCES,
    ImageSource,
    is_image_name,
    read_regular_file,
    require_images,
)
from smalti.data.sources.classes import classes_from_cells
from smalti.data.sources.part_names import (
    IMAGES,
    KEYPOINTS,
    MAP_PARTS,
    columns_of,
    parts_of,
    usual_part,
)

_SPEC = re.compile(r"(?P<name>[\w.-]+/[\w.-]+)(:(?P<split>[\w.\[\]%:+-]+))?")
LABEL_COLUMN = "label"


@SOURCES.register("hub")
class HubSource(ImageSource):
    """A split of a hub data set, downloaded on first use and cached by the `datasets` library.

    The spec is `hf://owner/name` or `hf://owner/name:split`, also without hf:// if no folder
    `owner` lies here; the split is `train` by default. The images are the first column of images,
    the classes the column `label`, the maps the columns `segmentation` and `depth`, and the poses a
    column `keypoints` of JSON.

    Raises:
        InputError: the library is missing, the hub cannot be reached or has no such data set or
            split, or the split has no column of images.
    """

    def __init__(self, spec: str, classes: bool, part: str = IMAGES) -> None:
        match = _match(spec)
        assert match is not None, "accepts() lets nothing else through"
        split = match["split"] or "train"
        table = _load(spec, match["name"], split)
        self._table = f"{match['name']}:{split}"
        self.spec = spec = match[0]
        # Taken before the column is cast, which the library counts as a change.
        self._fingerprint: str = table._fingerprint
        self.parts = parts_of(partial(_find_column, table))
        column = _column(table, spec, part)
        self._images = _encoded(table.select_columns([column]), column)
        self._column = column
        require_images(len(self._images), spec, "the split has no rows")
        if classes:
            cells, names = _labels_and_names(table, spec)
            self.class_names, self.labels = classes_from_cells(cells, names, spec)

    @classmethod
    def accepts(cls, spec: str) -> bool:
        """Whether `spec` is `hf://owner/name[:split]`, or this without hf:// and no path here."""
        is_file = spec.lower().endswith(LIST_SUFFIXES + SHARD_SUFFIXES) or is_image_name(spec)
        return _match(spec) is not None and (spec.startswith(hub.PREFIX) or not is_file)

    def __len__(self) -> int:
        return len(self._images)

    def name(self, index: int) -> str:
        """Name of an image, `owner/name:split:row`."""
        return f"{self.spec}:{index}"

    def own_name(self, index: int) -> str:
        """Split and row of an image, the same whether the spec names the split or leaves it out."""
        return f"{self._table}:{index}"

    def content(self, index: int) -> bytes:
        """The bytes of an image, from its cell."""
        value = self._images[index][self._column]
        if isinstance(value, str):
            return value.encode()
        if value is None or (value["bytes"] is None and value["path"] is None):
            raise BrokenImageError(self.key(index), "the row has no image")
        content: bytes | None = value["bytes"]
        return content if content is not None else read_regular_file(value["path"])

    def fingerprint(self) -> str:
        """The fingerprint of the `datasets` library."""
        return self._fingerprint


def _match(spec: str) -> re.Match[str] | None:
    name = hub.hub_name(spec)
    return None if name is None else _SPEC.fullmatch(name)


def _load(spec: str, name: str, split: str) -> Any:
    subject = f"{spec}:" if spec.startswith(hub.PREFIX) else f"{name} is not a path here, and"
    try:
        import datasets
    except ImportError as error:
        raise InputError(
            f"{subject} data sets of the hub need more packages: pip install 'smalti[data]'"
        ) from error
    if not datasets.config.HF_HUB_OFFLINE and not hub.is_reachable():
        raise InputError(
            f"{subject} the hub cannot be reached; HF_HUB_OFFLINE=1 in the environment takes what "
            "was downloaded before"
        )
    hub.announce(spec, "data set", name)
    try:
        return datasets.load_dataset(name, split=split)
    except Exception as error:  # the library passes on those of every layer below it
        reason = " ".join(str(error).split())
        raise InputError(f"{subject} the hub does not give its split {split}: {reason}") from error


def _column(table: Any, spec: str, part: str) -> str:
    name = _find_column(table, part)
    if name is None:
        has = ", ".join(f"{name} ({_type(table, name)})" for name in table.features)
        raise InputError(f"{spec} has no column of {part}; it has {has}")
    return name


def _find_column(table: Any, part: str) -> str | None:
    import datasets

    features = table.features
    if part == KEYPOINTS:
        texts = [name for name in features if getattr(features[name], "dtype", "") == "string"]
        return next(iter(columns_of(part, texts)), None)
    pictures = [name for name in features if isinstance(features[name], datasets.Image)]
    if part == IMAGES:  # they may be called anything but what maps are called
        return next((name for name in pictures if usual_part(name) not in MAP_PARTS), None)
    return next(iter(columns_of(part, pictures)), None)


def _encoded(table: Any, column: str) -> Any:
    """The table with its images still encoded, so that `data.decode` decodes them."""
    import datasets

    if not isinstance(table.features[column], datasets.Image):
        return table
    return table.cast_column(column, datasets.Image(decode=False))


def _labels_and_names(table: Any, spec: str) -> tuple[Sequence[object], Sequence[str] | None]:
    import datasets

    if LABEL_COLUMN not in table.features:
        raise InputError(
            f"classes are asked for, but {spec} has no column {LABEL_COLUMN!r}; it has "
            f"{', '.join(table.features)}"
        )
    feature = table.features[LABEL_COLUMN]
    if not isinstance(feature, datasets.ClassLabel | datasets.Value):
        raise InputError(
            f"the column {LABEL_COLUMN!r} of {spec} holds {_type(table, LABEL_COLUMN)}; a class is "
            "one name or whole number"
        )
    return table[LABEL_COLUMN], getattr(feature, "names", None)


def _type(table: Any, column: str) -> str:
    """Name of the type of a column."""
    feature = table.features[column]
    return str(getattr(feature, "dtype", None) or type(feature).__name__)

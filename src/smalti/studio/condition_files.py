"""What a page gives as conditions: pictures are made to fit, and become the files of a command.

Axes: H/W size of the images in pixels.
"""

import base64
import binascii
import io
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from smalti.annotate.base import Annotator
from smalti.annotate.keypoints import KeypointsAnnotator
from smalti.annotate.segmentation import SegmentationAnnotator
from smalti.conditions import Condition
from smalti.conditions.asked import Asked, Items
from smalti.conditions.grid import SpatialCondition
from smalti.conditions.keypoints import Keypoints, draw_joints
from smalti.conditions.low_resolution import LowResolution, shrunk
from smalti.config import InputError
from smalti.content import LabelsContent, RGBContent
from smalti.content_images import LabelMaps, content_images
from smalti.data.decode import BrokenImageError, PixelSize, read_header
from smalti.data.readers import reader_of
from smalti.sampling.completion import Margins
from smalti.sampling.pipeline import Pipeline
from smalti.studio.codebook import data_url
from smalti.studio.uploads import NAME, decode_upload

NOBODY = "no person was found in the photograph; all joints count as absent"
MOST_SCALE = 4
"""Pixels of a photograph along each pixel of a canvas that has grown."""
Fitted = dict[str, Any]
"""What a page gets of a condition: `file` and `shown`, both addresses, for label maps `labels`, and
where people should know more of it a `note`."""


@dataclass(frozen=True, slots=True)
class SizePx:
    """Height and width of images in pixels."""

    height: int
    width: int


def fit(condition: Condition[Any], content: bytes, size: SizePx) -> Fitted:
    """Make the file of a condition from a picture that was sent, cut to the size of the images.

    A photograph gives edges and a small picture; label maps and depth are read as such. A pose
    stays as its file has it, which does not tell the size of its picture.

    Raises:
        InputError: it is no picture, or one of another kind.
    """
    if isinstance(condition, Keypoints):
        return _as_pose(condition, content, size)
    assert isinstance(condition, SpatialCondition), "others are not pictures"
    reader = reader_of(condition.config.content)
    picture = decode_upload(content, reader, max(size.height, size.width) * 8)
    fitted = ImageOps.fit(picture, (size.width, size.height), reader.resampling)
    if isinstance(condition, LowResolution):
        small = shrunk(fitted, condition.config.factor)
        return {"file": data_url(small), "shown": data_url(small)}
    if condition.kind == "edges" and _is_drawing(content):
        return _as_file(condition, _drawing(condition, content, size))
    return _as_file(condition, reader.to_image(fitted))


def within(photograph: bytes, size: SizePx, margins: Margins) -> bytes:
    """Lay a photograph within margins; each pixel of these has the colour of the nearest of it.

    Args:
        photograph: bytes of a file of any size; it is cut to what the margins leave.
        size: of the canvas.
        margins: in pixels of the canvas.

    Returns:
        Bytes of a PNG, larger than the canvas if the photograph is, as networks see more in it.

    Raises:
        InputError: it is no photograph, or the margins leave no room.
    """
    height = size.height - margins.top - margins.bottom
    width = size.width - margins.left - margins.right
    if height < 1 or width < 1:
        raise InputError(f"the margins leave no room on {size.height}x{size.width} pixels")
    longest = max(size.height, size.width) * 8
    picture = decode_upload(photograph, reader_of(RGBContent()), longest)
    scale = min(MOST_SCALE, max(1, min(picture.height // height, picture.width // width)))
    cut = ImageOps.fit(picture, (scale * width, scale * height))
    rows = (scale * margins.top, scale * margins.bottom)
    columns = (scale * margins.left, scale * margins.right)
    canvas = np.pad(np.asarray(cut), (rows, columns, (0, 0)), mode="edge")
    file = io.BytesIO()
    Image.fromarray(canvas).save(file, "PNG")
    return file.getvalue()


def of_photograph(
    condition: Condition[Any], annotator: Annotator, content: bytes, size: SizePx
) -> Fitted:
    """Make the file of a condition from a photograph that was sent, by networks.

    Raises:
        InputError: it is no photograph, or the prior's classes or joints are not those of the
            network.
    """
    longest = max(size.height, size.width) * 8
    photograph = decode_upload(content, reader_of(RGBContent()), longest)
    if isinstance(annotator, KeypointsAnnotator):
        return _pose_of(condition, annotator, photograph, size)
    assert isinstance(condition, SpatialCondition), "maps are pictures"
    maps = condition.config.content
    if isinstance(maps, LabelsContent) and isinstance(annotator, SegmentationAnnotator):
        _check_classes(maps, annotator.class_names)
    (made,) = annotator.annotate([photograph])
    file = io.BytesIO()
    content_images(maps).to_picture(made).save(file, "PNG")
    return fit(condition, file.getvalue(), size)


def _pose_of(
    condition: Condition[Any], annotator: KeypointsAnnotator, photograph: Image.Image, size: SizePx
) -> Fitted:
    (person,) = annotator.annotate([photograph])
    if person is None:
        # The training counts all joints as absent then.
        return fit(condition, annotator.text(None).encode(), size) | {"note": NOBODY}
    fitted = person.fitted(PixelSize(*photograph.size), PixelSize(size.width, size.height))
    return fit(condition, annotator.text(fitted).encode(), size)


def _as_pose(condition: Keypoints, content: bytes, size: SizePx) -> Fitted:
    try:
        joints = condition.read(content, "the pose")
    except BrokenImageError as error:
        raise InputError(str(error)) from error
    shown = draw_joints(joints, PixelSize(size.width, size.height))
    file = f"data:application/json;base64,{base64.b64encode(content).decode('ascii')}"
    fitted = {"file": file, "shown": data_url(shown)}
    note = condition.remark(joints, (size.height, size.width))
    return fitted if note is None else fitted | {"note": note}


def _check_classes(maps: LabelsContent, names: tuple[str, ...]) -> None:
    known = maps.class_names
    if maps.classes != len(names) or (known is not None and known != names):
        raise InputError(
            f"the classes of this prior are not the {len(names)} of the network that was given; "
            "it must be the one that made the maps of the training"
        )


def _is_drawing(content: bytes) -> bool:
    from smalti.conditions.maps import DRAWING_MODES

    return read_header(content, NAME).mode in DRAWING_MODES


def _drawing(condition: SpatialCondition[Any], content: bytes, size: SizePx) -> Tensor:
    """A drawing of edges as it is, in the size of the images."""
    with suppress(BrokenImageError):
        image = condition.read(content, NAME)
        whole = content_images(condition.config.content).to_picture(image)
        cut = ImageOps.fit(whole, (size.width, size.height), Image.Resampling.BILINEAR)
        return torch.from_numpy(2.0 * (np.asarray(cut) > 127) - 1.0)[None].float()
    raise InputError(f"{NAME} cannot be read")


def of_labels(condition: Condition[Any], sent: object, size: SizePx) -> Fitted:
    """Make the file of a label map that was painted.

    Args:
        condition: on label maps.
        sent: the base64 of the labels line by line, two bytes each, the lower one first.
        size: of the map.

    Raises:
        InputError: it is no such text, or a label is no class.
    """
    assert isinstance(condition, SpatialCondition), "label maps are pictures"
    content = decoded(sent)
    if len(content) != 2 * size.height * size.width:
        raise InputError(f"the label map does not have {size.height}x{size.width} labels")
    labels = np.frombuffer(content, "<u2").reshape(size.height, size.width).astype(np.int64)
    most = condition.config.content.classes - 1
    if labels.max() > most:
        raise InputError(f"label {labels.max()} is no class; allowed are 0 to {most}")
    return _as_file(condition, torch.from_numpy(labels))


def _as_file(condition: SpatialCondition[Any], image: Tensor) -> Fitted:
    images = content_images(condition.config.content)
    file = {"file": data_url(images.to_picture(image)), "shown": data_url(images.draw(image))}
    if isinstance(images, LabelMaps):
        labels = image.clamp(min=0).numpy().astype("<u2").tobytes()
        file["labels"] = base64.b64encode(labels).decode("ascii")
    return file


def asked_of(pipeline: Pipeline, sent: object, folder: Path) -> Asked:
    """What a page asks for, as `Pipeline.sample` takes it.

    Args:
        pipeline: of the prior.
        sent: for each kind of condition the name of a class, or the address that holds a file.
        folder: for the files, for as long as they are read.

    Raises:
        InputError: it is nothing of the kind.
    """
    if not isinstance(sent, dict):
        raise InputError("conditions must be an object")
    kinds = {one.kind for one in pipeline.conditioning.conditions if one.is_asked}
    wanted: dict[str, Items] = {}
    for kind, value in sent.items():
        if kind not in kinds or not isinstance(value, str):
            raise InputError(f"this prior has no condition {str(kind)[:40]!r}")
        if kind == "class":
            wanted[kind] = value
            continue
        wanted[kind] = str(folder / f"{kind}.file")
        (folder / f"{kind}.file").write_bytes(decoded(value))
    return _only_asked(wanted, pipeline)


def _only_asked(wanted: Mapping[str, Items], pipeline: Pipeline) -> Asked:
    return wanted if pipeline.config.condition_kinds else None


def decoded(sent: object) -> bytes:
    """The bytes of base64, or of an address that holds them.

    Raises:
        InputError: it is neither.
    """
    if not isinstance(sent, str):
        raise InputError("a file must be sent as base64")
    try:
        return base64.b64decode(sent.rpartition(",")[2], validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError("a file must be sent as base64") from error

"""What images of each content are: tensors of a network, and pictures."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from smalti.config import InputError
from smalti.content import (
    IGNORED,
    ContentConfig,
    DepthContent,
    EdgesContent,
    LabelsContent,
    RGBContent,
)
from smalti.content_images import content_images, label_colours
from smalti.ranges import from_uint16

LABELS = LabelsContent(classes=12, ignore=255)
SHIFTED = LabelsContent(classes=12, shift=True)
ALL = [RGBContent(), DepthContent(), EdgesContent(), LABELS, SHIFTED]


def saved(picture: Image.Image) -> Image.Image:
    """The picture as a PNG gives it back."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    return Image.open(file)


def by_kind(content):
    return "shifted labels" if content == SHIFTED else content.kind


@pytest.mark.parametrize("content", ALL, ids=by_kind)
def test_blank_images_are_images(content):
    images = content_images(content).blank(2, 4, 6)
    content_images(content).check(images)
    content_images(content).check_values(images)
    assert content_images(content).to_input(images).shape == (2, content.channels, 4, 6)


@pytest.mark.parametrize("content", ALL, ids=by_kind)
def test_outputs_become_images_again(content):
    images = content_images(content).to_images(torch.randn(2, content.channels, 4, 6))
    assert images.shape == content_images(content).blank(2, 4, 6).shape
    assert images.dtype == content_images(content).blank(1, 1, 1).dtype


@pytest.mark.parametrize("content", ALL, ids=by_kind)
def test_drawings_are_rgb_and_of_the_images_size(content):
    drawn = content_images(content).draw(content_images(content).blank(1, 4, 6)[0])
    assert drawn.mode == "RGB"
    assert drawn.size == (6, 4)


@pytest.mark.parametrize("content", ALL, ids=by_kind)
def test_config_round_trip(content):
    adapter = TypeAdapter(ContentConfig)
    assert adapter.validate_python(content.model_dump(mode="json")) == content


def test_unknown_kinds_are_refused():
    with pytest.raises(ValidationError, match="'rgb', 'labels', 'depth', 'edges'"):
        TypeAdapter(ContentConfig).validate_python({"kind": "sound"})


def test_labels_enter_as_one_hot_vectors():
    labels = torch.tensor([[[3, 0], [IGNORED, 11]]])
    vectors = content_images(LABELS).to_input(labels)
    assert vectors.sum(1).tolist() == [[[1, 1], [0, 1]]]
    assert content_images(LABELS).to_images(vectors)[labels != IGNORED].tolist() == [3, 0, 11]


def test_labels_are_intact_in_an_indexed_picture():
    labels = torch.arange(12).reshape(3, 4)
    picture = saved(content_images(LABELS).to_picture(labels))
    assert picture.mode == "P"
    assert np.array_equal(picture, labels)


def test_ignored_pixels_get_the_number_that_stands_for_them():
    picture = saved(content_images(LABELS).to_picture(torch.tensor([[IGNORED, 5]])))
    assert np.asarray(picture).tolist() == [[255, 5]]


def test_many_labels_are_intact_in_a_16_bit_picture():
    labels = torch.tensor([[0, 999, 40]])
    picture = saved(content_images(LabelsContent(classes=1000)).to_picture(labels))
    assert picture.mode == "I;16"
    assert np.array_equal(picture, labels)


def test_shifted_labels_get_their_numbers_back():
    picture = saved(content_images(SHIFTED).to_picture(torch.tensor([[0, 1, 11, IGNORED]])))
    assert np.asarray(picture).tolist() == [[255, 0, 10, 255]]


@given(classes=st.integers(2, 256), seed=st.integers(0, 2**32 - 1), shift=st.booleans())
def test_numbers_of_a_picture_are_its_labels_again(classes, seed, shift):
    content = LabelsContent(classes=classes, shift=shift)
    labels = np.random.default_rng(seed).integers(0, classes, (5, 7))
    numbers = np.asarray(content_images(content).to_picture(torch.from_numpy(labels)))
    assert np.array_equal(
        content_images(content).from_numbers(numbers.astype(np.int64), "key"), labels
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"ignore": 255}, "ignore 255 does not fit shift"), ({"classes": 257}, "at most 256")],
)
def test_shift_that_does_not_fit_is_refused(changes, words):
    with pytest.raises(ValidationError, match=words):
        LabelsContent(**{"classes": 12, "shift": True} | changes)


def test_every_label_has_its_own_colour_whatever_their_number():
    colours = label_colours(256)
    assert len(np.unique(colours, axis=0)) == 256
    assert np.array_equal(label_colours(12), colours[:12])


@pytest.mark.parametrize("content", [LABELS, SHIFTED])
def test_drawing_labels_looks_like_their_indexed_picture(content):
    labels = torch.arange(12).reshape(3, 4)
    drawn, indexed = (
        content_images(content).draw(labels),
        content_images(content).to_picture(labels).convert("RGB"),
    )
    assert np.array_equal(drawn, indexed)


def test_ignored_pixels_are_drawn_white():
    assert content_images(LABELS).draw(torch.tensor([[IGNORED]])).getpixel((0, 0)) == (
        255,
        255,
        255,
    )


def test_all_16_bit_depths_are_intact():
    values = torch.arange(2**16).reshape(1, 256, 256)
    picture = saved(content_images(DepthContent()).to_picture(from_uint16(values)))
    assert picture.mode == "I;16"
    assert np.array_equal(picture, values[0])


@pytest.mark.parametrize(
    ("content", "shape", "words"),
    [
        (RGBContent(), (2, 1, 4, 4), "have 3 channels, .* got a tensor of shape \\(2, 1, 4, 4\\)"),
        (RGBContent(), (4, 4), "have 3 channels"),
        (DepthContent(), (2, 3, 4, 4), "have 1 channels"),
        (LABELS, (2, 3, 4, 4), "label maps, \\(B, H, W\\) int64, got .* float32"),
        (LABELS, (2, 4, 4), "int64, got .* float32"),
    ],
)
def test_tensors_of_another_content_are_refused(content, shape, words):
    with pytest.raises(InputError, match=words):
        content_images(content).check(torch.zeros(shape))


@pytest.mark.parametrize("label", [12, 255, -2])
def test_labels_that_are_no_class_are_refused(label):
    labels = torch.tensor([[[0, label]]])
    with pytest.raises(InputError, match=rf"in \[0, 12\), or -1 where ignored; got .*{label}"):
        content_images(LABELS).check_values(labels)

"""What the scores of a run are of, in words."""

import pytest

from smalti.health.run_images import RunImages, scored_images

HELD_OUT = {"step": 0, "group": "images", "training": 19, "held_out": 1}
NONE = {"step": 0, "group": "images", "training": 1_200, "held_out": 0}
SCORES = {"step": 5, "group": "eval", "nll": 2.0}


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([HELD_OUT, SCORES], "held-out images"),
        ([NONE, SCORES], "training images"),
        ([NONE, SCORES, HELD_OUT], "held-out images"),
        ([SCORES], "evaluated images"),
        ([], "evaluated images"),
    ],
    ids=["held_out", "none", "the_newest_counts", "older_run", "empty"],
)
def test_scores_are_of(lines, words):
    assert scored_images(lines) == words


def test_images_in_words():
    assert str(RunImages(19, 1)) == "19 training images, 1 held out"
    assert str(RunImages(1_200, 0)) == (
        "1,200 training images, none held out: scores are of training images"
    )


def test_images_come_back_from_their_line():
    images = RunImages(19, 1)
    assert RunImages.last([{"step": 0, "group": "images", **images.line}]) == images


SEEN = {"tokenizer": 1, "segmentation": 0, "depth": None}


def test_overlap_in_words():
    images = RunImages(19, 2, SEEN)
    assert images.overlap_in_words == [
        "the tokenizer was trained on 1 of the 2 held-out images, by their names: they are new to "
        "the prior, but not to it",
        "the tokenizer of segmentation was trained on none of the 2 held-out images",
        "which images the tokenizer of depth was trained on is not known (it was imported, is a "
        "bare model or of an older version): it may have seen the held-out images",
    ]
    assert RunImages.last([{"step": 0, "group": "images", **images.line}]) == images

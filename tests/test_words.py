"""Numbers of things, as messages say them."""

import pytest

from smalti.words import all_are, counted, first_names


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [
        (0, "image", "0 images"),
        (1, "surprise map", "1 surprise map"),
        (1, "class", "1 class"),
        (2, "class", "2 classes"),
        (3000, "image", "3,000 images"),
    ],
)
def test_a_number_of_things_in_words(number, noun, words):
    assert counted(number, noun) == words


def test_all_of_several_things_and_the_only_one():
    assert all_are(1, "image") == "the only image is"
    assert all_are(3000, "image") == "all 3,000 images are"


def test_of_many_names_the_first_ones_are_told():
    assert first_names(["sky", "road"]) == "sky, road"
    assert first_names([str(number) for number in range(21)]).endswith("18, 19, ...")

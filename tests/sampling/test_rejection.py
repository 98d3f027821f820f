"""Which of several images are kept."""

import pytest
import torch
from torch import Tensor, nn

from smalti.config import InputError
from smalti.evaluation.extractors import Extractor
from smalti.sampling import rejection
from smalti.sampling.rejection import ClassJudge, best, imagenet_numbers
from smalti.sampling.request import Request


class Brightness(Extractor):
    """Class 1 for bright images, class 2 for dark ones, as surely as they are."""

    feature_count = 1
    name, resize = "Brightness", "not"

    @classmethod
    def load(cls, weights):
        return cls(nn.Identity(), "")

    def _features(self, images: Tensor) -> Tensor:
        return images.mean((1, 2, 3)).unsqueeze(1)

    def logits(self, features: Tensor) -> Tensor:
        logits = torch.full((len(features), 1000), -100.0)
        logits[:, 1], logits[:, 2] = features[:, 0], -features[:, 0]
        return logits


def test_best_of_each_round_come_first():
    scores = torch.tensor([0.1, 0.4, 0.3, 9.0, 7.0, 8.0])
    assert best(scores, draw=3, keep=2) == [1, 2, 3, 5]
    assert best(scores, draw=6, keep=1) == [3]


def test_likelihoods_are_those_of_the_windows_that_were_drawn(monkeypatch):
    """Minus the mean of the nats of the codes, which depend on the stride."""
    asked = []

    def nats(pipeline, codes, values, *, stride, batch_size, watch):
        asked.append((values, stride, batch_size))
        return torch.tensor([[[1.0, 2.0]], [[3.0, 5.0]]])

    monkeypatch.setattr(rejection, "score_codes", nats)
    request = Request(2, {}, 1, 2)
    found = rejection.likelihoods(None, request, torch.zeros(2, 1, 2), stride=3, batch_size=4)
    assert found.tolist() == [-1.5, -4.0]
    assert asked == [({}, 3, 4)]


def test_a_request_is_repeated_image_by_image():
    request = Request(2, {"class": torch.tensor([4, 7])}, 3, 5).repeated(3)
    assert request.n == 6
    assert request.values["class"].tolist() == [4, 4, 4, 7, 7, 7]


def test_probability_is_that_of_all_numbers_of_the_class():
    judge = ClassJudge(Brightness.load(None), ("day", "any"), {"day": [1], "any": [1, 2]})
    images = torch.stack([torch.full((3, 4, 4), value) for value in (0.5, -0.5, 0.5)])
    found = judge.probabilities(images, torch.tensor([0, 0, 1]))
    sure = torch.tensor(1.0).sigmoid().item()  # logits 0.5 and -0.5
    assert found.tolist() == pytest.approx([sure, 1 - sure, 1.0])


def test_classes_of_imagenet_need_no_file():
    numbers = imagenet_numbers([str(number) for number in range(1000)], None)
    assert numbers[281] == [281]
    ids = [f"n{number:08d}" for number in range(1000)]
    assert imagenet_numbers(ids, None)[999] == [999]


@pytest.mark.parametrize(
    ("names", "imagenet", "words"),
    [
        (("cat", "dog"), None, "--classes FILE"),
        ([f"n{number:08d}" for number in reversed(range(1000))], None, "1000 of its own"),
        (("cat", "dog"), {"cat": [281]}, "'dog' is missing"),
        (("cat",), {"cat": [281], "dog": [151]}, "no class 'dog'"),
        (("cat",), {"cat": [1000]}, "0 to 999"),
        (("cat",), {"cat": []}, "one or several"),
    ],
)
def test_wrong_classes_are_refused(names, imagenet, words):
    with pytest.raises(InputError, match=words):
        imagenet_numbers(names, imagenet)

"""Rejection sampling: draw more images than wanted, and keep the best by a judge.

Images are drawn in rounds of one condition each, and the best of each round are kept. The judges
are the prior's own likelihood and an image classifier.

Axes: n images, K classes of the classifier.
Reference: Razavi et al. 2019, "Generating Diverse High-Fidelity Images with VQ-VAE-2",
    arXiv:1906.00446, Sec. 3.3 (by a classifier); the classifier here is EfficientNet-Lite0, whose
    weights install with the package.
"""

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from smalti.config import InputError
from smalti.evaluation.extractors import Extractor
from smalti.progress import Watch
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.request import Request
from smalti.sampling.scoring import score_codes

CLASSES = 1000
"""Number of ImageNet's classes, in their usual order."""


def best(scores: Tensor, draw: int, keep: int) -> list[int]:
    """Numbers of the images with the highest scores of each round, the best first.

    Args:
        scores: (n,) of all drawn images, round after round; n is a multiple of `draw`.
        draw: number of images in a round.
        keep: number of images to keep of a round, at most `draw`.
    """
    rounds = scores.view(-1, draw)
    chosen = rounds.argsort(dim=1, descending=True, stable=True)[:, :keep]
    starts = draw * torch.arange(len(rounds)).unsqueeze(1)
    return (chosen + starts).flatten().tolist()


def likelihoods(
    pipeline: Pipeline, request: Request, codes: Tensor, stride: int, batch_size: int
) -> Tensor:
    """Log-likelihood (n,) float32 of codes given their conditions, in nats per code.

    It is that of the prior at temperature 1 without guidance, however the codes were drawn.
    """
    nats = score_codes(
        pipeline, codes, request.values, stride=stride, batch_size=batch_size, watch=Watch(bar=True)
    )
    return -nats.mean((1, 2))


class ClassJudge:
    """A classifier of ImageNet that tells how likely an image is of a prior's class.

    Args:
        extractor: extractor with logits of ImageNet's 1000 classes.
        class_names: names of the prior's classes, by number.
        imagenet: ImageNet's numbers of each class of the prior, by name; None if the classes of the
            prior are those of ImageNet.

    Raises:
        InputError: a class has no number or a wrong one.
    """

    def __init__(
        self,
        extractor: Extractor,
        class_names: Sequence[str],
        imagenet: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        self.extractor = extractor
        self._membership = torch.zeros(len(class_names), CLASSES)
        for row, numbers in enumerate(imagenet_numbers(class_names, imagenet)):
            self._membership[row, list(numbers)] = 1.0

    def probabilities(self, images: Tensor, classes: Tensor) -> Tensor:
        """The probability (n,) float32 of each image's class, on the processor.

        Args:
            images: (n, 3, H, W) float32 in [-1, 1], on the extractor's device.
            classes: (n,) int64, numbers of the prior's classes.
        """
        logits = self.extractor.logits(self.extractor.features(images))
        assert logits is not None, "a classifier has classes"
        return (logits.softmax(-1).cpu() * self._membership[classes]).sum(1)


def imagenet_numbers(
    class_names: Sequence[str], imagenet: Mapping[str, Sequence[int]] | None
) -> list[Sequence[int]]:
    """ImageNet's numbers of each class of a prior.

    Arguments and errors are those of `ClassJudge`.
    """
    if imagenet is None:
        if not _are_of_imagenet(class_names):
            raise InputError(
                f"the classifier knows ImageNet's {CLASSES} classes, and this prior has "
                f"{len(class_names)} of its own, as {class_names[0]!r}; say which are which in a "
                "file (--classes FILE), a line for each: `cat: [281, 282, 283, 284, 285]`"
            )
        return [[number] for number in range(CLASSES)]
    wrong = [f"the prior has no class {name!r}" for name in imagenet if name not in class_names]
    wrong += [f"{name!r} is missing" for name in class_names if name not in imagenet]
    if wrong:
        raise InputError(
            f"--classes: {wrong[0]}; needed are all {len(class_names)} classes of the prior"
        )
    for name, numbers in imagenet.items():
        if not numbers or not all(0 <= number < CLASSES for number in numbers):
            raise InputError(
                f"--classes: {name!r} is {list(numbers)}; allowed are one or several of ImageNet's "
                f"numbers, 0 to {CLASSES - 1}"
            )
    return [imagenet[name] for name in class_names]


def _are_of_imagenet(class_names: Sequence[str]) -> bool:
    """Whether names are ImageNet's: numbers, or WordNet ids in their order, which is the same."""
    if len(class_names) != CLASSES:
        return False
    are_numbers = list(class_names) == [str(number) for number in range(CLASSES)]
    are_ids = all(re.fullmatch(r"n\d{8}", name) for name in class_names)
    return are_numbers or (are_ids and list(class_names) == sorted(class_names))

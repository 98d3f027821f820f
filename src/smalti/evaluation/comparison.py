"""Figures that compare a set of images with a reference, under the names of the extractor.

Axes: N images, C features of an image.
"""

import re

from torch import Tensor

from smalti.config import InputError
from smalti.evaluation.extractors.base import Extractor
from smalti.evaluation.measures import Figure
from smalti.evaluation.reference import Reference
from smalti.metrics.class_score import SPLITS, class_score
from smalti.metrics.frechet import frechet_distance
from smalti.metrics.kernel_distance import kernel_distance
from smalti.metrics.moments import FeatureMoments
from smalti.metrics.precision_recall import NEIGHBOURS, precision_recall
from smalti.words import counted

ENOUGH = 10
"""Number of images per feature from which on the bias of a Frechet distance is small."""


def check_count(images: int, extractor: Extractor, few_are_asked_for: bool) -> list[str]:
    """Refuse fewer images than the Frechet distance needs, or warn of them.

    Args:
        images: number of images, the smaller of both sides.
        extractor: extractor whose features are compared.
        few_are_asked_for: whether the user wants the figures also of fewer images than features.

    Returns:
        A sentence for the figures, or none if there are enough images.

    Raises:
        InputError: there are too few for a figure; or there are not more images than features, and
            `few_are_asked_for` is false.
    """
    features, name = extractor.feature_count, extractor.frechet_name
    if images > ENOUGH * features:
        return []
    bias = f"{name} of {counted(images, 'image')} is too high, and the more so the fewer they are"
    if images > features:
        return [f"{bias}: {extractor.name} has {features:,} features; compare equal counts only"]
    if not few_are_asked_for:
        raise InputError(
            f"{bias}: allowed are more images than {extractor.name} has features, {features:,}; "
            "--few compares them all the same"
        )
    least = NEIGHBOURS + 1 if extractor.score_name is None else SPLITS
    if images < least:
        raise InputError(
            f"figures by {extractor.name} need at least {least} images on each side, got {images}"
        )
    return [
        f"{bias}: {extractor.name} has {features:,} features, which so few images say little of; "
        "it compares only with figures of the same images"
    ]


def compare(
    features: Tensor, reference: Reference, extractor: Extractor, seed: int
) -> list[Figure]:
    """Compute all figures that the images and the reference allow.

    Args:
        features: (N, C) float32, on the CPU, in the order of the images.
        reference: reference of the same extractor.
        extractor: extractor of the features.
        seed: seed of the subsets of the kernel distance.

    Returns:
        The Frechet distance; kernel distance, precision and recall if the reference has features;
        the class score if the extractor has classes.

    Raises:
        InputError: there are too few images for a figure.
    """
    gaussian = FeatureMoments(features.shape[1]).add(features).gaussian()
    figures = [_figure(extractor.frechet_name, frechet_distance(gaussian, reference.gaussian))]
    if reference.features is not None:
        distance = kernel_distance(reference.features, features, seed=seed)
        found = precision_recall(reference.features, features)
        of = f"(k = {NEIGHBOURS}, {extractor.name})"
        figures += [
            _figure(extractor.kernel_name, distance.mean, "{:.6f}"),
            _figure(f"{extractor.kernel_name} deviation", distance.deviation, "{:.6f}"),
            Figure("precision", f"precision {of}", found.precision, "{:.4f}"),
            Figure("recall", f"recall {of}", found.recall, "{:.4f}"),
        ]
    logits = extractor.logits(features)
    if logits is not None and extractor.score_name is not None:
        score = class_score(logits)
        figures += [
            _figure(extractor.score_name, score.mean),
            _figure(f"{extractor.score_name} deviation", score.deviation),
        ]
    return figures


def _figure(label: str, value: float, form: str = "{:.3f}") -> Figure:
    return Figure(re.sub(r"\W+", "_", label.lower()).strip("_"), label, value, form)

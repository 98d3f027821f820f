"""How well a prior expects images and draws new ones, image by image, for figures of them all.

Image i of the samples is a function of (seed, i) and of the data set, whatever the number of
samples, the batch size and the number of processes are.

Axes: N images, B batch, C features of an image, h/w grid of codes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from smalti.data.order import order
from smalti.evaluation.extractors import Extractor
from smalti.evaluation.measures import Figure
from smalti.evaluation.protocol import ImageRecord
from smalti.files import json_text
from smalti.metrics.nll import bits_per_dimension, uniform_nats_per_token
from smalti.ranges import from_uint8, to_uint8
from smalti.runs.described import feature_rows, features_of
from smalti.runs.prior_images import PriorImages
from smalti.sampling.config import SamplingConfig
from smalti.sampling.numbered import sample_numbered
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.scoring import score_codes
from smalti.types import Sample
from smalti.weights import tensors_hash, weights_hash

CONDITIONS_FROM = "center crops of the data, each once a round, in an order of the seed"
"""Other crops than those of the reference would make samples of another distribution."""

_order = lru_cache(maxsize=2)(order)


@dataclass(frozen=True, slots=True)
class PriorEvaluation:
    """Scores the images of a data set under a prior, and draws samples with their conditions.

    At least one of the images can be read.
    """

    pipeline: Pipeline
    images: PriorImages
    extractor: Extractor | None
    """None where no samples are compared, but the NLL alone is asked for."""
    config: SamplingConfig
    seed: int
    batch_size: int
    is_reference: bool
    """Whether the data set is what the samples are compared with, so that its features count."""

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of codes of an image."""
        return self.pipeline.cells_of(*self.images.size_px)

    @property
    def fingerprint(self) -> str:
        """A hash of all that decides the rows of an image."""
        settings = {
            "config": self.pipeline.config.model_dump(mode="json"),
            "sampling": self.config.settings(),
            "seed": self.seed,
            "data": self.images.dataset.fingerprint(),
            "transform": self.images.dataset.transform.model_dump(mode="json"),
            "extractor": self.extractor and self.extractor.record.model_dump(mode="json"),
            "is_reference": self.is_reference,
        }
        tokenizers = (self.pipeline.tokenizer, *self.pipeline.condition_tokenizers.values())
        hashes = [weights_hash(tokenizer) for tokenizer in tokenizers]
        return tensors_hash(self.pipeline.prior.state_dict(), json_text([settings, hashes]))

    @property
    def data_rows(self) -> dict[str, Tensor]:
        """Rows of an image of the data set, empty: its NLL, and its features."""
        nats = {"nats": torch.empty(0, 1)}
        return nats if self._describing is None else nats | feature_rows(self._describing)

    @property
    def _describing(self) -> Extractor | None:
        """The extractor for images of the data set, where their features count."""
        return self.extractor if self.is_reference else None

    @property
    def sample_rows(self) -> dict[str, Tensor]:
        """Rows of a sample, empty: its codes, and its features."""
        assert self.extractor is not None
        codes = torch.empty(0, math.prod(self.cells), dtype=torch.int32)
        return {"codes": codes} | feature_rows(self.extractor)

    @torch.no_grad()
    def score(self, numbers: Sequence[int]) -> dict[str, Tensor]:
        """Nats a token (N, 1) and features (N, C) of images of the data set, NaN of broken ones."""
        together = min(self.batch_size, len(self.images))
        samples = [self.images.load(number) for number in numbers]
        known = [(n, sample) for n, sample in zip(numbers, samples, strict=True) if sample]
        nats = torch.full((len(numbers), 1), torch.nan)
        if known:
            batch = self.images.batch(known + known[-1:] * (together - len(known)))
            codes = self.pipeline.tokenizer.encode_in_tiles(batch.images.to(self.pipeline.device))
            scores = score_codes(
                self.pipeline,
                codes,
                batch.values,
                stride=self.config.stride,
                batch_size=together,
            )
            is_good = torch.tensor([sample is not None for sample in samples])
            nats[is_good] = scores.flatten(1).mean(1, keepdim=True)[: len(known)]
        rows = {"nats": nats}
        if self._describing is not None:
            pictures = [None if sample is None else sample.image for sample in samples]
            rows |= features_of(pictures, self._describing, together)
        return rows

    @torch.no_grad()
    def sample(self, numbers: Sequence[int], of: int) -> dict[str, Tensor]:
        """Codes (N, h * w) int32 and features (N, C) of samples.

        Args:
            numbers: of the samples.
            of: number of all samples.
        """
        assert self.extractor is not None
        together = min(self.batch_size, of)
        filled = list(numbers) + [numbers[-1]] * (together - len(numbers))
        batch = self.images.batch([self._conditions_of(number) for number in filled])
        codes = sample_numbered(
            self.pipeline, filled, batch.values, self.cells, self.seed, self.config
        )
        codes = codes[: len(numbers)]
        # One at a time: in batches of another size a network rounds differently, and where a value
        # lies between two levels of 8 bits that becomes a step.
        images = [
            from_uint8(to_uint8(self.pipeline.decode(one)))[0] for one in torch.split(codes, 1)
        ]
        rows = {"codes": codes.flatten(1).int().cpu()}
        return rows | features_of(images, self.extractor, together)

    def _conditions_of(self, number: int) -> tuple[int, Sample]:
        """The image whose conditions a sample has: each image of the data set once a round."""
        turn, position = divmod(number, len(self.images))
        shuffled = _order(self.seed, turn, len(self.images))
        for step in range(len(self.images)):
            row = int(shuffled[(position + step) % len(self.images)])
            sample = self.images.load(row)
            if sample is not None:
                return row, sample
        raise AssertionError("some image of the data set can be read")

    def figures(self, nats: Tensor) -> list[Figure]:
        """The NLL of the data set in all units, of nats a token (M,) of its good images."""
        mean = float(nats.double().mean())
        height, width = self.cells
        uniform = uniform_nats_per_token(self.pipeline.config.codebook_size)
        bits = bits_per_dimension(mean, height * width, *self.images.size_px)
        return [
            Figure("nll", "NLL, nats a token", mean, "{:.4f}"),
            Figure("nll_bits", "NLL, bits a token", mean / math.log(2), "{:.4f}"),
            Figure("bits_per_dimension", "NLL, bits a pixel dimension", bits, "{:.5f}"),
            Figure("nll_uniform", "nats a token of knowing nothing", uniform, "{:.4f}"),
        ]

    def record(self, model: str, count: int) -> ImageRecord:
        """What the protocol says of the samples."""
        height, width = self.images.size_px
        return ImageRecord(
            source=f"samples of {model}",
            count=count,
            height_px=height,
            width_px=width,
            crop="none",
            kernel="none",
            antialias=False,
        )

    def settings(self) -> Mapping[str, Any]:
        """What the protocol says of the sampling."""
        settings = self.config.model_dump(mode="json") | {
            "weights": weights_hash(self.pipeline.prior),
            "batch_size": self.batch_size,
        }
        kinds = self.pipeline.config.condition_kinds
        if kinds:
            settings |= {"conditions": list(kinds), "conditions_from": CONDITIONS_FROM}
        return settings

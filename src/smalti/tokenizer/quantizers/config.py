"""Configs of the quantizers: what each kind is, and its options. Imports no torch.

K: codebook size.
"""

import math
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from smalti.config import Config, InputError

MOST_LEVELS = 8
FEWEST_LEVELS = 3


class QuantizerOptions(Config):
    """Options of every quantizer."""

    kind: str
    """Name of the quantizer."""

    def check_codebook_size(self, codebook_size: int) -> None:
        """Refuse a K that the kind cannot have.

        Raises:
            ValueError: the kind cannot have K codes; the message names sizes near K that it can.
        """

    def check_first_batch(self, codebook_size: int, vectors: int) -> None:
        """Refuse a first batch that the codebook cannot start from.

        Args:
            codebook_size: K.
            vectors: number of vectors in the first batch of all processes: images times codes an
                image.

        Raises:
            InputError: there are too few vectors.
        """


class LookupOptions(QuantizerOptions):
    """Options of the quantizers that take the nearest entry of a codebook."""

    lookup_dim: int | None = Field(default=None, ge=1)
    """Dimension in which codes are compared, through learned projections; null compares in all
    code_dim dimensions, as the paper does. Small (8 to 32) keeps more codes in use."""
    l2_normalised: bool = False
    """Compare directions instead of points: vectors and codes are scaled to length one."""
    gradient: Literal["straight_through", "rotation"] = "straight_through"
    """How the decoder's gradient reaches the encoder: unchanged, or turned and scaled as the
    vector is to become its entry (rotation trick)."""


class EntropyOptions(QuantizerOptions):
    """Options of the quantizers with an entropy loss."""

    sample_entropy_weight: float = Field(default=0.02, ge=0)
    """Weight of the mean entropy of one vector's choice, which training lowers, so that each choice
    is sure."""
    batch_entropy_weight: float = Field(default=0.1, ge=0)
    """Weight of the entropy of the mean choice, which training raises, so that all codes are used
    evenly."""


class VectorQuantizerConfig(LookupOptions):
    """Options of `vector`, as in the paper: the nearest entry of a learned codebook."""

    kind: Literal["vector"] = "vector"


class EMAQuantizerConfig(LookupOptions):
    """Options of `ema`: each entry is the moving average of the vectors that it is nearest to.

    Entries out of use restart where the vectors are, so that large codebooks stay in use.
    """

    kind: Literal["ema"] = "ema"
    lookup_dim: int | None = Field(default=8, ge=1)
    """Dimension in which codes are compared, through learned projections; null compares in all
    code_dim dimensions. Small (8 to 32) keeps more codes in use."""
    l2_normalised: bool = True
    """Compare directions instead of points: vectors and codes are scaled to length one."""
    decay: float = Field(default=0.97, ge=0, lt=1)
    """Decay of the moving averages: the share of the old average that remains at each step."""
    kmeans_start: bool | None = None
    """Whether the entries begin as the k-means centres of the first batch; null does it if the
    batch has enough vectors (batch size times codes an image) for codebook_size entries."""
    restart_below: float = Field(default=0.4, ge=0, lt=1)
    """Entries used less than this share of even use, by the moving average, are moved onto vectors
    of the batch; 0 never moves one."""

    def check_first_batch(self, codebook_size: int, vectors: int) -> None:
        """Refuse a k-means start, where `kmeans_start` asks for it, with fewer vectors than K."""
        if self.kmeans_start and codebook_size > vectors:
            raise InputError(
                f"codebook-size {codebook_size} is more than the {vectors} vectors of the first "
                "batch; raise training.batch-size, lower vqgan.codebook-size or leave out "
                "vqgan.quantizer.kmeans-start"
            )


class GumbelQuantizerConfig(QuantizerOptions):
    """Options of `gumbel`: the encoder gives each code a score, and training draws by the scores.

    The draw is a Gumbel-softmax; outside training the code with the best score is taken.
    """

    kind: Literal["gumbel"] = "gumbel"
    temperature: float = Field(default=1.0, gt=0)
    """Temperature of the soft choice whose gradient training follows; lower is nearer to the hard
    choice."""
    final_temperature: float = Field(default=1.0, gt=0)
    """Temperature after `anneal_steps`; the same as `temperature` keeps it fixed."""
    anneal_steps: int = Field(default=1000, ge=1)
    """Steps over which the temperature goes from `temperature` to `final_temperature`,
    geometrically."""
    kl_weight: float = Field(default=5e-4, ge=0)
    """Weight of the divergence of each soft choice from even use, in nats."""


class FSQConfig(QuantizerOptions):
    """Options of `fsq`, finite scalar quantization: each of a few bounded numbers is rounded.

    No codebook is learned: the numbers' levels are the code.
    """

    kind: Literal["fsq"] = "fsq"
    levels: tuple[Annotated[int, Field(ge=2, le=256)], ...] | None = Field(
        default=None, min_length=1
    )
    """Number of values that each dimension is rounded to, 2 to 256; their product is codebook_size.
    null makes them of codebook_size: as few dimensions as possible of 3 to 8 values."""

    def check_codebook_size(self, codebook_size: int) -> None:
        """Refuse a K that is not the product of the levels; see `levels_of`."""
        self.levels_of(codebook_size)

    def levels_of(self, codebook_size: int) -> tuple[int, ...]:
        """The levels of each dimension, whose product is K.

        Raises:
            ValueError: the levels have another product, or no levels of 3 to 8 give K.
        """
        if self.levels is not None:
            product = math.prod(self.levels)
            if product != codebook_size:
                shown = " * ".join(map(str, self.levels))
                raise ValueError(
                    f"codebook-size {codebook_size} is not the product of the quantizer's levels: "
                    f"{shown} = {product}"
                )
            return self.levels
        levels = levels_for(codebook_size)
        if levels is None:
            below = next((k for k in range(codebook_size, 2, -1) if levels_for(k)), None)
            above = next(k for k in range(codebook_size, 2 * codebook_size + 2) if levels_for(k))
            near = f"{below} or {above}" if below else str(above)
            raise ValueError(
                f"codebook-size {codebook_size} is not a product of levels from {FEWEST_LEVELS} to "
                f"{MOST_LEVELS}, which fsq needs; near it are {near}"
            )
        return levels


class LFQConfig(EntropyOptions):
    """Options of `lfq`, lookup-free quantization: log2 K numbers, and their signs are the code.

    No codebook is learned; the codebook size is a power of two.
    """

    kind: Literal["lfq"] = "lfq"
    temperature: float = Field(default=1.0, gt=0)
    """Temperature of the soft choice whose entropies are weighed: softmax of minus the squared
    distance to each code, divided by it."""

    def check_codebook_size(self, codebook_size: int) -> None:
        """Refuse a K that is not a power of two."""
        below = 2 ** (codebook_size.bit_length() - 1)
        if below != codebook_size:
            raise ValueError(
                f"codebook-size {codebook_size} is not a power of two, which lfq needs; near it "
                f"are {below} and {2 * below}"
            )


class SimVQConfig(LookupOptions):
    """Options of `simvq`: the nearest entry of a random codebook behind a learned linear layer.

    All entries move when the layer does, so that none is left behind unused.
    """

    kind: Literal["simvq"] = "simvq"
    lookup_dim: int | None = Field(default=8, ge=1)
    """Dimension in which codes are compared, through learned projections; null compares in all
    code_dim dimensions, as the source does: short runs then use a handful of codes."""
    l2_normalised: bool = True
    """Compare directions instead of points: vectors and codes are scaled to length one."""


class IBQConfig(EntropyOptions):
    """Options of `ibq`, index backpropagation: the entry with the largest inner product.

    The gradient reaches all entries through a softmax over the whole codebook.
    """

    kind: Literal["ibq"] = "ibq"
    lookup_dim: int | None = Field(default=16, ge=1)
    """Dimension in which codes are compared, through learned projections; null compares in all
    code_dim dimensions, as the source does, at some cost in time."""


QuantizerConfig = Annotated[
    VectorQuantizerConfig
    | EMAQuantizerConfig
    | GumbelQuantizerConfig
    | FSQConfig
    | LFQConfig
    | SimVQConfig
    | IBQConfig,
    Field(discriminator="kind"),
]


def levels_for(codebook_size: int) -> tuple[int, ...] | None:
    """Numbers from 3 to 8 whose product is K, the largest first, or None if no numbers have it.

    There are as few as possible, and those are as even as possible, as in Table 1 of the source.
    """
    candidates = list(_factors(codebook_size, MOST_LEVELS))
    return min(candidates, key=lambda levels: (len(levels), -min(levels)), default=None)


def _factors(product: int, largest: int) -> Iterator[tuple[int, ...]]:
    if product <= largest and product >= FEWEST_LEVELS:
        yield (product,)
    for first in range(min(largest, product // FEWEST_LEVELS), FEWEST_LEVELS - 1, -1):
        if product % first == 0:
            for rest in _factors(product // first, first):
                yield (first, *rest)

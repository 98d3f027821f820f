"""Configs of the tokenizers. Imports no torch."""

from typing import ClassVar, Literal, Self

from pydantic import Field, PositiveInt, field_validator, model_validator

from smalti.config import Config
from smalti.content import ContentConfig, RGBContent
from smalti.tokenizer.quantizers.config import QuantizerConfig, VectorQuantizerConfig


class VQGANConfig(Config):
    """Shape of a VQGAN; the defaults are a small model for one processor or graphics card."""

    kind: Literal["vqgan"] = "vqgan"
    content: ContentConfig = RGBContent()
    """What the images are."""
    channels: int = Field(default=32, ge=1)
    """Channels at full resolution, a multiple of `norm_groups`; the paper's models have 128."""
    channel_multipliers: tuple[int, ...] = Field(default=(1, 2, 2, 4), min_length=2, max_length=6)
    """Channels of each level relative to `channels`. There is one number more than down-sampling
    steps: four levels halve the image three times, so f = 8."""
    residual_blocks: int = Field(default=1, ge=1)
    """Residual blocks of each level (2 in the paper); the decoder has one more."""
    norm_groups: int = Field(default=8, ge=1)
    """Groups of each GroupNorm; 32 in the paper. A group should have at least four channels: with
    one channel a group, the image's own colours and contrast are normalised away."""
    attention_levels: tuple[int, ...] | None = None
    """Levels with a non-local block after each residual block, 0 being full resolution; null is the
    lowest only. The time of a block grows with the fourth power of a level's side."""
    middle_attention: bool = True
    """Whether encoder and decoder have a non-local block in the middle, at lowest resolution."""
    unit_range: bool = False
    """Whether the networks have pixels in [0, 1] inside, as the tokenizer of aMUSEd has; otherwise
    in [-1, 1]. The images that are given and returned are in [-1, 1] always."""
    code_dim: int = Field(default=64, ge=1)
    """D, channels of the encoder output."""
    latent_channels: int | None = Field(default=None, ge=1)
    """Channels that the networks have on their side of the 1x1 convolutions to and from `code_dim`;
    null is `code_dim`."""
    codebook_size: int = Field(default=512, ge=2)
    """K, number of codes."""
    quantizer: QuantizerConfig = VectorQuantizerConfig(lookup_dim=8, l2_normalised=True)
    """The quantizer of the encoder output."""

    @field_validator("channel_multipliers")
    @classmethod
    def _positive(cls, multipliers: tuple[int, ...]) -> tuple[int, ...]:
        if min(multipliers) < 1:
            raise ValueError("every multiplier must be at least 1")
        return multipliers

    @model_validator(mode="after")
    def _groups_divide(self) -> Self:
        if self.channels % self.norm_groups:
            raise ValueError(
                f"channels {self.channels} is not a multiple of norm-groups {self.norm_groups}"
            )
        return self

    @model_validator(mode="after")
    def _quantizer_has_the_codes(self) -> Self:
        self.quantizer.check_codebook_size(self.codebook_size)
        return self

    @model_validator(mode="after")
    def _levels_exist(self) -> Self:
        lowest = len(self.channel_multipliers) - 1
        if self.attention_levels and not set(self.attention_levels) <= set(range(lowest + 1)):
            raise ValueError(
                f"attention-levels {list(self.attention_levels)} must be from 0 to {lowest}, the "
                "levels of channel-multipliers"
            )
        return self

    @model_validator(mode="after")
    def _has_pixels(self) -> Self:
        if self.unit_range and self.content.kind == "labels":
            raise ValueError("unit-range must be false for label maps, which have no pixels")
        return self

    @property
    def downsampling_factor(self) -> int:
        """f, pixels of an image's side per code."""
        return int(2 ** (len(self.channel_multipliers) - 1))

    @property
    def attended_levels(self) -> tuple[int, ...]:
        """`attention_levels`, or the lowest level only."""
        lowest = len(self.channel_multipliers) - 1
        return (lowest,) if self.attention_levels is None else self.attention_levels

    @property
    def inner_channels(self) -> int:
        """`latent_channels`, or as many as `code_dim`."""
        return self.latent_channels or self.code_dim


class MaskGITVQGANConfig(Config):
    """Shape of a VQGAN of MaskGIT, which is only imported; the defaults are the published one's."""

    content: ClassVar[RGBContent] = RGBContent()
    quantizer: ClassVar[VectorQuantizerConfig] = VectorQuantizerConfig()
    norm_groups: ClassVar[int] = 32

    kind: Literal["maskgit"] = "maskgit"
    channels: int = Field(default=128, ge=1, multiple_of=32)
    """Channels at full resolution, a multiple of the norms' 32 groups."""
    channel_multipliers: tuple[PositiveInt, ...] = Field(default=(1, 1, 2, 2, 4), min_length=2)
    """Channels of each level relative to `channels`; f is 2 to the number of levels less one."""
    residual_blocks: int = Field(default=2, ge=1)
    """Residual blocks of each level, and of the middle, in both networks."""
    code_dim: int = Field(default=256, ge=1)
    """D, channels of the encoder output."""
    codebook_size: int = Field(default=1024, ge=2)
    """K, number of codes."""

    @property
    def widths(self) -> list[int]:
        """Channels of each level, the first at full resolution."""
        return [self.channels * multiplier for multiplier in self.channel_multipliers]

    @property
    def downsampling_factor(self) -> int:
        """f, pixels of an image's side per code."""
        return int(2 ** (len(self.channel_multipliers) - 1))


class PixelTokenizerConfig(Config):
    """Config of the pixel tokenizer: the size of its palette."""

    kind: Literal["pixels"] = "pixels"
    codebook_size: int = Field(default=512, ge=2)
    """K, number of colours."""

"""The whole configs of `smalti train`, one for each stage, composed of all others."""

from typing import Annotated, Literal, Self

from annotated_types import Gt, Le
from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from smalti.config import Config
from smalti.data.config import TransformConfig
from smalti.losses.config import PatchDiscriminatorConfig
from smalti.paths import expand, path_fields
from smalti.prior.config import PriorConfig
from smalti.prior.gpt.config import GPTConfig
from smalti.tokenizer.config import VQGANConfig
from smalti.training.config import OptimizerConfig, TrainingConfig
from smalti.training.vqgan.config import VQGANLossConfig

DEFAULT_TRANSFORM = TransformConfig(size=64)
"""How pictures become images by default."""


class BaseRunConfig(Config):
    """Options of all runs."""

    stage: str

    data: tuple[str, ...] = Field(min_length=1)
    """Images to learn from: one or several folders, lists, tars or other data sets. A text file has
    one path on each line; WebDataset tars may be named by globs and brace ranges; Parquet and data
    sets of the hub (hf://owner/name) are read too."""
    data_weights: tuple[PositiveFloat, ...] | None = None
    """How often each of `data` is drawn, relative to the others; null draws each image once an
    epoch."""
    held_out: float = Field(default=0.05, ge=0, lt=1)
    """Share of the images held out for evaluation. Below 20 images none is held out, and the
    training images' centres are evaluated."""
    out: str
    """Folder of the run. The same command resumes it."""
    seed: int = Field(default=0, ge=0)
    """Seed of everything random in the run."""
    image: TransformConfig = DEFAULT_TRANSFORM
    """How a picture becomes a training image."""

    _paths = path_fields("data", "out")


class PixelsRunConfig(BaseRunConfig):
    """The whole config of `smalti train pixels`, which finds a palette."""

    stage: Literal["pixels"] = "pixels"
    out: str = "runs/pixels"
    """Folder of the run. The same command finds it done."""
    codebook_size: int = Field(default=512, ge=2)
    """K, number of colours."""
    pixels: int = Field(default=200_000, ge=2)
    """Number of pixels for k-means, drawn evenly from all training images."""
    iterations: int = Field(default=20, ge=1)
    """Number of iterations of k-means."""


class RunConfig(BaseRunConfig):
    """Options of both stages."""

    training: TrainingConfig = TrainingConfig()
    """Length, batch and intervals."""


class VQGANTrainingConfig(TrainingConfig):
    """Training options of stage 1: the common ones and automatic remedies."""

    auto_remedy: bool = False
    """Whether to apply safe remedies of findings. They move unused codes, or halve the
    discriminator's learning rate or the weight of the generator loss, and are logged. The short
    option is `--auto-remedy`."""


class VQGANRunConfig(RunConfig):
    """The whole config of stage 1, `smalti train vqgan`."""

    stage: Literal["vqgan"] = "vqgan"
    out: str = "runs/vqgan"
    """Folder of the run. The same command resumes it."""
    init: str | None = None
    """A tokenizer whose weights the run begins with: a model folder, a run or a hub id. The options
    of `vqgan` then come from it."""
    vqgan: VQGANConfig = VQGANConfig()
    """Shape of the tokenizer."""
    training: VQGANTrainingConfig = VQGANTrainingConfig()
    """Length, batch, intervals and remedies."""
    discriminator: PatchDiscriminatorConfig = PatchDiscriminatorConfig(
        filters=32, layers=2, norm="spectral"
    )
    """Shape of the discriminator."""
    loss: VQGANLossConfig = VQGANLossConfig()
    """Terms of the loss and their weights."""
    optimizer: OptimizerConfig = OptimizerConfig()
    """Optimizer of encoder, decoder and codebook."""
    discriminator_optimizer: OptimizerConfig = OptimizerConfig(
        learning_rate=5e-4, beta1=0.5, beta2=0.9
    )
    """Optimizer of the discriminator."""

    _init = path_fields("init")


class PriorTrainingConfig(TrainingConfig):
    """Training options of stage 2: the common ones, early stopping and sharding."""

    early_stop: PositiveInt | Literal["auto"] | None = "auto"
    """Early stopping: end the run after so many evaluations in a row without a lower held-out NLL;
    the best model is saved anyway. null never stops early, auto does on small data sets. Without
    held-out images it is off. A stopped run goes on if this is raised, or null."""
    parallel: Literal["replicated", "sharded"] = "replicated"
    """What each of several processes holds: the whole prior, or a part of its weights, gradients
    and averages, which trains priors that one card does not hold. With one process they are the
    same, and a run may go on with the other."""


class CodeCacheConfig(Config):
    """Options of the codes that the prior learns from."""

    data: str | None = None
    """Folder of codes that `smalti encode --data` made, in place of `data`; the short option is
    `--codes`. Size and views of the images then come from it, and its columns are the conditions
    that are possible. null encodes the images of `data`
    when the run begins."""

    views: PositiveInt | Literal["auto"] = "auto"
    """Number of random crops and flips of each image that are encoded; epochs take them in turn.
    auto is more for fewer images."""
    folder: str | None = None
    """Folder of the codes; null is inside the run. Runs with the same data and tokenizer may share
    a folder."""

    _paths = path_fields("data", "folder")


class RandomOrdersConfig(Config):
    """Options of random orders of the codes, which a prior learns first.

    They need `prior.kind gpt` with `prior.target-positions true`. Samples are drawn in the usual
    order.
    """

    all_until: int = Field(default=0, ge=0)
    """Step until which the codes of all images stand in random orders."""
    none_from: int = Field(default=0, ge=0)
    """Step from which all stand in the usual order; before it the share of random ones falls to
    zero. 0 has no random orders."""

    @model_validator(mode="after")
    def _in_this_order(self) -> Self:
        if self.none_from < self.all_until:
            raise ValueError(
                f"none-from is {self.none_from}; it must be at least all-until, {self.all_until}"
            )
        return self


class PriorRunConfig(RunConfig):
    """The whole config of stage 2, `smalti train prior`."""

    stage: Literal["prior"] = "prior"
    data: tuple[str, ...] = ()
    """Images to learn from: one or several folders, lists, tars or other data sets. They are
    read as in stage 1."""
    out: str = "runs/prior"
    """Folder of the run. The same command resumes it."""
    vqgan: str | None = None
    """The tokenizer: a run of stage 1 or of `smalti train pixels`, a model folder or a hub id. It
    is needed unless `init` is set."""
    init: str | None = None
    """A prior whose weights the run begins with: a model folder, a run or a hub id. Tokenizers,
    conditions, ordering and the shape of the transformer then come from it."""
    condition: tuple[str, ...] = ()
    """What the prior knows of an image before it draws it: each condition as `KIND` or
    `KIND=TOKENIZER`, in the order of the sequence; `none` is no condition. Among the kinds are
    class (sub-folders or labels of the data), segmentation and depth (maps beside the images, with
    a tokenizer of such maps), edges (of the images), low_resolution (the images made smaller; the
    tokenizer of the images serves unless another is named), coordinates (where a crop lies, in two
    tokens), coordinate_map (the same, with a token for each cell) and keypoints (JSON beside the
    images); docs/tasks.md lists all of them."""
    condition_drop: float | None = Field(default=None, ge=0, lt=1)
    """Share of the examples trained without their conditions, for guidance in sampling. If there
    are several, each one is also dropped alone as often. Null is 0.1, or that of the prior of
    `init`."""
    token_keep: Annotated[float, Gt(0), Le(1)] | Literal["auto"] = "auto"
    """Probability that an image token which the prior reads in training is left as it is; else it
    is a random code. 1 switches it off, auto is below 1 on small data sets."""
    low_resolution_factor: int = Field(default=8, ge=2)
    """How many times smaller the sides of a low_resolution condition are."""
    ordering: str = "row_major"
    """Order in which the grid of codes is read: `row_major`, `spiral_out`, `z_curve` (sides that
    are powers of two), `subsample` (even sides), `alternate`, `spiral_in` or `random`."""
    ordering_seed: int = Field(default=1, ge=0, lt=2**32)
    """Seed of the `random` ordering; it has no effect on others."""
    random_orders: RandomOrdersConfig = RandomOrdersConfig()
    """Random orders of the codes."""
    codes: CodeCacheConfig = CodeCacheConfig()
    """Options of the codes of the data, which are encoded once."""
    prior: PriorConfig = GPTConfig()
    """The prior; docs/tasks.md compares the kinds."""
    optimizer: OptimizerConfig = OptimizerConfig(beta2=0.95, weight_decay=0.01)
    """Optimizer of the prior."""
    training: PriorTrainingConfig = PriorTrainingConfig(batch_size=32)
    """Length, batch, intervals and early stopping."""

    _models = path_fields("vqgan", "init")

    @model_validator(mode="after")
    def _has_data(self) -> Self:
        if not self.data and self.codes.data is None:
            raise ValueError("--data is required, or --codes DIR of smalti encode")
        if self.codes.data is not None:
            for name in ("data", "data_weights", "codes.folder"):
                given = self.codes.folder if name == "codes.folder" else getattr(self, name)
                if given:
                    option = name.replace("_", "-")
                    raise ValueError(f"--{option} does not go with --codes; leave one of them out")
        return self

    @field_validator("prior", mode="before")
    @classmethod
    def _transformer_unless_said(cls, prior: object) -> object:
        return {"kind": "gpt", **prior} if isinstance(prior, dict) else prior

    @field_validator("condition", mode="before")
    @classmethod
    def _several(cls, condition: object) -> object:
        return (
            () if condition == "none" else (condition,) if isinstance(condition, str) else condition
        )

    @field_validator("condition")
    @classmethod
    def _expanded_tokenizers(cls, condition: tuple[str, ...]) -> tuple[str, ...]:
        pairs = [spec.partition("=") for spec in condition]
        return tuple(
            f"{kind}={expand(path)}" if separator else kind for kind, separator, path in pairs
        )


ROOTS: dict[str, type[BaseRunConfig]] = {
    "vqgan": VQGANRunConfig,
    "pixels": PixelsRunConfig,
    "prior": PriorRunConfig,
}
"""The config of each stage of `smalti train`."""

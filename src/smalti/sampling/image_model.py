"""A tokenizer and a prior over its codes: together a model of images, on disk and in memory.

`Pipeline` draws images from it, and `scoring` says how likely given images are.

Axes: B batch, n images, h/w latent grid, K codebook size.
"""

import contextlib
import logging
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self, Unpack

import torch
from PIL import Image
from torch import Tensor, nn

from smalti.codes.picture_codes import decode_pictures, images_of_codes
from smalti.compute import NumberFormat, existing_device, number_format
from smalti.conditions.asked import Asked, by_kind, items_of
from smalti.conditions.opening import condition_folder
from smalti.config import InputError
from smalti.files import atomic_folder
from smalti.model_download import CONFIG_FILE, TOKENIZER_FOLDER, HubOptions
from smalti.model_folder import load_model, write_model_files
from smalti.paths import expand
from smalti.prior.build import PriorModel, build_prior
from smalti.sampling.prior_model import PriorModelConfig
from smalti.sampling.request import Request
from smalti.tokenizer.base import Tokenizer
from smalti.tokenizer.load import load_tokenizer
from smalti.words import counted

KIND = "prior"

log = logging.getLogger(__name__)


class ImageModel:
    """A tokenizer and a prior over its codes, with the tokenizers of the prior's conditions.

    Args:
        tokenizer: tokenizer of the images.
        prior: model over the tokens of the codes, on the same device.
        config: config of the prior.
        condition_tokenizers: tokenizers of the conditions that need one, by kind.

    Raises:
        InputError: the prior was trained on another number of codes, of images or of a condition.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        prior: PriorModel,
        config: PriorModelConfig,
        condition_tokenizers: Mapping[str, Tokenizer] | None = None,
    ) -> None:
        if tokenizer.codebook_size != config.codebook_size:
            raise InputError(
                f"the prior was trained on {config.codebook_size} codes, but the tokenizer has "
                f"{tokenizer.codebook_size}"
            )
        self.tokenizer = tokenizer
        self.prior = prior
        self.config = config
        self.condition_tokenizers = dict(condition_tokenizers or {})
        self.layout = config.layout
        self.conditioning = config.build_conditioning(self.condition_tokenizers)
        self.ordering = config.build_ordering()

    @property
    def device(self) -> torch.device:
        """Device of the prior."""
        return next(self.prior.parameters()).device

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels of the images that the prior was trained on."""
        f = self.tokenizer.downsampling_factor
        return self.config.grid_height * f, self.config.grid_width * f

    @property
    def factor(self) -> int:
        """Number of pixels of which both sides of an image must be multiples."""
        tokenizers = (self.tokenizer, *self.condition_tokenizers.values())
        return math.lcm(*(tokenizer.downsampling_factor for tokenizer in tokenizers))

    def to(
        self,
        device: str | torch.device | torch.dtype | None = None,
        dtype: NumberFormat | None = None,
    ) -> Self:
        """Move the prior and all tokenizers, in place, as `torch.nn.Module.to` does.

        Args:
            device: where they compute, such as "cuda"; a number format may stand in its place.
            dtype: number format of the weights, by name or as torch's: float32, bfloat16 or
                float16. The codebooks of tokenizers stay in float32.

        Raises:
            InputError: the device is not there, or the number format is another one.
        """
        if isinstance(device, torch.dtype):
            device, dtype = None, device
        place = None if device is None else existing_device(device)
        wanted = None if dtype is None else number_format(dtype)
        for model in (self.tokenizer, *self.condition_tokenizers.values(), self.prior):
            model.to(device=place, dtype=wanted)
        return self

    def cells_of(self, height_px: int, width_px: int) -> tuple[int, int]:
        """Rows and columns of codes for a size in pixels.

        Raises:
            InputError: the size is below a window, or does not divide into codes.
        """
        size = f"size {height_px}x{width_px} (height x width)"
        if height_px < self.size[0] or width_px < self.size[1]:
            raise InputError(
                f"{size} is below the window of this prior, {self.size[0]}x{self.size[1]} pixels"
            )
        if height_px % self.factor or width_px % self.factor:
            height, width = (side - side % self.factor for side in (height_px, width_px))
            raise InputError(
                f"{size} is not possible: both sides must be multiples of {self.factor}, as "
                f"{height}x{width}; crop the condition to that, if there is one"
            )
        own = self.tokenizer.downsampling_factor
        return height_px // own, width_px // own

    def request(
        self,
        n: int,
        condition: Asked = None,
        size: int | tuple[int, int] | None = None,
        first: int = 0,
    ) -> Request:
        """Make a request for `sample_codes`: the conditions of n images, and their size.

        Args:
            n: number of images.
            condition: as `sample`.
            size: as `sample`.
            first: number of the first image, where they are some of a large set whose images take
                the conditions in turn.

        Raises:
            InputError: as `sample`.
        """
        check_at_least("the number of images", n, 1)
        values = self.conditioning.values(condition, n, first)
        picture = self.conditioning.picture_size(values)
        wanted = (size, size) if isinstance(size, int) else size
        if wanted is not None and picture is not None and tuple(wanted) != picture:
            raise InputError(
                f"size {wanted[0]}x{wanted[1]} differs from that of the condition, "
                f"{picture[0]}x{picture[1]} (height x width); leave the size out, or resize the "
                "condition"
            )
        height, width = wanted or picture or self.size
        cells = self.cells_of(height, width)
        for remark in self.conditioning.remarks(values, (height, width)):
            log.info("%s", remark)
        values |= self.conditioning.size_values(n, (height, width))
        return Request(n, values, *cells)

    def known(self, codes: Tensor, condition: Asked = None) -> Request:
        """Make the request that codes of images could have answered: their conditions and size.

        Args:
            codes: (n, h, w) integers in [0, K).
            condition: conditions of the images, as for `request`; none has a default.

        Raises:
            InputError: the codes are of another shape or range, or as `request`.
        """
        codebook_size = self.config.codebook_size
        if codes.ndim != 3 or not codes.numel() or codes.is_floating_point():
            raise InputError(
                f"codes must be integers (n, h, w), got {codes.dtype} of shape {tuple(codes.shape)}"
            )
        if not 0 <= int(codes.min()) <= int(codes.max()) < codebook_size:
            raise InputError(
                f"codes must be in [0, {codebook_size}), got {int(codes.min())} to "
                f"{int(codes.max())}"
            )
        kinds = [one.kind for one in self.conditioning.conditions if one.is_asked]
        given = by_kind(condition, kinds)
        for kind, items in given.items():
            if (count := len(items_of(items))) > len(codes):
                raise InputError(
                    f"the condition {kind} has {count} values, but there are codes of "
                    f"{counted(len(codes), 'image')}"
                )
        missing = [kind for kind in kinds if kind not in given]
        if missing:
            raise InputError(
                f"say under which condition: this prior knows {', '.join(missing)}, so give "
                "`condition`, for all images or for each"
            )
        f = self.tokenizer.downsampling_factor
        return self.request(len(codes), condition, (codes.shape[1] * f, codes.shape[2] * f))

    @torch.no_grad()
    def encode_conditions(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Encode values (B, ...) of conditions into codes (B, ...), by kind."""
        on_device = {kind: value.to(self.device) for kind, value in values.items()}
        return self.conditioning.encode(on_device)

    def pictures(self, codes: Tensor) -> list[Image.Image]:
        """Decode codes (n, h, w) int64 in [0, K) into pictures, fewer at a time if large."""
        return decode_pictures(self.tokenizer, codes)

    def decode(self, codes: Tensor) -> Tensor:
        """Images of codes (B, h, w) int64 in [0, K); large ones are decoded in tiles."""
        return images_of_codes(self.tokenizer, codes)

    def save_condition_tokenizers(self, folder: Path) -> None:
        """Write the tokenizer of each condition, unless its folder exists already."""
        for kind, tokenizer in self.condition_tokenizers.items():
            if not condition_folder(folder, kind).is_dir():
                condition_folder(folder, kind).parent.mkdir(parents=True, exist_ok=True)
                tokenizer.save_pretrained(condition_folder(folder, kind))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the prior's `config.json` and `model.safetensors`, and the tokenizer's folder.

        Raises:
            InputError: the disk is full or the folder cannot be written.
        """
        with atomic_folder(Path(expand(folder))) as temporary:
            write_model_files(temporary, KIND, self.config, self.prior.state_dict())
            self.tokenizer.save_pretrained(temporary / TOKENIZER_FOLDER)
            self.save_condition_tokenizers(temporary)

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        device: str | torch.device = "cpu",
        dtype: NumberFormat = "float32",
        **options: Unpack[HubOptions],
    ) -> Self:
        """Load from a folder, a training run (its best model) or a hub id, in eval mode.

        The tokenizer is the folder `tokenizer` inside the model's folder, or that of the run.

        Args:
            name: folder, run, or `owner/name` on the hub, perhaps with `@revision`.
            device: where it computes.
            dtype: number format of the weights, as for `to`.
            **options: revision, token, cache_dir, local_files_only and subfolder, see
                `smalti.model_download.HubOptions`.

        Raises:
            InputError: nothing is there, it is not a prior, or a file is damaged;
                or the number format is not known.
        """
        files = load_model(name, KIND, **options)
        config = files.parse_config(PriorModelConfig)
        prior = files.build(lambda: build_prior(config.prior, config.sizes))
        folder = _tokenizer_folder(files.folder)
        tokenizers = {
            kind: load_tokenizer(condition_folder(folder.parent, kind))
            for kind in config.tokenizer_kinds
        }
        return cls(load_tokenizer(folder), prior.eval(), config, tokenizers).to(device, dtype)


def _tokenizer_folder(model_folder: Path) -> Path:
    """Find the tokenizer of a prior: in the model's folder, or in RUN of RUN/checkpoints/MODEL."""
    run_folder = model_folder.resolve().parent.parent
    for parent in (model_folder, run_folder):
        if (parent / TOKENIZER_FOLDER / CONFIG_FILE).is_file():
            return parent / TOKENIZER_FOLDER
    raise InputError(f"{model_folder} has no folder {TOKENIZER_FOLDER!r}: the tokenizer is missing")


@contextlib.contextmanager
def in_eval_mode(prior: nn.Module) -> Iterator[None]:
    """Context in which a prior is in eval mode; afterwards it has its former mode."""
    training = prior.training
    prior.eval()
    try:
        yield
    finally:
        prior.train(training)


def check_at_least(what: str, value: int, least: int) -> None:
    """Refuse a number below the least that is allowed.

    Raises:
        InputError: it is.
    """
    if value < least:
        raise InputError(f"{what} must be at least {least}, got {value}")

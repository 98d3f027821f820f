"""Pipeline: a trained tokenizer and a trained prior that together make images.

Axes: B batch, n images, h/w latent grid, K codebook size.
"""

import contextlib
import math
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self, Unpack

import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from smalti.conditions.asked import Asked
from smalti.conditions.opening import condition_folder
from smalti.config import InputError
from smalti.content_images import content_images
from smalti.files import atomic_folder
from smalti.model_download import CONFIG_FILE, HubOptions
from smalti.model_download import TOKENIZER_FOLDER as TOKENIZER_FOLDER
from smalti.model_folder import load_model, write_model_files
from smalti.paths import expand
from smalti.prior.build import PriorModel, build_prior
from smalti.sampling.canvas import Canvas
from smalti.sampling.choice import Choose, RacingChoice, seeded_choice
from smalti.sampling.config import SamplingConfig, sampling_config
from smalti.sampling.guidance import build_guidance
from smalti.sampling.partial import PartialCodes, fingerprint
from smalti.sampling.prior_model import PriorModelConfig
from smalti.sampling.request import Request
from smalti.sampling.sliding_window import check_size, check_stride_of, draw_canvas
from smalti.sampling.speculative import check_speculative
from smalti.sampling.stream import GROUP_SECONDS, DrawnCells, DrawnPictures, drawn_cells
from smalti.tokenizer.base import Tokenizer
from smalti.tokenizer.load import load_tokenizer

KIND = "prior"
LARGEST_WHOLE_CELLS = 64 * 64
"""Most cells of a grid that is decoded whole. Larger ones are decoded in tiles, to save memory."""


class Pipeline:
    """Makes images: draws codes with the prior and decodes them with the tokenizer.

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

    def to(self, device: str | torch.device) -> Self:
        """Move the prior and all tokenizers to a device, in place."""
        for tokenizer in (self.tokenizer, *self.condition_tokenizers.values()):
            tokenizer.to(torch.device(device))
        self.prior.to(device)
        return self

    def sample(
        self,
        n: int,
        seed: int = 0,
        condition: Asked = None,
        *,
        temperature: float = 1.0,
        top_k: int = 100,
        top_p: float = 1.0,
        guidance: float | Sequence[float] = 1.0,
        guidance_schedule: str = "constant",
        batch_size: int = 16,
        size: int | tuple[int, int] | None = None,
        stride: int = 1,
        speculative: int = 1,
        precision: str = "float32",
        progress: bool = True,
    ) -> list[Image.Image]:
        """Make new images.

        Args:
            n: number of images.
            seed: image i is a function of (seed, i), whatever n and the batch size are (but for
                rounding, which differs a little between batch sizes and devices).
            condition: for a prior of classes a class, by name or number; for a prior of maps or
                keypoints a file or picture. Several are taken in turn. For several conditions, a
                mapping from their kinds. None takes all classes in turn.
            temperature: below 1 gives likely codes more often, above 1 less often; 0 always takes
                the likeliest.
            top_k: draw among the k likeliest codes only; 0 is off.
            top_p: draw among the fewest codes that have this probability together; 1 is off.
            guidance: how closely to follow the conditions, or each of them; 1 is off.
            guidance_schedule: "constant", or "cosine": rising from 1 along the image.
            batch_size: images made at the same time.
            size: (height, width) in pixels, or one number for both; above the size the prior was
                trained on a window slides over the image. None is the size of the condition, or
                that of the training.
            stride: codes drawn in one window position; 1 is the paper's sliding window, more is
                faster and loses context.
            speculative: codes checked in one pass of the prior; more than 1 is faster for a prior
                of some size on a processor, and gives other images, of the same distribution.
            precision: "float32", or "bfloat16", which is faster on a card and draws other codes.
            progress: show a bar.

        Returns:
            n pictures: RGB, or for a prior over maps their values (labels with a palette, depth as
            16-bit grey).

        Raises:
            InputError: a value is not allowed, or a condition is missing or unknown.
        """
        config = sampling_config(
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            guidance=guidance,
            guidance_schedule=guidance_schedule,
            stride=stride,
            speculative=speculative,
            precision=precision,
        )
        request = self.request(n, condition, size)
        codes = self.sample_codes(
            request, seed, config=config, batch_size=batch_size, progress=progress
        )
        return self.pictures(codes)

    def stream(
        self,
        n: int,
        seed: int = 0,
        condition: Asked = None,
        *,
        batch_size: int = 16,
        size: int | tuple[int, int] | None = None,
        cancelled: threading.Event | None = None,
        **drawing: float | str | Sequence[float],
    ) -> Iterator[DrawnCells | DrawnPictures]:
        """Make the images of `sample` and hand their codes over as they are drawn.

        The images are those of `sample` with the same arguments.

        Args:
            n: number of images.
            seed: as `sample`.
            condition: as `sample`.
            batch_size: images that are drawn together, cell by cell.
            size: as `sample`.
            cancelled: ends the iterator, without pictures, once it is set, from another thread or
                between two events.
            **drawing: temperature, top_k, top_p, guidance, guidance_schedule, stride, speculative
                and precision, as `sample`.

        Yields:
            `DrawnCells`, a few cells at a time, in the order in which they are drawn; at the end
            `DrawnPictures`.

        Raises:
            InputError: as `sample`, when the first event is asked for.
        """
        config = sampling_config(**drawing)
        request = self.request(n, condition, size)
        canvas = request.blank_canvas(self.device)
        yield from self.stream_codes(
            request, seed, canvas=canvas, config=config, batch_size=batch_size, cancelled=cancelled
        )
        if cancelled is None or not cancelled.is_set():
            yield DrawnPictures(canvas.codes, self.pictures(canvas.codes))

    def request(
        self, n: int, condition: Asked = None, size: int | tuple[int, int] | None = None
    ) -> Request:
        """Make a request for `sample_codes`: the conditions of n images, and their size.

        Raises:
            InputError: as `sample`.
        """
        _check_at_least("the number of images", n, 1)
        values = self.conditioning.values(condition, n)
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
        values |= self.conditioning.size_values(n, (height, width))
        return Request(n, values, *cells)

    def sample_codes(
        self,
        request: Request,
        seed: int = 0,
        *,
        canvas: Canvas | None = None,
        config: SamplingConfig | None = None,
        batch_size: int = 16,
        progress: bool = True,
        keep: Path | None = None,
    ) -> Tensor:
        """Make the codes of new images; as `sample`, without the tokenizer.

        Args:
            request: what to make.
            seed: as `sample`.
            canvas: codes (n, h, w), some of them known, on the device of the prior; its unknown
                codes are drawn in place. None knows none.
            config: temperature, top-k, top-p, guidance, stride.
            batch_size: as `sample`.
            progress: show a bar.
            keep: file to which codes are written when the work is stopped or done, and from which
                the same work goes on.

        Returns:
            (n, h, w) int64 in [0, K), on the device of the prior.

        Raises:
            InputError: a value is not allowed.
        """
        canvas = canvas or request.blank_canvas(self.device)
        config = config or SamplingConfig()
        for _ in self._draw(request, seed, canvas, config, batch_size, progress, keep):
            pass
        return canvas.codes

    def stream_codes(
        self,
        request: Request,
        seed: int = 0,
        *,
        canvas: Canvas | None = None,
        config: SamplingConfig | None = None,
        batch_size: int = 16,
        cancelled: threading.Event | None = None,
    ) -> Iterator[DrawnCells]:
        """Make the codes of new images and hand them over as they are drawn.

        Args:
            request: what to make.
            seed: as `sample`.
            canvas: as `sample_codes`; it has all codes when the iterator ends by itself.
            config: temperature, top-k, top-p, guidance, stride.
            batch_size: as `sample`.
            cancelled: ends the iterator once it is set; it is read between cells.

        Yields:
            A few cells at a time, as `stream`.

        Raises:
            InputError: a value is not allowed.
        """
        canvas = canvas or request.blank_canvas(self.device)
        config = config or SamplingConfig()
        drawing = self._draw(request, seed, canvas, config, batch_size, False, None, GROUP_SECONDS)
        with contextlib.closing(drawing):
            for images, cells in drawing:
                yield drawn_cells(canvas.codes, images, cells)
                if cancelled is not None and cancelled.is_set():
                    return

    def _draw(
        self,
        request: Request,
        seed: int,
        canvas: Canvas,
        config: SamplingConfig,
        batch_size: int,
        progress: bool,
        keep: Path | None,
        group_seconds: float = math.inf,
    ) -> Generator[tuple[range, list[int]]]:
        """Draw the unknown codes of a canvas in place, a group of cells at a time.

        Yields:
            Numbers of the images of a batch, and row-major numbers of the cells that were drawn.
        """
        cells = request.cells
        _check_at_least("the batch size", batch_size, 1)
        _check_at_least("the seed", seed, 0)
        self.check_sampling(config, (request.height, request.width))
        batches = list(request.batches(batch_size))
        made_from = ""
        if keep is not None:
            made_from = fingerprint(
                self.prior, self.config, request, canvas, config, seed, batch_size
            )
        bar = tqdm(total=len(batches) * cells, unit="token", disable=not progress)
        partial = PartialCodes(keep, canvas.codes, made_from, bar)
        with partial.saving(), in_eval_mode(self.prior):
            for number, images in enumerate(batches):
                groups = draw_canvas(
                    self.prior,
                    self.config,
                    self.conditioning,
                    self.encode_conditions(request.rows(images)),
                    canvas.rows(images),
                    config,
                    self.choice(config, seed, images, cells),
                    partial.of_batch(number * cells, cells),
                    group_seconds,
                )
                for group in groups:
                    yield images, group

    def check_sampling(self, config: SamplingConfig, cells: tuple[int, int]) -> None:
        """Refuse settings with which the prior cannot draw a grid of `cells`, rows and columns.

        Raises:
            InputError: guidance, stride or size is not possible, or the prior cannot sample
                speculatively.
        """
        build_guidance(config, self.conditioning.kinds, self.config.condition_drop)
        check_size(self.config, *cells)
        check_stride_of(config.stride, self.config)
        if config.speculative > 1:
            check_speculative(self.prior)

    def choice(
        self, config: SamplingConfig, seed: int, images: Sequence[int], cells: int
    ) -> Choose:
        """The random choice of codes of some images, each of so many cells."""
        if config.speculative > 1:
            return RacingChoice(seed, images, self.config.codebook_size, self.device)
        return seeded_choice(seed, images, cells, self.device)

    @torch.no_grad()
    def encode_conditions(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Encode values (B, ...) of conditions into codes (B, ...), by kind."""
        on_device = {kind: value.to(self.device) for kind, value in values.items()}
        return self.conditioning.encode(on_device)

    def pictures(self, codes: Tensor) -> list[Image.Image]:
        """Decode codes (n, h, w) int64 in [0, K) into pictures, fewer at a time if large."""
        together = max(1, LARGEST_WHOLE_CELLS // (codes.shape[1] * codes.shape[2]))
        content = self.tokenizer.content
        return [
            content_images(content).to_picture(image)
            for chunk in torch.split(codes, together)
            for image in self.decode(chunk)
        ]

    def decode(self, codes: Tensor) -> Tensor:
        """Images of codes (B, h, w) int64 in [0, K); large ones are decoded in tiles."""
        is_large = codes.shape[1] * codes.shape[2] > LARGEST_WHOLE_CELLS
        return self.tokenizer.decode_in_tiles(codes) if is_large else self.tokenizer.decode(codes)

    @property
    def factor(self) -> int:
        """Number of pixels of which both sides of an image must be multiples."""
        tokenizers = (self.tokenizer, *self.condition_tokenizers.values())
        return math.lcm(*(tokenizer.downsampling_factor for tokenizer in tokenizers))

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
        **options: Unpack[HubOptions],
    ) -> Self:
        """Load from a folder, a training run (its best model) or a hub id, in eval mode.

        The tokenizer is the folder `tokenizer` inside the model's folder, or that of the run.

        Args:
            name: folder, run, or `owner/name` on the hub, perhaps with `@revision`.
            device: where it computes.
            **options: revision, token, cache_dir, local_files_only and subfolder, see
                `smalti.model_download.HubOptions`.

        Raises:
            InputError: nothing is there, it is not a prior, or a file is damaged.
        """
        files = load_model(name, KIND, **options)
        config = files.parse_config(PriorModelConfig)
        prior = files.build(lambda: build_prior(config.prior, config.sizes))
        folder = _tokenizer_folder(files.folder)
        tokenizers = {
            kind: load_tokenizer(condition_folder(folder.parent, kind))
            for kind in config.tokenizer_kinds
        }
        return cls(load_tokenizer(folder), prior.eval(), config, tokenizers).to(device)


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


def _check_at_least(what: str, value: int, least: int) -> None:
    if value < least:
        raise InputError(f"{what} must be at least {least}, got {value}")

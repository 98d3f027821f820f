"""Pipeline: draws images from a trained prior and its tokenizer, and says how likely images are.

Axes: n images, h/w latent grid, K codebook size.
"""

import contextlib
import math
import threading
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Unpack

from PIL import Image
from torch import Tensor

from smalti.conditions.asked import Asked
from smalti.progress import OnProgress, Steps, Watch
from smalti.sampling.canvas import Canvas
from smalti.sampling.choice import Choose, RacingChoice, seeded_choice
from smalti.sampling.config import SamplingConfig, SamplingOptions, sampling_config
from smalti.sampling.guidance import build_guidance
from smalti.sampling.image_model import ImageModel, check_at_least, in_eval_mode
from smalti.sampling.kept_cache import KeptCache
from smalti.sampling.partial import PartialCodes, fingerprint
from smalti.sampling.request import Request
from smalti.sampling.scoring import Likelihood, logits_of_codes, score_codes
from smalti.sampling.sliding_window import check_size, check_stride_of, draw_canvas
from smalti.sampling.speculative import check_speculative
from smalti.sampling.stream import GROUP_SECONDS, DrawnCells, DrawnPictures, drawn_cells


class Pipeline(ImageModel):
    """Makes images: draws codes with the prior and decodes them with the tokenizer.

    It also says how likely given images are: `score` and `logits`. Arguments and errors are those
    of `ImageModel`; mostly it is loaded by `from_pretrained`.
    """

    def sample(
        self,
        n: int,
        seed: int = 0,
        condition: Asked = None,
        *,
        batch_size: int = 16,
        size: int | tuple[int, int] | None = None,
        progress: bool = True,
        on_progress: OnProgress | None = None,
        cancelled: threading.Event | None = None,
        **drawing: Unpack[SamplingOptions],
    ) -> list[Image.Image]:
        """Make new images.

        Args:
            n: number of images.
            seed: image i is a function of (seed, i), whatever n and the batch size are (but for
                rounding, which differs a little between batch sizes and devices).
            condition: for a prior of classes a class, by name or number; for a prior of maps or
                keypoints a file or picture. Several are taken in turn. For several conditions, a
                mapping from their kinds. None takes all classes in turn.
            batch_size: images made at the same time.
            size: (height, width) in pixels, or one number for both; above the size the prior was
                trained on a window slides over the image. None is the size of the condition, or
                that of the training.
            progress: show a bar.
            on_progress: is told how many codes of all batches are drawn.
            cancelled: ends the call once it is set.
            **drawing: temperature, top_k, top_p, guidance, guidance_schedule, stride, speculative
                and precision; see `SamplingOptions`.

        Returns:
            n pictures: RGB, or for a prior over maps their values (labels with a palette, depth as
            16-bit grey).

        Raises:
            InputError: a value is not allowed, or a condition is missing or unknown.
            CancelledError: the call was cancelled.
        """
        config = sampling_config(**drawing)
        codes = self.sample_codes(
            self.request(n, condition, size),
            seed,
            config=config,
            batch_size=batch_size,
            progress=progress,
            on_progress=on_progress,
            cancelled=cancelled,
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
        **drawing: Unpack[SamplingOptions],
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
            **drawing: as `sample`.

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
        on_progress: OnProgress | None = None,
        cancelled: threading.Event | None = None,
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
            on_progress: as `sample`.
            cancelled: as `sample`.

        Returns:
            (n, h, w) int64 in [0, K), on the device of the prior.

        Raises:
            InputError: a value is not allowed.
            CancelledError: the call was cancelled; the canvas has the codes that were drawn.
        """
        canvas = canvas or request.blank_canvas(self.device)
        config = config or SamplingConfig()
        watch = Watch(progress, on_progress, cancelled)
        for _ in self._draw(request, seed, canvas, config, batch_size, watch, keep):
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
        drawing = self._draw(
            request, seed, canvas, config, batch_size, Watch(), None, GROUP_SECONDS
        )
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
        watch: Watch,
        keep: Path | None,
        group_seconds: float = math.inf,
    ) -> Generator[tuple[range, list[int]]]:
        """Draw the unknown codes of a canvas in place, a group of cells at a time.

        Yields:
            Numbers of the images of a batch, and row-major numbers of the cells that were drawn.
        """
        cells = request.cells
        check_at_least("the batch size", batch_size, 1)
        check_at_least("the seed", seed, 0)
        self.check_sampling(config, (request.height, request.width))
        batches = list(request.batches(batch_size))
        made_from = ""
        if keep is not None:
            made_from = fingerprint(
                self.prior, self.config, request, canvas, config, seed, batch_size
            )
        steps = Steps(len(batches) * cells, "token", watch)
        partial = PartialCodes(keep, canvas.codes, made_from, steps)
        new_cache = KeptCache(self.prior)
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
                    new_cache,
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

    def score(
        self,
        codes: Tensor,
        condition: Asked = None,
        *,
        stride: int = 1,
        batch_size: int = 16,
        progress: bool = False,
        on_progress: OnProgress | None = None,
        cancelled: threading.Event | None = None,
    ) -> Likelihood:
        """How likely the prior finds codes of images: what `smalti score` computes.

        Args:
            codes: (n, h, w) integers in [0, K), of images at least as large as the window.
            condition: as `sample`, but for classes it must be given too.
            stride: as `sample`, for images larger than the window.
            batch_size: images, or windows of larger images, that are read at the same time.
            progress: show a bar.
            on_progress: is told how many images are scored.
            cancelled: ends the call once it is set.

        Raises:
            InputError: the codes are of another shape or range, or as `sample`.
            CancelledError: the call was cancelled.
        """
        request = self.known(codes, condition)
        nats = score_codes(
            self,
            codes.long(),
            request.values,
            stride=stride,
            batch_size=batch_size,
            watch=Watch(progress, on_progress, cancelled),
        )
        f = self.tokenizer.downsampling_factor
        return Likelihood(nats, (request.height * f, request.width * f))

    def logits(
        self, codes: Tensor, condition: Asked = None, *, stride: int = 1, batch_size: int = 16
    ) -> Tensor:
        """Logits of every code at each place, given the codes before it.

        Their softmax is the distribution from which `sample` draws at temperature 1, among all
        codes and without guidance. The code at a place has no part in its own logits.

        Args:
            codes: as `score`.
            condition: as `score`.
            stride: as `score`.
            batch_size: as `score`.

        Returns:
            (n, h, w, K) float32, on the processor.

        Raises:
            InputError: as `score`.
        """
        values = self.known(codes, condition).values
        return logits_of_codes(self, codes.long(), values, stride=stride, batch_size=batch_size)

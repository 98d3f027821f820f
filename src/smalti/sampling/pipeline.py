"""Pipeline: a trained tokenizer and a trained prior that together make images.

Axes: B batch, n images, h/w latent grid, K codebook size.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

import torch
from PIL import Image
from pydantic import ValidationError
from torch import Tensor
from tqdm import tqdm

from smalti.files import atomic_folder
from smalti.model_folder import CONFIG_FILE, load_model, write_model_files
from smalti.prior import GPT, PRIORS
from smalti.sampling.draw import seeded_draw
from smalti.sampling.filters import SamplingConfig
from smalti.sampling.generate import Prompt, generate
from smalti.sampling.prior_model import PriorModelConfig
from smalti.tokenizer import load_tokenizer
from smalti.types import InputError, Tokenizer, describe

KIND = "prior"
TOKENIZER_FOLDER = "tokenizer"

Condition = str | int | Sequence[str | int] | None
"""A class by name or number, several of them, or None."""


class Pipeline:
    """Makes images: draws codes with the prior and decodes them with the tokenizer.

    Args:
        tokenizer: images <-> codes.
        prior: model over the tokens of the codes, on the same device.
        config: of the prior.

    Raises:
        InputError: the prior was trained on another number of codes.
    """

    def __init__(self, tokenizer: Tokenizer, prior: GPT, config: PriorModelConfig) -> None:
        self.tokenizer = tokenizer
        self.prior = prior
        self.config = config
        self.layout = config.layout
        self.conditioner = config.build_conditioner()
        self.ordering = config.build_ordering()
        if tokenizer.codebook_size != self.layout.codebook_size:
            raise InputError(
                f"the prior was trained on {self.layout.codebook_size} codes, "
                f"but the tokenizer has {tokenizer.codebook_size}"
            )

    @property
    def device(self) -> torch.device:
        """Where the prior computes."""
        return next(self.prior.parameters()).device

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels of the images the prior was trained on."""
        f = self.tokenizer.downsampling_factor
        return self.config.grid_height * f, self.config.grid_width * f

    def to(self, device: str | torch.device) -> Self:
        """Move both models to a device, in place."""
        self.tokenizer.to(torch.device(device))
        self.prior.to(device)
        return self

    def sample(
        self,
        n: int,
        seed: int = 0,
        condition: Condition = None,
        *,
        temperature: float = 1.0,
        top_k: int = 100,
        top_p: float = 1.0,
        guidance: float = 1.0,
        batch_size: int = 16,
        size: int | tuple[int, int] | None = None,
        progress: bool = True,
    ) -> list[Image.Image]:
        """Make new images.

        Args:
            n: how many.
            seed: image i is a function of (seed, i), whatever n and the batch size are (but for
                rounding, which differs a little between batch sizes and devices).
            condition: a class, by name or number; or several, which the images take in turn; None
                takes all classes in turn. Must be None if the prior knows no classes.
            temperature: below 1 more of the likely, above 1 more of the rest; 0 is greedy.
            top_k: draw among the k likeliest codes only; 0 is off.
            top_p: draw among the fewest codes that have this probability together; 1 is off.
            guidance: how closely to follow the condition; 1 is off.
            batch_size: images made at the same time.
            size: (height, width) in pixels, or one number for both. Only the size the prior was
                trained on is possible; None is that size.
            progress: show a bar.

        Returns:
            n pictures: RGB, or of a prior over maps their values (labels with a palette, depth as
            16-bit grey).

        Raises:
            InputError: a value is not allowed, or there is no such class.
        """
        self._check_size(size)
        config = _sampling_config(
            temperature=temperature, top_k=top_k, top_p=top_p, guidance=guidance
        )
        codes = self.sample_codes(
            n, seed, condition, config=config, batch_size=batch_size, progress=progress
        )
        return [
            self.tokenizer.content.to_picture(image)
            for part in torch.split(codes, batch_size)
            for image in self.tokenizer.decode(part)
        ]

    def sample_codes(
        self,
        n: int,
        seed: int = 0,
        condition: Condition = None,
        *,
        config: SamplingConfig | None = None,
        batch_size: int = 16,
        progress: bool = True,
    ) -> Tensor:
        """Make the codes of new images; as `sample`, without the tokenizer.

        Returns:
            (n, h, w) int64 in [0, K), on the device of the prior.

        Raises:
            InputError: a value is not allowed, or there is no such class.
        """
        config = config or SamplingConfig()
        _check_at_least("the number of images", n, 1)
        _check_at_least("the batch size", batch_size, 1)
        _check_at_least("the seed", seed, 0)
        prompt = self._prompt(n, condition)
        if config.guidance != 1 and torch.equal(prompt.cond_tokens, prompt.null_tokens):
            raise InputError(
                f"guidance {config.guidance} needs a prior with a condition; leave it at 1"
            )
        batches = -(-n // batch_size)
        with tqdm(
            total=batches * self.layout.image_length, unit="token", disable=not progress
        ) as bar:
            parts = self._tokens(prompt, seed, config, batch_size, bar.update)
            tokens = torch.cat(list(parts))
        return self.ordering.to_codes(tokens, self.config.grid_height, self.config.grid_width)

    def _prompt(self, n: int, condition: Condition) -> Prompt:
        labels = self.conditioner.labels(condition, n)
        cond_tokens = self.conditioner.tokens(labels, n)
        null_tokens = self.conditioner.null_tokens(n)
        shift = self.layout.shift
        return Prompt(shift(cond_tokens).to(self.device), shift(null_tokens).to(self.device))

    def _tokens(
        self,
        prompt: Prompt,
        seed: int,
        config: SamplingConfig,
        batch_size: int,
        on_token: Callable[[], object],
    ) -> Iterator[Tensor]:
        """Image tokens (B, h * w) of one batch after the other."""
        images = range(len(prompt.cond_tokens))
        length = self.layout.image_length
        training = self.prior.training
        self.prior.eval()
        try:
            for start in images[::batch_size]:
                batch = images[start : start + batch_size]
                yield generate(
                    self.prior,
                    prompt.rows(batch),
                    length,
                    self.layout.codebook_size,
                    config,
                    seeded_draw(seed, batch, length, self.device),
                    on_token,
                )
        finally:
            self.prior.train(training)

    def _check_size(self, size: int | tuple[int, int] | None) -> None:
        asked = (size, size) if isinstance(size, int) else size
        if asked is not None and tuple(asked) != self.size:
            raise InputError(
                f"size {asked[0]}x{asked[1]} is not possible: this prior makes images of "
                f"{self.size[0]}x{self.size[1]} (height x width) only"
            )

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the prior's `config.json` and `model.safetensors`, and the tokenizer's folder.

        Raises:
            InputError: the disk is full or the folder cannot be written.
        """
        with atomic_folder(Path(folder)) as temporary:
            write_model_files(temporary, KIND, self.config, self.prior.state_dict())
            self.tokenizer.save_pretrained(temporary / TOKENIZER_FOLDER)

    @classmethod
    def from_pretrained(cls, name: str | Path) -> Self:
        """Load from a folder, a training run (its best model) or a hub id, in eval mode.

        The tokenizer is the folder `tokenizer` inside the model's folder, or that of the run.

        Raises:
            InputError: nothing is there, it is not a prior, or a file is damaged.
        """
        files = load_model(name, KIND)
        config = files.parse_config(PriorModelConfig)
        prior: GPT = PRIORS[config.gpt.kind](config.gpt)
        files.load_into(prior)
        tokenizer = load_tokenizer(_tokenizer_folder(files.folder))
        return cls(tokenizer, prior.eval(), config)


def _tokenizer_folder(model_folder: Path) -> Path:
    """Where the tokenizer of a prior is: in its folder, or in that of RUN/checkpoints/MODEL."""
    run_folder = model_folder.resolve().parent.parent
    for parent in (model_folder, run_folder):
        if (parent / TOKENIZER_FOLDER / CONFIG_FILE).is_file():
            return parent / TOKENIZER_FOLDER
    raise InputError(f"{model_folder} has no folder {TOKENIZER_FOLDER!r}: the tokenizer is missing")


def _sampling_config(**values: float) -> SamplingConfig:
    try:
        return SamplingConfig.model_validate(values)
    except ValidationError as error:
        raise InputError(describe(error)) from error


def _check_at_least(what: str, value: int, least: int) -> None:
    if value < least:
        raise InputError(f"{what} must be at least {least}, got {value}")

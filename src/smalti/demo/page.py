"""The page that shows what the demonstration learns, while it learns it."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from torch import Tensor

from smalti.config import InputError
from smalti.demo.progress import Progress
from smalti.distributed import is_distributed
from smalti.evaluation.measures import Figure, Measure, Reconstructed
from smalti.evaluation.tokenizer import evaluate
from smalti.files import atomic_file
from smalti.health.run_images import RunImages
from smalti.metrics.reconstruction import psnr
from smalti.ranges import from_pil, to_pil
from smalti.report.html import document, figure
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.sheet import contact_sheet
from smalti.tokenizer.vqgan import VQGAN
from smalti.training.curves import draw_numbers
from smalti.training.log import read_metrics

SAMPLES = 24
COLUMNS = 6
TEMPERATURE, TOP_P = 0.7, 0.8
"""Likely codes are preferred: a prior that learned for minutes gives too much to unlikely ones."""
RELOAD_SECONDS = 10
CURVES = {
    "vqgan": ("reconstruction_loss", "psnr_db", "code_use"),
    "prior": ("nll",),
}
"""Numbers of each stage whose curves are shown; the page of a run has all of them."""
_TRAINING_IMAGES = """ The tokenizer learned from these very photographs, none was held out: ones
that it has not seen come back less well."""
_OWN_PHOTOGRAPHS = """<h2>With your own photographs</h2>
<p><code>smalti train vqgan --data PHOTOS/</code>, then
<code>smalti train prior --data PHOTOS/ --vqgan runs/vqgan</code>, then
<code>smalti sample runs/prior -n 16 --out samples</code>.</p>"""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pair:
    """A photograph and its reconstruction."""

    name: str
    picture: Image.Image
    """The photograph and its reconstruction, side by side."""
    psnr_db: float


class Pairs(Measure):
    """Draws photographs, which have `names` in their order, beside their reconstructions."""

    def __init__(self, names: Sequence[str]) -> None:
        self.pairs: list[Pair] = []
        self._names = names

    def add(self, batch: Reconstructed) -> None:
        """Draw a photograph (1, 3, H, W) and its reconstruction."""
        image, reconstruction = to_pil(batch.images[0]), to_pil(batch.reconstructions[0])
        both = contact_sheet([image, reconstruction], columns=2)
        psnr_db = float(psnr(batch.images, batch.reconstructions))
        self.pairs.append(Pair(self._names[len(self.pairs)], both, psnr_db))

    def figures(self) -> Sequence[Figure]:
        """The mean PSNR of the reconstructions, in dB."""
        mean = sum(pair.psnr_db for pair in self.pairs) / len(self.pairs)
        return [Figure("psnr_db", "PSNR", mean, "{:.1f} dB")]


class Page:
    """The page `index.html` of a demonstration, with its pictures, in the demonstration's folder.

    It shows what the runs `vqgan` and `prior` in the folder have learned so far. Until both are
    done it says what is still to come, and a browser loads it anew every few seconds.

    Args:
        folder: folder of the demonstration.
        photographs: files in it, from which the runs learn.
        seed: seed of the samples.
    """

    def __init__(self, folder: Path, photographs: Sequence[Path], seed: int) -> None:
        self.file = folder / "index.html"
        self._folder, self._photographs, self._seed = folder, photographs, seed
        self._sections: list[str] = []
        self._reconstructed_step = -1
        self._reconstructions = ""

    def write(self) -> None:
        """Draw the pictures anew, and write the page.

        Raises:
            InputError: a file of a run is damaged, or the disk is full.
        """
        progress = Progress.read(self._folder)
        self._sections = list(self._draw(progress))
        self._write(f'<p class="good">{progress.in_words}</p>', is_final=progress.is_done)

    def grow(self) -> None:
        """Write the page during training; what goes wrong costs the page, not the run.

        Nothing is written at the end of a stage, which `write` then does.
        """
        # With several processes, an evaluation would wait for all of them.
        if is_distributed():
            return
        try:
            if not Progress.read(self._folder).stage_ends:
                self.write()
        except InputError as error:
            log.warning("%s; training goes on without a new page", error)

    def stop(self) -> None:
        """Write that the demonstration was stopped, above what the page last showed."""
        try:
            progress = Progress.read(self._folder)
            if not progress.is_done:
                words = f"Stopped. {progress.in_words} The same command goes on from here."
                self._write(f'<p class="bad">{words}</p>', is_final=True)
        except InputError as error:
            log.warning("%s; the page was not written", error)

    def _write(self, status: str, is_final: bool) -> None:
        title = "<h1>smalti: photographs in, codes learned, new images out</h1>"
        body = "\n".join((title, status, *self._sections, _OWN_PHOTOGRAPHS))
        reload_seconds = None if is_final else RELOAD_SECONDS
        with atomic_file(self.file) as path:
            path.write_text(document("smalti demo", body, reload_seconds), encoding="utf-8")

    def _draw(self, progress: Progress) -> Iterator[str]:
        """Draw the pictures of all sections; gives the sections."""
        if not progress.vqgan.step:
            yield self._photographs_alone()
            return
        # During stage 2 its reconstructions stay as they are.
        if progress.vqgan.step != self._reconstructed_step:
            self._reconstructions = self._draw_reconstructions()
            self._reconstructed_step = progress.vqgan.step
        yield self._reconstructions
        if progress.prior.step:
            yield self._draw_samples()
        yield self._draw_curves("vqgan", "Stage 1: what it learned when")
        if progress.prior.step:
            yield self._draw_curves("prior", "Stage 2")

    def _photographs_alone(self) -> str:
        figures = (
            figure(file.relative_to(self._folder).as_posix(), file.stem)
            for file in self._photographs
        )
        return "\n".join(("<h2>The photographs, which come with scikit-image</h2>", *figures))

    def _draw_reconstructions(self) -> str:
        vqgan = VQGAN.from_pretrained(self._folder / "vqgan")
        pairs = Pairs([path.stem for path in self._photographs])
        images = (_read(path, vqgan.downsampling_factor) for path in self._photographs)
        evaluation = evaluate(vqgan, images, [pairs])
        self._save({f"reconstruction_{pair.name}.png": pair.picture for pair in pairs.pairs})
        figures = "\n".join(
            figure(f"reconstruction_{pair.name}.png", f"{pair.name}, {pair.psnr_db:.1f} dB")
            for pair in pairs.pairs
        )
        # All photographs are shown: where none was held out, all are training images.
        run_images = RunImages.last(read_metrics(self._folder / "vqgan"))
        is_all_training = run_images is not None and not run_images.held_out
        kind = "training images" if is_all_training else "photographs"
        (psnr_db,), use, f = evaluation.figures, evaluation.use, vqgan.downsampling_factor
        return f"""<h2>Reconstructions</h2>
<p>{len(pairs.pairs)} photographs that come with scikit-image. Stage 1 learns {vqgan.codebook_size}
codes, one for each {f}x{f} pixels. Left the photograph, right what its codes alone give back.
Mean PSNR of these {kind}: {psnr_db.text}. They use {use.usage:.0%} of the codes (perplexity
{use.perplexity:.0f} of {vqgan.codebook_size}).{_TRAINING_IMAGES if is_all_training else ""}</p>
{figures}"""

    def _draw_samples(self) -> str:
        pipeline = Pipeline.from_pretrained(self._folder / "prior")
        samples = pipeline.sample(
            SAMPLES, self._seed, temperature=TEMPERATURE, top_p=TOP_P, progress=False
        )
        sheet = contact_sheet(samples, COLUMNS)
        self._save({"samples.png": sheet})
        (height, width), codes = pipeline.size, pipeline.layout.image_length
        return f"""<h2>New images</h2>
<p>Stage 2 learns which codes follow which, in crops of {height}x{width} pixels. These images are
drawn code by code, {codes} codes each (temperature {TEMPERATURE}, top-p {TOP_P}), and decoded.
Trained on few crops of so few photographs, they are pieces of these photographs, learned by heart
and newly put together.</p>
<p><img src="samples.png" alt="samples"></p>"""

    def _draw_curves(self, stage: str, title: str) -> str:
        with atomic_file(self._folder / f"curves_{stage}.png") as path:
            draw_numbers(read_metrics(self._folder / stage), CURVES[stage], path)
        words = f"numbers of {stage} over its steps"
        return f'<h2>{title}</h2>\n<p><img src="curves_{stage}.png" alt="{words}"></p>'

    def _save(self, pictures: Mapping[str, Image.Image]) -> None:
        for name, picture in pictures.items():
            with atomic_file(self._folder / name) as path:
                picture.save(path)


def _read(path: Path, factor: int) -> Tensor:
    """Read a photograph (1, 3, H, W) float32 in [-1, 1], cut to multiples of `factor`."""
    picture = Image.open(path).convert("RGB")
    width, height = (side // factor * factor for side in picture.size)
    return from_pil(picture.crop((0, 0, width, height)))[None]

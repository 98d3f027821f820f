"""The page that shows what the demonstration learned."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from torch import Tensor

from smalti.evaluation.measures import Figure, Measure, Reconstructed
from smalti.evaluation.tokenizer import Evaluation, evaluate
from smalti.files import atomic_file
from smalti.health.run_images import RunImages
from smalti.metrics.reconstruction import psnr
from smalti.ranges import from_pil, to_pil
from smalti.report.html import document, figure
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.sheet import contact_sheet
from smalti.tokenizer.vqgan import VQGAN
from smalti.training.curves import CURVES_FILE
from smalti.training.log import read_metrics

SAMPLES = 24
COLUMNS = 6
_TRAINING_IMAGES = """ The tokenizer learned from these very photographs, none was held out: ones
that it has not seen come back less well."""


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


def write_page(folder: Path, photographs: Sequence[Path], seed: int) -> Path:
    """Write `index.html` and its pictures from the runs `vqgan` and `prior` in the folder.

    `photographs` are those that it was trained on, and `seed` is that of the samples.

    Returns:
        Path of the page.

    Raises:
        InputError: a run has no model, or the disk is full.
    """
    vqgan = VQGAN.from_pretrained(folder / "vqgan")
    f = vqgan.downsampling_factor
    pairs = Pairs([path.stem for path in photographs])
    evaluation = evaluate(vqgan, (_read(path, f) for path in photographs), [pairs])
    pictures = {f"reconstruction_{pair.name}.png": pair.picture for pair in pairs.pairs}
    pipeline = Pipeline.from_pretrained(folder / "prior")
    sheet = contact_sheet(pipeline.sample(SAMPLES, seed), COLUMNS)
    pictures["samples.png"] = sheet.resize(
        (2 * sheet.width, 2 * sheet.height), Image.Resampling.NEAREST
    )
    _save(folder, pictures)
    for stage in ("vqgan", "prior"):
        with atomic_file(folder / f"curves_{stage}.png") as path:
            shutil.copyfile(folder / stage / CURVES_FILE, path)
    images = RunImages.last(read_metrics(folder / "vqgan"))
    with atomic_file(folder / "index.html") as path:
        path.write_text(_html(pairs.pairs, evaluation, pipeline, images), encoding="utf-8")
    return folder / "index.html"


def _read(path: Path, factor: int) -> Tensor:
    """Read a photograph (1, 3, H, W) float32 in [-1, 1], cut to multiples of `factor`."""
    picture = Image.open(path).convert("RGB")
    width, height = (side // factor * factor for side in picture.size)
    return from_pil(picture.crop((0, 0, width, height)))[None]


def _save(folder: Path, pictures: Mapping[str, Image.Image]) -> None:
    for name, picture in pictures.items():
        with atomic_file(folder / name) as path:
            picture.save(path)


def _html(
    pairs: Sequence[Pair],
    evaluation: Evaluation,
    pipeline: Pipeline,
    images: RunImages | None,
) -> str:
    # All photographs are shown: where none was held out, all are training images.
    is_all_training = images is not None and not images.held_out
    kind = "training images" if is_all_training else "photographs"
    figures = "\n".join(
        figure(f"reconstruction_{pair.name}.png", f"{pair.name}, {pair.psnr_db:.1f} dB")
        for pair in pairs
    )
    (psnr_db,), use = evaluation.figures, evaluation.use
    f, layout = pipeline.tokenizer.downsampling_factor, pipeline.layout
    height, width = pipeline.size
    body = f"""<h1>smalti: photographs in, codes learned, new images out</h1>
<p>{len(pairs)} photographs that come with scikit-image, two stages. Stage 1 learned
{layout.codebook_size} codes, one for each {f}x{f} pixels; stage 2 learned which codes follow which,
in crops of {height}x{width} pixels.</p>
<h2>Reconstructions</h2>
<p>Left the photograph, right what its codes alone give back. Mean PSNR of these {kind}:
{psnr_db.text}. They use {use.usage:.0%} of the codes (perplexity {use.perplexity:.0f} of
{layout.codebook_size}).{_TRAINING_IMAGES if is_all_training else ""}</p>
{figures}
<h2>New images</h2>
<p>Drawn code by code, {layout.image_length} codes each, and decoded. Trained on so few photographs,
they are pieces of these photographs, newly put together.</p>
<p><img class="small" src="samples.png" alt="samples"></p>
<h2>Stage 1: what it learned when</h2>
<p><img src="curves_vqgan.png" alt="numbers of stage 1 over its steps"></p>
<h2>Stage 2</h2>
<p><img src="curves_prior.png" alt="numbers of stage 2 over its steps"></p>
<h2>With your own photographs</h2>
<p><code>smalti train vqgan --data PHOTOS/</code>, then
<code>smalti train prior --data PHOTOS/ --vqgan runs/vqgan</code>, then
<code>smalti sample runs/prior -n 16 --out samples</code>.</p>"""
    return document("smalti demo", body)

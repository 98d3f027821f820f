"""The page that shows what the demonstration learned."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from smalti.files import atomic_file
from smalti.health.run_images import RunImages
from smalti.metrics.codebook import CodebookUse
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
class Reconstructed:
    """A photograph through the tokenizer and back."""

    name: str
    picture: Image.Image
    """Original and reconstruction side by side."""
    psnr_db: float


def write_page(folder: Path, photographs: Sequence[Path], seed: int) -> Path:
    """Write `index.html` and its pictures from the two runs in the folder.

    Args:
        folder: of the demonstration, with `vqgan/` and `prior/`.
        photographs: what it was trained on.
        seed: of the samples.

    Returns:
        The page.

    Raises:
        InputError: a run has no model, or the disk is full.
    """
    vqgan = VQGAN.from_pretrained(folder / "vqgan")
    use = CodebookUse(vqgan.codebook_size)
    reconstructed = [_reconstruct(vqgan, path, use) for path in photographs]
    pictures = {f"reconstruction_{item.name}.png": item.picture for item in reconstructed}
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
        path.write_text(_html(reconstructed, use, pipeline, images), encoding="utf-8")
    return folder / "index.html"


def _reconstruct(vqgan: VQGAN, path: Path, use: CodebookUse) -> Reconstructed:
    """Original beside reconstruction; the picture's size is cut to whole codes."""
    picture = Image.open(path).convert("RGB")
    f = vqgan.downsampling_factor
    picture = picture.crop((0, 0, picture.width // f * f, picture.height // f * f))
    image = from_pil(picture)[None]
    codes = vqgan.encode(image)
    use.add(codes)
    reconstruction = vqgan.decode(codes)
    both = contact_sheet([picture, to_pil(reconstruction[0])], columns=2)
    return Reconstructed(path.stem, both, float(psnr(image, reconstruction)))


def _save(folder: Path, pictures: Mapping[str, Image.Image]) -> None:
    for name, picture in pictures.items():
        with atomic_file(folder / name) as path:
            picture.save(path)


def _html(
    reconstructed: Sequence[Reconstructed],
    use: CodebookUse,
    pipeline: Pipeline,
    images: RunImages | None,
) -> str:
    # All photographs are shown: where none was held out, all are training images.
    is_all_training = images is not None and not images.held_out
    kind = "training images" if is_all_training else "photographs"
    figures = "\n".join(_figure(item) for item in reconstructed)
    mean = sum(item.psnr_db for item in reconstructed) / len(reconstructed)
    f, layout = pipeline.tokenizer.downsampling_factor, pipeline.layout
    height, width = pipeline.size
    body = f"""<h1>smalti: photographs in, codes learned, new images out</h1>
<p>{len(reconstructed)} photographs that come with scikit-image, two stages. Stage 1 learned
{layout.codebook_size} codes, one for each {f}x{f} pixels; stage 2 learned which codes follow which,
in crops of {height}x{width} pixels.</p>
<h2>Reconstructions</h2>
<p>Left the photograph, right what its codes alone give back. Mean PSNR of these {kind}:
{mean:.1f} dB. They use {use.usage:.0%} of the codes (perplexity {use.perplexity:.0f} of
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


def _figure(item: Reconstructed) -> str:
    return figure(f"reconstruction_{item.name}.png", f"{item.name}, {item.psnr_db:.1f} dB")

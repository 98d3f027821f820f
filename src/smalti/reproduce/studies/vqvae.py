"""App. B, Fig. 9: a VQVAE against a VQGAN, with the same network and budget."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from smalti.reproduce.experiment import Experiment, PlannedRun
from smalti.reproduce.nll import score_curve
from smalti.reproduce.recipes import tokenizer_recipe
from smalti.reproduce.reconstructions import UnseenImages
from smalti.reproduce.results import Results
from smalti.reproduce.samples import write_sheet
from smalti.reproduce.study import STUDIES, Plot, Row, Study, Table
from smalti.reproduce.verdict import Claim

SETUPS: Mapping[str, tuple[str, int]] = {
    "tiny": ("photos-f8", 600),
    "small": ("photos-f16", 20_000),
    "paper": ("faces-f16", 300_000),
}
"""Tokenizer whose recipe both follow, and steps, by scale."""
LOSSES = {
    "vqgan": "",
    "vqvae": "--loss.pixel l2 --loss.perceptual.kind none --loss.adversary.kind none",
}
MEASURED = 256
SHOWN = 8
FIGURES = ("perceptual_distance", "reconstruction_fd", "blur", "psnr_db", "ssim")


@STUDIES.register("vqvae")
class VQVAEStudy(Study):
    """A VQVAE against a VQGAN, with the same network and budget."""

    title = "VQVAE and VQGAN (App. B, Fig. 9)"
    paper = (
        "With the same network and f = 16, reconstructions of a VQVAE are blurry and have little "
        "information about the image, whereas a VQGAN recovers images faithfully. The paper shows "
        "pictures and no numbers."
    )
    remarks = (
        "The VQVAE has the squared error of Eq. 4 alone, without perceptual and adversarial loss. "
        "Both see the same images in the same order, and all figures are of unseen images. The "
        "perceptual distance and the Frechet distance are by EfficientNet-Lite0, which is also the "
        "network of the VQGAN's perceptual loss and so favours it. The blur is independent of it: "
        "the share of the images' gradient energy that reconstructions lack, 0 for none (below 0 "
        "they have more than the images). PSNR favours the VQVAE, which learns by it."
    )

    def runs(self, experiment: Experiment, seed: int) -> Sequence[PlannedRun]:
        """A VQGAN and a VQVAE."""
        return list(self._runs(experiment, seed).values())

    def _runs(self, experiment: Experiment, seed: int) -> dict[str, PlannedRun]:
        name, steps = SETUPS[experiment.scale]
        recipe = tokenizer_recipe(experiment.scale, name)
        return {
            kind: experiment.compared(
                "vqgan", kind, seed, recipe.data, shlex.split(f"{recipe.words} {losses}"), steps
            )
            for kind, losses in LOSSES.items()
        }

    def measure(self, experiment: Experiment, seed: int, results: Results) -> None:
        """Figures of the reconstructions of unseen images."""
        for kind, run in self._runs(experiment, seed).items():
            results.add_curve(kind, score_curve(experiment.path(run), "psnr_db"))
            results.measure(
                kind,
                UnseenImages(experiment, run, None, MEASURED).figures,
            )

    def tables(self, scale: str) -> Sequence[Table]:
        """All figures of both."""
        columns = ["perceptual distance", "reconstruction FD", "blur", "PSNR, dB", "SSIM"]
        rows = [Row(kind.upper(), [f"{kind}/{name}" for name in FIGURES]) for kind in LOSSES]
        return [Table("Reconstructions of unseen images", columns, rows)]

    def claims(self, scale: str) -> Sequence[Claim]:
        """The VQGAN is perceptually closer, and less blurry."""
        words = {
            "perceptual_distance": "the VQGAN has the lower perceptual distance",
            "reconstruction_fd": "the VQGAN has the lower Frechet distance",
            "blur": "the VQGAN is less blurry",
        }
        return [Claim(text, f"vqgan/{name}", f"vqvae/{name}") for name, text in words.items()]

    def plots(self, scale: str) -> Sequence[Plot]:
        """PSNR over the steps, which falls where the adversary joins."""
        curves = {kind.upper(): kind for kind in LOSSES}
        return [Plot("psnr", "steps", "PSNR of unseen images, dB", curves)]

    def draw(self, experiment: Experiment, seed: int, folder: Path) -> None:
        """Unseen images, reconstructions by the VQVAE, and by the VQGAN, in rows."""
        path = folder / "images_vqvae_vqgan.png"
        if path.is_file():
            return
        runs = self._runs(experiment, seed)
        images, vqvae = UnseenImages(experiment, runs["vqvae"], None, SHOWN).pictures(SHOWN)
        _, vqgan = UnseenImages(experiment, runs["vqgan"], None, SHOWN).pictures(SHOWN)
        write_sheet(path, [*images, *vqvae, *vqgan], columns=len(images))

"""`smalti demo`: trains both stages on photographs of scikit-image, and writes a page."""

import time
from collections.abc import Sequence

from smalti.cli.arguments import Parser, positive
from smalti.cli.places import output_folder


def run(arguments: Sequence[str]) -> None:
    """Train, or go on training, and write the page meanwhile."""
    options = parser().read(arguments)
    out = output_folder(options.out)

    from smalti.cli.train_config import read_config
    from smalti.compute import choose_compute
    from smalti.demo.page import Page
    from smalti.demo.photographs import write_photographs
    from smalti.runs.config import PriorRunConfig, VQGANRunConfig
    from smalti.runs.prior import train_prior
    from smalti.runs.vqgan import train_vqgan

    started = time.monotonic()
    choose_compute(options.device)  # a wrong one must show before anything is written
    photographs = write_photographs(out / "photographs")
    common = ["--data", str(out / "photographs"), "--seed", str(options.seed)]
    common += ["--training.device", options.device]
    if options.steps is not None:
        common += ["--training.total-steps", str(options.steps)]
    vqgan = ["--preset", "vqgan-demo", *common, "--out", str(out / "vqgan")]
    prior = ["--preset", "prior-demo", *common, "--out", str(out / "prior")]
    prior += ["--vqgan", str(out / "vqgan")]
    page = Page(out, photographs, options.seed)
    page.write()
    print(f"open {page.file} in a browser: it grows while this trains")
    try:
        print("stage 1 of 2: learning the codebook")
        train_vqgan(read_config(VQGANRunConfig, vqgan), page.grow)
        page.write()
        print("stage 2 of 2: learning the compositions")
        train_prior(read_config(PriorRunConfig, prior), page.grow)
        page.write()
    except BaseException:
        page.stop()
        raise
    print(f"done in {(time.monotonic() - started) / 60:.1f} minutes: {page.file} is complete")
    print("next: smalti train vqgan --data PHOTOS")


def parser() -> Parser:
    """The options of the command."""
    parser = Parser(
        "demo",
        "Train both stages on photographs that come with scikit-image, and write a page, which "
        "grows meanwhile. Takes about four minutes on two idle processor cores, and longer on old "
        "ones; the same command goes on where it was stopped.",
    )
    parser.add_out("demo", "folder for photographs, runs and page")
    parser.add_argument(
        "--steps",
        type=positive,
        metavar="N",
        help="steps of each stage, for a trial run: 2 show within a minute or two that an "
        "installation works, and learn nothing (default: 400 and 300)",
    )
    parser.add_seed("seed of everything random")
    parser.add_device()
    return parser

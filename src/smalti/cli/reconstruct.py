"""`smalti reconstruct`: what a tokenizer keeps of pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from smalti.cli.arguments import Parser, device_argument, positive

if TYPE_CHECKING:
    from PIL import Image


def run(arguments: Sequence[str]) -> None:
    """Write each picture beside its reconstruction."""
    options = _parser().parse_args(arguments)

    from PIL import Image

    from smalti.cli.output import check_file
    from smalti.cli.pictures import find_pictures, read_picture
    from smalti.files import atomic_file
    from smalti.metrics.reconstruction import psnr
    from smalti.ranges import from_pil, to_pil
    from smalti.sampling.sheet import MARGIN_PX
    from smalti.tokenizer.vqgan import VQGAN
    from smalti.training.precision import choose_compute

    out = Path(options.out)
    check_file(out, (".png", ".jpg", ".jpeg", ".webp"))
    paths = find_pictures(options.pictures)
    vqgan = VQGAN.from_pretrained(options.model)
    compute = choose_compute(options.device, "float32")
    print(f"device: {compute}")
    vqgan.to(compute.device)
    pairs: list[Image.Image] = []
    for path in paths:
        picture = read_picture(path)
        if max(picture.size) > options.longest_px:
            picture.thumbnail((options.longest_px, options.longest_px), Image.Resampling.BICUBIC)
            print(f"{path}: shrunk to {picture.width}x{picture.height}; see --longest-px")
        image = from_pil(picture)[None].to(compute.device)
        reconstruction = vqgan.reconstruct(image)
        print(f"{path}: PSNR {float(psnr(image, reconstruction)):.2f} dB")
        pair = Image.new("RGB", (2 * picture.width + MARGIN_PX, picture.height), "white")
        pair.paste(picture, (0, 0))
        pair.paste(to_pil(reconstruction[0]), (picture.width + MARGIN_PX, 0))
        pairs.append(pair)
    with atomic_file(out) as temporary:
        _stack(pairs).save(temporary)
    print(f"done: {out} (left: as it was, right: reconstruction)")


def _stack(pictures: "Sequence[Image.Image]") -> "Image.Image":
    """Pictures of any width below each other."""
    from PIL import Image

    stacked = Image.new(
        "RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)), "white"
    )
    top = 0
    for picture in pictures:
        stacked.paste(picture, (0, top))
        top += picture.height
    return stacked


def _parser() -> Parser:
    parser = Parser("reconstruct", "Send pictures through a tokenizer and back, side by side.")
    parser.add_argument("model", help="run of `smalti train vqgan`, model folder or hub id")
    parser.add_argument("pictures", nargs="+", help="picture files, or folders of them")
    parser.add_argument("--out", default="reconstruction.png", help="file; replaced if it exists")
    parser.add_argument(
        "--longest-px", type=positive, default=1024, help="larger pictures are shrunk to this side"
    )
    device_argument(parser)
    return parser

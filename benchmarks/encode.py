"""Encoding images into codes against diffusers' VQModel of the same shape.

    python benchmarks/encode.py [--sizes PX PX] [--channels C] [--rounds R] [--threads T]
        [--clock processor]

model: encoder and quantizer on images in memory, in batches of the same size for both. A batch of
    64x64 pixels is encoded whole by diffusers; ours encodes some of its images at a time.
from a tar, from a folder: pictures are read, resized and cropped too. Ours is what `smalti encode`
    runs; with diffusers it is a plain loop that reads a batch by Pillow and encodes it.

Batches have as many pixels as those of `smalti encode`. `best` compares both at the batch size
that is fastest for each.
"""

import argparse
import io
import json
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import VQModel
from measure import CLOCKS, Clock, take_turns
from PIL import Image
from torch import Tensor
from train_step import check_same_shape, diffusers_autoencoder, our_autoencoder

from smalti.codes.pictures import batches_of_one_size, find_pictures, load_images
from smalti.data.config import TransformConfig
from smalti.data.loader import read_ahead
from smalti.data.readers import reader_of
from smalti.tokenizer.base import encoded_together
from smalti.tokenizer.vqgan import VQGAN

PICTURE_PX = 256  # sides of the pictures in the files
SMALLER_BATCHES = (1, 2, 8)  # divisors of the batch, for the best of each


@torch.inference_mode()
def diffusers_codes(model: VQModel, images: Tensor) -> Tensor:
    """Codes (B, h, w) of images (B, 3, H, W), as diffusers' own forward pass finds them."""
    latents = model.encode(images).latents
    *_, (_, _, codes) = model.quantize(latents)
    return codes.view(len(images), *latents.shape[-2:])


# From files


def write_pictures(folder: Path, count: int) -> tuple[Path, Path]:
    """Write JPEG pictures of smooth colours with noise: into a folder, and into a tar."""
    generator = np.random.default_rng(0)
    photos, archive = folder / "photos", folder / "photos.tar"
    photos.mkdir()
    with tarfile.open(archive, "w") as tar:
        for number in range(count):
            coarse = Image.fromarray(generator.integers(0, 256, (8, 8, 3), dtype=np.uint8))
            smooth = np.asarray(coarse.resize((PICTURE_PX, PICTURE_PX), Image.Resampling.BICUBIC))
            noise = generator.integers(-8, 8, smooth.shape)
            pixels = (smooth.astype(int) + noise).clip(0, 255).astype(np.uint8)
            encoded = io.BytesIO()
            Image.fromarray(pixels).save(encoded, "JPEG", quality=90)
            name = f"{number:05d}.jpg"
            (photos / name).write_bytes(encoded.getvalue())
            entry = tarfile.TarInfo(name)
            entry.size = len(encoded.getvalue())
            tar.addfile(entry, io.BytesIO(encoded.getvalue()))
    return photos, archive


def encode_ours(vqgan: VQGAN, source: Path, size: int) -> Tensor:
    """Codes of all pictures of a source, as `smalti encode` makes them."""
    pictures = find_pictures([str(source)], vqgan.content.part)
    transform = TransformConfig(size=size)
    settled = transform.settled(len(pictures))
    loaded = load_images(pictures, settled, reader_of(vqgan.content), print)
    batches = batches_of_one_size(loaded)
    return torch.cat([vqgan.encode(images) for _, images in read_ahead(batches)])


def contents(source: Path) -> Iterator[bytes]:
    """The files of a folder or of a tar."""
    if source.is_dir():
        yield from (path.read_bytes() for path in sorted(source.iterdir()))
        return
    with tarfile.open(source) as tar:
        for entry in tar:
            file = tar.extractfile(entry)
            assert file is not None
            yield file.read()


def plain_image(content: bytes, size: int) -> Tensor:
    """A picture resized and cropped to (3, size, size) float32 in [-1, 1], by Pillow."""
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    picture = picture.resize((size, size), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 127.5 - 1


def encode_diffusers(model: VQModel, source: Path, size: int) -> Tensor:
    """Codes of all pictures of a source, by a plain loop over batches."""
    codes, batch = [], []
    for content in contents(source):
        batch.append(plain_image(content, size))
        if len(batch) == encoded_together(size, size):
            codes.append(diffusers_codes(model, torch.stack(batch)))
            batch = []
    if batch:
        codes.append(diffusers_codes(model, torch.stack(batch)))
    return torch.cat(codes)


# Measuring


def measure_model(
    vqgan: VQGAN, model: VQModel, size: int, rounds: int, clock: Clock
) -> dict[str, float]:
    """Compare both on images in memory; print and return the ratios."""
    batch = encoded_together(size, size)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand((batch, 3, size, size), generator=generator) * 2 - 1
    batches = sorted({max(1, batch // divisor) for divisor in SMALLER_BATCHES}, reverse=True)
    contenders: dict[str, Callable[[], object]] = {}
    for count in batches:
        contenders[f"ours, {count}"] = lambda n=count: [vqgan.encode(x) for x in images.split(n)]
        contenders[f"diffusers, {count}"] = lambda n=count: [
            diffusers_codes(model, x) for x in images.split(n)
        ]
    timings = take_turns(contenders, rounds, clock=clock)
    print(f"{size}x{size}, images a second in batches of")
    for count in batches:
        seconds = [timings.median(f"{name}, {count}") for name in ("ours", "diffusers")]
        ratio = timings.ratio(f"diffusers, {count}", f"ours, {count}")
        print(
            f"    {count:4}   ours {batch / seconds[0]:8.1f}   diffusers {batch / seconds[1]:8.1f}"
            f"   ratio {ratio:.2f}"
        )
    best = {
        name: min((f"{name}, {count}" for count in batches), key=timings.median)
        for name in ("ours", "diffusers")
    }
    return {
        f"model_{size}px": timings.ratio(f"diffusers, {batch}", f"ours, {batch}"),
        f"model_{size}px_best": timings.ratio(best["diffusers"], best["ours"]),
    }


def measure_files(
    vqgan: VQGAN,
    model: VQModel,
    sources: Sequence[Path],
    size: int,
    rounds: int,
    count: int,
    clock: Clock,
) -> dict[str, float]:
    """Compare both on pictures in files; print and return the ratios."""
    ratios = {}
    for source in sources:
        kind = "folder" if source.is_dir() else "tar"
        timings = take_turns(
            {
                "ours": lambda source=source: encode_ours(vqgan, source, size),
                "diffusers": lambda source=source: encode_diffusers(model, source, size),
            },
            rounds,
            clock=clock,
        )
        ratio = timings.ratio("diffusers", "ours")
        speeds = [count / timings.median(name) for name in ("ours", "diffusers")]
        print(
            f"{size}x{size} from a {kind}: ours {speeds[0]:.1f}, diffusers {speeds[1]:.1f} images "
            f"a second, ratio {ratio:.2f}"
        )
        ratios[f"{kind}_{size}px"] = ratio
    return ratios


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--channels", type=int, default=32, help="multiple of 8")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="see measure.CLOCKS")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    check_same_shape(arguments.channels)
    vqgan = our_autoencoder(arguments.channels).eval()
    model = diffusers_autoencoder(arguments.channels).eval()
    print(
        f"{arguments.channels} channels, float32, {torch.get_num_threads()} thread(s), median of "
        f"{arguments.rounds}; ratios above 1: ours is faster"
    )
    ratios, clock = {}, CLOCKS[arguments.clock]
    for size in arguments.sizes:
        ratios |= measure_model(vqgan, model, size, arguments.rounds, clock)
        count = 2 * encoded_together(size, size)
        with tempfile.TemporaryDirectory() as folder:
            sources = write_pictures(Path(folder), count)
            ratios |= measure_files(vqgan, model, sources, size, arguments.rounds, count, clock)
    print(json.dumps({name: round(ratio, 3) for name, ratio in ratios.items()}))


if __name__ == "__main__":
    main()

"""Lists pictures by how much they surprise a prior, in bits a code, the most surprising first.

python examples/surprise.py runs/prior photos/ more.jpg
"""

import sys

import torch

from smalti import InputError, PictureCodes, Pipeline, Progress, encode_pictures


def show(progress: Progress) -> None:
    """Show how far the work is, on one line of the terminal."""
    end = "\n" if progress.done == progress.total else "\r"
    print(f"{progress.done} of {progress.total} pictures", end=end, file=sys.stderr)


def bits_by_name(pipeline: Pipeline, encoded: list[PictureCodes]) -> dict[str, float]:
    """Mean bits a code of pictures, by their paths."""
    codes = torch.stack([one.codes for one in encoded])
    bits = pipeline.score(codes, on_progress=show).bits.mean((1, 2))
    return {one.name: value for one, value in zip(encoded, bits.tolist(), strict=True)}


def main(model: str, *pictures: str) -> None:
    """Print bits a code of the pictures of files and data sets."""
    pipeline = Pipeline.from_pretrained(model)
    encoded = encode_pictures(
        pipeline.tokenizer, pictures, size=pipeline.size, small="enlarge", on_progress=show
    )
    bits = bits_by_name(pipeline, encoded)
    for name in sorted(bits, key=lambda name: bits[name], reverse=True):
        print(f"{bits[name]:6.3f}  {name}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except InputError as error:
        sys.exit(str(error))

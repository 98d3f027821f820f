"""`smalti sample`: new images with a trained prior."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from smalti.cli.arguments import Parser, device_argument, not_negative, positive


def run(arguments: Sequence[str]) -> None:
    """Make images and a sheet of them all."""
    options = _parser().parse_args(arguments)

    from smalti.cli.output import check_folder, save_pictures
    from smalti.sampling.pipeline import Pipeline
    from smalti.sampling.sheet import contact_sheet
    from smalti.training.precision import choose_compute

    out = Path(options.out)
    check_folder(out)
    pipeline = Pipeline.from_pretrained(options.model)
    compute = choose_compute(options.device, "float32")
    print(f"device: {compute}")
    pictures = pipeline.to(compute.device).sample(
        options.n,
        options.seed,
        getattr(options, "condition", None),
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        guidance=options.guidance,
        batch_size=options.batch_size,
    )
    named = {f"{number:04d}.png": picture for number, picture in enumerate(pictures)}
    save_pictures(out, named | {"grid.png": contact_sheet(pictures)})
    print(f"done: {len(pictures)} images and grid.png in {out}")


def _parser() -> Parser:
    parser = Parser("sample", "Make new images with a trained prior.")
    parser.add_argument("model", help="run of `smalti train prior`, pipeline folder or hub id")
    parser.add_argument("-n", type=positive, default=16, help="number of images")
    parser.add_argument(
        "--out", default="samples", help="folder; images of the same names are replaced"
    )
    parser.add_argument(
        "--seed", type=not_negative, default=0, help="image i depends on (seed, i) only"
    )
    parser.add_argument(
        "--condition",
        nargs="+",
        metavar="CLASS",
        default=argparse.SUPPRESS,
        help="class by name or number; several are taken in turn (default: all in turn)",
    )
    parser.add_argument(
        "--temperature", type=float, default=1.0, help="below 1 likelier, above 1 bolder; 0 greedy"
    )
    parser.add_argument(
        "--top-k", type=not_negative, default=100, help="likeliest codes kept; 0 is off"
    )
    parser.add_argument(
        "--top-p", type=float, default=1.0, help="share of probability kept; 1 is off"
    )
    parser.add_argument(
        "--guidance", type=float, default=1.0, help="how closely to follow the condition; 1 is off"
    )
    parser.add_argument("--batch-size", type=positive, default=16, help="images made at a time")
    device_argument(parser)
    return parser

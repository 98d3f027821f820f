"""`smalti import`: another program's tokenizer -> a model folder of ours."""

from argparse import SUPPRESS
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from smalti.cli.arguments import Parser

if TYPE_CHECKING:
    from smalti.interop.exchange import Imported


def run(arguments: Sequence[str]) -> None:
    """Read a tokenizer, say what was found, and write it."""
    options = _parser().parse_args(arguments)

    from smalti.cli.output import check_new_folder
    from smalti.interop.tokenizers import import_tokenizer

    out = Path(options.out)
    check_new_folder(out)
    imported = import_tokenizer(Path(options.model), getattr(options, "config", None))
    _report(imported)
    imported.vqgan.save_pretrained(out)
    print(f"done: {out}")
    print(f"next: smalti reconstruct {out} PHOTO --out reconstruction.png")
    print(f"      smalti train vqgan --data PHOTOS --init {out}")


def _report(imported: "Imported") -> None:
    vqgan = imported.vqgan
    parameters = sum(parameter.numel() for parameter in vqgan.parameters())
    print(
        f"tokenizer: f = {vqgan.downsampling_factor}, K = {vqgan.codebook_size}, "
        f"D = {vqgan.config.code_dim}, {parameters:,} parameters; shape from {imported.shape_from}"
    )
    others = ", ".join(f"{part} ({count})" for part, count in imported.passed_over.items())
    print(f"tensors: {imported.used} used, none missing; passed over: {others or 'none'}")


def _parser() -> Parser:
    parser = Parser(
        "import",
        "Another program's tokenizer -> a model folder. Nothing that a file names is run.",
    )
    parser.add_argument(
        "model",
        help="checkpoint of taming-transformers or latent-diffusion (.ckpt, .pt, .safetensors), or "
        "a VQModel folder of diffusers",
    )
    parser.add_argument(
        "--out", required=True, default=SUPPRESS, help="folder of the model, new or empty"
    )
    parser.add_argument(
        "--config",
        type=Path,
        default=SUPPRESS,
        help="YAML that came with a checkpoint: must agree with its tensors",
    )
    return parser

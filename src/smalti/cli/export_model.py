"""`smalti export`: writes a tokenizer in another program's form."""

from collections.abc import Sequence

from smalti.cli.arguments import Parser, expanded_path
from smalti.cli.places import output_folder
from smalti.errors import InputError


def run(arguments: Sequence[str]) -> None:
    """Write a tokenizer in another program's form."""
    options = parser().read(arguments)
    out = output_folder(options.out, must_be_new=True)

    from smalti.interop.tokenizers import EXPORTS
    from smalti.registry import unknown_name
    from smalti.tokenizer.vqgan import VQGAN

    if options.format not in EXPORTS:
        raise unknown_name("format", options.format, EXPORTS)
    vqgan = VQGAN.from_pretrained(options.model)
    try:
        EXPORTS[options.format](vqgan, out)
    except InputError as error:
        raise InputError(f"{options.model} cannot be exported: {error}") from error
    print(f"done: {out}")


def parser() -> Parser:
    """The options of the command."""
    parser = Parser("export", "A tokenizer -> files of another program.")
    parser.add_argument(
        "model", type=expanded_path, help="run of `smalti train vqgan`, model folder or hub id"
    )
    parser.add_argument("--out", type=expanded_path, required=True, help="folder, new or empty")
    parser.add_argument(
        "--format",
        default="diffusers",
        help="diffusers: a folder for VQModel.from_pretrained; taming: the released code's config "
        "and state dict; llamagen: arguments and weights of its VQModel; janus: a folder for "
        "JanusVQVAE.from_pretrained of transformers",
    )
    return parser

"""`smalti decode`: decodes codes of a file into pictures."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from smalti.cli.arguments import Parser, expanded_path
from smalti.cli.places import output_folder
from smalti.errors import InputError
from smalti.words import counted

NOT_ALLOWED = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
"""Characters that Windows does not allow in the names of files."""


def run(arguments: Sequence[str]) -> None:
    """Decode each grid of a file into a PNG."""
    options = parser().read(arguments)
    out = output_folder(options.out)

    from smalti.cli.code_file import read_codes
    from smalti.cli.output import save_pictures, to_device
    from smalti.content_images import content_images
    from smalti.tokenizer.load import load_tokenizer
    from smalti.weights import weights_hash

    file = read_codes(Path(options.codes))
    tokenizer = load_tokenizer(options.model)
    if file.tokenizer and file.tokenizer != weights_hash(tokenizer) and not options.force:
        raise InputError(
            f"{options.codes} was made by another tokenizer than {options.model}; its codes mean "
            "something else there (--force decodes all the same)"
        )
    device = to_device(tokenizer, options.device)
    names = _file_names(file.codes)
    pictures = {}
    for name, grid in file.codes.items():
        try:
            image = tokenizer.decode(grid[None].to(device))[0]
        except InputError as error:
            raise InputError(f"{options.codes}: {name!r}: {error}") from error
        pictures[names[name]] = content_images(tokenizer.content).to_picture(image)
    save_pictures(out, pictures)
    print(f"done: {counted(len(pictures), 'picture')} in {out}")


def _file_names(names: Iterable[str]) -> dict[str, str]:
    """Make the name of a PNG from each grid's name: its stem, or all of it if stems are equal.

    The names are allowed on every system, and differ also without regard to upper and lower case.
    """
    stems = {name: PurePosixPath(name.replace("\\", "/")).stem for name in names}
    counts = Counter(stem.casefold() for stem in stems.values())
    found: dict[str, str] = {}
    for name, stem in stems.items():
        chosen = NOT_ALLOWED.sub("_", stem if counts[stem.casefold()] == 1 else name)
        while chosen.casefold() in {other.casefold() for other in found.values()}:
            chosen += "_"
        found[name] = chosen
    return {name: f"{chosen}.png" for name, chosen in found.items()}


def parser() -> Parser:
    """The options of the command."""
    parser = Parser("decode", "Codes -> pictures: a PNG for each grid of a safetensors file.")
    parser.add_tokenizer()
    parser.add_argument(
        "codes", type=expanded_path, help="file of `smalti encode`, or your own int grids (h, w)"
    )
    parser.add_out("decoded", "folder; pictures of the same names are replaced")
    parser.add_argument("--force", action="store_true", help="codes of another tokenizer, too")
    parser.add_device()
    return parser

"""`smalti inspect CODES`: describes a folder of codes."""

from pathlib import Path

from smalti.codes.manifest import read_manifest
from smalti.words import counted, first_names


def describe_codes(folder: Path) -> None:
    """Print what codes a folder holds, by its manifest, and what reads them.

    Raises:
        InputError: the folder is not finished, or its manifest is damaged.
    """
    manifest = read_manifest(folder)
    encoding, shards = manifest.encoding, len(manifest.shards)
    (height, width), (rows, columns) = encoding.size, encoding.grid
    lines = {
        "images": f"{manifest.images:,} in {counted(shards, 'shard')} of {encoding.file_format}",
        "left out": counted(manifest.left_out, "image"),
        "grids": f"{rows}x{columns} codes in [0, {encoding.codebook_size}), f = "
        f"{encoding.downsampling_factor}, of crops of {height}x{width} pixels",
        "views": f"{len(encoding.views)} of each image",
        "classes": first_names(encoding.classes) if encoding.classes else "none",
        "conditions": ", ".join(encoding.conditions) or "none",
        "tokenizer": f"weights with the hash {encoding.tokenizer}",
    }
    print(f"codes: {folder}")
    for name, words in lines.items():
        print(f"{name + ':':14}{words}")
    if encoding.file_format == "safetensors":
        print(f"next: smalti train prior --codes {folder} --vqgan MODEL")
    else:
        print(f"next: smalti encode --codes {folder} --out NEW, which a prior can be trained on")

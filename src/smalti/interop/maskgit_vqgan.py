"""Imports the VQGAN of MaskGIT in the form of open-muse (`MaskGitVQGAN`), a file or its folder.

1d-tokenizer (TiTok, MaskGen, RAR) has the same tensors in a file alone.

Axes: D code dimension, K codebook size.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError
from torch import Tensor

from smalti.config import InputError, describe
from smalti.interop.exchange import Imported, fill_vqgan
from smalti.interop.other_networks import refuse_other_networks
from smalti.interop.tensor_shapes import multiplier, numbers, shape_of
from smalti.model_folder import CONFIG_FILE
from smalti.tokenizer.config import MaskGITVQGANConfig
from smalti.tokenizer.maskgit import MaskGITVQGAN

CLASS = "MaskGitVQGAN"
WEIGHTS_FILES = ("pytorch_model.safetensors", "pytorch_model.bin")
# The first two blocks of an encoder with these names; LlamaGen has the second one too.
BLOCKS = ("encoder.down.0.block.0.conv1.weight", "encoder.mid.0.conv1.weight")
EMBEDDING = "quantize.embedding.weight"
NAMES = {
    r"^encoder\.levels\.": "encoder.down.",
    r"\.middle\.": ".mid.",
    r"\.blocks\.": ".block.",
    r"\.skip\.": ".nin_shortcut.",
    r"\.resample\.conv\.": ".upsample_conv.",
    r"^quantizer\.codebook\.": "quantize.embedding.",
}


def maskgit_file(folder: Path) -> Path | None:
    """Find the weights in a folder of open-muse's class; None for any other folder.

    Raises:
        InputError: the folder has no weights.
    """
    try:
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(config, dict) or config.get("_class_name") != CLASS:
        return None
    files = [folder / name for name in WEIGHTS_FILES if (folder / name).is_file()]
    if not files:
        raise InputError(f"{folder} has neither {' nor '.join(WEIGHTS_FILES)}")
    return files[0]


def is_maskgit(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the names of a state dict are those of MaskGIT's VQGAN."""
    return all(name in tensors for name in BLOCKS)


def import_maskgit(tensors: Mapping[str, Tensor]) -> Imported[MaskGITVQGAN]:
    """Build the VQGAN of a state dict; its whole shape follows from the tensors.

    Raises:
        InputError: a weight is missing, left over or of another shape, or it is a later network
            with similar names.
    """
    refuse_other_networks(tensors)
    try:
        config = _infer_config(tensors)
    except KeyError as error:
        raise InputError(f"not a whole VQGAN: {error.args[0]} is missing") from error
    except ValidationError as error:
        raise InputError(f"not a VQGAN of MaskGIT: {describe(error)}") from error
    levels = len(config.channel_multipliers)
    vqgan = fill_vqgan(MaskGITVQGAN(config), tensors, lambda name: maskgit_name(name, levels))
    return Imported(vqgan, len(tensors), {}, "the tensors' shapes")


def maskgit_name(name: str, levels: int) -> str:
    """Name in open-muse of a weight of a `MaskGITVQGAN` with `levels` levels."""
    # Our decoder's levels are numbered as they run; the published ones by resolution.
    name = re.sub(
        r"^decoder\.levels\.(\d+)", lambda found: f"decoder.up.{levels - 1 - int(found[1])}", name
    )
    for ours, theirs in NAMES.items():
        name = re.sub(ours, theirs, name)
    return name


def _infer_config(tensors: Mapping[str, Tensor]) -> MaskGITVQGANConfig:
    """Find the config; a missing weight that tells the shape is a KeyError."""
    channels, *_ = shape_of(tensors, "encoder.conv_in.weight", dimensions=4)
    levels = len(numbers(tensors, r"encoder\.down\.(\d+)\.block\."))
    codebook_size, code_dim = shape_of(tensors, EMBEDDING, dimensions=2)
    return MaskGITVQGANConfig(
        channels=channels,
        channel_multipliers=tuple(
            multiplier(tensors, f"encoder.down.{level}.block.0.conv1.weight", channels)
            for level in range(levels)
        ),
        residual_blocks=len(numbers(tensors, r"encoder\.mid\.(\d+)\.")),
        code_dim=code_dim,
        codebook_size=codebook_size,
    )

"""The released code's VQGAN, under our names.

Its state dict also holds the losses, under `loss.`: `taming_losses` reads those.

Axes: D code dimension, K codebook size.
"""

import re
from collections.abc import Mapping

from pydantic import ValidationError
from torch import Tensor

from smalti.tokenizer.quantizers import VectorQuantizerConfig
from smalti.tokenizer.vqgan import VQGAN, VQGANConfig
from smalti.types import InputError, describe

LOSSES = "loss."
NORM_GROUPS = 32  # of every released model; the tensors do not tell

# A name is a place in the network and, in a block, what stands inside it.
PLACES = {
    r"quant_conv\.": "to_code.",
    r"post_quant_conv\.": "from_code.",
    r"quantize\.embedding\.": "quantizer.codebook.",
    r"(encoder|decoder)\.(conv_in|norm_out|conv_out)\.": r"\1.\2.",
    r"(encoder|decoder)\.mid\.block_([12])\.": r"\1.middle.block\2.",
    r"(encoder|decoder)\.mid\.attn_1\.": r"\1.middle.attention.",
    r"(encoder|decoder)\.(?:down|up)\.(\d+)\.block\.(\d+)\.": r"\1.levels.\2.blocks.\3.",
    r"(encoder|decoder)\.(?:down|up)\.(\d+)\.attn\.(\d+)\.": r"\1.levels.\2.attentions.\3.",
    r"(encoder|decoder)\.(?:down|up)\.(\d+)\.(?:down|up)sample\.": r"\1.levels.\2.resample.",
}
INSIDE = {
    "nin_shortcut": "skip",
    "q": "query",
    "k": "key",
    "v": "value",
    "proj_out": "project",
}
LAST = (
    r"(?:(?P<inside>norm|norm[12]|conv|conv[12]|nin_shortcut|q|k|v|proj_out)\.)?"
    r"(?P<leaf>weight|bias)"
)


def import_vqgan(tensors: Mapping[str, Tensor]) -> VQGAN:
    """Build the VQGAN of a released state dict; its whole shape follows from the tensors.

    Args:
        tensors: `encoder.conv_in.weight`, `quantize.embedding.weight` and so on; those under
            `loss.` are passed over.

    Raises:
        InputError: it is not such a VQGAN, a weight is missing or left over, or non-local blocks
            stand elsewhere than at the lowest resolution.
    """
    tensors = {name: t for name, t in tensors.items() if not name.startswith(LOSSES)}
    try:
        config = read_config(tensors)
        vqgan = VQGAN(config)
        vqgan.load_state_dict(name_vqgan(tensors, len(config.channel_multipliers)))
    except ValidationError as error:
        raise InputError(f"these tensors are not a VQGAN of ours: {describe(error)}") from error
    except (KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(f"these tensors are not a whole VQGAN: {reason}") from error
    return vqgan.eval()


def read_config(tensors: Mapping[str, Tensor]) -> VQGANConfig:
    """Config of the VQGAN whose released state dict this is.

    Raises:
        InputError: non-local blocks stand elsewhere than at the lowest resolution.
        KeyError: a weight is missing.
    """
    channels = len(tensors["encoder.conv_in.weight"])
    levels = 1 + max(_levels_with(tensors, "block"), default=0)
    widths = [len(tensors[f"encoder.down.{i}.block.0.conv1.weight"]) for i in range(levels)]
    blocks = sum(
        bool(re.fullmatch(r"encoder\.down\.0\.block\.\d+\.conv1\.weight", name)) for name in tensors
    )
    _check_attention(tensors, lowest=levels - 1)
    codebook_size, code_dim = tensors["quantize.embedding.weight"].shape
    return VQGANConfig(
        channels=channels,
        channel_multipliers=tuple(width // channels for width in widths),
        residual_blocks=blocks,
        norm_groups=NORM_GROUPS,
        code_dim=code_dim,
        codebook_size=codebook_size,
        quantizer=VectorQuantizerConfig(),
    )


def name_vqgan(tensors: Mapping[str, Tensor], levels: int) -> dict[str, Tensor]:
    """State dict of a `VQGAN` of `levels` levels from the released names.

    Raises:
        InputError: a name is not one of a VQGAN.
    """
    return {_our_name(name, levels): tensor for name, tensor in tensors.items()}


def _our_name(name: str, levels: int) -> str:
    for pattern, ours in PLACES.items():
        found = re.fullmatch(f"(?P<place>{pattern}){LAST}", name)
        if found:
            place = _flip_decoder(re.sub(pattern, ours, found["place"]), levels)
            inside = found["inside"]
            return place + (f"{INSIDE.get(inside, inside)}." if inside else "") + found["leaf"]
    raise InputError(f"{name!r} is no weight of the released VQGAN")


def _flip_decoder(name: str, levels: int) -> str:
    """Number the decoder's levels in the order they run; released ones count from the top."""
    return re.sub(
        r"^decoder\.levels\.(\d+)",
        lambda found: f"decoder.levels.{levels - 1 - int(found[1])}",
        name,
    )


def _levels_with(tensors: Mapping[str, Tensor], what: str) -> set[int]:
    """Levels in which a released encoder or decoder has a part."""
    found = (re.match(rf"(?:encoder\.down|decoder\.up)\.(\d+)\.{what}\.", name) for name in tensors)
    return {int(match[1]) for match in found if match}


def _check_attention(tensors: Mapping[str, Tensor], lowest: int) -> None:
    levels = _levels_with(tensors, "attn")
    if levels != {lowest}:
        where = ", ".join(str(level) for level in sorted(levels)) or "none"
        raise InputError(
            f"non-local blocks must stand at the lowest resolution (level {lowest}) only, "
            f"this VQGAN has them at: {where}"
        )

"""VQGANs of taming-transformers and latent-diffusion, under our names, and back.

Both have the same networks and names. A checkpoint holds one alone, with its losses, or as the
first stage of a larger model. What its images are follows from their channels.

Axes: D code dimension, K codebook size.
"""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import ValidationError
from torch import Tensor

from smalti.content import (
    ContentConfig,
    DepthContent,
    EdgesContent,
    LabelsContent,
    RGBContent,
)
from smalti.files import atomic_folder
from smalti.interop.exchange import Imported, check_exportable, fill_vqgan
from smalti.interop.taming_config import released_config
from smalti.model_folder import write_tensors
from smalti.tokenizer.quantizers import GumbelQuantizerConfig, VectorQuantizerConfig
from smalti.tokenizer.vqgan import VQGAN, VQGANConfig
from smalti.types import InputError, describe

CONFIG_FILE = "config.yaml"
WEIGHTS_FILE = "vqgan.safetensors"
FIRST_STAGE = "first_stage_model."
COLOURS = "colorize"  # random colours of the classes, for pictures: only label maps have it
# Parts of a tokenizer's checkpoint that are not its weights.
BESIDE_THE_MODEL = ("loss", "model_ema", COLOURS)
SHIFTED_CLASSES = 183  # COCO-Stuff's 182 and, first, unlabelled: see `LabelsContent.shift`
NORM_GROUPS = 32  # of every released model; the tensors do not tell

NAMES = {
    r"^to_code\.": "quant_conv.",
    r"^from_code\.": "post_quant_conv.",
    r"^quantizer\.codebook\.": "quantize.embedding.",
    r"^encoder\.levels\.": "encoder.down.",
    r"^decoder\.levels\.": "decoder.up.",
    r"^encoder\.(.*)\.resample\.": r"encoder.\1.downsample.",
    r"^decoder\.(.*)\.resample\.": r"decoder.\1.upsample.",
    r"\.middle\.block": ".mid.block_",
    r"\.middle\.attention\.": ".mid.attn_1.",
    r"\.blocks\.": ".block.",
    r"\.attentions\.": ".attn.",
    r"\.skip\.": ".nin_shortcut.",
    r"\.query\.": ".q.",
    r"\.key\.": ".k.",
    r"\.value\.": ".v.",
    r"\.project\.": ".proj_out.",
}

GUMBEL_NAMES = {
    "quantizer.codebook.": "quantize.embed.",
    "quantizer.scores.": "quantize.proj.",
    "quantizer.steps": None,
}


def import_vqgan(tensors: Mapping[str, Tensor], image_key: str | None = None) -> Imported:
    """Build the VQGAN of a released state dict; its whole shape follows from the tensors.

    Args:
        tensors: `encoder.conv_in.weight`, `quantize.embedding.weight` and so on, alone or under
            `first_stage_model.`.
        image_key: what its config calls its images; tells edges from depth, both of one channel.

    Raises:
        InputError: it holds no such VQGAN, or a weight is missing or left over.
    """
    own, passed_over = _split(tensors)
    _check_kind(own)
    try:
        content = infer_content(own, passed_over[COLOURS] > 0, image_key)
        config = infer_config(own, content)
    except KeyError as error:
        raise InputError(f"not a whole VQGAN: {error.args[0]} is missing") from error
    except ValidationError as error:
        raise InputError(f"not a VQGAN of ours: {describe(error)}") from error
    levels = len(config.channel_multipliers)
    if config.quantizer.kind == "gumbel":
        vqgan = fill_vqgan(config, own, lambda name: _name_with_gumbel(name, levels))
    else:
        vqgan = fill_vqgan(config, own, lambda name: released_name(name, levels))
    return Imported(vqgan, len(own), passed_over, "the tensors' shapes")


def export_vqgan(vqgan: VQGAN, folder: Path) -> None:
    """Write the released code's config and state dict, the latter without a pickle.

    Raises:
        InputError: the released code cannot express a part of the model, or the folder cannot be
            written.
    """
    config = vqgan.config
    check_exportable(config, "taming")
    if config.norm_groups != NORM_GROUPS:
        raise InputError(f"norm_groups is {config.norm_groups}; taming has {NORM_GROUPS} always")
    if not config.middle_attention:
        raise InputError("middle_attention is false; taming has it always")
    levels = len(config.channel_multipliers)
    tensors = {released_name(name, levels): t for name, t in vqgan.state_dict().items()}
    with atomic_folder(folder) as temporary:
        (temporary / CONFIG_FILE).write_text(yaml.safe_dump(released_config(config)))
        write_tensors(temporary / WEIGHTS_FILE, tensors)


def infer_content(
    tensors: Mapping[str, Tensor], has_colours: bool, image_key: str | None
) -> ContentConfig:
    """What the images are of the VQGAN whose released state dict this is.

    Args:
        tensors: under the bare names.
        has_colours: whether there were colours of classes beside them.
        image_key: as `import_vqgan`.

    Raises:
        InputError: the number of channels is that of no content.
        KeyError: a weight that tells the shape is missing.
    """
    _, channels, *_ = _shape(tensors, "encoder.conv_in.weight", dimensions=4)
    if channels == 1:
        is_edges = image_key is not None and re.search("edge|canny", image_key.lower())
        return EdgesContent() if is_edges else DepthContent()
    if channels == 3 and not has_colours:
        return RGBContent()
    if channels > 1 and has_colours:
        return LabelsContent(classes=channels, shift=channels == SHIFTED_CLASSES)
    raise InputError(
        f"its images have {channels} channels; imported are photographs (3), depth and edges (1), "
        f"and label maps, which have a tensor {COLOURS} beside their weights"
    )


def infer_config(tensors: Mapping[str, Tensor], content: ContentConfig) -> VQGANConfig:
    """Config of the VQGAN whose released state dict this is.

    Args:
        tensors: under the bare names.
        content: what its images are.

    Raises:
        InputError: a level's channels are not a multiple of the first convolution's, or a tensor
            is of no weight's shape.
        KeyError: a weight that tells the shape is missing.
    """
    channels, *_ = _shape(tensors, "encoder.conv_in.weight", dimensions=4)
    levels = 1 + max(_numbers(tensors, r"encoder\.down\.(\d+)\.block\."), default=0)
    attention = _numbers(tensors, r"encoder\.down\.(\d+)\.attn\.")
    is_gumbel = "quantize.proj.weight" in tensors
    codebook = "quantize.embed.weight" if is_gumbel else "quantize.embedding.weight"
    codebook_size, code_dim = _shape(tensors, codebook, dimensions=2)
    latent_channels, *_ = _shape(tensors, "encoder.conv_out.weight", dimensions=4)
    return VQGANConfig(
        content=content,
        channels=channels,
        channel_multipliers=tuple(
            _multiplier(tensors, f"encoder.down.{level}.block.0.conv1.weight", channels)
            for level in range(levels)
        ),
        residual_blocks=len(_numbers(tensors, r"encoder\.down\.0\.block\.(\d+)\.")),
        norm_groups=NORM_GROUPS,
        attention_levels=None if attention == {levels - 1} else tuple(sorted(attention)),
        middle_attention="encoder.mid.attn_1.q.weight" in tensors,
        code_dim=code_dim,
        latent_channels=None if latent_channels == code_dim else latent_channels,
        codebook_size=codebook_size,
        quantizer=GumbelQuantizerConfig() if is_gumbel else VectorQuantizerConfig(),
    )


def released_name(name: str, levels: int) -> str:
    """What the released code calls a weight of a `VQGAN` of `levels` levels."""
    # Our decoder's levels are numbered as they run; the released ones by resolution.
    name = re.sub(
        r"^decoder\.levels\.(\d+)",
        lambda found: f"decoder.levels.{levels - 1 - int(found[1])}",
        name,
    )
    for ours, theirs in NAMES.items():
        name = re.sub(ours, theirs, name)
    return name


def _name_with_gumbel(name: str, levels: int) -> str | None:
    """The same where the quantizer is Gumbel-softmax; our count of steps is not kept there."""
    for ours, theirs in GUMBEL_NAMES.items():
        if name.startswith(ours):
            return None if theirs is None else name.replace(ours, theirs)
    return released_name(name, levels)


def _split(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Counter[str]]:
    """The tokenizer's own tensors by bare name, and how many others each part has."""
    prefix = FIRST_STAGE if any(name.startswith(FIRST_STAGE) for name in tensors) else ""
    own, others = {}, Counter[str]()
    for name, tensor in tensors.items():
        bare = name.removeprefix(prefix)
        part = bare.partition(".")[0]
        if name.startswith(prefix) and part not in BESIDE_THE_MODEL:
            own[bare] = tensor
        else:
            others[part] += 1
    return own, others


def _check_kind(tensors: Mapping[str, Tensor]) -> None:
    """Refuse what is no VQGAN at all, with what it seems to be."""
    if any(name.startswith("encoder.down_blocks.") for name in tensors):
        raise InputError(
            "these are the names of diffusers: give the folder with its config.json, not the file"
        )
    if "encoder.conv_in.weight" not in tensors:
        names = ", ".join(sorted(tensors)[:3])
        raise InputError(f"it is no VQGAN: encoder.conv_in.weight is missing; it holds {names} ...")
    if not any(name.startswith("quantize.") for name in tensors):
        raise InputError("it is an autoencoder without a codebook (quantize.embedding.weight)")


def _numbers(tensors: Mapping[str, Tensor], pattern: str) -> set[int]:
    """Values of a pattern's one group among the names."""
    found = (re.match(pattern, name) for name in tensors)
    return {int(match[1]) for match in found if match}


def _shape(tensors: Mapping[str, Tensor], name: str, dimensions: int) -> tuple[int, ...]:
    shape = tuple(tensors[name].shape)
    if len(shape) != dimensions or 0 in shape:
        raise InputError(f"not a whole VQGAN: {name} has the shape {shape}")
    return shape


def _multiplier(tensors: Mapping[str, Tensor], name: str, channels: int) -> int:
    width, *_ = _shape(tensors, name, dimensions=4)
    if width % channels:
        raise InputError(
            f"not a VQGAN of ours: {name} has {width} channels, no multiple of the first "
            f"convolution's {channels}"
        )
    return width // channels

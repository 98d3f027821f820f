"""Imports and exports VQGANs of taming-transformers and latent-diffusion.

Both programs have the same networks and names. A checkpoint holds a VQGAN alone, with its losses,
or as the first stage of a larger model. The channels of its images tell what they are.

LlamaGen's tokenizers, of which Janus has one, are the same network under other names. Their
quantizer compares directions: vectors and entries are scaled to length one.

Axes: D code dimension, K codebook size.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml
from pydantic import ValidationError
from torch import Tensor

from smalti.config import InputError, describe
from smalti.content import ContentConfig, DepthContent, EdgesContent, LabelsContent, RGBContent
from smalti.files import atomic_folder
from smalti.interop.exchange import Imported, check_exportable, fill_vqgan
from smalti.interop.llamagen_names import is_llamagen, released_names
from smalti.interop.other_networks import refuse_other_networks
from smalti.interop.plain_lookup import with_plain_lookup
from smalti.interop.quantizer_kinds import (
    AVERAGES,
    EMBEDDING,
    QUANTIZERS,
    FoundQuantizer,
    find_quantizer,
)
from smalti.interop.taming_config import ToldVQGAN, released_config
from smalti.interop.tensor_shapes import multiplier, numbers, shape_of
from smalti.model_folder import write_tensors
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.quantizers.ema import EMAQuantizer
from smalti.tokenizer.vqgan import VQGAN

CONFIG_FILE = "config.yaml"
WEIGHTS_FILE = "vqgan.safetensors"
FIRST_STAGE = "first_stage_model."
COLOURS = "colorize"  # random colours of the classes, for pictures: only label maps have it
# Parts of a tokenizer's checkpoint that are not its weights.
BESIDE_THE_MODEL = ("loss", "model_ema", "n_averaged", COLOURS)
AVERAGE = "model_ema."  # names below it have no dots
USE_OF_CODES = "quantize.codebook_used"  # codes of the last batches, which LlamaGen logs
# Tensors of a quantizer that only its training needs.
NOT_WEIGHTS = (*AVERAGES, USE_OF_CODES)
SHIFTED_CLASSES = 183  # COCO-Stuff's 182 and, first, unlabelled: see `LabelsContent.shift`
NORM_GROUPS = 32  # of every released model; the tensors do not tell

UNTOLD = ToldVQGAN()

NAMES = {
    r"^to_code\.": "quant_conv.",
    r"^from_code\.": "post_quant_conv.",
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


def import_vqgan(
    tensors: Mapping[str, Tensor], told: ToldVQGAN = UNTOLD, averaged: bool = True
) -> Imported[VQGAN]:
    """Build the VQGAN of a released state dict; its whole shape follows from the tensors.

    Args:
        tensors: tensors by released name, alone or under `first_stage_model.`.
        told: values of the config; empty without a config.
        averaged: whether moving averages in the state dict (`model_ema.*`) replace the raw weights.

    Raises:
        InputError: it holds no such VQGAN, a weight is missing or left over, or its quantizer is
            not known.
    """
    parts = _split(tensors, averaged)
    from_llamagen = is_llamagen(parts.own)
    own = released_names(parts.own) if from_llamagen else parts.own
    if not from_llamagen:
        refuse_other_networks(own)
    _check_kind(own)
    try:
        quantizer = QUANTIZERS["llamagen"] if from_llamagen else find_quantizer(own, told.quantizer)
        content = _infer_content(own, parts.others[COLOURS] > 0, told.image_key)
        config = _infer_config(own, content, quantizer)
    except KeyError as error:
        raise InputError(f"not a whole VQGAN: {error.args[0]} is missing") from error
    except ValidationError as error:
        raise InputError(f"not a VQGAN of ours: {describe(error)}") from error
    levels = len(config.channel_multipliers)
    weights = {name: tensor for name, tensor in own.items() if name not in NOT_WEIGHTS}
    vqgan = fill_vqgan(VQGAN(config), weights, lambda name: _foreign_name(name, quantizer, levels))
    if isinstance(vqgan.quantizer, EMAQuantizer):
        vqgan.quantizer.start_at(vqgan.quantizer.codebook)
    passed_over = parts.others + Counter({"quantize": len(own) - len(weights)})
    return Imported(
        vqgan, len(weights), passed_over, "the tensors' shapes", parts.taken, parts.averaged
    )


def export_vqgan(vqgan: VQGAN, folder: Path) -> None:
    """Write the released code's config and state dict; the state dict is no pickle.

    Raises:
        InputError: the released code cannot express a part of the model, or the folder cannot be
            written.
    """
    config, tensors = with_released_names(vqgan, "taming")
    with atomic_folder(folder) as temporary:
        text = yaml.safe_dump(released_config(config))
        (temporary / CONFIG_FILE).write_text(text, encoding="utf-8")
        write_tensors(temporary / WEIGHTS_FILE, tensors)


def with_released_names(vqgan: VQGAN, form: str) -> tuple[VQGANConfig, dict[str, Tensor]]:
    """Config and weights of a VQGAN with the plain lookup, the weights by released names.

    `form` is the name of the format that they are written in, for messages.

    Raises:
        InputError: the released code cannot express a part of the model.
    """
    config, weights = with_plain_lookup(vqgan)
    check_exportable(config, form)
    if config.norm_groups != NORM_GROUPS:
        raise InputError(
            f"norm_groups is {config.norm_groups}; {form} has {NORM_GROUPS} always, diffusers any"
        )
    if not config.middle_attention:
        raise InputError(f"middle_attention is false; {form} has it always")
    if config.unit_range:
        raise InputError(f"unit_range is true; {form} has pixels in [-1, 1] always, diffusers any")
    levels = len(config.channel_multipliers)
    return config, {released_name(name, levels): tensor for name, tensor in weights.items()}


def _infer_content(
    tensors: Mapping[str, Tensor], has_colours: bool, image_key: str | None
) -> ContentConfig:
    """Find what the images are; a missing weight that tells the shape is a KeyError."""
    _, channels, *_ = shape_of(tensors, "encoder.conv_in.weight", dimensions=4)
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


def _infer_config(
    tensors: Mapping[str, Tensor], content: ContentConfig, quantizer: FoundQuantizer
) -> VQGANConfig:
    """Find the config of a VQGAN; a missing weight that tells the shape is a KeyError."""
    channels, *_ = shape_of(tensors, "encoder.conv_in.weight", dimensions=4)
    levels = 1 + max(numbers(tensors, r"encoder\.down\.(\d+)\.block\."), default=0)
    attention = numbers(tensors, r"encoder\.down\.(\d+)\.attn\.")
    codebook_size, code_dim = shape_of(tensors, quantizer.codebook, dimensions=2)
    latent_channels, *_ = shape_of(tensors, "encoder.conv_out.weight", dimensions=4)
    return VQGANConfig(
        content=content,
        channels=channels,
        channel_multipliers=tuple(
            multiplier(tensors, f"encoder.down.{level}.block.0.conv1.weight", channels)
            for level in range(levels)
        ),
        residual_blocks=len(numbers(tensors, r"encoder\.down\.0\.block\.(\d+)\.")),
        norm_groups=NORM_GROUPS,
        attention_levels=None if attention == {levels - 1} else tuple(sorted(attention)),
        middle_attention="encoder.mid.attn_1.q.weight" in tensors,
        code_dim=code_dim,
        latent_channels=None if latent_channels == code_dim else latent_channels,
        codebook_size=codebook_size,
        quantizer=quantizer.config,
    )


def released_name(name: str, levels: int) -> str:
    """Name in the released code of a weight of a `VQGAN` with `levels` levels."""
    if name == "quantizer.codebook.weight":
        return EMBEDDING
    # Our decoder's levels are numbered as they run; the released ones by resolution.
    name = re.sub(
        r"^decoder\.levels\.(\d+)",
        lambda found: f"decoder.levels.{levels - 1 - int(found[1])}",
        name,
    )
    for ours, theirs in NAMES.items():
        name = re.sub(ours, theirs, name)
    return name


def _foreign_name(name: str, quantizer: FoundQuantizer, levels: int) -> str | None:
    """Foreign name of a weight of a VQGAN with this quantizer; None if others do not store it."""
    for ours, theirs in quantizer.names.items():
        if name.startswith(ours):
            return None if theirs is None else name.replace(ours, theirs)
    return released_name(name, levels)


class _Parts(NamedTuple):
    """The tensors of a checkpoint, divided into the tokenizer's and others."""

    own: dict[str, Tensor]
    """The tokenizer's tensors by bare name."""
    others: Counter[str]
    """Number of other tensors, by part."""
    taken: Sequence[str] = ()
    """Text for messages on which weights were taken, if there are two sets."""
    averaged: bool = False
    """Whether the tokenizer's tensors are moving averages."""


def _split(tensors: Mapping[str, Tensor], averaged: bool) -> _Parts:
    prefix = FIRST_STAGE if any(name.startswith(FIRST_STAGE) for name in tensors) else ""
    own, others = {}, Counter[str]()
    for name, tensor in tensors.items():
        bare = name.removeprefix(prefix)
        part = bare.partition(".")[0]
        if name.startswith(prefix) and part not in BESIDE_THE_MODEL:
            own[bare] = tensor
        else:
            others[part] += 1
    averages = _averages(tensors, prefix + AVERAGE, own)
    if not averages:
        return _Parts(own, others)
    if not averaged:
        return _Parts(own, others, ["raw weights instead of the averaged ones (model_ema)"])
    others.update({"model_ema": -len(averages), "raw weights": len(averages)})
    taken = ["averaged weights (model_ema) instead of the raw ones"]
    return _Parts(own | averages, +others, taken, averaged=True)


def _averages(
    tensors: Mapping[str, Tensor], prefix: str, own: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Moving averages of a tokenizer's tensors by name; empty unless both networks have them.

    Tensors that are no parameters, such as entries that are moving averages, have none.
    """
    keys = {name: prefix + name.replace(".", "") for name in own}
    networks = [name for name in own if name.startswith(("encoder.", "decoder."))]
    if not networks or any(keys[name] not in tensors for name in networks):
        return {}
    return {name: tensors[key] for name, key in keys.items() if key in tensors}


def _check_kind(tensors: Mapping[str, Tensor]) -> None:
    """Refuse tensors of no VQGAN; the message tells what they seem to be."""
    if any(name.startswith("encoder.down_blocks.") for name in tensors):
        raise InputError(
            "these are the names of diffusers: give the folder with its config.json, not the file"
        )
    if "encoder.conv_in.weight" not in tensors:
        names = ", ".join(sorted(tensors)[:3])
        raise InputError(f"it is no VQGAN: encoder.conv_in.weight is missing; it holds {names} ...")
    if not any(name.startswith("quantize.") for name in tensors):
        raise InputError("it is an autoencoder without a codebook (quantize.embedding.weight)")
    if not any(name.startswith("decoder.") for name in tensors):
        raise InputError(
            "its tokenizer has no decoder, as Chameleon's in transformers; give the checkpoint "
            "that it came from, such as Chameleon's vqgan.ckpt"
        )

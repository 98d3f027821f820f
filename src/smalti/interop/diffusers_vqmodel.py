"""Reads and writes the `VQModel` of diffusers: a folder with a config and weights.

Reference: diffusers 0.42, `VQModel`; the network is the released code's under other names.
"""

import json
import re
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, PositiveInt, ValidationError, model_validator
from torch import Tensor

from smalti.config import InputError, describe
from smalti.files import atomic_folder, write_json
from smalti.interop.checkpoint import checkpoints_below, is_index, read_checkpoint
from smalti.interop.exchange import Imported, check_exportable, fill_vqgan, naming
from smalti.interop.plain_lookup import with_plain_lookup
from smalti.model_folder import CONFIG_FILE, PIPELINE_FILE, step_folders, write_tensors
from smalti.plain_data import read_json
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.quantizers.config import VectorQuantizerConfig
from smalti.tokenizer.vqgan import VQGAN

WEIGHTS = "diffusion_pytorch_model"
WEIGHTS_FILE = f"{WEIGHTS}.safetensors"
MOST_NAMED = 3
DOWN = {False: "DownEncoderBlock2D", True: "AttnDownEncoderBlock2D"}
UP = {False: "UpDecoderBlock2D", True: "AttnUpDecoderBlock2D"}

NAMES = {
    r"^to_code\.": "quant_conv.",
    r"^from_code\.": "post_quant_conv.",
    r"^quantizer\.codebook\.": "quantize.embedding.",
    r"^encoder\.levels\.": "encoder.down_blocks.",
    r"^decoder\.levels\.": "decoder.up_blocks.",
    r"^encoder\.(.*)\.resample\.": r"encoder.\1.downsamplers.0.",
    r"^decoder\.(.*)\.resample\.": r"decoder.\1.upsamplers.0.",
    r"\.middle\.block1\.": ".mid_block.resnets.0.",
    r"\.middle\.block2\.": ".mid_block.resnets.1.",
    r"\.middle\.attention\.": ".mid_block.attentions.0.",
    r"\.blocks\.": ".resnets.",
    r"\.norm_out\.": ".conv_norm_out.",
    r"\.norm\.": ".group_norm.",
    r"\.skip\.": ".conv_shortcut.",
    r"\.query\.": ".to_q.",
    r"\.key\.": ".to_k.",
    r"\.value\.": ".to_v.",
    r"\.project\.": ".to_out.0.",
}
FORMER_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


class VQModelConfig(BaseModel):
    """The values of a `VQModel`'s config that shape the network, with diffusers' defaults."""

    class_name: Literal["VQModel"] = Field(alias="_class_name")
    in_channels: Literal[3] = 3
    out_channels: Literal[3] = 3
    down_block_types: tuple[Literal["DownEncoderBlock2D", "AttnDownEncoderBlock2D"], ...] = (
        "DownEncoderBlock2D",
    )
    up_block_types: tuple[Literal["UpDecoderBlock2D", "AttnUpDecoderBlock2D"], ...] = (
        "UpDecoderBlock2D",
    )
    block_out_channels: tuple[PositiveInt, ...] = (64,)
    layers_per_block: int = 1
    act_fn: Literal["silu", "swish"] = "silu"
    latent_channels: int = 3
    num_vq_embeddings: int = 256
    norm_num_groups: int = 32
    vq_embed_dim: int | None = None
    norm_type: Literal["group"] = "group"
    mid_block_add_attention: bool = True
    lookup_from_codebook: bool = False
    """Whether `decode` takes codes. That is how aMUSEd's is known, whose pixels are in [0, 1]."""

    @model_validator(mode="after")
    def _lengths_agree(self) -> Self:
        lists = (self.down_block_types, self.up_block_types, self.block_out_channels)
        if len(set(map(len, lists))) != 1:
            raise ValueError("down_block_types, up_block_types and block_out_channels must pair up")
        return self


def import_vqmodel(folder: Path) -> Imported[VQGAN]:
    """Read a `VQModel` folder, or the folder of a pipeline that has one.

    Raises:
        InputError: it is damaged, or our VQGAN does not have a part of it.
    """
    with naming(folder):
        model = _find_vqmodel(folder)
        config = _our_config(_read_config(model / CONFIG_FILE))
    weights = _weights_file(model)
    tensors = {_present_name(name): t for name, t in read_checkpoint(weights).tensors.items()}
    with naming(weights):
        vqgan = fill_vqgan(VQGAN(config), tensors, vqmodel_name)
    shape_from = (model / CONFIG_FILE).relative_to(folder)
    return Imported(vqgan, len(tensors), {}, str(shape_from), (str(weights.relative_to(folder)),))


def export_vqmodel(vqgan: VQGAN, folder: Path) -> None:
    """Write a folder that `diffusers.VQModel.from_pretrained` loads.

    Raises:
        InputError: diffusers cannot express a part of the model, or the folder cannot be written.
    """
    our_config, weights = with_plain_lookup(vqgan)
    config = _vqmodel_config(our_config)
    tensors = {vqmodel_name(name): _matrix(name, tensor) for name, tensor in weights.items()}
    with atomic_folder(folder) as temporary:
        description = config.model_dump(mode="json", by_alias=True)
        write_json(temporary / CONFIG_FILE, description)
        write_tensors(temporary / WEIGHTS_FILE, tensors, {"format": "pt"})


def _our_config(config: VQModelConfig) -> VQGANConfig:
    """Translate the config of a `VQModel` into ours."""
    channels = config.block_out_channels[0]
    levels = range(len(config.block_out_channels))
    attention = tuple(i for i in levels if config.down_block_types[i] == DOWN[True])
    mirrored = tuple(i for i in levels if config.up_block_types[-1 - i] == UP[True])
    if attention != mirrored:
        raise InputError(
            f"down_block_types and up_block_types differ: attention at {attention} of the encoder "
            f"and {mirrored} of the decoder, 0 being full resolution"
        )
    if any(width % channels for width in config.block_out_channels):
        raise InputError(
            f"block_out_channels {config.block_out_channels} are no multiples of the first"
        )
    code_dim = config.vq_embed_dim or config.latent_channels
    try:
        return VQGANConfig(
            channels=channels,
            channel_multipliers=tuple(width // channels for width in config.block_out_channels),
            residual_blocks=config.layers_per_block,
            norm_groups=config.norm_num_groups,
            attention_levels=None if attention == (levels[-1],) else attention,
            middle_attention=config.mid_block_add_attention,
            unit_range=config.lookup_from_codebook,
            code_dim=code_dim,
            latent_channels=None if config.latent_channels == code_dim else config.latent_channels,
            codebook_size=config.num_vq_embeddings,
            quantizer=VectorQuantizerConfig(),
        )
    except ValidationError as error:
        raise InputError(f"no VQGAN of ours is like this VQModel: {describe(error)}") from error


def _vqmodel_config(config: VQGANConfig) -> VQModelConfig:
    """Translate our config into that of a `VQModel`."""
    check_exportable(config, "diffusers")
    multipliers = config.channel_multipliers
    if multipliers[0] != 1:
        raise InputError(f"channel_multipliers begin with {multipliers[0]}; diffusers has 1 only")
    levels = range(len(multipliers))
    return VQModelConfig.model_validate(
        {
            "_class_name": "VQModel",
            "down_block_types": tuple(DOWN[i in config.attended_levels] for i in levels),
            "up_block_types": tuple(UP[i in config.attended_levels] for i in reversed(levels)),
            "block_out_channels": tuple(config.channels * multiplier for multiplier in multipliers),
            "layers_per_block": config.residual_blocks,
            "latent_channels": config.inner_channels,
            "num_vq_embeddings": config.codebook_size,
            "norm_num_groups": config.norm_groups,
            "vq_embed_dim": config.code_dim,
            "mid_block_add_attention": config.middle_attention,
            "lookup_from_codebook": config.unit_range,
        }
    )


def vqmodel_name(name: str) -> str:
    """Name in diffusers of a weight of a `VQGAN`."""
    for ours, theirs in NAMES.items():
        name = re.sub(ours, theirs, name)
    return name


def _present_name(name: str) -> str:
    """Present name of a tensor: before diffusers 0.13, attention had other names inside."""
    return re.sub(
        r"(attentions\.\d+)\.(query|key|value|proj_attn)\.",
        lambda found: f"{found[1]}.{FORMER_NAMES[found[2]]}.",
        name,
    )


def _matrix(name: str, weight: Tensor) -> Tensor:
    """Flatten the weights of attention's 1x1 convolutions, which are linear layers in diffusers."""
    is_linear = re.search(r"attention.*\.(query|key|value|project)\.weight$", name)
    return weight.flatten(1) if is_linear else weight


def _read_config(path: Path) -> VQModelConfig:
    try:
        description = read_json(path.read_text(encoding="utf-8"), CONFIG_FILE)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{CONFIG_FILE} is not JSON: {error}") from error
    try:
        return VQModelConfig.model_validate(description)
    except ValidationError as error:
        raise InputError(f"{CONFIG_FILE} is no VQModel's: {describe(error)}") from error


def _find_vqmodel(folder: Path) -> Path:
    """Find the folder of a VQModel: this one, or that of the only VQModel of a pipeline."""
    config = _read(folder / CONFIG_FILE)
    if config.get("_class_name") == "VQModel":
        return folder
    if {"kind", "config"} <= config.keys() or step_folders(folder / "checkpoints"):
        raise InputError("it is a model or run of smalti already; there is nothing to import")
    models = [model for model in sorted(folder.glob("*/")) if _class(model) == "VQModel"]
    if len(models) == 1:
        return models[0]
    if models:
        raise InputError(f"it has several VQModels; give one: {_named(models)}")
    raise InputError(_what_it_is(folder, config))


def _weights_file(folder: Path) -> Path:
    """Find the file of a VQModel's weights; a whole file and full precision are preferred."""
    found = [path for path in sorted(folder.glob(f"{WEIGHTS}*")) if _is_whole(path)]
    if not found:
        raise InputError(f"{folder / WEIGHTS_FILE} does not exist")
    return min(found, key=_later)


def _is_whole(path: Path) -> bool:
    is_shard = "-of-" in path.name and not is_index(path)
    return not is_shard and (is_index(path) or path.suffix in (".safetensors", ".bin"))


def _later(path: Path) -> tuple[bool, bool, bool, str]:
    """Key that sorts the files of weights: the one to take comes first."""
    kinds = (".safetensors", ".bin", ".index", ".json")
    words = path.name.removeprefix(WEIGHTS).split(".")[1:]
    is_variant = any(f".{word}" not in kinds for word in words)
    return is_variant, "non_ema" in words, "bin" in words, path.name


def _what_it_is(folder: Path, config: dict[str, Any]) -> str:
    """Message on why a folder holds no VQModel, and what to give instead."""
    pipeline = _read(folder / PIPELINE_FILE)
    if pipeline:
        models = [f"{name} ({_class(folder / name)})" for name in pipeline if _class(folder / name)]
        return f"it is a pipeline without a VQModel; it has {', '.join(models) or 'no models'}"
    files = checkpoints_below(folder)
    hint = f"; give the checkpoint file: {_named(files)}" if files else ""
    if config.get("_class_name"):
        return f"its {CONFIG_FILE} is that of {config['_class_name']}, needed is a VQModel{hint}"
    if hint:
        return f"it is no folder of diffusers (no {CONFIG_FILE} of a VQModel){hint}"
    return (
        f"it has no {CONFIG_FILE} of a VQModel, so it is no folder of diffusers; for other "
        "programs give the checkpoint file"
    )


def _named(paths: list[Path]) -> str:
    more = f" or {len(paths) - MOST_NAMED} more" if len(paths) > MOST_NAMED else ""
    return ", ".join(map(str, paths[:MOST_NAMED])) + more


def _class(folder: Path) -> str | None:
    found = _read(folder / CONFIG_FILE).get("_class_name")
    return found if isinstance(found, str) else None


def _read(path: Path) -> dict[str, Any]:
    """Read the object in a JSON file; it is empty if the file is missing or holds no object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}

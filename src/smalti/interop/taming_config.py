"""The released code's config of a VQGAN: read to compare with the tensors, written on export."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smalti.config import InputError
from smalti.interop.exchange import naming
from smalti.interop.quantizer_kinds import told_kind
from smalti.plain_data import read_yaml
from smalti.tokenizer.config import VQGANConfig

RESOLUTION = 256  # the released code places attention by the side that images of this size have


@dataclass(frozen=True, slots=True)
class ToldVQGAN:
    """Values of a VQGAN's config that its tensors may not tell."""

    image_key: str | None = None
    """Name of the images in the data, such as "segmentation"."""
    quantizer: str | None = None
    """Our kind of the quantizer."""


def released_config(config: VQGANConfig) -> dict[str, Any]:
    """Translate the config of a VQGAN into that of the released code.

    It has `params.ddconfig` for both networks, and K and D beside it.
    """
    network = {
        "double_z": False,
        "z_channels": config.inner_channels,
        "resolution": RESOLUTION,
        "in_channels": config.content.channels,
        "out_ch": config.content.channels,
        "ch": config.channels,
        "ch_mult": list(config.channel_multipliers),
        "num_res_blocks": config.residual_blocks,
        "attn_resolutions": [RESOLUTION // 2**level for level in config.attended_levels],
        "dropout": 0.0,
    }
    params = {"embed_dim": config.code_dim, "n_embed": config.codebook_size, "ddconfig": network}
    return {"model": {"target": "taming.models.vqgan.VQModel", "params": params}}


def check_released_config(
    path: Path, config: VQGANConfig, stage: str = "first_stage_config"
) -> None:
    """Compare a released config with the one that the tensors told.

    `stage` is the key of the VQGAN in the config of a larger model.

    Raises:
        InputError: the file is no config of a VQGAN, or a value of it differs.
    """
    _, theirs = _vqgan(path, stage)
    ours = released_config(config)["model"]["params"]
    network = theirs["ddconfig"]
    side, sides = network.get("resolution", RESOLUTION), network.get("attn_resolutions", [])
    if not isinstance(side, int) or not isinstance(sides, list):
        raise InputError(
            f"{path}: resolution must be a whole number and attn_resolutions a list, got {side!r} "
            f"and {sides!r}"
        )
    levels = [i for i in range(len(config.channel_multipliers)) if side // 2**i in sides]
    told = {name: theirs.get(name) for name in ("embed_dim", "n_embed")} | {
        name: network.get(name)
        for name in ("in_channels", "z_channels", "ch", "ch_mult", "num_res_blocks")
    }
    told["levels of attn_resolutions"] = levels
    found = ours | ours["ddconfig"]
    found["levels of attn_resolutions"] = list(config.attended_levels)
    for name, value in told.items():
        if value is not None and value != found[name]:
            raise InputError(f"{path} says {name} {value}, but the tensors have {found[name]}")


def read_told(path: Path) -> ToldVQGAN:
    """Read the config of a VQGAN, alone or as the first stage of a larger model.

    Raises:
        InputError: it is no config of a VQGAN, or one of a kind that is not imported.
    """
    target, params = _vqgan(path, "first_stage_config")
    key = params.get("image_key")
    with naming(path):
        return ToldVQGAN(key if isinstance(key, str) else None, told_kind(target, params))


def read_params(path: Path) -> Mapping[str, Any]:
    """Read the arguments of the model in a released config.

    Raises:
        InputError: the file does not exist, or is no released config.
    """
    try:
        return _class_and_arguments(_read(path)["model"])[1]
    except (LookupError, TypeError) as error:
        raise InputError(f"{path} is no released config: it has no model.params") from error


def _read(path: Path) -> Any:
    """Read a YAML file, which must exist."""
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    return read_yaml(path.read_bytes(), str(path))


def _class_and_arguments(part: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Class and arguments in a section of a config, as the released code or Lightning has them."""
    class_key, key = ("class_path", "init_args") if "class_path" in part else ("target", "params")
    if not isinstance(part[key], dict):
        raise TypeError(f"{key} is no dictionary")
    return str(part.get(class_key) or ""), part[key]


def _vqgan(path: Path, stage: str) -> tuple[str, Mapping[str, Any]]:
    """Class and arguments of the VQGAN, which may be a stage of a larger model."""
    try:
        target, params = _class_and_arguments(_read(path)["model"])
        if stage in params:
            target, params = _class_and_arguments(params[stage])
        if isinstance(params["ddconfig"], dict):
            return target, params
    except (LookupError, TypeError, AttributeError):
        pass
    raise InputError(f"{path} is no released config of a VQGAN: it has no model.params.ddconfig")

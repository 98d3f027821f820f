"""Exports tokenizers as LlamaGen's, and as Janus' in transformers, which has the same network.

Axes: D code dimension, K codebook size.
Reference: Sun et al. 2024, "Autoregressive Model Beats Diffusion: Llama for Scalable Image
    Generation", arXiv:2406.06525, Sec. 2.2; transformers 5.24, `JanusVQVAE`.
"""

from pathlib import Path

import torch
from torch import Tensor

from smalti.config import InputError
from smalti.files import atomic_folder, write_json
from smalti.interop.llamagen_names import janus_names, llamagen_names
from smalti.interop.taming_vqgan import USE_OF_CODES, with_released_names
from smalti.model_folder import CONFIG_FILE, write_tensors
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.vqgan import VQGAN

WEIGHTS_FILE = "model.safetensors"
# LlamaGen's class has these in its code, not among its arguments.
CHANNELS = 128
RESIDUAL_BLOCKS = 2
LOGGED_CODES = 65_536  # length of the buffer in which LlamaGen's training counts used codes
JANUS_SIDE_PX = 384  # side of Janus' images


def export_llamagen(vqgan: VQGAN, folder: Path) -> None:
    """Write arguments and weights of LlamaGen's `VQModel`, whose weights Janus' model has too.

    Raises:
        InputError: LlamaGen cannot express a part of the model, or the folder cannot be written.
    """
    config, tensors = _by_direction(vqgan, "llamagen")
    needed = {"channels": CHANNELS, "residual_blocks": RESIDUAL_BLOCKS}
    for option, value in needed.items():
        if getattr(config, option) != value:
            raise InputError(f"{option} is {getattr(config, option)}; llamagen has {value} always")
    multipliers = list(config.channel_multipliers)
    arguments = {
        "codebook_size": config.codebook_size,
        "codebook_embed_dim": config.code_dim,
        "codebook_l2_norm": True,
        "encoder_ch_mult": multipliers,
        "decoder_ch_mult": multipliers,
        "z_channels": config.inner_channels,
    }
    weights = llamagen_names(tensors) | {USE_OF_CODES: torch.zeros(LOGGED_CODES)}
    _write(folder, arguments, weights)


def export_janus(vqgan: VQGAN, folder: Path) -> None:
    """Write a folder that `transformers.JanusVQVAE.from_pretrained` loads.

    Raises:
        InputError: Janus cannot express a part of the model, or the folder cannot be written.
    """
    config, tensors = _by_direction(vqgan, "janus")
    description = {
        "architectures": ["JanusVQVAE"],
        "model_type": "janus_vqgan",
        "base_channels": config.channels,
        "channel_multiplier": list(config.channel_multipliers),
        "num_res_blocks": config.residual_blocks,
        "latent_channels": config.inner_channels,
        "embed_dim": config.code_dim,
        "num_embeddings": config.codebook_size,
        "num_patches": JANUS_SIDE_PX // config.downsampling_factor,
    }
    _write(folder, description, janus_names(tensors))


def _by_direction(vqgan: VQGAN, form: str) -> tuple[VQGANConfig, dict[str, Tensor]]:
    """Config and weights by released names of a VQGAN whose lookup compares directions.

    Raises:
        InputError: it compares otherwise, or has a part that LlamaGen's network has not.
    """
    config, tensors = with_released_names(vqgan, form)
    quantizer = vqgan.config.quantizer
    if not hasattr(quantizer, "l2_normalised"):
        raise InputError(
            f"its quantizer is {quantizer.kind}, which compares no directions, as {form} does "
            "always; taming and diffusers have its lookup"
        )
    if not quantizer.l2_normalised:
        raise InputError(f"its quantizer.l2_normalised is false; {form} compares directions always")
    lowest = len(config.channel_multipliers) - 1
    if config.attended_levels != (lowest,):
        raise InputError(
            f"attention_levels is {list(config.attended_levels)}; {form} has attention at the "
            "lowest level only (null)"
        )
    return config, tensors


def _write(folder: Path, description: dict[str, object], weights: dict[str, Tensor]) -> None:
    with atomic_folder(folder) as temporary:
        write_json(temporary / CONFIG_FILE, description)
        write_tensors(temporary / WEIGHTS_FILE, weights, {"format": "pt"})

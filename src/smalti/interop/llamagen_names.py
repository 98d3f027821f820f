"""Names of LlamaGen's tokenizers, which are the released code's networks under other names.

LlamaGen's VQ-16 and VQ-8 and the image tokenizer of Janus have the same names. transformers gives
Janus' tensors the released code's names, but keeps LlamaGen's numbers of the decoder's levels: as
they run, from the lowest resolution. The released code numbers them from full resolution.

Reference: Sun et al. 2024, "Autoregressive Model Beats Diffusion: Llama for Scalable Image
    Generation", arXiv:2406.06525, Sec. 2.2.
"""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

NAMES = {
    r"^encoder\.down\.": "encoder.conv_blocks.",
    r"^decoder\.up\.": "decoder.conv_blocks.",
    r"\.block\.": ".res.",
    r"\.mid\.block_1\.": ".mid.0.",
    r"\.mid\.attn_1\.": ".mid.1.",
    r"\.mid\.block_2\.": ".mid.2.",
}
"""LlamaGen's part of a name, by the pattern of the released one."""
RELEASED_NAMES = {
    r"^encoder\.conv_blocks\.": "encoder.down.",
    r"^decoder\.conv_blocks\.": "decoder.up.",
    r"\.res\.": ".block.",
    r"\.mid\.0\.": ".mid.block_1.",
    r"\.mid\.1\.": ".mid.attn_1.",
    r"\.mid\.2\.": ".mid.block_2.",
}
"""The released part of a name, by the pattern of LlamaGen's."""
LEVEL = re.compile(r"^decoder\.up\.(\d+)")


def is_llamagen(names: Iterable[str]) -> bool:
    """Whether tensors have LlamaGen's names, or those that Janus has in transformers."""
    return any(
        # At full resolution, the released level 0, nothing is up-sampled.
        name.startswith(("encoder.conv_blocks.", "decoder.up.0.upsample."))
        for name in names
    )


def released_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of LlamaGen, or of Janus in transformers, as in the released code."""
    return _renumbered({_renamed(name, RELEASED_NAMES): t for name, t in tensors.items()})


def janus_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the released code's tensors as those of Janus in transformers."""
    return _renumbered(tensors)


def llamagen_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the released code's tensors as LlamaGen's."""
    return {_renamed(name, NAMES): tensor for name, tensor in janus_names(tensors).items()}


def _renamed(name: str, parts: Mapping[str, str]) -> str:
    for pattern, part in parts.items():
        name = re.sub(pattern, part, name)
    return name


def _renumbered(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Number the levels of the decoder, in released names, from their other end."""
    last = max((int(found[1]) for name in tensors if (found := LEVEL.match(name))), default=0)
    return {
        LEVEL.sub(lambda found: f"decoder.up.{last - int(found[1])}", name): tensor
        for name, tensor in tensors.items()
    }

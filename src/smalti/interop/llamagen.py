"""LlamaGen's image tokenizers (VQ-16, VQ-8), which are the released network under other names.

Their quantizer compares directions: vectors and entries are scaled to length one.

Reference: Sun et al. 2024, "Autoregressive Model Beats Diffusion: Llama for Scalable Image
    Generation", arXiv:2406.06525, Sec. 2.2.
"""

import re
from collections.abc import Mapping

from torch import Tensor

USE_OF_CODES = "quantize.codebook_used"  # codes of the last batches, which LlamaGen logs
NAMES = {
    r"\.res\.": ".block.",
    r"\.mid\.0\.": ".mid.block_1.",
    r"\.mid\.1\.": ".mid.attn_1.",
    r"\.mid\.2\.": ".mid.block_2.",
    r"^encoder\.conv_blocks\.": "encoder.down.",
}


def is_llamagen(tensors: Mapping[str, Tensor]) -> bool:
    """Whether a state dict has LlamaGen's names."""
    return any(name.startswith("encoder.conv_blocks.") for name in tensors)


def released_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename LlamaGen's tensors as in the released code of VQGAN."""
    # Its decoder's levels are numbered as they run; the released ones by resolution.
    level = re.compile(r"^decoder\.conv_blocks\.(\d+)")
    last = max((int(found[1]) for name in tensors if (found := level.match(name))), default=0)

    def released(name: str) -> str:
        for theirs, ours in NAMES.items():
            name = re.sub(theirs, ours, name)
        return level.sub(lambda found: f"decoder.up.{last - int(found[1])}", name)

    return {released(name): tensor for name, tensor in tensors.items()}

"""Tokenizers that are not imported, by the names of their tensors, so that messages name them."""

import re
from collections.abc import Iterable

from smalti.config import InputError

NETWORKS = {
    r"encoder\.levels\.\d": "a model of smalti; give its folder to the other commands as it is",
    r"quantize\.(quant_resi|ema_vocab_hit)": "VAR's tokenizer (residual quantization over scales)",
    r"quantizer?\.codebooks?\.\d": "an RQ-VAE (residual quantization, several codes a cell)",
    r"\.layers\.\d+\._codebook\.": "a residual quantizer of vector-quantize-pytorch",
    r"\b_codebook\.": "a quantizer of vector-quantize-pytorch, whose tensors do not tell how it "
    "compares",
    r"\blatent_tokens$": "TiTok, whose codes have no grid",
    r"\b(encoder\.transformer\.|pre_quant\.)": "a ViT-VQGAN, whose networks are transformers",
    r"\b(enc|quantize(_conv)?)_[bt]\.": "a VQ-VAE-2 (two codebooks)",
    r"\bencoder\.blocks\.group_\d": "the discrete VAE of DALL-E",
    r"\bgenerator\.blocks\.\d": "the VQGAN of CodeFormer",
    r"\.(norm_layer|conv_y|conv_b)\.": "a MoVQ (norms that the codes modulate)",
    r"quantize\.embedding_proj\.": "a SimVQ (a linear layer before its codebook)",
    r"\b(encoder|decoder)\.(mid_block|adaptive)\.\d": "Open-MAGVIT2's tokenizer (LFQ)",
    r"\bencoder\.model\.\d": "the VQGAN of dome272 (VQGAN-pytorch, MaskGIT-pytorch)",
    r"quantize\.codebook_used$": "a quantizer after LlamaGen's, whose tensors do not tell whether "
    "it compares directions",
    r"quantize\.(.*\.)?initted$": "a quantizer that was started by k-means, whose tensors do not "
    "tell whether it compares directions",
    r"quantize\.used$": "a VQGAN with remapped codes (quantize.used)",
    r"quantize\.(.*\.)?(in_proj|out_proj|project_in|project_out|proj_in|proj_out)\.": (
        "a quantizer with projections of its own"
    ),
    r"quantize\.(mask|zero|basis|levels|_basis|_levels)$": "LFQ or FSQ (no codebook is learned)",
    r"^(quantizer|vq|codebook|vector_quantizer|vector_quantization)\.": "a VQ model with other "
    "names than the released ones",
}
"""Network that a tensor's name tells, by pattern of the name; the first match counts."""
IMPORTED = (
    "tokenizers of taming-transformers, latent-diffusion, IBQ, LlamaGen, Janus, Chameleon, MaskGIT "
    "and diffusers"
)


def refuse_other_networks(names: Iterable[str]) -> None:
    """Refuse networks that are known not to be imported.

    Raises:
        InputError: the names are those of such a network; the message tells which.
    """
    every = sorted(names)
    for pattern, what in NETWORKS.items():
        found = next((name for name in every if re.search(pattern, name)), None)
        if found is not None:
            raise InputError(f"it seems to be {what}: {found}; imported are {IMPORTED}")

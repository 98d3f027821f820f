"""Writes a VQGAN's quantizer as the lookup of Eq. 2, the only one that other programs have.

Axes: D code dimension, d lookup dimension, K codebook size.
Reference: arXiv:2012.09841, Sec. 3.1, Eq. 2.
"""

from torch import Tensor, nn

from smalti.config import InputError
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.quantizers.config import VectorQuantizerConfig
from smalti.tokenizer.quantizers.lookup import LookupQuantizer
from smalti.tokenizer.vqgan import VQGAN


def with_plain_lookup(vqgan: VQGAN) -> tuple[VQGANConfig, dict[str, Tensor]]:
    """Config and weights of the VQGAN with the same codes and images whose lookup is plain.

    The quantizer's projections become part of the 1x1 convolutions beside it, so that D of the
    result is d. Entries that are compared by direction are stored at length one. The nearest of
    them has the largest inner product with a vector, whatever the vector's length, so the vectors
    need no scaling.

    Returns:
        The config, whose quantizer is `vector` with neither `lookup_dim` nor `l2_normalised`, and
        the state dict, float32.

    Raises:
        InputError: the quantizer does not take the nearest entry of a codebook.
    """
    config, quantizer = vqgan.config, vqgan.quantizer
    if not isinstance(quantizer, LookupQuantizer):
        raise InputError(
            f"its quantizer is {config.quantizer.kind}, which takes no nearest entry of a "
            "codebook; exported are vector, ema and simvq"
        )
    weights = {
        name: tensor
        for name, tensor in vqgan.state_dict().items()
        if not name.startswith(("to_code.", "quantizer.", "from_code."))
    }
    to_code = _chained(vqgan.to_code, quantizer.project_in)
    from_code = _chained(quantizer.project_out, vqgan.from_code)
    weights |= {f"to_code.{name}": tensor for name, tensor in to_code.items()}
    weights |= {f"from_code.{name}": tensor for name, tensor in from_code.items()}
    entries = quantizer.scaled_entries(vqgan.to_code.weight.device)
    weights["quantizer.codebook.weight"] = entries.detach()
    inner, code_dim = config.inner_channels, quantizer.lookup_dim
    changes = {
        "code_dim": code_dim,
        "latent_channels": None if inner == code_dim else inner,
        "quantizer": VectorQuantizerConfig(),
    }
    return config.model_copy(update=changes), weights


def _chained(first: nn.Module, second: nn.Module) -> dict[str, Tensor]:
    """State dict of the 1x1 convolution that does what two layers do; one may be none."""
    if isinstance(first, nn.Identity):
        return second.state_dict()
    if isinstance(second, nn.Identity):
        return first.state_dict()
    # In float64, so that the result is rounded once.
    (first_weight, first_bias), (weight, bias) = (
        (layer.get_parameter("weight").flatten(1).double(), layer.get_parameter("bias").double())
        for layer in (first, second)
    )
    folded = (weight @ first_weight)[..., None, None], weight @ first_bias + bias
    return {
        name: tensor.detach().float()
        for name, tensor in zip(("weight", "bias"), folded, strict=True)
    }

"""Writes a VQGAN's quantizer as the lookup of Eq. 2, the only one that other programs have.

Axes: D code dimension, d lookup dimension, K codebook size.
Reference: arXiv:2012.09841, Sec. 3.1, Eq. 2.
"""

from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smalti.config import InputError
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.quantizers.base import Quantizer
from smalti.tokenizer.quantizers.config import VectorQuantizerConfig
from smalti.tokenizer.quantizers.ibq import IBQ
from smalti.tokenizer.quantizers.lfq import LFQ
from smalti.tokenizer.quantizers.lookup import LookupQuantizer
from smalti.tokenizer.vqgan import VQGAN


class _Affine(NamedTuple):
    """A 1x1 convolution as a matrix, in float64 so that a product is rounded once."""

    weight: Tensor  # (out, in)
    bias: Tensor  # (out,)

    @classmethod
    def of(cls, layer: nn.Module, channels: int) -> Self:
        """That of a 1x1 convolution, or of the identity on so many channels."""
        if isinstance(layer, nn.Identity):
            return cls(torch.eye(channels).double(), torch.zeros(channels).double())
        weight, bias = (layer.get_parameter(name).detach() for name in ("weight", "bias"))
        return cls(weight.flatten(1).double().cpu(), bias.double().cpu())

    def then(self, other: "_Affine") -> "_Affine":
        """This one, followed by another."""
        return _Affine(other.weight @ self.weight, other.weight @ self.bias + other.bias)

    def weights(self, layer: str) -> dict[str, Tensor]:
        """Its state dict as a convolution, float32, below the name of a layer."""
        weight = self.weight[..., None, None].float()
        return {f"{layer}.weight": weight, f"{layer}.bias": self.bias.float()}


class _Lookup(NamedTuple):
    """The nearest of some entries, between two projections."""

    project_in: _Affine  # D -> d
    entries: Tensor  # (K, d) float32
    project_out: _Affine  # d -> D


def with_plain_lookup(vqgan: VQGAN) -> tuple[VQGANConfig, dict[str, Tensor]]:
    """Config and weights of the VQGAN with the same codes and images whose lookup is plain.

    The projections of the quantizer become part of the 1x1 convolutions beside it, so that D of
    the result is d.

    Returns:
        The config, whose quantizer is `vector` with neither `lookup_dim` nor `l2_normalised`, and
        the state dict, float32.

    Raises:
        InputError: the quantizer does not compare with the entries of a codebook.
    """
    config = vqgan.config
    lookup = _lookup_of(vqgan.quantizer, config)
    to_code = _Affine.of(vqgan.to_code, config.code_dim).then(lookup.project_in)
    from_code = lookup.project_out.then(_Affine.of(vqgan.from_code, config.code_dim))
    weights = {
        name: tensor
        for name, tensor in vqgan.state_dict().items()
        if not name.startswith(("to_code.", "quantizer.", "from_code."))
    }
    weights |= to_code.weights("to_code") | from_code.weights("from_code")
    weights["quantizer.codebook.weight"] = lookup.entries
    inner, code_dim = config.inner_channels, lookup.entries.shape[1]
    changes = {
        "code_dim": code_dim,
        "latent_channels": None if inner == code_dim else inner,
        "quantizer": VectorQuantizerConfig(),
    }
    return config.model_copy(update=changes), weights


def _lookup_of(quantizer: Quantizer, config: VQGANConfig) -> _Lookup:
    """The nearest entry that gives the codes and the latents of a quantizer."""
    if isinstance(quantizer, LookupQuantizer):
        # Compared by direction, entries have length one. The nearest of them has the largest inner
        # product with a vector, whatever its length: the vectors need no scaling.
        entries = quantizer.scaled_entries(torch.device("cpu")).detach()
    elif isinstance(quantizer, LFQ):
        # The nearest corner of a cube has the signs of the vector.
        entries = quantizer.corners().contiguous()
    elif isinstance(quantizer, IBQ):
        return _lifted(quantizer, config.code_dim)
    else:
        raise InputError(
            f"its quantizer is {config.quantizer.kind}, which does not compare with the entries of "
            "a codebook; exported are vector, ema, simvq, lfq and ibq"
        )
    project_in = _Affine.of(quantizer.project_in, config.code_dim)
    return _Lookup(project_in, entries, _Affine.of(quantizer.project_out, config.code_dim))


def _lifted(quantizer: IBQ, code_dim: int) -> _Lookup:
    """The nearest entry that has the largest inner product, in one more dimension.

    There the entries get what their squared length lacks to that of the longest, so that all are
    equally long, and the vectors get 0.
    """
    entries = quantizer.codebook.weight.detach().double().cpu()
    lengths = entries.square().sum(1, keepdim=True)
    lifted = torch.cat([entries, (lengths.max() - lengths).sqrt()], 1)
    into = _Affine.of(quantizer.project_in, code_dim)
    out = _Affine.of(quantizer.project_out, code_dim)
    return _Lookup(
        _Affine(F.pad(into.weight, (0, 0, 0, 1)), F.pad(into.bias, (0, 1))),
        lifted.float(),
        _Affine(F.pad(out.weight, (0, 1)), out.bias),
    )

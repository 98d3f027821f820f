"""Imports the released code's transformer.

Released checkpoints have it under `transformer.`; both functions take tensors without that prefix.
"""

import re
from collections.abc import Mapping

import torch
from pydantic import ValidationError
from torch import Tensor

from smalti.config import InputError, describe
from smalti.prior.base import SequenceSizes
from smalti.prior.gpt.config import GPT2Config
from smalti.prior.gpt.model import GPT

NAMES = {
    r"tok_emb\.weight": "token_embedding.weight",
    r"pos_emb": "position_embedding",
    r"blocks\.(\d+)\.ln1\.(weight|bias)": r"blocks.\1.attention_norm.\2",
    r"blocks\.(\d+)\.attn\.query\.(weight|bias)": r"blocks.\1.attention.qkv.\2",
    r"blocks\.(\d+)\.attn\.proj\.(weight|bias)": r"blocks.\1.attention.projection.\2",
    r"blocks\.(\d+)\.ln2\.(weight|bias)": r"blocks.\1.mlp_norm.\2",
    r"blocks\.(\d+)\.mlp\.0\.(weight|bias)": r"blocks.\1.mlp.expand.\2",
    r"blocks\.(\d+)\.mlp\.2\.(weight|bias)": r"blocks.\1.mlp.contract.\2",
    r"ln_f\.(weight|bias)": r"norm.\1",
    r"head\.weight": "head.weight",
}
# Keys and values join the queries in one projection; the mask is a constant, not a weight.
WITHOUT_OWN_NAME = r"blocks\.\d+\.attn\.(key\.weight|key\.bias|value\.weight|value\.bias|mask)"


def import_gpt(tensors: Mapping[str, Tensor], heads: int) -> GPT:
    """Build the GPT of a released state dict, which tells all but the number of heads.

    Args:
        tensors: tensors by released name, as `tok_emb.weight`.
        heads: attention heads, which the shapes do not tell (16 in the released models).

    Raises:
        InputError: it is not a GPT, a weight is missing, or the heads do not divide the width.
    """
    try:
        named = name_gpt(tensors)
        vocab_size, width = named["token_embedding.weight"].shape
        max_length = named["position_embedding"].shape[0]
        layers = sum(name.endswith(".attention.qkv.weight") for name in named)
        gpt = GPT(
            GPT2Config(layers=layers, heads=heads, width=width, dropout=0),
            SequenceSizes(vocab_size, max_length),
        )
        gpt.load_state_dict(named)
    except ValidationError as error:
        raise InputError(f"no GPT of ours has these tensors: {describe(error)}") from error
    except (KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(f"these tensors are not a whole GPT of {heads} heads: {reason}") from error
    return gpt.eval()


def name_gpt(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Make the state dict of a `GPT` from tensors with the released names.

    Raises:
        InputError: a name is not one of a GPT.
        KeyError: a block has queries, but no keys or values.
    """
    named = {}
    for name, tensor in tensors.items():
        if re.fullmatch(WITHOUT_OWN_NAME, name):
            continue
        ours = _our_name(name)
        if name == "pos_emb":
            tensor = tensor.squeeze(0)
        elif ".attn.query." in name:
            kinds = ("query", "key", "value")
            tensor = torch.cat([tensors[name.replace("query", kind)] for kind in kinds])
        named[ours] = tensor
    return named


def _our_name(name: str) -> str:
    for pattern, ours in NAMES.items():
        if found := re.fullmatch(pattern, name):
            return found.expand(ours)
    raise InputError(f"{name!r} is no weight of the released GPT")

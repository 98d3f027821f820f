"""smalti: learn a codebook of image constituents, compose new images from them.

    images -> [tokenizer] -> codes -> [sequence] -> tokens -> [prior] -> logits -> [sampling]

The names that most people need are here; they load on first use, so that `smalti --help` does not
wait for torch.

Reference: Esser, Rombach, Ommer 2021, "Taming Transformers for High-Resolution Image Synthesis",
arXiv:2012.09841.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"
__all__ = [
    "VQGAN",
    "CancelledError",
    "CodeSample",
    "ImageCodes",
    "InputError",
    "Likelihood",
    "PictureCodes",
    "Pipeline",
    "Progress",
    "ShardCodes",
    "__version__",
    "complete",
    "decode_pictures",
    "encode_pictures",
    "load_tokenizer",
]

if TYPE_CHECKING:
    from smalti.codes.datasets import CodeSample, ImageCodes, ShardCodes
    from smalti.codes.picture_codes import PictureCodes, decode_pictures, encode_pictures
    from smalti.errors import CancelledError, InputError
    from smalti.progress import Progress
    from smalti.sampling.completion import complete
    from smalti.sampling.pipeline import Pipeline
    from smalti.sampling.scoring import Likelihood
    from smalti.tokenizer.load import load_tokenizer
    from smalti.tokenizer.vqgan import VQGAN

_PLACES = {
    "VQGAN": "tokenizer.vqgan",
    "CancelledError": "errors",
    "CodeSample": "codes.datasets",
    "ImageCodes": "codes.datasets",
    "InputError": "errors",
    "Likelihood": "sampling.scoring",
    "PictureCodes": "codes.picture_codes",
    "Pipeline": "sampling.pipeline",
    "Progress": "progress",
    "ShardCodes": "codes.datasets",
    "complete": "sampling.completion",
    "decode_pictures": "codes.picture_codes",
    "encode_pictures": "codes.picture_codes",
    "load_tokenizer": "tokenizer.load",
}
"""The module of each name."""


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'smalti' has no attribute {name!r}")
    return getattr(importlib.import_module(f"smalti.{_PLACES[name]}"), name)

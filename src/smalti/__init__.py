"""smalti: learn a codebook of image constituents, compose new images from them.

    images -> [tokenizer] -> codes -> [sequence] -> tokens -> [prior] -> logits -> [sampling]

The two names that most people need are here; they load on first use, so that `smalti --help` does
not wait for torch.

Reference: Esser, Rombach, Ommer 2021, "Taming Transformers for High-Resolution Image Synthesis",
arXiv:2012.09841.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"
__all__ = ["VQGAN", "Pipeline", "__version__"]

if TYPE_CHECKING:
    from smalti.sampling.pipeline import Pipeline
    from smalti.tokenizer.vqgan import VQGAN


def __getattr__(name: str) -> Any:
    if name == "VQGAN":
        from smalti.tokenizer.vqgan import VQGAN

        return VQGAN
    if name == "Pipeline":
        from smalti.sampling.pipeline import Pipeline

        return Pipeline
    raise AttributeError(f"module 'smalti' has no attribute {name!r}")

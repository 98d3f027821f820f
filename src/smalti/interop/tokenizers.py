"""Imports other programs' models, and lists the formats for export."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from smalti.config import InputError
from smalti.interop.checkpoint import read_checkpoint
from smalti.interop.containers import Weights
from smalti.interop.diffusers_vqmodel import export_vqmodel, import_vqmodel
from smalti.interop.exchange import Imported, naming
from smalti.interop.prefixes import Rooted, without_prefix
from smalti.interop.taming_config import check_released_config, read_told
from smalti.interop.taming_net2net import ImportedPrior, import_net2net, is_net2net
from smalti.interop.taming_vqgan import UNTOLD, export_vqgan, import_vqgan
from smalti.tokenizer.vqgan import VQGAN

AnyImported = TypeVar("AnyImported", Imported, ImportedPrior)

EXPORTS: dict[str, Callable[[VQGAN, Path], None]] = {
    "diffusers": export_vqmodel,
    "taming": export_vqgan,
}


def import_model(
    path: Path,
    released_config: Path | None = None,
    size_px: tuple[int, int] | None = None,
    tokenizer_only: bool = False,
) -> Imported | ImportedPrior:
    """Read a tokenizer, or a prior with its tokenizers, that another program trained.

    Args:
        path: a checkpoint (of taming-transformers, latent-diffusion, IBQ or LlamaGen), or a folder
            of diffusers.
        released_config: YAML that came with a checkpoint and must agree with the tensors; needed
            if the tensors do not tell how codes are chosen.
        size_px: height and width of a prior's images, needed if nothing else tells them.
        tokenizer_only: whether to read only the tokenizer of the images from a checkpoint with a
            prior.

    Raises:
        InputError: it is no such model, is damaged, or has a part that our models do not have.
    """
    if path.is_dir():
        if released_config is not None:
            raise InputError(f"{path} has its own config; leave {released_config} out")
        return import_vqmodel(path)
    weights = read_checkpoint(path)
    with naming(path):
        rooted = without_prefix(weights.tensors)
        if is_net2net(rooted.tensors) and not tokenizer_only:
            prior = import_net2net(rooted.tensors, released_config, size_px)
            return _with_place(prior, weights, rooted)
        told = UNTOLD if released_config is None else read_told(released_config)
        imported = import_vqgan(rooted.tensors, told)
    if released_config is not None:
        check_released_config(released_config, imported.vqgan.config)
    return _with_place(imported, weights, rooted)


def _with_place(imported: AnyImported, weights: Weights, rooted: Rooted) -> AnyImported:
    """Add to an imported model where its weights were in the checkpoint, and what was beside."""
    places: list[str] = []
    if weights.place:
        others = ", ".join(weights.others)
        places.append(f"under {weights.place}" + (f" (also there: {others})" if others else ""))
    if rooted.prefix:
        places.append(f"names without {rooted.prefix}")
    passed_over = Counter(imported.passed_over) + rooted.passed_over
    return replace(imported, taken=(*places, *imported.taken), passed_over=passed_over)

"""Imports other programs' models, and lists the formats for export."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar

from smalti.config import InputError
from smalti.interop.checkpoint import read_checkpoint
from smalti.interop.containers import AVERAGED, Weights, is_averaged
from smalti.interop.diffusers_vqmodel import export_vqmodel, import_vqmodel
from smalti.interop.exchange import Imported, naming
from smalti.interop.llamagen import export_janus, export_llamagen
from smalti.interop.maskgit_vqgan import import_maskgit, is_maskgit, maskgit_file
from smalti.interop.prefixes import Rooted, without_prefix
from smalti.interop.taming_config import ToldVQGAN, check_released_config, read_told
from smalti.interop.taming_net2net import ImportedPrior, import_net2net, is_net2net
from smalti.interop.taming_vqgan import UNTOLD, export_vqgan, import_vqgan
from smalti.tokenizer.maskgit import MaskGITVQGAN
from smalti.tokenizer.vqgan import VQGAN

AnyImported = TypeVar("AnyImported", Imported[VQGAN], Imported[MaskGITVQGAN], ImportedPrior)

EXPORTS: dict[str, Callable[[VQGAN, Path], None]] = {
    "diffusers": export_vqmodel,
    "taming": export_vqgan,
    "llamagen": export_llamagen,
    "janus": export_janus,
}
TRANSFORMERS = "vqmodel."  # where transformers' Chameleon and Janus have their tokenizers
NEAREST = ToldVQGAN(quantizer="vector")  # none of them has the largest inner product of IBQ


def import_model(
    path: Path,
    released_config: Path | None = None,
    size_px: tuple[int, int] | None = None,
    tokenizer_only: bool = False,
    choice: Literal["ema", "raw"] | None = None,
) -> Imported[VQGAN] | Imported[MaskGITVQGAN] | ImportedPrior:
    """Read a tokenizer, or a prior with its tokenizers, that another program trained.

    Args:
        path: a checkpoint (of taming-transformers, latent-diffusion, IBQ, LlamaGen, Janus,
            Chameleon or MaskGIT in PyTorch), or a folder of diffusers or open-muse.
        released_config: YAML that came with a checkpoint and must agree with the tensors; needed
            if the tensors do not tell how codes are chosen.
        size_px: height and width of a prior's images, needed if nothing else tells them.
        tokenizer_only: whether to read only the tokenizer of the images from a checkpoint with a
            prior.
        choice: weights that must be taken, averaged or raw ones; None takes averaged ones where the
            checkpoint has them.

    Raises:
        InputError: it is no such model, is damaged, has a part that our models do not have, or has
            no weights of the choice.
    """
    if path.is_dir():
        if released_config is not None:
            raise InputError(f"{path} has its own config; leave {released_config} out")
        if choice is not None:
            raise InputError(f"{path} is a folder, with one set of weights; leave --weights out")
        weights_file = maskgit_file(path)
        if weights_file is None:
            return import_vqmodel(path)
        path = weights_file
    averaged = choice != "raw"
    weights = read_checkpoint(path, averaged)
    with naming(path):
        rooted = without_prefix(weights.tensors, averaged)
        stands_apart = is_averaged(weights.place) or is_averaged(rooted.prefix)
        if is_net2net(rooted.tensors) and not tokenizer_only:
            _check_choice(choice, stands_apart)
            prior = import_net2net(rooted.tensors, released_config, size_px)
            return _with_place(prior, weights, rooted)
        if is_maskgit(rooted.tensors):
            if released_config is not None:
                raise InputError(
                    f"its tensors tell all of MaskGIT's VQGAN; leave {released_config} out"
                )
            _check_choice(choice, stands_apart)
            return _with_place(import_maskgit(rooted.tensors), weights, rooted)
        told = _told(released_config, rooted.prefix)
        imported = import_vqgan(rooted.tensors, told, averaged)
        _check_choice(choice, stands_apart or imported.averaged)
    if released_config is not None:
        check_released_config(released_config, imported.vqgan.config)
    return _with_place(imported, weights, rooted)


def _told(released_config: Path | None, prefix: str) -> ToldVQGAN:
    """Values of a tokenizer's config: of a file, or as its place in a larger model tells."""
    if released_config is not None:
        return read_told(released_config)
    return NEAREST if prefix.endswith(TRANSFORMERS) else UNTOLD


def _check_choice(choice: str | None, averaged: bool) -> None:
    """Refuse weights of another kind than was asked for."""
    if choice == "ema" and not averaged:
        raise InputError(
            f"it has no averaged weights of the model, neither under {', '.join(AVERAGED)} nor as "
            "model_ema.* beside the raw ones; leave --weights out"
        )
    if choice == "raw" and averaged:
        raise InputError("it has averaged weights only; leave --weights out")


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

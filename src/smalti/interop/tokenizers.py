"""Other people's models, from their files to ours and back."""

from collections.abc import Callable
from pathlib import Path

from smalti.interop.checkpoint import read_checkpoint
from smalti.interop.diffusers_vqmodel import export_vqmodel, import_vqmodel
from smalti.interop.exchange import Imported, naming
from smalti.interop.taming_config import check_released_config, image_key
from smalti.interop.taming_net2net import ImportedPrior, import_net2net, is_net2net
from smalti.interop.taming_vqgan import export_vqgan, import_vqgan
from smalti.tokenizer.vqgan import VQGAN
from smalti.types import InputError

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
        path: a checkpoint of taming-transformers or latent-diffusion, or a folder of diffusers.
        released_config: YAML of the released code, which must then agree with the tensors.
        size_px: height and width of a prior's images, where nothing else tells them.
        tokenizer_only: of a checkpoint with a prior, read the tokenizer of the images alone.

    Raises:
        InputError: it is neither, is damaged, or has a part that our models do not have.
    """
    if path.is_dir():
        if released_config is not None:
            raise InputError(f"{path} has its own config; leave {released_config} out")
        return import_vqmodel(path)
    tensors = read_checkpoint(path)
    with naming(path):
        if is_net2net(tensors) and not tokenizer_only:
            return import_net2net(tensors, released_config, size_px)
        key = None if released_config is None else image_key(released_config)
        imported = import_vqgan(tensors, key)
    if released_config is not None:
        check_released_config(released_config, imported.vqgan.config)
    return imported

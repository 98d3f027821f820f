"""Other people's tokenizers, from their files to a VQGAN of ours and back."""

from collections.abc import Callable
from pathlib import Path

from smalti.interop.checkpoint import read_checkpoint
from smalti.interop.diffusers_vqmodel import export_vqmodel, import_vqmodel
from smalti.interop.exchange import Imported, naming
from smalti.interop.taming_config import check_released_config
from smalti.interop.taming_vqgan import export_vqgan, import_vqgan
from smalti.tokenizer.vqgan import VQGAN
from smalti.types import InputError

EXPORTS: dict[str, Callable[[VQGAN, Path], None]] = {
    "diffusers": export_vqmodel,
    "taming": export_vqgan,
}


def import_tokenizer(path: Path, released_config: Path | None = None) -> Imported:
    """Read a tokenizer that another program trained.

    Args:
        path: a checkpoint of taming-transformers or latent-diffusion, or a folder of diffusers.
        released_config: YAML of the released code, which must then agree with the tensors.

    Raises:
        InputError: it is neither, is damaged, or has a part that our VQGAN does not have.
    """
    if path.is_dir():
        if released_config is not None:
            raise InputError(f"{path} has its own config; leave {released_config} out")
        return import_vqmodel(path)
    tensors = read_checkpoint(path)
    with naming(path):
        imported = import_vqgan(tensors)
    if released_config is not None:
        check_released_config(released_config, imported.vqgan.config)
    return imported

"""Downloads, checks and reads weights that other projects publish, without running their code."""

from pathlib import Path

import torch
from torch import Tensor, nn

from smalti.config import InputError
from smalti.files import disk_errors
from smalti.model_folder import read_tensors


def download_path(url: str) -> Path:
    """Path where `download` puts the file of a URL: in torch's cache, under the file's name."""
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]


def download(url: str, path: Path, sha256: str, what: str) -> None:
    """Download a file to a path; `what` says in messages what it is.

    Its SHA-256 must begin with `sha256`; another file is deleted. `file://` works too.

    Raises:
        InputError: there is no connection, the file is another, or it cannot be written.
    """
    try:
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), hash_prefix=sha256)
    except (OSError, RuntimeError) as error:
        raise InputError(f"cannot download {what} from {url}: {error}") from error


def load_weights(network: nn.Module, path: Path, what: str) -> None:
    """Load a .pth or .safetensors file into a network; tensors that it does not have are ignored.

    Raises:
        InputError: the file is damaged or holds another network.
    """
    tensors = _read(path)
    expected = network.state_dict()
    for name in [name for name in expected if name.endswith("num_batches_tracked")]:
        # Of no use outside of training, and missing in what older programs wrote.
        tensors.setdefault(name, expected[name])
    for name, tensor in expected.items():
        if name not in tensors or tensors[name].shape != tensor.shape:
            found = tuple(tensors[name].shape) if name in tensors else "nothing"
            raise InputError(
                f"{path} is not {what}: {name} must be {tuple(tensor.shape)}, the file has {found}"
            )
    network.load_state_dict({name: tensors[name] for name in expected})


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        return read_tensors(path)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises half a dozen kinds for a damaged file
        raise InputError(f"{path} is damaged or not a file of weights: {error}") from error
    values = found.items() if isinstance(found, dict) else ()
    return {name: value for name, value in values if isinstance(value, Tensor)}

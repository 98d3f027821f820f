"""Reads and writes a model on disk: a folder with `config.json` and `model.safetensors`.

The same reader finds the model of a folder, of a training run and of a hub repository.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, Unpack

import safetensors
import safetensors.torch
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from smalti import hub
from smalti.config import Config, InputError, describe
from smalti.files import atomic_folder, write_json
from smalti.model_download import CONFIG_FILE as CONFIG_FILE
from smalti.model_download import WEIGHTS_FILE as WEIGHTS_FILE
from smalti.model_download import HubOptions, download_model
from smalti.paths import expand
from smalti.plain_data import read_json

C = TypeVar("C", bound=Config)
M = TypeVar("M", bound=nn.Module)

FORMAT = "smalti"
VERSION = 1
"""Version of the form of model folders; files without one are of the form before the first."""
CHECKPOINTS = (".ckpt", ".pt", ".pth", ".bin", ".safetensors")
"""Endings of the files in which programs store weights."""
PIPELINE_FILE = "model_index.json"
"""Name of the file that lists the models in a pipeline folder of diffusers."""
OTHERS_KEYS = {"_class_name", "architectures", "model_type"}
"""Keys in the configs of diffusers and transformers."""
BEST = "best"
STEP_FOLDER = re.compile(r"step_(\d{8})")


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Config and weights of a model folder."""

    folder: Path
    config: dict[str, Any]
    """The model's config, as plain data for its pydantic class."""
    tensors: dict[str, Tensor]
    """Weights by state-dict name, on the CPU; mapped from the file, except on Windows."""

    def parse_config(self, config_class: type[C]) -> C:
        """Validate the config by its pydantic class.

        Raises:
            InputError: a key is unknown or a value is not allowed.
        """
        try:
            return config_class.model_validate(self.config)
        except ValidationError as error:
            raise InputError(f"{self.folder / CONFIG_FILE}: {describe(error)}") from error

    def build(self, make: Callable[[], M]) -> M:
        """Build a model whose weights are those of the folder, without a second copy of them.

        Mapped weights may lie at other addresses than PyTorch's own, which changes how products are
        rounded: a loaded model equals the one that was saved but for rounding.

        Args:
            make: function that makes the model with new weights, on the default device.

        Raises:
            InputError: a weight is missing, left over, of another shape, or holds NaN or infinity.
        """
        for name, tensor in self.tensors.items():
            if tensor.is_floating_point() and not _is_finite(tensor):
                raise InputError(
                    f"the weights of {self.folder} are no numbers: {name} holds NaN or infinity"
                )
        model = without_memory(make)
        expected = model.state_dict()
        try:
            fitting = {
                name: tensor.to(expected[name].dtype) if name in expected else tensor
                for name, tensor in self.tensors.items()
            }
            model.load_state_dict(fitting, assign=True)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise InputError(
                f"the weights of {self.folder} do not fit its config: {reason}"
            ) from error
        return model


def _is_finite(tensor: Tensor) -> bool:
    """Whether all numbers of a tensor are finite, in one pass without memory of its own."""
    return not tensor.numel() or all(bool(end.isfinite()) for end in torch.aminmax(tensor))


def without_memory(make: Callable[[], M]) -> M:
    """Make a model on the meta device.

    A model is made as usual if it has tensors there that no file holds.
    """
    with torch.device("meta"), _WithoutNormal():
        model = make()
    without_values = {name for name, buffer in model.named_buffers() if buffer.is_meta}
    computed = without_values - model.state_dict().keys()
    return make() if computed else model


class _WithoutNormal(TorchFunctionMode):
    """Leaves tensors as they are that are to be filled with normally distributed numbers.

    On the meta device there is nothing to fill, but for `normal_` PyTorch imports its compiler,
    which takes a second of every program that loads a model.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function of PyTorch, unless it is `nn.init.normal_` or `Tensor.normal_`."""
        kwargs = kwargs or {}
        if func.__name__ == "normal_":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def save_model(folder: Path, kind: str, config: Config, tensors: dict[str, Tensor]) -> None:
    """Write a model folder, whole or not at all; an older model there is replaced.

    The kind ("vqgan", "prior") is what `load_model` checks, the tensors are a state dict.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    with atomic_folder(folder) as temporary:
        write_model_files(temporary, kind, config, tensors)


def write_model_files(folder: Path, kind: str, config: Config, tensors: dict[str, Tensor]) -> None:
    """Write the two files into an existing folder, for callers that make it whole themselves."""
    description = {
        "format": FORMAT,
        "version": VERSION,
        "kind": kind,
        "config": config.model_dump(mode="json"),
    }
    write_json(folder / CONFIG_FILE, description)
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_tensors(folder / WEIGHTS_FILE, contiguous)


def write_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write a safetensors file of contiguous tensors that share no memory.

    Raises:
        OSError: the disk refused; the library's own error has its number only in the text.
    """
    try:
        safetensors.torch.save_file(tensors, path, metadata)
        # The library makes a file that only its owner can read; models are to be shared.
        path.chmod(0o666 & ~_umask())
    except safetensors.SafetensorError as error:
        found = re.search(r"\(os error (\d+)\)", str(error))
        if found is None:
            raise
        number = int(found[1])
        # On Windows the number is one of Windows; from the fourth argument Python makes an errno.
        raise OSError(number, os.strerror(number), str(path), number) from error


def _umask() -> int:
    """Permissions that new files lack; they can only be read by setting them."""
    umask = os.umask(0)
    os.umask(umask)
    return umask


def load_model(name: str | Path, kind: str, **options: Unpack[HubOptions]) -> ModelFiles:
    """Read a model folder, the best (else newest) model of a run, or a hub repository.

    Raises:
        InputError: nothing is there, it is of another kind, or a file is damaged.
    """
    folder = find_model(name, **options)
    description = read_description(folder)
    if description["kind"] != kind:
        raise InputError(f"{name} holds a {description['kind']}, but a {kind} is needed here")
    # Windows lets no file be replaced or deleted while a part of it is in use.
    read = read_tensors if os.name == "nt" else map_tensors
    return ModelFiles(folder, description["config"], read(folder / WEIGHTS_FILE))


def read_description(folder: Path) -> dict[str, Any]:
    """Read the config file of a model folder: the model's `kind`, and its `config`.

    Raises:
        InputError: the file is missing, damaged, not of a model, or of a newer version's form.
    """
    path = folder / CONFIG_FILE
    try:
        description = read_json(path.read_text(encoding="utf-8"), str(path))
        version = description.get("version", 0)
        if isinstance(version, int) and version > VERSION:
            raise InputError(
                f"{folder} has form {version}, of a newer smalti; this one reads up to {VERSION}: "
                "pip install --upgrade smalti"
            )
        return {"kind": description["kind"], "config": description["config"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, KeyError) and OTHERS_KEYS & description.keys():
            raise InputError(to_import(folder)) from error
        raise InputError(f"{path} is not a model's config: {error}") from error


def to_import(path: Path) -> str:
    """Message that another program's model must be imported first."""
    return f"{path} is another program's model; import it first: smalti import {path} --out MODEL"


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read copies of the tensors of a safetensors file by name, on the CPU.

    Raises:
        InputError: the file is missing or damaged.
    """
    return {name: tensor.clone() for name, tensor in map_tensors(path).items()}


def map_tensors(path: Path) -> dict[str, Tensor]:
    """Map the tensors of a safetensors file into memory; the file is open while they exist.

    What is written into them does not reach the file.

    Raises:
        InputError: the file is missing or damaged.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing")
    try:
        return safetensors.torch.load_file(path)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except safetensors.SafetensorError as error:
        raise InputError(f"{path} is damaged or cut short, or no safetensors file") from error


def find_model(name: str | Path, **options: Unpack[HubOptions]) -> Path:
    """Find the folder with `config.json` of a model folder, a run or a hub id.

    A hub id is `hf://owner/name`, or `owner/name` if no folder `owner` exists here. `@revision` may
    follow it.

    Raises:
        InputError: nothing is there, the hub does not have it, or a revision of a folder is asked.
    """
    name = expand(name)
    if name.startswith(hub.PREFIX):
        return find_model(download_model(name, options))
    folder = Path(name, options.get("subfolder", ""))
    if options.get("revision") and Path(name).exists():
        raise InputError(f"{name} is here, where it has no revisions; the hub's is hf://{name}")
    if (folder / CONFIG_FILE).is_file():
        return folder
    if folder.is_dir():
        checkpoints = folder / "checkpoints"
        candidates = [checkpoints / BEST, *reversed(step_folders(checkpoints))]
        for candidate in candidates:
            if (candidate / CONFIG_FILE).is_file():
                return candidate
        raise InputError(_no_model(folder))
    if hub.hub_name(name) is not None:
        return find_model(download_model(name, options))
    raise _no_folder(folder)


def _no_folder(folder: Path) -> InputError:
    """Error about what is no folder, with what to give instead."""
    if (folder.parent / CONFIG_FILE).is_file() and folder.name == WEIGHTS_FILE:
        return InputError(f"{folder} is a file of a model; give its folder, {folder.parent}")
    if folder.is_file() and folder.suffix in CHECKPOINTS:
        return InputError(to_import(folder))
    if folder.exists():
        return InputError(f"{folder} is a file; a model or a run is a folder")
    return InputError(f"{folder} does not exist; give a model folder, a run or a hub id")


def _no_model(folder: Path) -> str:
    """Message on why a folder is no model, and what to do with a model of another program."""
    if (folder / PIPELINE_FILE).is_file():
        return to_import(folder)
    for place in (folder, folder / "checkpoints"):
        files = sorted(path for path in place.glob("*") if path.suffix in CHECKPOINTS)
        if files:
            return to_import(files[-1])
    return f"{folder} has neither {CONFIG_FILE} nor a checkpoint: not a model or run"


def step_folders(checkpoints: Path) -> list[Path]:
    """The folders `step_XXXXXXXX` of a run's checkpoints, oldest first."""
    if not checkpoints.is_dir():
        return []
    return sorted(path for path in checkpoints.iterdir() if STEP_FOLDER.fullmatch(path.name))

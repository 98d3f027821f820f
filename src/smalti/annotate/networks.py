"""Opens networks of transformers from a folder or the hub: config, weights, image processor."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from smalti.config import InputError
from smalti.files import sha256
from smalti.model_folder import CONFIG_FILE, WEIGHTS_FILE, find_model

PROCESSOR_FILE = "preprocessor_config.json"
NEEDED = (CONFIG_FILE, WEIGHTS_FILE, PROCESSOR_FILE)
"""Files that the folder of a network holds, as `save_pretrained` of transformers writes them."""


@dataclass(frozen=True, slots=True)
class Network:
    """A network of transformers on its device, and what makes its inputs."""

    name: str
    """Folder or hub id that the user gave, or the default."""
    folder: Path
    """Where its files lie; on the hub's cache, its last part is the revision."""
    fingerprint: str
    """SHA-256 of the weights."""
    model: Any
    processor: Any

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        device: torch.device = self.model.device
        return device

    def labels(self) -> tuple[str, ...]:
        """The names of the config's classes or joints, by their numbers."""
        return tuple(self.model.config.id2label[number] for number in range(self.count))

    @property
    def count(self) -> int:
        """Number of the config's classes or joints."""
        return len(self.model.config.id2label)

    def description(self) -> Mapping[str, str]:
        """What a record says of it: name, revision and hash of the weights."""
        is_of_hub = self.folder.parent.name == "snapshots"
        revision = {"revision": self.folder.name} if is_of_hub else {}
        return {"model": self.name, **revision, "sha256": self.fingerprint}

    def __str__(self) -> str:
        """Name and revision, or the beginning of the hash of the weights."""
        described = self.description()
        revision = described.get("revision")
        which = f"revision {revision}" if revision else f"weights {self.fingerprint[:12]}"
        return f"{self.name} ({which})"


def check_transformers() -> None:
    """Refuse to go on without transformers.

    Raises:
        InputError: it is not installed.
    """
    if find_spec("transformers") is None:
        raise InputError(
            "making depth maps, label maps and poses needs transformers: "
            "pip install 'smalti[annotate]'"
        )


def open_network(name: str, task: str, device: torch.device) -> Network:
    """Load a network and its image processor onto a device.

    Args:
        name: a folder, or an id of the hub, from where it is downloaded once.
        task: the task as transformers names it, such as `DepthEstimation` of
            `AutoModelForDepthEstimation`.
        device: where it computes.

    Raises:
        InputError: transformers is not installed, nothing is there, a file is missing or damaged,
            or the network is one of another task.
    """
    check_transformers()
    import transformers

    try:
        folder = find_model(name)
    except InputError as error:
        raise InputError(f"{error}; a folder must hold {', '.join(NEEDED)}") from error
    missing = [file for file in NEEDED if not (folder / file).is_file()]
    if missing:
        raise InputError(f"{folder} has no {missing[0]}; a folder must hold {', '.join(NEEDED)}")
    kind = getattr(transformers, f"AutoModelFor{task}")
    try:
        with _quiet():
            config = transformers.AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
            if type(config) not in kind._model_mapping:
                raise InputError(
                    f"{folder} holds a network of the type {config.model_type!r}, for which "
                    f"transformers has no {kind.__name__}; give a model of that task"
                )
            model, report = kind.from_pretrained(
                folder,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
            # The other backend needs torchvision, and resizes a little differently.
            of_images = transformers.AutoImageProcessor
            processor = of_images.from_pretrained(  # type: ignore[no-untyped-call]
                folder, local_files_only=True, trust_remote_code=False, backend="pil"
            )
    except (OSError, ValueError, RuntimeError, SafetensorError, ImportError) as error:
        if isinstance(error, InputError):
            raise
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"cannot read the network of {folder}: {reason}") from error
    lost = sorted(report["missing_keys"])
    if lost:
        raise InputError(f"{folder / WEIGHTS_FILE} is not all of the network: {lost[0]} is missing")
    model.eval().to(device)
    return Network(name, folder, sha256(folder / WEIGHTS_FILE), model, processor)


@contextmanager
def _quiet() -> Iterator[None]:
    """Context without the bars and remarks of transformers while a network is loaded."""
    from transformers.utils import logging as theirs

    are_shown, level = theirs.is_progress_bar_enabled(), theirs.get_verbosity()
    theirs.disable_progress_bar()  # type: ignore[no-untyped-call]
    theirs.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        theirs.set_verbosity(level)
        if are_shown:
            theirs.enable_progress_bar()  # type: ignore[no-untyped-call]

"""Downloads models of the Hugging Face hub: the files of the model, and nothing else."""

import functools
import glob
import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

from smalti import hub
from smalti.errors import InputError

logger = logging.getLogger(__name__)

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
TOKENIZER_FOLDER = "tokenizer"
"""Folder of the images' tokenizer, in that of a prior or of its run."""
CONDITIONS_FOLDER = "conditions"
"""Folder of the conditions' tokenizers, in that of a prior or of its run."""
NAMES_FILE = "training_images.safetensors"
"""File of a run with hashes of the names of its training images."""
CHECKPOINT = re.compile(r"checkpoints/(best|step_\d{8})/")


class HubOptions(TypedDict, total=False):
    """How a model of the hub is downloaded. For a folder here, only `subfolder` has an effect."""

    revision: str | None
    """Branch, tag or commit; None is that in the name, `owner/name@revision`, or `main`."""
    token: str | bool | None
    """Token for private models; None is that of `hf auth login` or `HF_TOKEN`, False is none."""
    cache_dir: str | Path | None
    """Folder of downloads; None is that of the hub's library, `HF_HUB_CACHE`."""
    local_files_only: bool
    """Whether to take what was downloaded before, without a connection."""
    subfolder: str
    """Folder of the model inside the repository, or inside the folder here."""


def download_model(name: str, options: HubOptions) -> Path:
    """Download the model files of a repository, or find them among earlier downloads.

    Args:
        name: `owner/name` or `hf://owner/name`, perhaps followed by `@revision`.
        options: how to download.

    Returns:
        The folder with the files.

    Raises:
        InputError: the hub does not have it, does not give it or cannot be reached, or two
            revisions are named.
    """
    from huggingface_hub import HfApi, snapshot_download

    repository, revision = _with_revision(name, options.get("revision"))
    subfolder = options.get("subfolder", "").strip("/")
    here_only = options.get("local_files_only", False)
    is_reachable = not here_only and hub.is_reachable()
    token, patterns = options.get("token"), None
    try:
        if is_reachable:
            hub.announce(name, "model", repository)
            found = HfApi(token=token).model_info(repository, revision=revision)
            paths = [file.rfilename for file in found.siblings or ()]
            patterns = [glob.escape(path) for path in model_files(paths, subfolder)]
        snapshot = snapshot_download(
            repository,
            revision=revision,
            cache_dir=options.get("cache_dir"),
            token=token,
            allow_patterns=patterns,
            local_files_only=not is_reachable,
        )
    except hub_errors() as error:
        if is_reachable:
            reason = failure(error, repository, revision)
        else:
            reason = "it was not downloaded before" if here_only else "it cannot be reached"
        raise InputError(
            f"{name} is neither a folder here nor a model the hub gives: {reason}"
        ) from error
    _say_commit(repository, Path(snapshot).name)
    folder = Path(snapshot, subfolder)
    if not folder.is_dir():
        raise InputError(f"{name} has no folder {subfolder!r} with a model on the hub")
    return folder


def is_model_on_hub(name: str) -> bool:
    """Whether a name is that of a model on the hub, or of one downloaded before if it is far.

    A repository that cannot be seen, or only with a token, counts where the hub says that it is
    there: `download_model` tells what is needed.

    Args:
        name: `owner/name` or `hf://owner/name`, perhaps followed by `@revision`, or any other text.
    """
    from huggingface_hub import HfApi, errors, snapshot_download

    if hub.hub_name(name) is None:
        return False
    repository, revision = _with_revision(name, None)
    try:
        if hub.is_reachable():
            HfApi().model_info(repository, revision=revision)
        else:
            snapshot_download(repository, revision=revision, local_files_only=True)
    except (errors.GatedRepoError, errors.RevisionNotFoundError):
        return True
    except hub_errors():
        return False
    return True


def model_files(paths: Iterable[str], subfolder: str = "") -> list[str]:
    """Choose the files of the model among those of a repository.

    Of a model folder these are its own files, those of its tokenizer and of its conditions. Of an
    uploaded run they are the best model, else the newest, without what only training needs.
    """
    root = f"{subfolder}/" if subfolder else ""
    inside = [path.removeprefix(root) for path in paths if path.startswith(root)]
    wanted = {path for path in inside if "/" not in path and path.endswith(".json")}
    if CONFIG_FILE in wanted:
        wanted |= {path for path in inside if "/" not in path and path.endswith(".safetensors")}
    else:
        checkpoints = {
            found[1] for path in inside if (found := CHECKPOINT.match(path)) and CONFIG_FILE in path
        }
        # "best" sorts before "step_...", of which the last one is the newest.
        best = "best" if "best" in checkpoints else max(checkpoints, default="")
        wanted |= {f"checkpoints/{best}/{file}" for file in (CONFIG_FILE, WEIGHTS_FILE)}
        wanted.add(NAMES_FILE)
    tokenizers = (f"{TOKENIZER_FOLDER}/", f"{CONDITIONS_FOLDER}/")
    return [
        root + path
        for path in inside
        if path in wanted
        or (path.startswith(tokenizers) and path.endswith((".json", ".safetensors")))
    ]


def hub_errors() -> tuple[type[Exception], ...]:
    """Errors of the hub's client: its own, those of the connection, and of names."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    # Errors of the connection are of the library below, which differs between versions.
    return (OSError, *HfHubHTTPError.__bases__, HFValidationError)


def failure(error: Exception, repository: str, revision: str | None = None) -> str:
    """Say in one line why the hub refused, without the token."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return (
            f"its owner asks for an agreement at https://huggingface.co/{repository}, and then "
            "for a token: hf auth login"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"there is no {repository}, or it is private: then log in with hf auth login, or set "
            "HF_TOKEN"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repository} has no revision {revision!r}"
    return str(error).strip().partition("\n")[0] or type(error).__name__


@functools.cache
def _say_commit(repository: str, commit: str) -> None:
    """Log, once, which commit of a model is used."""
    logger.info("from the hub: %s at %s", repository, commit)


def _with_revision(name: str, revision: str | None) -> tuple[str, str | None]:
    repository, _, named = name.removeprefix(hub.PREFIX).partition("@")
    if named and revision and named != revision:
        raise InputError(f"{name} names another revision than {revision!r}; give one of them")
    return repository, named or revision

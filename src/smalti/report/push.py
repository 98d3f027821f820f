"""Puts a model on the Hugging Face hub: its files, curves, a sheet of pictures and a card."""

import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smalti import hub
from smalti.environment import environment
from smalti.errors import InputError
from smalti.model_download import failure, hub_errors
from smalti.model_folder import find_model, read_description, step_folders
from smalti.paths import expand
from smalti.plain_data import read_json
from smalti.report.hub_card import Described, model_card
from smalti.report.page import PICTURE
from smalti.runs.folder import ENVIRONMENT_FILE, noted_environments
from smalti.runs.state import RunState, read_run
from smalti.sampling.image_model import KIND
from smalti.sampling.pipeline import Pipeline
from smalti.tokenizer.load import load_tokenizer
from smalti.training.checkpoint import read_counters
from smalti.training.curves import CURVES_FILE, draw_numbers, grouped_names
from smalti.training.log import METRICS_FILE

if TYPE_CHECKING:
    from huggingface_hub import HfApi

CARD_FILE = "README.md"
SHEETS = {"vqgan": "reconstructions", "prior": "samples"}
"""Pictures of a run that show what its model does, by stage."""


def push_to_hub(
    model: str | Path,
    repository: str,
    *,
    license: str,
    private: bool = False,
    token: str | None = None,
    figures: str | Path | None = None,
) -> str:
    """Put a model on the hub, where `from_pretrained(repository)` reads it.

    Args:
        model: a run, whose best model is taken, or a model folder.
        repository: `owner/name`; it is made unless it exists.
        license: licence of the model, by the hub's name for it, such as "apache-2.0".
        private: whether only the owner sees it.
        token: token that may write; None is that of `hf auth login` or `HF_TOKEN`.
        figures: file that `smalti evaluate --out` wrote, for the card.

    Returns:
        Address of the commit.

    Raises:
        InputError: there is no such model, the licence is none, or the hub cannot be reached or
            refuses.
    """
    from huggingface_hub import HfApi

    check_names(repository, license)
    if not hub.is_reachable():
        raise InputError(f"{repository} was not pushed: the hub cannot be reached")
    client = HfApi(token=token)
    if private:
        _check_not_public(client, repository)
    with tempfile.TemporaryDirectory() as made:
        folder = write_package(model, repository, license, Path(made, "model"), figures)
        try:
            client.create_repo(repository, private=private, exist_ok=True)
            commit = client.upload_folder(
                repo_id=repository, folder_path=folder, commit_message="Push a model of smalti"
            )
        except hub_errors() as error:
            reason = failure(error, repository)
            raise InputError(f"{repository} was not pushed: {reason}") from error
    return commit.commit_url


def _check_not_public(client: "HfApi", repository: str) -> None:
    """Refuse a repository that everybody sees; one that does not exist yet is made private.

    Raises:
        InputError: it exists and is public, or the hub does not tell.
    """
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        is_public = not client.model_info(repository).private
    except RepositoryNotFoundError:
        return
    except hub_errors() as error:
        reason = failure(error, repository)
        raise InputError(f"{repository} was not pushed: {reason}") from error
    if is_public:
        raise InputError(
            f"{repository} exists and is public; make it private on its page, or leave out "
            "--private"
        )


def write_package(
    model: str | Path,
    repository: str,
    license: str,
    folder: Path,
    figures: str | Path | None = None,
) -> Path:
    """Write what `push_to_hub` uploads into a new folder, without a connection; returns it.

    Raises:
        InputError: as `push_to_hub`.
    """
    check_names(repository, license)
    source = Path(expand(model))
    if not source.is_dir():
        raise InputError(f"{source} is no folder here; give a run or a model folder")
    kind = read_description(find_model(source))["kind"]
    conditions: tuple[str, ...] = ()
    if kind == KIND:
        pipeline = Pipeline.from_pretrained(source)
        pipeline.save_pretrained(folder)
        conditions = pipeline.config.condition_kinds
    else:
        load_tokenizer(source).save_pretrained(folder)
    state = read_run(source)
    pictures = _write_run(state, folder) if state is not None else []
    measured, measured_on = _figures(source, state, figures)
    card = model_card(
        Described(
            repository=repository,
            licence=license,
            kind=kind,
            conditions=conditions,
            state=state,
            versions=_versions(source),
            figures=measured,
            measured_on=measured_on,
            pictures=tuple(pictures),
        )
    )
    (folder / CARD_FILE).write_text(str(card), encoding="utf-8")
    return folder


def check_names(repository: str, license: str) -> None:
    """Refuse what is no name of a repository or of a licence.

    Raises:
        InputError: one of them is none.
    """
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", repository):
        raise InputError(f"the repository must be owner/name, got {repository!r}")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", license):
        raise InputError(
            f"the licence must be the hub's name of one, such as apache-2.0, got {license!r}"
        )


def _write_run(state: RunState, folder: Path) -> list[str]:
    """Write metrics, curves and the newest sheet of a run; returns the pictures, sheet first."""
    if not state.lines:
        return []
    shutil.copyfile(state.folder / METRICS_FILE, folder / METRICS_FILE)
    names = [name for group in grouped_names(state.lines).values() for name in group]
    draw_numbers(state.lines, names, folder / CURVES_FILE)
    sheet = SHEETS[state.config.stage]
    sheets = sorted(
        path
        for path in (state.folder / "samples").glob(f"{sheet}_*.png")
        if (match := PICTURE.fullmatch(path.name)) and match[1] == sheet
    )
    if not sheets:
        return [CURVES_FILE]
    shutil.copyfile(sheets[-1], folder / f"{sheet}.png")
    return [f"{sheet}.png", CURVES_FILE]


def _figures(
    source: Path, state: RunState | None, file: str | Path | None
) -> tuple[dict[str, float], str]:
    """Figures by their names for people, and the images that they are of.

    Raises:
        InputError: the file holds no figures, or those of another model.
    """
    if file is not None:
        path = Path(expand(file))
        try:
            report = read_json(path.read_bytes(), str(path))
            stored, model = report["figures"].values(), str(report.get("model") or "")
            figures = {one["label"]: float(one["value"]) for one in stored}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path} holds no figures; give a file that `smalti evaluate --out` wrote"
            ) from error
        _check_model(path, model, source)
        return figures, "images of an evaluation"
    if state is None:
        return {}, ""
    folders = step_folders(state.folder / "checkpoints")
    best = read_counters(folders[-1]).best_step if folders else -1
    lines = [line for line in state.lines if line["group"] == "eval"]
    of_best = next((line for line in lines if line["step"] == best), None)
    scores = state.last_evaluation() if of_best is None else of_best
    kept = {name: value for name, value in scores.items() if name not in ("step", "group")}
    return {name: value for name, value in kept.items() if value is not None}, state.scored


def _check_model(file: Path, model: str, source: Path) -> None:
    """Refuse figures of another model that is here; one that is gone may have been moved.

    Raises:
        InputError: the figures are of another model.
    """
    measured = Path(model)
    if model and measured.is_dir() and not find_model(measured).samefile(find_model(source)):
        raise InputError(f"{file} holds figures of {model}, not of {source}")


def _versions(source: Path) -> dict[str, str]:
    """Versions of smalti, Python and PyTorch that a run was trained with, else those here."""
    here = noted_environments(source / ENVIRONMENT_FILE)
    found: Mapping[str, Any] = here[-1] if here else environment()
    return {
        "smalti": found["smalti"],
        "Python": found["python"],
        "PyTorch": found["libraries"]["torch"],
    }

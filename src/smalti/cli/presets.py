"""`smalti presets`: which presets there are; and their files."""

from importlib import resources
from pathlib import Path

from smalti.registry import unknown_name


def preset_path(name: str, stage: str) -> Path:
    """The file of a preset.

    Raises:
        InputError: there is none of that name for the stage.
    """
    known = {path.stem: path for path in presets(stage)}
    if name not in known:
        raise unknown_name("preset", name, known)
    return known[name]


def presets(stage: str = "*") -> list[Path]:
    """The files of all presets, or of those of one stage."""
    folder = Path(str(resources.files("smalti") / "presets"))
    return sorted(folder.glob(f"{stage}/*.yaml"))

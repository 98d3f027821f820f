"""`smalti presets`: lists the presets, with the sizes of their models and what they need."""

import re
import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from smalti.cli.arguments import Parser
from smalti.errors import InputError
from smalti.registry import nearest, unknown_name

STAGES = {
    "vqgan": "tokenizers: smalti train vqgan --data DATA --preset NAME",
    "pixels": "palettes: smalti train pixels --data DATA --preset NAME",
    "prior": "priors: smalti train prior --data DATA --vqgan RUN --preset NAME",
}
MAPS = {"labels": "label maps", "depth": "depth maps"}
"""Data of tokenizers that are not of photographs, by kind of content."""
DATA = {
    "class": "photographs in a folder of each class",
    "segmentation": "photographs and label maps",
    "depth": "photographs and depth maps",
    "keypoints": "photographs and keypoints",
}
"""Data of priors with a condition, by kind of condition."""
COLUMN = 36
"""Where the text beside name and parameters begins."""


def preset_path(name: str, stage: str) -> Path:
    """Find the file of a preset.

    Raises:
        InputError: the stage has no preset of that name.
    """
    known = {path.stem: path for path in presets(stage)}
    if name not in known:
        raise unknown_name("preset", name, known)
    return known[name]


def presets(stage: str = "*") -> list[Path]:
    """The files of all presets, or of those of one stage."""
    folder = Path(str(resources.files("smalti") / "presets"))
    return sorted(folder.glob(f"{stage}/*.yaml"))


@dataclass(frozen=True, slots=True)
class Preset:
    """Description of a preset for people."""

    name: str
    stage: str
    about: str
    millions: str
    """Parameters of its model in millions, as its header says; a test counts them."""
    needs: str

    @classmethod
    def read(cls, path: Path) -> "Preset":
        """Read the description of a preset from the header and the options of its file."""
        text = path.read_text(encoding="utf-8")
        header = " ".join(" ".join(re.findall(r"(?m)^# *(.*?)\\?$", text)).split())
        about = header.partition(" Reproduces ")[0]
        millions = re.findall(r"Parameters: (?:\d+ M printed, )?([\d.]+) M counted", header)[0]
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        needs = _needs(yaml.load(text, loader), header)
        return cls(path.stem, path.parent.name, about, millions, needs)

    def has(self, word: str) -> bool:
        """Whether name, description or needs contain a word."""
        return word.lower() in f"{self.name} {self.about} {self.needs}".lower()


def _needs(options: dict[str, Any], header: str) -> str:
    """The task of a preset, its data, and the tokenizers that its header names."""
    if options["stage"] != "prior":
        kind = options.get("vqgan", {}).get("content", {}).get("kind", "rgb")
        return f"needs {MAPS.get(kind, 'photographs')}"
    conditions = options.get("condition", [])
    task = ", ".join(conditions) or "unconditional"
    data = " and ".join(DATA.get(one, "photographs") for one in conditions) or "photographs"
    command = re.search(r"--vqgan runs/([\w-]+)(?: --condition \w+(?:=runs/([\w-]+))?)?", header)
    runs = [f"a run of {name}" for name in command.groups() if name] if command else []
    return f"{task}; needs {data}" + f", {' and '.join(runs) or 'a tokenizer'}"


def run(arguments: Sequence[str]) -> None:
    """Print the presets that have a word in their name or description, or all of them."""
    word = parser().read(arguments).word or ""
    found = [preset for preset in map(Preset.read, presets()) if preset.has(word)]
    if not found:
        near = nearest(word, [path.stem for path in presets()])
        hint = f"; did you mean {near!r}?" if near else "."
        raise InputError(f"no preset has the word {word!r}{hint} `smalti presets` lists all")
    for stage, usage in STAGES.items():
        of_stage = [preset for preset in found if preset.stage == stage]
        if of_stage:
            print(usage)
            print("\n".join(line for preset in of_stage for line in _lines(preset)), end="\n\n")
    print(
        "M is millions of parameters. The header of each file says more:", presets()[0].parents[1]
    )


def _lines(preset: Preset) -> list[str]:
    width = min(max(shutil.get_terminal_size((100, 0)).columns, 80), 100)
    head = f"  {preset.name:26}{preset.millions:>6} M  "
    indent = " " * COLUMN
    lines = textwrap.wrap(preset.about, width - 1, initial_indent=head, subsequent_indent=indent)
    needs = textwrap.wrap(
        preset.needs,
        width - 1,
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
    )
    return lines + needs


def parser() -> Parser:
    """The options of the command."""
    made = Parser("presets", "Presets: name, parameters in millions, what it is and what it needs.")
    made.add_argument("word", nargs="?", help="list only presets with this word (default: all)")
    return made

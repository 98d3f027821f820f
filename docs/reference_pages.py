"""Sphinx extension that writes the parts of the reference that follow from the code.

A page names such a part by a block:

    ```{from-code} options vqgan
    ```

Before the page is read, the block gives way to Markdown that is made from the parsers, configs,
presets and registries of the package.
"""

import contextlib
import importlib
import io
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping

from sphinx.application import Sphinx

import smalti.metrics
from smalti.cli import presets, train_help
from smalti.cli.main import COMMANDS, MODULES, main
from smalti.cli.options import Option, Section, hyphened, sections_of
from smalti.runs.config import ROOTS, BaseRunConfig

BLOCK = re.compile(r"(?m)^```\{from-code\} (\w+) ?(\w*)\n```$")
REGISTRIES = {
    "quantizers": ("smalti.tokenizer.quantizers.build", "QUANTIZERS", "vqgan.quantizer.kind"),
    "perceptual losses": ("smalti.losses.build", "PERCEPTUAL_LOSSES", "loss.perceptual.kind"),
    "priors": ("smalti.prior.build", "PRIORS", "prior.kind"),
    "conditions": ("smalti.conditions", "CONDITIONS", "condition"),
    "orders of the codes": ("smalti.sequence.ordering", "ORDERINGS", "ordering"),
    "data sets": ("smalti.data.sources", "SOURCES", "data"),
    "networks of an evaluation": ("smalti.evaluation.extractors", "EXTRACTORS", ""),
    "comparisons of the paper": ("smalti.reproduce.studies", "STUDIES", ""),
}
"""What comes in kinds: module and name of the registry, and the option that names a kind."""


def commands(_: str = "") -> Iterator[str]:
    """The help of each command, from its parser where it has one."""
    for command, summary in COMMANDS.items():
        yield f"## smalti {command}\n\n{escaped(summary[0].upper() + summary[1:])}.\n"
        module = importlib.import_module(f"smalti.cli.{MODULES.get(command, command)}")
        if hasattr(module, "parser"):
            yield (
                f"```{{argparse}}\n:module: {module.__name__}\n:func: parser\n"
                f":prog: smalti {command}\n:nodescription:\n```\n"
            )
        else:
            yield f"```text\n{help_of([command])}\n```\n"


def help_of(words: list[str]) -> str:
    """What a command prints with `--help`."""
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.suppress(SystemExit):
        main([*words, "--help"])
    return printed.getvalue().rstrip()


def options(stage: str) -> Iterator[str]:
    """All options of `smalti train STAGE`, section by section and kind by kind."""
    root = ROOTS[stage]
    for name, section in sections_of(root).items():
        yield f"## {hyphened(name) or 'The run'}\n\n{text_of(root, section.about)}\n"
        for kind in dict.fromkeys(option.kind for option in section.options):
            if kind:
                about = (section.members[kind].__doc__ or "").partition("\n\n")[0]
                yield f"### {hyphened(name)}: {kind}\n\n{text_of(root, about)}\n"
            yield from _entries(root, section, kind)


def _entries(root: type[BaseRunConfig], section: Section, kind: str) -> Iterator[str]:
    for option in section.options:
        if option.kind == kind and not option.is_fixed:
            yield _entry(root, option)


def _entry(root: type[BaseRunConfig], option: Option) -> str:
    facts = train_help.facts(root, option).strip("[]")
    return f"`{option.flag}`\n: *{escaped(facts)}*\n\n  {text_of(root, option.about)}\n"


def preset_tables(_: str = "") -> Iterator[str]:
    """A table of the presets of each stage."""
    for stage, usage in presets.STAGES.items():
        what, command = usage.split(": ")
        yield f"## {what.capitalize()}\n\n`{command}`\n"
        yield "| name | M | what it is | what it needs |\n| --- | --- | --- | --- |"
        for path in presets.presets(stage):
            one = presets.Preset.read(path)
            needs = one.needs.replace("needs ", "", 1)
            yield f"| `{one.name}` | {one.millions} | {escaped(one.about)} | {escaped(needs)} |"
        yield ""


def kinds(_: str = "") -> Iterator[str]:
    """A table of the kinds in each registry, with what their classes say of themselves."""
    for what, (module, name, option) in REGISTRIES.items():
        registry = getattr(importlib.import_module(module), name)
        yield f"## {what.capitalize()}\n"
        if option:
            yield f"Chosen by `--{option}`.\n"
        yield "| kind | what it is |\n| --- | --- |"
        for kind in registry:
            yield f"| `{kind}` | {escaped(first_sentences(registry[kind].__doc__ or ''))} |"
        yield ""


def metrics(_: str = "") -> Iterator[str]:
    """The functions and classes of each module of metrics, by their docstrings."""
    for module in pkgutil.iter_modules(smalti.metrics.__path__):
        yield f"## {module.name.replace('_', ' ').capitalize()}\n"
        yield f"```{{eval-rst}}\n.. automodule:: smalti.metrics.{module.name}\n```\n"


def first_sentences(docstring: str) -> str:
    """The first paragraph of a docstring in one line."""
    return " ".join(docstring.partition("\n\n")[0].split())


def text_of(root: type[BaseRunConfig], text: str) -> str:
    """A description with options spelled as on the command line, in Markdown."""
    return escaped(train_help.spelled(root, " ".join(text.split())))


def escaped(text: str) -> str:
    """Text in Markdown; what stands in backquotes stays as it is."""
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(
        piece if piece.startswith("`") else re.sub(r"([*_<>|\[\]{}$])", r"\\\1", piece)
        for piece in pieces
    )


PARTS: Mapping[str, Callable[[str], Iterator[str]]] = {
    "commands": commands,
    "options": options,
    "presets": preset_tables,
    "kinds": kinds,
    "metrics": metrics,
}


def filled(page: str) -> str:
    """The text of a page, with what its blocks name in their place."""
    return BLOCK.sub(lambda block: "\n".join(PARTS[block[1]](block[2])), page)


def restructured(lines: list[str]) -> list[str]:
    """Lines of a docstring, with our sections in one line and bars as reStructuredText has them."""
    made: list[str] = []
    is_inside = False
    for line in lines:
        bare = line.replace("|", "\\|")
        if re.match(r"(Axes|Reference|Deviation): ", line):
            made += ["", bare]
            is_inside = True
        elif is_inside and line.startswith("    "):
            made.append(bare.strip())
        else:
            is_inside = False
            made.append(bare)
    return made


def setup(app: Sphinx) -> dict[str, bool]:
    """Let Sphinx fill each page that it reads, and read our docstrings."""

    def fill(app: Sphinx, name: str, source: list[str]) -> None:
        source[0] = filled(source[0])

    def read(
        app: Sphinx, what: str, name: str, documented: object, options: object, lines: list[str]
    ) -> None:
        lines[:] = restructured(lines)

    app.connect("source-read", fill)
    app.connect("autodoc-process-docstring", read, priority=400)  # before napoleon, which has 500
    return {"parallel_read_safe": True}

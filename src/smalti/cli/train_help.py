"""Help of `smalti train STAGE`: a page of frequent options, and one for each section."""

import itertools
import re
import shutil
import textwrap
from collections.abc import Iterable, Iterator

from smalti.cli.options import (
    Option,
    Section,
    hyphened,
    options_of,
    sections_of,
    shown,
    underscored,
)
from smalti.cli.train_config import stage_of
from smalti.config import InputError
from smalti.registry import nearest
from smalti.runs.config import BaseRunConfig, PriorRunConfig

FIRST = {
    "vqgan": (
        "data out image.size training.total_steps training.batch_size vqgan.codebook_size "
        "vqgan.quantizer.kind vqgan.content.kind loss.adversary.start training.auto_remedy "
        "training.device"
    ),
    "prior": (
        "data vqgan condition out training.total_steps training.batch_size training.early_stop "
        "prior.kind prior.layers prior.width training.device"
    ),
    "pixels": "data out image.size codebook_size pixels iterations",
}
"""The options of each stage that people change first."""
WHAT = {
    "vqgan": "Stage 1: learn a tokenizer with its codebook from images.",
    "prior": "Stage 2: learn which codes follow each other in images, to make new ones.",
    "pixels": "In place of stage 1: learn a palette of colours, a tokenizer with f = 1.",
}
NEEDED = {"prior": "(--data PHOTOS | --codes DIR) --vqgan RUN"}
"""What a stage needs that needs more than data."""
INSTEAD = {"data": "--codes", "vqgan": "--init"}
"""Options of a prior that are needed, and those that may stand in their place."""
RUN = "run"
"""Name of the section of options directly in a config."""
COLUMN = 28
"""Column in which the text beside a name begins; the longest is `discriminator_optimizer`."""
WIDEST, NARROWEST = 100, 80
COMMON = {
    "--preset NAME": "Options of a preset; `smalti presets` lists them.",
    "--config FILE": "YAML file with options; what stands later wins.",
    "--dry-run": "Only show parameters, memory and time.",
    "--print-config": "Show what would run, as a config file.",
}


def page(root: type[BaseRunConfig], topic: str = "") -> str:
    """Make the help of a stage, or of one topic: a section, an option or `all`.

    Raises:
        InputError: the topic is unknown.
    """
    if not topic:
        return _first_page(root)
    lines: Iterable[str]
    topic = underscored(topic).lstrip("_")
    sections = {section.path or RUN: section for section in sections_of(root).values()}
    options = options_of(root)
    if topic in sections:
        inside = [hyphened(name) for name in sections if name.startswith(f"{topic}.")]
        more = ["", f"Sections in it: {', '.join(inside)}"] if inside else []
        lines = itertools.chain(_section(root, topic, sections[topic]), more)
    elif topic in options:
        lines = explained(root, options[topic])
    elif topic == "all":
        pages = [[*_section(root, name, section), ""] for name, section in sections.items()]
        lines = itertools.chain(*pages)
    else:
        near = nearest(topic, [*sections, *options, "all"])
        hint = f"; did you mean {hyphened(near)!r}?" if near else "."
        listed = ", ".join(map(hyphened, [*sections, "all"]))
        raise InputError(f"unknown topic of help {hyphened(topic)!r}{hint} Known: {listed}")
    return "\n".join(lines).rstrip()


def _first_page(root: type[BaseRunConfig]) -> str:
    stage, options, sections = stage_of(root), options_of(root), sections_of(root)
    rows = [(options[path].flag, _brief(root, options[path])) for path in FIRST[stage].split()]
    parts = [(hyphened(name), _first_sentence(one.about)) for name, one in sections.items() if name]
    lines = [
        f"usage: smalti train {stage} {NEEDED.get(stage, '--data PHOTOS')} [options]",
        "",
        WHAT[stage],
        "",
        "What people change first:",
        *_table(rows + list(COMMON.items())),
        "",
        "Sections of options (`--help SECTION` explains one, `--help all` explains all):",
        *_table([(RUN, "Data, folder, seed and beginning of the run."), *parts]),
    ]
    return "\n".join(lines)


def _section(root: type[BaseRunConfig], name: str, section: Section) -> Iterator[str]:
    """Explain all options of a section; those of each kind stand under its name."""
    yield from _wrapped(f"{hyphened(name)}: {spelled(root, section.about)}".removesuffix(": "))
    kinds = dict.fromkeys(option.kind for option in section.options)
    for kind in kinds:
        if kind:
            about = (section.members[kind].__doc__ or "").partition("\n\n")[0]
            yield from ["", *_wrapped(f"{kind}: {about}")]
        for option in section.options:
            if option.kind == kind and not option.is_fixed:
                yield from explained(root, option)


def explained(root: type[BaseRunConfig], option: Option, has_default: bool = True) -> list[str]:
    """Explain an option in lines: its default, if it counts here, what is allowed, what it does."""
    head = _wrapped(f"{option.flag} {facts(root, option, has_default)}", "  ", "        ")
    return head + _wrapped(spelled(root, option.about), "        ", "        ")


def _brief(root: type[BaseRunConfig], option: Option) -> str:
    """The first sentence about an option, its default and what is allowed."""
    return f"{_first_sentence(spelled(root, option.about))} {facts(root, option)}"


def facts(root: type[BaseRunConfig], option: Option, has_default: bool = True) -> str:
    """Default and allowed values of an option, such as `[default 0.05; from 0 to below 1]`."""
    facts = [_default(root, option)] if has_default else []
    if not (option.is_text or option.is_list_of_texts):
        # The default shows whether a number is whole, unless it may be a word.
        is_only = len(option.alternatives) == 1
        noun = r"^a (whole )?number (of )?(?=above|at|from|below)" if is_only else "^$"
        facts.append(re.sub(noun, "", option.allowed))
    return f"[{'; '.join(facts)}]" if facts else ""


def _default(root: type[BaseRunConfig], option: Option) -> str:
    if root is PriorRunConfig and option.path in INSTEAD:
        return f"needed, unless {INSTEAD[option.path]} is given"
    if option.default is ...:
        return "needed"
    return f"default {'none' if option.default == () else shown(option.default)}"


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=[a-z`)]\.) ", " ".join(text.split()))[0]


def spelled(root: type[BaseRunConfig], text: str) -> str:
    """Spell the names of options in a text as on the command line."""
    names = {end for path in options_of(root) for end in (path, path.rpartition(".")[2])}
    return re.sub(
        r"[a-z0-9._]*[a-z0-9]",
        lambda found: hyphened(found[0]) if found[0] in names else found[0],
        text,
    )


def _table(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Lines of names with their texts beside them."""
    for name, text in rows:
        lines = _wrapped(text, " " * COLUMN, " " * COLUMN)
        head = f"  {name:{COLUMN - 4}}  "
        yield from [head + lines[0].lstrip(), *lines[1:]]


def _wrapped(text: str, first: str = "", rest: str = "") -> list[str]:
    """Wrap a text into lines, with an indentation of the first line and of the others."""
    columns = min(max(shutil.get_terminal_size((WIDEST, 0)).columns, NARROWEST), WIDEST)
    return textwrap.wrap(
        " ".join(text.split()),
        columns - 1,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )

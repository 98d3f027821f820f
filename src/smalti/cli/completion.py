"""`smalti completion`: a script that lets a shell complete commands, options and their values."""

import importlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from smalti.cli.arguments import Parser

BASH = """_smalti() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}"
    local where="${{COMP_WORDS[1]}}" words=""
    if [ "$current" = "=" ]; then
        current=""
    elif [ "$before" = "=" ]; then
        before="${{COMP_WORDS[COMP_CWORD-2]}}"
    fi
    if [ "$COMP_CWORD" -eq 1 ]; then
        where=""
    elif [ "$where" = train ] && [ "$COMP_CWORD" -gt 2 ]; then
        where="train ${{COMP_WORDS[2]}}"
    fi
    case "$where $before" in
{values}
    esac
    if [ -z "$words" ]; then
        case "$where" in
{words}
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _smalti smalti
"""
"""Script of bash. If no word fits, as for values of options without choices, it completes files."""
ZSH = """autoload -U +X compinit && compinit -u
autoload -U +X bashcompinit && bashcompinit
"""
FISH = """function __smalti_at
    set -l words (commandline -opc)
    test "$words" = "smalti $argv"; or test "$words" = smalti -a -z "$argv"
end
function __smalti_in
    set -l words (commandline -opc)
    string match -q -- "smalti $argv *" "$words "
end
"""


@dataclass(frozen=True, slots=True)
class Place:
    """The words and options that may stand at a place of the command line."""

    words: Sequence[str] = ()
    """Commands, stages or other words, of which one may come next."""
    flags: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Options, each with the words that its value may be; none if that is a file or a number."""


def run(arguments: Sequence[str]) -> None:
    """Print the script of a shell."""
    print(SHELLS[parser().read(arguments).shell](_places()), end="")


def _places() -> dict[str, Place]:
    """All places of the command line, by the words between `smalti` and the place."""
    from smalti.cli.main import COMMANDS, MODULES
    from smalti.cli.presets import presets
    from smalti.runs.config import ROOTS

    places = {
        "": Place([*COMMANDS, "help"], {"--help": [], "--version": []}),
        "help": Place([*COMMANDS]),
        "train": Place([*ROOTS], {"--help": []}),
        "resume": _resuming(),
        "presets": Place([path.stem for path in presets()], {"--help": []}),
    }
    places |= {f"train {stage}": _training(stage) for stage in ROOTS}
    for command in COMMANDS.keys() - places.keys():
        module = importlib.import_module(f"smalti.cli.{MODULES.get(command, command)}")
        places[command] = _of_parser(module.parser())
    return places


def _training(stage: str) -> Place:
    from smalti.cli.options import hyphened, options_of, sections_of
    from smalti.cli.presets import presets
    from smalti.runs.config import ROOTS

    root = ROOTS[stage]
    flags = {
        option.flag: [] if option.is_text else option.choices
        for option in options_of(root).values()
        if not option.is_fixed
    }
    flags["--preset"] = [path.stem for path in presets(stage)]
    flags["--help"] = ["all", "run", *(hyphened(path) for path in sections_of(root) if path)]
    return Place(flags=flags | {"--config": [], "--dry-run": [], "--print-config": []})


def _resuming() -> Place:
    from smalti.cli.resume import changeable_options
    from smalti.runs.config import ROOTS

    options = [option for root in ROOTS.values() for option in changeable_options(root)]
    return Place(flags={o.flag: [] if o.is_text else o.choices for o in options} | {"--help": []})


def _of_parser(parser: Parser) -> Place:
    flags = {flag: [*(action.choices or ())] for flag, action in parser.flags.items()}
    words = [word for one in parser.positionals for word in one.choices or ()]
    return Place(words, flags)


def _bash(places: Mapping[str, Place]) -> str:
    values, words = [], []
    for where, place in places.items():
        for flag, choices in place.flags.items():
            if choices:
                values.append(f'    "{where} {flag}") words="{" ".join(choices)}" ;;')
        flags = f'[ "${{current:0:1}}" = - ] && words="{" ".join(place.flags)}"'
        words.append(f'        "{where}") words="{" ".join(place.words)}"; {flags} ;;')
    return BASH.format(values="\n".join(values), words="\n".join(words))


def _zsh(places: Mapping[str, Place]) -> str:
    return ZSH + _bash(places)


def _fish(places: Mapping[str, Place]) -> str:
    return FISH + "".join(f"complete -c smalti {line}\n" for line in _fish_lines(places))


def _fish_lines(places: Mapping[str, Place]) -> Iterator[str]:
    for where, place in places.items():
        if place.words:
            yield f"-n '__smalti_at {where}' -f -a {shlex.quote(' '.join(place.words))}"
        for flag, choices in place.flags.items():
            name = f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}"
            values = f" -x -a {shlex.quote(' '.join(choices))}" if choices else ""
            yield f"-n '{'__smalti_in' if where else '__smalti_at'} {where}' {name}{values}"


SHELLS = {"bash": _bash, "zsh": _zsh, "fish": _fish}


def parser() -> Parser:
    """The options of the command."""
    made = Parser(
        "completion",
        "A script that completes commands, options and their values, for a file that the shell "
        "reads: smalti completion bash >> ~/.bashrc, zsh >> ~/.zshrc, fish > "
        "~/.config/fish/completions/smalti.fish.",
    )
    made.add_argument("shell", choices=tuple(SHELLS), help="the shell")
    return made

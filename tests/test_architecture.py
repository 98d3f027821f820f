"""The house rules that a reader cannot see in one file: who may import whom, and what nobody may.

`LAYERS` is the table of CONTRIBUTING.md. A part is a folder of the package or a file beside them;
it imports from lower layers only, and from its own; layer 0 also from itself, and the highest
layer, to which all other parts belong, from everything but `cli`.
"""

import ast
import functools
import graphlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "smalti"
LAYERS = (
    {
        "config",
        "errors",
        "types",
        "registry",
        "ranges",
        "content",
        "content_images",
        "files",
        "paths",
        "plain_data",
        "model_download",
        "model_folder",
        "cluster",
        "distributed",
        "hub",
        "compute",
        "progress",
        "randomness",
        "environment",
        "weights",
        "published_weights",
        "sharding",
        "shard_folder",
        "ray_pool",
        "words",
    },
    {"data", "tokenizer", "losses", "sequence", "prior", "metrics"},
    {"codes", "conditions", "evaluation", "health"},
    {"sampling"},
    {"training", "interop", "annotate"},
    {"runs"},
)
TOP = len(LAYERS)
# `files.json_text` itself; command lines, a hash, and annotations that were read as JSON.
JSON_THAT_IS_NO_FILE = {
    "files.py",
    "sampling/partial.py",
    "conditions/pose_file.py",
}
# The one place, and those that speak of the option.
MAY_SAY_HELD_OUT = {"health/run_images.py", "cli/evaluate.py", "data/split.py"}
OPEN_NO_TEXT = ("Image", "os", "tarfile", "archive", "webbrowser")  # of zipfile
MAY_PRINT = ("cli/", "training/log.py")

SOURCES = sorted(PACKAGE.rglob("*.py"))
ALL_PYTHON = [*SOURCES, *sorted((ROOT / "tests").rglob("*.py"))]
ALL_PYTHON += sorted((ROOT / "benchmarks").rglob("*.py"))

parsed = functools.cache(ast.parse)


def layer_of(part: str) -> int:
    return next((number for number, parts in enumerate(LAYERS) if part in parts), TOP)


def imported_modules(tree: ast.AST) -> Iterator[str]:
    """Dotted names of all imports, also inside functions; `from a import b` gives `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            yield from (f"{start}.{alias.name}" for alias in node.names)


def forbidden_imports(part: str, source: str) -> list[str]:
    """Imports that a file of `part` (a folder or top file of the package) may not have."""
    return [name for name in imported_modules(parsed(source)) if not may_import(part, name)]


def may_import(part: str, name: str) -> bool:
    if name.startswith("."):
        return False  # absolute imports only, so that this test sees them all
    package, _, rest = name.partition(".")
    if package != "smalti":
        return package != "torchvision"
    target = rest.partition(".")[0]
    if target in (part, "__version__"):
        return True
    if target == "cli":
        return False
    return layer_of(target) == 0 or layer_of(target) < layer_of(part) or layer_of(part) == TOP


def circle(sources: Mapping[str, str]) -> list[str]:
    """Modules that import each other in a circle, the first of them again at the end.

    Every import counts: those inside functions, and those for type checkers only. `from a import b`
    is an import of `a.b` where that is a module, else of `a`.

    Args:
        sources: the text of each module by its dotted name, packages without `__init__`.
    """
    graph = {
        name: {
            imported if imported in sources else imported.rpartition(".")[0]
            for imported in imported_modules(parsed(source))
        }
        for name, source in sources.items()
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def forbidden_calls(source: str) -> list[str]:
    """Calls of print() and of a method cuda()."""
    found = []
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id == "print":
                found.append("print")
            if isinstance(node.func, ast.Attribute) and node.func.attr == "cuda":
                found.append("cuda")
    return found


def json_writers(source: str) -> list[str]:
    """Calls of json.dump() and json.dumps(), which write NaN as a word that JSON does not have."""
    return [
        node.func.attr
        for node in ast.walk(parsed(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("dump", "dumps")
        and getattr(node.func.value, "id", "") == "json"
    ]


def texts(source: str) -> list[str]:
    """The strings of a file that are no docstrings."""
    tree = parsed(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in docstrings
    ]


def without_encoding(source: str) -> list[int]:
    """Lines that open a text file in whatever encoding the system has."""
    calls = [node for node in ast.walk(parsed(source)) if isinstance(node, ast.Call)]
    return [
        call.lineno
        for call in calls
        if opens_text(call) and not any(word.arg == "encoding" for word in call.keywords)
    ]


def opens_text(call: ast.Call) -> bool:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name in ("read_text", "write_text") or any(word.arg == "text" for word in call.keywords):
        return True
    if name != "open" or getattr(getattr(call.func, "value", None), "id", "") in OPEN_NO_TEXT:
        return False
    values = [*call.args, *(word.value for word in call.keywords)]
    words = [str(value.value) for value in values if isinstance(value, ast.Constant)]
    return not any(re.fullmatch("[rwxa+]*b[rwxa+]*", word) for word in words)


def within(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def found_in(
    paths: Sequence[Path], find: Callable[[Path, str], Sequence[object]]
) -> dict[str, Sequence[object]]:
    """What `find(path, text)` finds in files, by file, without those in which it finds nothing.

    All files are one test: a test of each, thousands of them, would take much longer.
    """
    found = {path: find(path, path.read_text(encoding="utf-8")) for path in paths}
    return {path.relative_to(ROOT).as_posix(): finds for path, finds in found.items() if finds}


def test_imports_go_downward_only():
    def upward(path, text):
        part = within(path).partition("/")[0].removesuffix(".py")
        # The package's doors name its two classes and its command, from any layer.
        return [] if part in ("__init__", "__main__") else forbidden_imports(part, text)

    assert found_in(SOURCES, upward) == {}


def test_contributing_shows_the_layers():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| \d \| (.+?) \|", text)
    table = [set(re.findall(r"`(\w+)`", row)) for row in rows]
    parts = {within(path).partition("/")[0].removesuffix(".py") for path in SOURCES}
    highest = parts - set().union(*LAYERS) - {"__init__", "__main__"}
    assert table == [*LAYERS, highest]


def test_no_modules_import_each_other():
    sources = {
        ".".join(("smalti", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
            ".__init__"
        ): path.read_text(encoding="utf-8")
        for path in SOURCES
        if within(path) != "__init__.py"  # the package's door, which nobody goes through
    }
    assert circle(sources) == []


@pytest.mark.parametrize(
    ("sources", "found"),
    [
        ({"a": "import b", "b": "import c", "c": ""}, set()),
        ({"a": "import b", "b": "from c import x", "c": "import a"}, {"a", "b", "c"}),
        ({"a": "def late():\n    import b", "b": "import a", "c": "import a"}, {"a", "b"}),
        ({"a": "if TYPE_CHECKING:\n    from p.b import B", "p.b": "import a"}, {"a", "p.b"}),
        ({"p": "from p import b", "p.b": "from p.c import x", "p.c": ""}, set()),
        ({"p": "from p.b import B", "p.b": "from p import A"}, {"p", "p.b"}),
    ],
)
def test_the_circle_rule_itself(sources, found):
    assert set(circle(sources)) == found


def test_nobody_prints_or_names_a_device():
    def calls(path, text):
        may_print = within(path).startswith(MAY_PRINT)
        return [call for call in forbidden_calls(text) if not (may_print and call == "print")]

    assert found_in(SOURCES, calls) == {}


def test_one_place_knows_whether_scores_are_of_held_out_images():
    """Others ask `run_images`: a sentence of their own would be wrong where none are held out."""
    others = [path for path in SOURCES if within(path) not in MAY_SAY_HELD_OUT]

    def said(_, text):
        return [line for line in texts(text) if re.search("(?<!--)held-out", line.lower())]

    assert found_in(others, said) == {}


def test_json_files_are_written_by_one_function():
    others = [path for path in SOURCES if within(path) not in JSON_THAT_IS_NO_FILE]
    assert found_in(others, lambda _, text: json_writers(text)) == {}


def test_text_files_are_opened_with_their_encoding():
    assert found_in(ALL_PYTHON, lambda _, text: without_encoding(text)) == {}


@pytest.mark.parametrize(
    ("call", "is_found"),
    [
        ("path.read_text()", True),
        ("path.write_text(text)", True),
        ("path.open()", True),
        ("path.open('a')", True),
        ("path.open(mode='w')", True),
        ("path.open('rb')", False),
        ("open(path)", True),
        ("open(path, 'r')", True),
        ("open(path, mode='wb')", False),
        ("open(path, encoding='utf-8')", False),
        ("Image.open(path)", False),
        ("subprocess.run(command, text=True)", True),
    ],
)
def test_the_encoding_rule_itself(call, is_found):
    assert (without_encoding(call) == [1]) is is_found


def test_nobody_imports_torchvision():
    def imports(_, text):
        names = imported_modules(parsed(text))
        return [name for name in names if name.partition(".")[0] == "torchvision"]

    assert found_in(ALL_PYTHON, imports) == {}


@pytest.mark.parametrize(
    ("part", "line", "allowed"),
    [
        ("data", "from smalti.types import Config", True),
        ("data", "from smalti.data.order import order", True),
        ("data", "from smalti.prior import GPT", False),
        ("data", "import smalti.training.loop", False),
        ("data", "from smalti import prior", False),
        ("data", "from .order import order", False),
        ("types", "from smalti.files import atomic_file", True),
        ("types", "from smalti.data import loader", False),
        ("conditions", "from smalti.data.dataset import ImageDataset", True),
        ("conditions", "from smalti.sampling.pipeline import Pipeline", False),
        ("sampling", "from smalti.prior import GPT", True),
        ("sampling", "from smalti.training.loop import Trainer", False),
        ("training", "from smalti.sampling.pipeline import Pipeline", True),
        ("training", "from smalti.interop.taming_gpt import import_gpt", False),
        ("training", "def late():\n    from smalti.runs.config import RunConfig", False),
        ("runs", "from smalti.training.loop import Trainer", True),
        ("runs", "from smalti.cli.main import main", False),
        ("cli", "from smalti.cli.train import train", True),
        ("losses", "from torchvision.models import vgg16", False),
    ],
)
def test_the_rule_itself(part, line, allowed):
    assert (forbidden_imports(part, line) == []) is allowed


def test_the_call_rule_itself():
    assert forbidden_calls("print(1)\nmodel.cuda()\ntorch.cuda.is_available()") == ["print", "cuda"]


def run_python(code: str, *, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | ({"PYTHONPATH": str(path)} if path else {})
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        encoding="utf-8",
    )


IMPORT_ALL = """
import importlib, pkgutil, sys
import smalti
names = [module.name for module in pkgutil.walk_packages(smalti.__path__, "smalti.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
assert len(names) > 40, names
assert "torchvision" not in sys.modules
"""


def test_a_broken_torchvision_breaks_nothing(tmp_path):
    """Some machines have one that does not fit their torch: importing it must not happen."""
    poison = tmp_path / "torchvision"
    poison.mkdir()
    (poison / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms')\n", encoding="utf-8"
    )
    assert run_python("import torchvision", path=tmp_path).returncode == 1
    result = run_python(IMPORT_ALL, path=tmp_path)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("module", ["smalti", "smalti.cli.main"])
def test_help_does_not_wait_for_torch(module):
    result = run_python(f"import sys, {module}\nassert 'torch' not in sys.modules")
    assert result.returncode == 0, result.stderr


def test_configs_do_not_wait_for_torch():
    """The help of a command is made from them, and must be there at once."""
    heavy = ("torch", "numpy", "PIL")
    result = run_python(
        f"import sys, smalti.runs.config\nassert not sys.modules.keys() & set({heavy})"
    )
    assert result.returncode == 0, result.stderr


BUILD_AS_LOADED = """
import sys
from smalti.model_folder import without_memory
from smalti.prior.base import GridSizes
from smalti.prior.build import build_prior
from smalti.prior.gpt.config import GPTConfig
from smalti.tokenizer.vqgan import VQGAN, VQGANConfig
without_memory(lambda: VQGAN(VQGANConfig()))
without_memory(lambda: build_prior(GPTConfig(dropout=0.0), GridSizes(11, 11, 0, 3, 4)))
assert "torch._dynamo" not in sys.modules
"""


def test_loading_a_model_does_not_wait_for_the_compiler():
    """PyTorch imports it, in a second or more, for some functions of tensors without memory."""
    result = run_python(BUILD_AS_LOADED)
    assert result.returncode == 0, result.stderr


def test_constraints_hold_no_torchvision_and_no_cuda():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").lower().splitlines()
    names = [line.partition("==")[0] for line in lines if not line.startswith("#")]
    assert "torch" in names
    assert not [n for n in names if n == "torchvision" or n.startswith(("nvidia-", "cuda-"))]

"""The scripts of `smalti completion` complete in the shells themselves."""

import shutil
import subprocess

import pytest

from smalti.cli.main import main

BASH = """
source {script}
COMP_WORDS=({words})
COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_smalti
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
LINES = [
    ("smalti ev", ["evaluate"]),
    ("smalti train ", ["pixels", "prior", "vqgan"]),
    ("smalti train vqgan --training.tot", ["--training.total-steps"]),
    ("smalti train vqgan --loss.pixel ", ["cross_entropy", "l1", "l2"]),
    ("smalti train vqgan --vqgan.quantizer.kind s", ["simvq"]),
    ("smalti train pixels --preset ", ["pixels-faceshq"]),
    ("smalti train prior --help cod", ["codes"]),
    ("smalti resume run --training.sa", ["--training.save-steps"]),
    ("smalti sample run --top", ["--top-k", "--top-p"]),
    ("smalti evaluate run --small e", ["enlarge", "error"]),
    ("smalti help sa", ["sample"]),
    ("smalti presets pixels", ["pixels-faceshq"]),
    ("smalti completion ", ["bash", "fish", "zsh"]),
]


@pytest.fixture
def script(tmp_path, capsys):
    """Writes the script of a shell, and gives its path."""

    def write(shell):
        assert main(["completion", shell]) == 0
        path = tmp_path / f"smalti.{shell}"
        path.write_text(capsys.readouterr().out, encoding="utf-8")
        return path

    return write


def lines_of(command: list[str]) -> list[str]:
    done = subprocess.run(command, check=True, capture_output=True, encoding="utf-8", timeout=60)
    assert done.stderr == ""
    return sorted(line.partition("\t")[0] for line in done.stdout.splitlines() if line)


@pytest.mark.parametrize(("line", "words"), LINES)
def test_bash_completes(script, line, words):
    quoted = " ".join(f"'{word}'" for word in line.split(" "))
    assert lines_of(["bash", "-c", BASH.format(script=script("bash"), words=quoted)]) == words


def test_bash_completes_behind_an_equals_sign_and_leaves_paths_to_itself(script):
    path = script("bash")
    words = "smalti train vqgan --training.precision = b"
    assert lines_of(["bash", "-c", BASH.format(script=path, words=words)]) == ["bfloat16"]
    words = "smalti train vqgan --data ''"
    assert lines_of(["bash", "-c", BASH.format(script=path, words=words)]) == []
    assert "complete -o default -F _smalti smalti" in path.read_text(encoding="utf-8")


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
@pytest.mark.parametrize(("line", "words"), LINES)
def test_fish_completes(script, line, words):
    assert lines_of(["fish", "-c", f"source {script('fish')}; complete -C '{line}'"]) == words


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
def test_zsh_reads_its_script(script):
    path = script("zsh")
    assert lines_of(["zsh", "-f", "-c", f"source {path}; print $_comps[smalti]"]) != []


def test_unknown_shell_names_those_there_are(refused):
    refused(["completion", "tcsh"], "must be bash, zsh or fish, got 'tcsh'")

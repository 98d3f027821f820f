"""The names in the package itself: they load when they are first used, and are what they say."""

import subprocess
import sys

import pytest

import smalti


@pytest.mark.parametrize("name", smalti.__all__)
def test_each_name_is_there(name):
    found = getattr(smalti, name)
    assert name == "__version__" or found.__name__ == name


def test_other_names_are_not():
    with pytest.raises(AttributeError, match="module 'smalti' has no attribute 'VQVAE'"):
        _ = smalti.VQVAE


def test_errors_come_without_torch():
    line = (
        "import sys; from smalti import CancelledError, InputError; print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", line], capture_output=True, check=True)
    assert run.stdout.strip() == b"False"

"""Makes `python -m smalti` the command `smalti`, for launchers that start a module."""

from smalti.cli.main import console

if __name__ == "__main__":
    console()

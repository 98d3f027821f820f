"""Entry point: finds the sub-command, turns errors into one line and an exit code.

Nothing here imports torch, so that `smalti --help` answers at once.

Exit codes: 0 success, 2 wrong input of the user, 1 a fault of smalti or the machine; 130, 143 or 75
stopped by SIGINT, SIGTERM or SIGUSR1 with all saved, the last one to be queued again.

Of the processes that torchrun or srun starts, only the first one prints.
"""

import contextlib
import ctypes
import importlib
import io
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from types import FrameType

from smalti.cluster import STOP_SIGNALS, exit_code, rank_of_process

COMMANDS = {
    "demo": "train both stages on photographs that come with scikit-image, and make a page",
    "train": "train vqgan or pixels: learn a codebook (stage 1); prior: compositions (stage 2)",
    "resume": "go on with a run that was stopped, or train a finished one further",
    "sample": "make new images with a trained prior",
    "score": "how well a prior expects images, code by code, with maps of where they surprise it",
    "complete": "complete a photograph, or paint beyond its sides",
    "reconstruct": "send pictures through a tokenizer and back, side by side",
    "evaluate": "figures of a tokenizer, of a prior or of pictures, with their protocol",
    "encode": "pictures -> codes, in a file or in shards",
    "decode": "codes of a file -> pictures",
    "annotate": "photographs -> depth maps, label maps and poses, for a prior's conditions",
    "inspect": "what is in a data set, a model or a run",
    "plot": "losses, NLL and use of the codes of runs, over steps and over time",
    "studio": "a page in the browser: make and complete pictures, codes, and runs while they train",
    "import": "another program's tokenizer -> a model",
    "export": "a tokenizer -> files of another program",
    "push": "a model -> the Hugging Face hub, with curves, pictures and a card",
    "reproduce": "a comparison of the paper: its runs, a table beside the paper's, and a verdict",
    "presets": "sets of options: what each is, its parameters and what it needs",
    "env": "versions, processor, devices, number formats, memory and disk",
    "completion": "a script that completes commands and options in bash, zsh or fish",
}
MODULES = {"import": "import_model", "export": "export_model"}  # where not named as the command
OWN_RESUME = {"demo": "smalti demo", "reproduce": "the same command"}
"""Commands that train several runs and go on themselves, and how that is said."""

SPINS = "5000"
"""How often a waiting thread of GCC's OpenMP looks for work before it sleeps. By its own default it
looks some hundred thousand times, and where another program takes a core, threads that look hold up
those that work: a training then takes many times as long."""

KEPT_BYTES = {"MALLOC_TRIM_THRESHOLD_": (-1, 2**30), "MALLOC_MMAP_THRESHOLD_": (-3, 2**28)}
"""Options of glibc's `mallopt`, number and value, by the variables that set them: how much freed
memory is kept, and from which size on a block is always fetched anew from the system. To fetch the
feature maps of each batch anew took 1 to 5 % of the time of training, and 8 % of encoding."""

EPILOG = "`smalti help COMMAND` explains each. Python: `from smalti import VQGAN, Pipeline`."


class Terminated(KeyboardInterrupt):
    """A signal as an exception, like Ctrl-C, so that nothing half-written stays behind."""

    def __init__(self, signal_number: int = signal.SIGTERM) -> None:
        super().__init__()
        self.signal_number = signal_number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:1] == ["help"]:
        arguments = _as_option(arguments[1:])
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
        return 0 if arguments else 2
    if arguments[0] in ("-V", "--version"):
        from smalti import __version__

        print(f"smalti {__version__}")
        return 0
    return _run(arguments[0], arguments[1:])


def _as_option(topic: Sequence[str]) -> list[str]:
    """Turn a topic of `smalti help` into a command line, such as `train vqgan --help image`."""
    named = 2 if topic[:1] == ["train"] else 1
    return [*topic[:named], "--help", *topic[named:]]


def _help() -> str:
    width = max(map(len, COMMANDS))
    rows = [f"  {name:{width}}  {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        ["usage: smalti COMMAND [options]", "", "commands:", *rows, "", EPILOG],
    )


def _run(command: str, arguments: Sequence[str]) -> int:
    if command not in COMMANDS:
        from smalti.registry import unknown_name

        return _fail(str(unknown_name("command", command, COMMANDS)), 2)
    try:
        module = importlib.import_module(f"smalti.cli.{MODULES.get(command, command)}")
        with _shown_log(), _shown_once():
            module.run(arguments)
    except Terminated as error:
        name = signal.Signals(error.signal_number).name
        return _fail(f"stopped by {name}", exit_code(error.signal_number))
    except KeyboardInterrupt:
        return _fail("stopped", 130)
    except BrokenPipeError:  # `smalti inspect ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if isinstance(error, FileNotFoundError) and "temporary directory" in str(error):
            return _fail(f"{error.strerror}; set TMPDIR to a folder that can be written", 2)
        return _explain(error, command)
    return 0


def _explain(error: Exception, command: str) -> int:
    """Print a known error as one line and return its exit code; raise other errors again."""
    from smalti.errors import InputError

    if isinstance(error, InputError):
        return _fail(str(error), 2)

    from smalti.ray_pool import WorkersLostError
    from smalti.training.log import resume_command
    from smalti.training.loop import Stopped
    from smalti.training.processes import ProcessLostError

    if isinstance(error, Stopped):
        again = OWN_RESUME.get(command) or resume_command(error.folder)
        line = f"{error}; all is saved: {again} goes on from here"
        return _fail(line, exit_code(error.signal_number))
    if isinstance(error, ProcessLostError | WorkersLostError):
        return _fail(str(error), 1)
    if isinstance(error, RuntimeError) and "DataLoader worker" in str(error):
        # PyTorch raises it wherever the main process stands when a worker dies.
        reason = "was ended from outside, as where memory runs out"
        return _fail(f"a process that decodes images {reason}; lower training.workers", 1)
    if _is_out_of_memory(error):
        reason = str(error).partition("\n")[0] or "the system gives no more"
        return _fail(
            f"not enough memory: {reason}; ask for less, such as fewer images at a time",
            1,
        )
    raise error


def _is_out_of_memory(error: Exception) -> bool:
    """Whether the processor's or a graphics card's memory is used up."""
    import torch

    words = ("can't allocate memory", "not enough memory", "Storage size calculation overflowed")
    is_named = isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    return is_named or isinstance(error, MemoryError | torch.OutOfMemoryError)


def _fail(line: str, code: int) -> int:
    if _speaks():
        print(f"smalti: {' '.join(line.split())}", file=sys.stderr)
    return code


def _speaks() -> bool:
    """Whether this process prints: it is alone, or the first of those of its command."""
    return rank_of_process() == 0


@contextlib.contextmanager
def _shown_log() -> Iterator[None]:
    """Context that shows the library's log on standard error, without decoration."""
    # A process that does not speak still tells of the broken images that only it has met.
    shown = "smalti" if _speaks() else "smalti.data"
    logger, handler = logging.getLogger("smalti"), logging.StreamHandler(sys.stderr)
    handler.addFilter(logging.Filter(shown))
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@contextlib.contextmanager
def _shown_once() -> Iterator[None]:
    """Context that drops the standard output of processes that do not print."""
    if _speaks():
        yield
        return
    with (
        open(os.devnull, "w", encoding="utf-8", errors="replace") as nowhere,
        contextlib.redirect_stdout(nowhere),
    ):
        yield


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated(number)


def _sleep_soon() -> None:
    """Let waiting threads sleep soon, unless the environment says how they wait.

    OpenMP reads it when torch is imported.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


def _keep_freed_memory() -> None:
    """Use freed memory again instead of giving it back, unless the environment says otherwise.

    Where the C library is not glibc, nothing is changed.
    """
    if sys.platform != "linux" or any(variable in os.environ for variable in KEPT_BYTES):
        return
    change = getattr(ctypes.CDLL(None), "mallopt", None)
    if change is not None:
        for option, value in KEPT_BYTES.values():
            change(option, value)


def console() -> None:
    """Entry point of the installed command."""
    _sleep_soon()
    _keep_freed_memory()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal lacks letters for
            stream.reconfigure(errors="backslashreplace")
    for number in STOP_SIGNALS:
        if number != signal.SIGINT:  # Python raises KeyboardInterrupt itself
            signal.signal(number, _terminate)
    sys.exit(main())

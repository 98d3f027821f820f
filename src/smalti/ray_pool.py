"""Ray Data as an engine: a pool of actors, each of which holds a model and makes numbered shards.

Ray gives each shard to an actor that is free. An actor that dies is started again, here or on
another machine, and its shard is made again; what is finished lies in the folder of the shards.

Ray is looked for where RAY_ADDRESS says. Without it, a Ray of this command alone is started on this
machine, without a dashboard, and ends with the command.
"""

import contextlib
import json
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from smalti.cluster import STOP_SIGNALS
from smalti.errors import InputError
from smalti.files import json_text
from smalti.words import counted

MOST_TRIES = 5
"""Number of times that a shard is tried whose actors die."""
ANSWER_SECONDS = 30.0
"""How long the machine that RAY_ADDRESS names may take to answer."""
LOCAL_STORE_BYTES = 2**27
"""Memory in which a Ray of our own keeps what it sends around: a few numbers for each shard."""

Make = Callable[[int], int]
"""Makes the shard of a number, and returns the number of its images."""

log = logging.getLogger(__name__)


class WorkersLostError(RuntimeError):
    """The actors that tried a shard died one after the other."""


def check_ray() -> None:
    """Refuse to go on without Ray.

    Raises:
        InputError: Ray, or what its data sets need, is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reads it when it is imported
    try:
        import ray.data  # noqa: F401
    except ImportError as error:
        raise InputError("--engine ray needs Ray: pip install 'smalti[ray]'") from error


def make_with_actors(
    begin: Callable[[], Make],
    shards: Sequence[int],
    actors: int | None,
    use_cards: bool,
    on_made: Callable[[int], object],
) -> int:
    """Make shards with a pool of actors.

    Args:
        begin: called once in each actor, where it loads the model. It must be picklable.
        shards: numbers of the shards, at least one.
        actors: number of actors; None is one for each card of the cluster or, without cards, for
            each core.
        use_cards: whether each actor gets a card, if the cluster has any.
        on_made: called with the number of images of each shard that was made, but of the first
            ones together, once there are as many as actors: the actors make these at the same time,
            and before the last of them is done, the time left would seem too long.

    Returns:
        Number of images that were made.

    Raises:
        InputError: an actor raised it, or no Ray answers at RAY_ADDRESS.
        WorkersLostError: a shard was tried several times, and its actor died each time.
    """
    check_ray()
    images = untold = 0
    with _running_ray():
        pool = _pool(actors, use_cards, len(shards))
        for finished, made in enumerate(_made(begin, shards, pool), start=1):
            for level, line in json.loads(made["log"]):
                log.log(level, "%s", line)
            if made["refused"]:
                raise InputError(made["refused"])
            if made["tries"] > MOST_TRIES:
                raise WorkersLostError(
                    f"the workers that made shard {made['shard']} died {MOST_TRIES} times, as "
                    "where memory runs out; try fewer images at a time or fewer actors"
                )
            images += made["images"]
            untold += made["images"]
            if finished >= pool.actors:
                on_made(untold)
                untold = 0
    return images


@contextlib.contextmanager
def _running_ray() -> Iterator[None]:
    """Context in which this process is connected to Ray, which says nothing but errors."""
    import ray

    address = os.environ.get("RAY_ADDRESS", "local")
    own: dict[str, Any] = {}
    if address == "local":
        own = {"object_store_memory": LOCAL_STORE_BYTES, "include_dashboard": False}
    # It warns of arguments of actors that might get lost; this process keeps them.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    _check_address(address)
    handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except (ConnectionError, ray.exceptions.AuthenticationError) as error:
        raise InputError(
            f"RAY_ADDRESS is {address}, where no Ray answers that knows this user; one that asks "
            "for a token needs it in ~/.ray/auth_token, and RAY_AUTH_MODE=token in the environment"
        ) from error
    for number, handler in handlers.items():  # Ray takes SIGTERM for itself
        signal.signal(number, handler)
    try:
        yield
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Refuse HOST:PORT where nothing listens, which Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        try:
            socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise InputError(f"RAY_ADDRESS is {address}, where no Ray answers") from error


class _Pool(NamedTuple):
    actors: int
    has_cards: bool
    """Whether each actor gets a card."""


def _pool(actors: int | None, use_cards: bool, shards: int) -> _Pool:
    """How many actors make so many shards; the other arguments are those of `make_with_actors`."""
    import ray

    resources = ray.cluster_resources()
    cards = int(resources.get("GPU", 0)) if use_cards else 0
    pool = _Pool(min(actors or cards or int(resources["CPU"]), shards), cards > 0)
    each = ", each with a card" if pool.has_cards else ""
    log.info("Ray: %s%s", counted(pool.actors, "actor"), each)
    return pool


def _made(
    begin: Callable[[], Make], shards: Sequence[int], pool: _Pool
) -> Iterator[Mapping[str, Any]]:
    """What `_Actor` says of each shard, in the order in which they are finished."""
    import ray
    from ray.data import ActorPoolStrategy, DataContext

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    tries = ray.remote(num_cpus=0)(_Tries).remote()
    rows = ray.data.from_items(
        [{"shard": number} for number in shards], override_num_blocks=len(shards)
    )
    made = rows.map_batches(
        _Actor,
        fn_constructor_args=(begin, tries, os.getcwd()),
        batch_size=1,
        compute=ActorPoolStrategy(size=pool.actors),
        num_cpus=1,
        num_gpus=1 if pool.has_cards else 0,
    )
    yield from made.iter_rows()


class _Tries:
    """Counts in an actor of its own how often each shard was tried."""

    def __init__(self) -> None:
        self._tries: dict[int, int] = {}

    def note(self, shard: int) -> int:
        """Count one more try of a shard; returns how many there were."""
        self._tries[shard] = self._tries.get(shard, 0) + 1
        return self._tries[shard]


class _Actor:
    """An actor of the pool, which holds the model.

    Args:
        begin: loads the model, at the first shard: what is raised in a constructor, Ray wraps.
        tries: handle of `_Tries`.
        folder: working folder of the command, in which relative paths are meant.
    """

    def __init__(self, begin: Callable[[], Make], tries: Any, folder: str) -> None:
        with contextlib.suppress(OSError):  # not all machines of a cluster need to have it
            os.chdir(folder)
        self._begin, self._tries = begin, tries
        self._make: Make | None = None

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Make the shard of a batch with one row, `shard`."""
        import ray

        (number,) = batch["shard"].tolist()
        tries = ray.get(self._tries.note.remote(number))
        images, refused = 0, ""
        with _collected_log() as lines:
            try:
                if tries <= MOST_TRIES:
                    self._make = self._make or self._begin()
                    images = self._make(number)
            except InputError as error:
                refused = str(error)
        made = {"shard": number, "images": images, "tries": tries, "refused": refused}
        return {name: [value] for name, value in (made | {"log": json_text(lines)}).items()}


@contextlib.contextmanager
def _collected_log() -> Iterator[list[tuple[int, str]]]:
    """Context that collects what is logged in it: the process of the command shows it."""
    lines: list[tuple[int, str]] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append((record.levelno, record.getMessage()))

    logger, collector = logging.getLogger("smalti"), Collector()
    logger.addHandler(collector)
    try:
        yield lines
    finally:
        logger.removeHandler(collector)

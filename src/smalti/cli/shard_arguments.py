"""Options of work that is divided into shards. Imports nothing heavy."""

import argparse

from smalti.cli.arguments import positive
from smalti.errors import InputError


def shard_arguments(group: argparse._ArgumentGroup, shard_images: str, joined: str) -> None:
    """Add the options.

    Args:
        group: group of a parser's options.
        shard_images: help on `--shard-images`.
        joined: what `--join` needs and does.
    """
    group.add_argument("--shard-images", type=positive, metavar="N", help=shard_images)
    group.add_argument(
        "--shard",
        default="1/1",
        metavar="I/N",
        help="make the shards of worker I of N, which need not know of each other; a job array of "
        "a cluster passes 1/64 to 64/64",
    )
    group.add_argument("--join", action="store_true", help=joined)
    group.add_argument(
        "--engine",
        choices=("processes", "ray"),
        default="processes",
        help="processes are this one, or those that torchrun or srun started; ray is a pool of "
        "actors of Ray Data, on the cluster of RAY_ADDRESS or else on this machine (extra ray)",
    )
    group.add_argument(
        "--actors",
        type=positive,
        metavar="N",
        help="with --engine ray: actors, each with a model, a core and a card if there are any "
        "(default: one for each card or, without cards, for each core)",
    )


def check_engine(options: argparse.Namespace) -> None:
    """Refuse an engine that is not installed, and options of another engine.

    Raises:
        InputError: Ray is not installed, or actors are given without Ray.
    """
    if options.engine == "ray":
        from smalti.ray_pool import check_ray

        check_ray()
    elif options.actors is not None:
        raise InputError("--actors has an effect with --engine ray only")

"""`smalti studio`: a page in the browser that looks into runs and models of this machine."""

import secrets
import socket
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from smalti.cli.arguments import Parser, expanded_path, whole_number
from smalti.config import InputError
from smalti.studio.addresses import LOOPBACK, SHORTEST_TOKEN, address_of

if TYPE_CHECKING:
    import torch
    from starlette.applications import Starlette

    from smalti.annotate.base import Annotator

DEFAULT_FOLDER = "runs"


def run(arguments: Sequence[str]) -> None:
    """Serve the page until the command is stopped."""
    options = parser().read(arguments)
    token = _token(options.host, options.token)
    roots = [_place(name) for name in options.what] or [Path(DEFAULT_FOLDER)]
    _check_packages()

    from smalti.compute import choose_compute
    from smalti.studio.app import build_app
    from smalti.studio.library import Library
    from smalti.studio.worker import Worker

    compute = choose_compute(options.device, "float32")
    with _listening(options.host, options.port) as listener:
        print(f"device: {compute}")
        annotators = _annotators(options, compute.device)
        app = build_app(Library(roots), Worker(compute.device), token, options.host, annotators)
        address = address_of(options.host, listener.getsockname()[1], token)
        if options.host not in LOOPBACK:
            print(
                f"anybody who reaches {options.host} and knows the token can look into "
                f"{', '.join(map(str, roots))} and compute here, and the connection is not "
                "encrypted; safer is the default host, through ssh -L"
            )
        print(f"the studio is at {address} (Ctrl-C ends it)", flush=True)
        if options.open:
            import webbrowser

            webbrowser.open(address)
        _serve(app, listener)


def _annotators(options: Namespace, device: "torch.device") -> "dict[str, Annotator]":
    """What makes maps and poses of photographs with the networks that are named, by its kind.

    Raises:
        InputError: a network is not there or of another task, or the detector has no use.
    """
    from smalti.annotate.depth import DepthAnnotator
    from smalti.annotate.keypoints import KeypointsAnnotator
    from smalti.annotate.segmentation import SegmentationAnnotator

    detector = options.annotate_detector
    if detector is not None and options.annotate_keypoints is None:
        raise InputError(
            f"--annotate-detector {detector} finds persons for --annotate-keypoints; leave it out"
        )
    named: tuple[tuple[type[Annotator], dict[str, str | None]], ...] = (
        (DepthAnnotator, {"model": options.annotate_depth}),
        (SegmentationAnnotator, {"model": options.annotate_segmentation}),
        (KeypointsAnnotator, {"model": options.annotate_keypoints, "detector": detector}),
    )
    return {
        kind.kind: kind.load(
            {role: name for role, name in models.items() if name is not None}, device
        )
        for kind, models in named
        if models["model"] is not None
    }


def _token(host: str, token: str | None) -> str:
    """The token that the user chose, or a new one.

    Raises:
        InputError: it is too short, or left out for a host that others reach.
    """
    if token is None and host not in LOOPBACK:
        raise InputError(
            f"--host {host} lets other machines in; choose a secret with --token, of at least "
            f"{SHORTEST_TOKEN} letters and digits, that they must know"
        )
    if token is None:
        return secrets.token_urlsafe(24)
    if len(token) < SHORTEST_TOKEN or not (token.isascii() and token.isalnum()):
        raise InputError(
            f"--token must be at least {SHORTEST_TOKEN} letters and digits, got {len(token)} "
            "characters"
        )
    return token


def _place(name: str) -> Path:
    """A folder that the user named, or that of a model of the hub.

    Raises:
        InputError: it does not exist.
    """
    if Path(name).is_dir():
        return Path(name)
    from smalti.model_folder import find_model

    return find_model(name)


def _check_packages() -> None:
    try:
        import starlette
        import uvicorn
    except ImportError as error:
        raise InputError("the studio needs more packages: pip install 'smalti[studio]'") from error
    del starlette, uvicorn


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        InputError: the port is in use or not allowed, or the host is not one of this machine.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = (error.strerror or "").partition(" (while ")[0]  # the address follows, once more
        raise InputError(
            f"cannot listen on {host}, port {port} ({reason}); choose another --port, "
            "or 0 for a free one"
        ) from error


def _serve(app: "Starlette", listener: socket.socket) -> None:
    from smalti.studio.server import Server

    Server(app).run(sockets=[listener])


def parser() -> Parser:
    """The options of the command."""
    parser = Parser(
        "studio",
        "A page in the browser for the runs and models of this machine: pictures drawn code by "
        "code, photographs completed, where they surprise a prior, codes exchanged by hand, and "
        "the curves of runs while they train.",
    )
    parser.add_argument(
        "what",
        nargs="*",
        type=expanded_path,
        help="runs, models or folders above such, or hub ids; nothing else can be read from the "
        f"page (default: {DEFAULT_FOLDER}/)",
    )
    parser.add_argument(
        "--port", type=whole_number(0, 65535), default=8765, help="port; 0 takes a free one"
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="host to listen on; another than this machine's own lets other machines in, and needs "
        "--token",
    )
    parser.add_argument(
        "--token",
        help=f"secret in the address, at least {SHORTEST_TOKEN} letters and digits (default: a new "
        "one)",
    )
    for kind, made in (
        ("depth", "depth maps"),
        ("segmentation", "label maps"),
        ("keypoints", "poses"),
    ):
        parser.add_argument(
            f"--annotate-{kind}",
            type=expanded_path,
            metavar="NAME_OR_FOLDER",
            help=f"model that makes {made} of photographs on the page, as --model of `smalti "
            f"annotate --{kind}`; a hub id is downloaded before the page opens",
        )
    parser.add_argument(
        "--annotate-detector",
        type=expanded_path,
        metavar="NAME_OR_FOLDER",
        help="model that finds the persons for --annotate-keypoints, as --detector of `smalti "
        "annotate` (default: a small one of the hub)",
    )
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    parser.add_device()
    return parser

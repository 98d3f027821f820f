"""`smalti env`: describes this machine and this installation, for reports."""

from collections.abc import Iterator, Sequence
from typing import Any

from smalti.cli.arguments import Parser

GIB = 2**30


def run(arguments: Sequence[str]) -> None:
    """Print versions, processor, devices, number formats, memory and disk."""
    parser().read(arguments)

    from smalti.environment import environment

    for name, text in _lines(environment()):
        print(f"{name + ':':17}{text}")


def _lines(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    import shutil

    from smalti.compute import choose_compute
    from smalti.runs.cost import free_bytes

    compute = choose_compute()
    yield "smalti", found["smalti"]
    yield "python", f"{found['python']} on {found['system']}"
    for name, version in found["libraries"].items():
        yield name, version or "not installed"
    yield "processor", f"{found['processor'] or 'unknown'}, {found['cores']} cores"
    yield "threads", f"{found['threads']} (OMP_NUM_THREADS changes it)"
    yield "number formats", ", ".join(["float32", *_bfloat16(found["bfloat16"])])
    yield "instructions", ", ".join(found["instructions"]) or "none that matter here"
    for number, card in enumerate(found["cards"]):
        formats = ", ".join(["float32", *_bfloat16(card["bfloat16"])])
        yield f"cuda:{number}", f"{card['name']}, {card['memory_gib']} GiB; {formats}"
    yield "device", f"auto is {compute}"
    free = free_bytes(compute.device)
    known = f"{found['memory_gib']} GiB" if found["memory_gib"] else "unknown"
    yield "memory", known + (f"; {free / GIB:.1f} GiB are free on the device" if free else "")
    yield "disk", f"{shutil.disk_usage('.').free / GIB:.1f} GiB are free in this folder"


def _bfloat16(has_it: bool) -> list[str]:
    return ["bfloat16" if has_it else "no bfloat16 (it would be emulated)"]


def parser() -> Parser:
    """The options of the command."""
    return Parser("env", "Versions, processor, devices, number formats, memory and disk.")

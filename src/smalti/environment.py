"""Describes what a run computes with: versions, processor, devices and number formats."""

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from smalti import __version__
from smalti.compute import has_bfloat16

LIBRARIES = (
    *("torch", "numpy", "scipy", "pillow", "safetensors", "pydantic", "pyyaml", "huggingface-hub"),
    *("datasets", "pyarrow", "torchmetrics", "matplotlib", "scikit-image", "tensorboard"),
)
"""Libraries whose version may change what is read, trained or measured."""
INSTRUCTIONS = {
    "AVX2": torch.cpu._is_avx2_supported,
    "AVX512": torch.cpu._is_avx512_supported,
    "AVX512-BF16": torch.cpu._is_avx512_bf16_supported,
    "AMX": torch.cpu._is_amx_tile_supported,
}
"""Instruction sets of processors, which decide which number formats are fast."""
CPU_INFO = Path("/proc/cpuinfo")
GIB = 2**30


def environment() -> dict[str, Any]:
    """Versions and hardware of this machine, as plain data.

    A library that is not installed is null, as is everything that the system does not tell.
    """
    return {
        "smalti": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "libraries": {name: _version(name) for name in LIBRARIES}
        | {"torch": str(torch.__version__)},  # with its build, which packages may leave out
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "instructions": [name for name, has_it in INSTRUCTIONS.items() if has_it()],
        "bfloat16": has_bfloat16(torch.device("cpu")),
        "memory_gib": _memory_gib(),
        "cards": [_card(number) for number in range(torch.cuda.device_count())],
    }


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str | None:
    if CPU_INFO.is_file():
        for line in CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or None


def _memory_gib() -> float | None:
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", ()):
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB, 1)


def _card(number: int) -> dict[str, Any]:
    card = torch.cuda.get_device_properties(number)
    return {
        "name": card.name,
        "memory_gib": round(card.total_memory / GIB, 1),
        "bfloat16": has_bfloat16(torch.device("cuda", number)),
    }

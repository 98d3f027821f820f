"""Device and number format of a run.

bfloat16 is used if the hardware multiplies it; other hardware emulates it, on some processors
hundreds of times slower than float32.
"""

import contextlib
from dataclasses import dataclass
from typing import Literal

import torch

from smalti.cluster import is_slurm_task
from smalti.config import InputError, Precision
from smalti.distributed import is_distributed, local_rank
from smalti.words import counted

NumberFormat = torch.dtype | Literal["float32", "bfloat16", "float16"]
"""Number format of the weights of a model, as torch's or by its name."""
NUMBER_FORMATS = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def number_format(asked: NumberFormat) -> torch.dtype:
    """The number format that is asked for, as torch's.

    Raises:
        InputError: models have no such number format.
    """
    found = NUMBER_FORMATS.get(asked) if isinstance(asked, str) else asked
    if found is None or found not in NUMBER_FORMATS.values():
        raise InputError(f"dtype is {asked}; allowed are {', '.join(NUMBER_FORMATS)}")
    return found


@dataclass(frozen=True, slots=True)
class Compute:
    """Device and number format of a run."""

    device: torch.device
    dtype: torch.dtype
    """Number format of what autocast covers, float32 or bfloat16; weights and losses are always
    float32."""

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Context for forward passes of networks."""
        return torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16
        )

    def __str__(self) -> str:
        name = (
            torch.cuda.get_device_name(self.device)
            if self.device.type == "cuda"
            else counted(torch.get_num_threads(), "thread")
        )
        return f"{self.device} ({name}), {str(self.dtype).removeprefix('torch.')}"


def choose_compute(device: str = "auto", precision: Precision = "auto") -> Compute:
    """Choose device and number format: those named, or the best on this machine.

    Args:
        device: "auto", or a torch device such as "cpu", "cuda", "cuda:1", "mps".
        precision: "auto" takes bfloat16 if the device multiplies it in hardware.

    Raises:
        InputError: the device does not exist, or the processes of a run would have to share it.
    """
    name = _best_device() if device == "auto" else device
    chosen = existing_device(_device_of_process(name) if is_distributed() else name)
    if precision == "auto":
        fast = has_bfloat16(chosen)
        return Compute(chosen, torch.bfloat16 if fast else torch.float32)
    return Compute(chosen, torch.bfloat16 if precision == "bfloat16" else torch.float32)


def _device_of_process(name: str) -> str:
    """The CPU, or the card of this process, which becomes its current one, as nccl needs."""
    if name == "cpu":
        return name
    if name != "cuda":
        raise InputError(
            f"device {name!r} is one for all processes; with several, allowed are cpu, "
            "cuda (a card for each) and auto"
        )
    cards = torch.cuda.device_count()
    # Slurm may show each task its own card only (--gpus-per-task).
    card = 0 if cards == 1 and is_slurm_task() else local_rank()
    if card >= cards:
        raise InputError(
            f"process {card} of this machine has no card: there are {cards}; start one process "
            "for each (torchrun --nproc-per-node, srun --ntasks-per-node)"
        )
    torch.cuda.set_device(card)
    return f"cuda:{card}"


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device has bfloat16 instructions (and does not emulate them)."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def existing_device(name: str | torch.device) -> torch.device:
    """The device of a name, if it is there.

    Raises:
        InputError: this machine, or this build of PyTorch, has no such device.
    """
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"device {str(name)!r} is not there; best here: {_best_device()!r} (or 'auto')"
        ) from error
    return device

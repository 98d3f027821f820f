"""Functions that all formats of other programs' tokenizers share.

An import fills every weight of ours and leaves no tensor over.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from torch import Tensor

from smalti.config import InputError
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.convolutional import ConvolutionalTokenizer

M = TypeVar("M", bound=ConvolutionalTokenizer, covariant=True)
N = TypeVar("N", bound=ConvolutionalTokenizer)


@dataclass(frozen=True, slots=True)
class Imported(Generic[M]):
    """A tokenizer made of another program's tensors, and how the tensors were used."""

    vqgan: M
    """The tokenizer, in eval mode."""
    used: int
    """Number of tensors that became weights of the tokenizer."""
    passed_over: Mapping[str, int]
    """Number of tensors of other parts of the checkpoint (losses, another network), by part."""
    shape_from: str
    """Source of the network's shape, such as the name of a config file, for messages."""
    taken: Sequence[str] = ()
    """Text for messages on which weights were taken, if there were several or they lay deeper."""
    averaged: bool = False
    """Whether the weights are averages of training that stood beside the raw ones."""


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Context that puts the name of a file before the message of an InputError about it."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def fill_vqgan(
    vqgan: N, tensors: Mapping[str, Tensor], foreign_name: Callable[[str], str | None]
) -> N:
    """Give each weight of a VQGAN the tensor of its foreign name.

    Args:
        vqgan: a new VQGAN of the right shape.
        tensors: tensors by foreign name; all must fit. A 1x1 convolution may be a matrix, or the
            other way round.
        foreign_name: gives the foreign name of a weight of ours; None for a count of training steps
            that others do not store, which then starts anew.

    Returns:
        The same VQGAN in eval mode, float32 whatever the tensors are.

    Raises:
        InputError: a weight is missing, left over, of another shape, or holds NaN or infinity.
    """
    weights = vqgan.state_dict()
    names = {name: theirs for name in weights if (theirs := foreign_name(name)) is not None}
    missing = [theirs for theirs in names.values() if theirs not in tensors]
    if missing:
        raise InputError(
            f"not a whole VQGAN: {missing[0]} is missing{_more(missing)}, as far as the other "
            "tensors tell its shape"
        )
    left_over = sorted(tensors.keys() - names.values())
    if left_over:
        raise InputError(f"not a VQGAN of ours: {left_over[0]} has no place{_more(left_over)}")
    check_numbers({name: tensors[name] for name in names.values()})
    found = {name: _shaped(tensors[their], weights[name], their) for name, their in names.items()}
    vqgan.load_state_dict(weights | found)
    return vqgan.eval()


def check_numbers(tensors: Mapping[str, Tensor]) -> None:
    """Refuse weights that are not finite floating-point numbers.

    Raises:
        InputError: a tensor holds other numbers; the message names it.
    """
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise InputError(f"{name} holds {tensor.dtype}, not floating-point numbers")
        if not tensor.is_meta and not tensor.isfinite().all():
            raise InputError(
                f"{name} holds NaN or infinity: its training diverged, or the file is damaged"
            )


def check_exportable(config: VQGANConfig, form: str) -> None:
    """Refuse a VQGAN that is not of photographs.

    Raises:
        InputError: its content is not RGB images.
    """
    if config.content.kind != "rgb":
        raise InputError(f"its content is {config.content.kind}; {form} is written for rgb only")


def _more(names: list[str]) -> str:
    return f", and {len(names) - 1} more" if len(names) > 1 else ""


def _shaped(tensor: Tensor, weight: Tensor, name: str) -> Tensor:
    """Bring a tensor to the shape of a weight of ours."""
    alike = (tensor.shape, (*tensor.shape, 1, 1))
    if weight.shape not in alike and (*weight.shape, 1, 1) != tensor.shape:
        raise InputError(
            f"not a VQGAN of ours: {name} has the shape {tuple(tensor.shape)}, needed is "
            f"{tuple(weight.shape)}"
        )
    return tensor.reshape(weight.shape)

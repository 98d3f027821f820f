"""Finds the dictionary of a checkpoint that holds the weights.

Programs save a state dict alone, or beside other things under a name of their own. Some save two:
the weights as training left them, and their moving average, with which they evaluate and sample.
"""

from dataclasses import dataclass
from typing import Any

AVERAGED = ("ema", "model_ema", "ema_model", "params_ema", "ema_state_dict", "g_ema", "shadow")
RAW = ("state_dict", "model", "model_state_dict", "params", "generator", "net", "module", "vqgan")
DEEPEST = 3  # dictionaries within dictionaries, as in `model.module.state_dict`


@dataclass(frozen=True, slots=True)
class Weights:
    """Tensors by name, and where in the checkpoint they were."""

    tensors: dict[str, Any]
    place: str = ""
    """Names of the dictionaries that lead to the tensors, joined by dots; empty at the top."""
    others: tuple[str, ...] = ()
    """Other places with weights, which were not taken."""


def is_averaged(place: str) -> bool:
    """Whether a place, which is names joined by dots, is one of averaged weights."""
    return not set(AVERAGED).isdisjoint(place.split("."))


def find_weights(content: object, kind: type, averaged: bool = True) -> Weights:
    """Find the weights of a checkpoint; those at its top come after those under a name.

    Args:
        content: what the file holds.
        kind: type of its tensors; if the content has none, so have the weights.
        averaged: whether averaged weights are preferred to raw ones, where it has both.
    """
    places = _places(content, kind, "", DEEPEST) or _only_one(content, kind)
    if not places:
        return Weights({})
    # What has a few tensors only, such as the count of an average's updates, is no model.
    most = max(len(tensors) for _, tensors in places)
    whole = [found for found in places if 2 * len(found[1]) >= most]
    (place, tensors), *others = sorted(whole, key=lambda found: is_averaged(found[0]) != averaged)
    return Weights(tensors, place, tuple(other for other, _ in others if other))


def _places(content: object, kind: type, path: str, depth: int) -> list[tuple[str, dict[str, Any]]]:
    """All places with tensors that known names lead to, the preferred first."""
    if not isinstance(content, dict):
        return []
    found = []
    for name in (*AVERAGED, *RAW) if depth else ():
        found += _places(content.get(name), kind, f"{path}.{name}" if path else name, depth - 1)
    tensors = _named(content, kind)
    return [*found, (path, tensors)] if tensors else found


def _only_one(content: object, kind: type) -> list[tuple[str, dict[str, Any]]]:
    """The only dictionary with tensors, whatever its name; empty if there are several."""
    if not isinstance(content, dict):
        return []
    found = [(str(name), _named(value, kind)) for name, value in content.items()]
    found = [(name, tensors) for name, tensors in found if tensors]
    return found if len(found) == 1 else []


def _named(content: object, kind: type) -> dict[str, Any]:
    if not isinstance(content, dict):
        return {}
    return {
        name: value
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, kind)
    }

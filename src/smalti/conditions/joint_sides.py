"""Finds left and right among the joints of a pose by their names.

Data sets write `left_eye`, `LShoulder`, `lShldr`, `r ankle`, `rank`, `hand.L` or `FrontLeftPaw`. A
joint has a partner if the set has a joint of its name with the other side.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smalti.data.sources.base import listed

OTHER_SIDE = {"left": "right", "right": "left", "l": "r", "r": "l"}
MOST_PAIRS, MOST_ALONE = 3, 20  # named in a message

Words = tuple[str, ...]

# A letter with a number is one word: L1 to L5 are vertebrae, which lie in the middle.
_WORDS = re.compile(r"(?<![A-Za-z])[A-Za-z]\d+|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")


class JointSides(NamedTuple):
    """Which joints change names in a mirrored image, where a left hand looks like a right one."""

    names: tuple[str, ...]
    """Names of the joints."""
    partners: tuple[int, ...]
    """Number of each joint's partner on the other side; a joint without one is its own partner."""
    one_sided: tuple[int, ...]
    """Numbers of joints whose name tells a side, but that have no partner."""

    def mirrored(self, joints: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rearrange the rows (joints, ...) of a person for the mirrored image.

        A joint of one side only becomes zeros: mirrored it is a joint without a name here, and the
        joint that would have its name is not known.
        """
        exchanged = joints[list(self.partners)]
        exchanged[list(self.one_sided)] = 0
        return exchanged

    def __str__(self) -> str:
        """One line on the pairs, and on the other joints in mirrored images."""
        pairs = [(one, two) for one, two in enumerate(self.partners) if one < two]
        single = [joint for joint, other in enumerate(self.partners) if joint == other]
        middle = [self.names[joint] for joint in single if joint not in self.one_sided]
        sentences = []
        if pairs:
            exchanged = [f"{self.names[one]}/{self.names[two]}" for one, two in pairs]
            sentences.append(f"mirrored images exchange {listed(exchanged, MOST_PAIRS)}")
        if middle:
            has = "have" if len(middle) > 1 else "has"
            advice = "" if pairs else "; if there is a left and a right, set --image.flip false"
            shown = listed(middle, MOST_ALONE)
            sentences.append(f"{shown} {has} no partner and no side{advice}")
        if self.one_sided:
            shown = listed([self.names[joint] for joint in self.one_sided], MOST_ALONE)
            sentences.append(
                f"the other side of {shown} is missing, so mirrored images count as without; "
                "--image.flip false keeps all"
            )
        return "; ".join(sentences)


def joint_sides(names: Sequence[str]) -> JointSides:
    """Find the pairs of left and right among the names of joints."""
    written = [_words(name) for name in names]
    counts = Counter(written)
    numbers = {words: number for number, words in enumerate(written) if counts[words] == 1}
    candidates = [_partner(words, numbers) for words in written]
    partners = tuple(
        other if other is not None and candidates[other] == number else number
        for number, other in enumerate(candidates)
    )
    one_sided = tuple(
        number
        for number, words in enumerate(written)
        if partners[number] == number and _tells_a_side(words)
    )
    return JointSides(tuple(names), partners, one_sided)


def _words(name: str) -> Words:
    """The words of a name in small letters, `l` and `r` written out: LShoulder is left shoulder."""
    full = {"l": "left", "r": "right"}
    words = [word.lower() for word in _WORDS.findall(name)]
    return tuple(full.get(word, word) for word in words)


def _partner(words: Words, numbers: dict[Words, int]) -> int | None:
    return next((numbers[other] for other in _mirrored(words) if other in numbers), None)


def _mirrored(words: Words) -> Iterator[Words]:
    """Possible names of the joint on the other side, the likeliest first."""
    exchanged = tuple(OTHER_SIDE.get(word, word) for word in words)
    if exchanged != words:
        yield exchanged
    for place, word in enumerate(words):
        for other in _mirrored_ends(word):
            yield (*words[:place], other, *words[place + 1 :])


def _mirrored_ends(word: str) -> Iterator[str]:
    """A word with the side at its beginning or end exchanged: lefteye, rank, FR (front right)."""
    for side, other in OTHER_SIDE.items():
        if word.startswith(side):
            yield other + word.removeprefix(side)
        if word.endswith(side):
            yield word.removesuffix(side) + other


def _tells_a_side(words: Words) -> bool:
    return any(word.startswith(("left", "right")) for word in words)

"""Conditioners: what stands before the image in the sequence. One kind per file.

Importing this package registers them all.
"""

from typing import Annotated

from pydantic import Field

from smalti.sequence.conditioners.base import CONDITIONERS, drop
from smalti.sequence.conditioners.class_label import ClassLabel, ClassLabelConfig
from smalti.sequence.conditioners.none import Unconditional, UnconditionalConfig

ConditionerConfig = Annotated[UnconditionalConfig | ClassLabelConfig, Field(discriminator="kind")]

__all__ = [
    "CONDITIONERS",
    "ClassLabel",
    "ClassLabelConfig",
    "ConditionerConfig",
    "Unconditional",
    "UnconditionalConfig",
    "drop",
]

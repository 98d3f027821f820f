"""What every config is built on, and the error of a user's wrong input. Imports no torch."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

LARGEST_INTEGER = 2**63 - 1
"""The largest whole number that torch has, and so the largest seed."""

Precision = Literal["auto", "float32", "bfloat16"]
"""Number formats that a run may ask for."""


class InputError(ValueError):
    """The user's input is wrong: one line that says what, the value, and what is allowed.

    The command line turns it into that line and exit code 2; anything else is our own fault.
    """


def describe(error: ValidationError) -> str:
    """A pydantic error as one line: the dotted path, what is wrong and the value that was given."""
    lines = []
    for item in error.errors():
        path = ".".join(str(part) for part in item["loc"])
        # What is wrong with a whole config is in the message; the config itself is too long.
        is_value = item["type"] != "missing" and not isinstance(item["input"], dict)
        given = f", got {item['input']!r}" if is_value else ""
        place = f"{path}: " if path else ""
        lines.append(f"{place}{item['msg'].removeprefix('Value error, ')}{given}")
    return "; ".join(lines)


class Config(BaseModel):
    """Base of every config: frozen, unknown keys rejected, field docstrings become help texts.

    Its numbers are finite, and its whole numbers fit into the 64 bits that torch has for them.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )

    @model_validator(mode="after")
    def _numbers_fit(self) -> Self:
        for name, value in self:
            for number in value if isinstance(value, tuple) else (value,):
                if isinstance(number, int) and abs(number) > LARGEST_INTEGER:
                    option = name.replace("_", "-")
                    raise ValueError(f"{option} is {number}; allowed are at most {LARGEST_INTEGER}")
        return self

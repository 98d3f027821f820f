"""The base class of configs. Imports no torch."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from smalti.errors import InputError as InputError

LARGEST_INTEGER = 2**63 - 1
"""The largest whole number of torch, and thus the largest seed."""

Precision = Literal["auto", "float32", "bfloat16"]
"""Number formats that a user can choose."""


WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not known",
    "greater_than_equal": "must be at least {ge:.9g}",
    "greater_than": "must be above {gt:.9g}",
    "less_than_equal": "must be at most {le:.9g}",
    "less_than": "must be below {lt:.9g}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be finite",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "too_short": "must have {min_length} or more values",
    "too_long": "must have {max_length} or fewer values",
    "literal_error": "must be {expected}",
    "model_type": "must hold options",
    "model_attributes_type": "must hold options",
    "union_tag_not_found": "needs its kind",
    "union_tag_invalid": "must be of kind {expected_tags}",
    "value_error": "{error}",
}
"""Our words for what pydantic finds wrong, by pydantic's names of the errors."""


def describe(error: ValidationError) -> str:
    """A pydantic error as one line: the dotted path, what is wrong and the wrong value."""
    lines = []
    for item in error.errors():
        path = ".".join(str(part) for part in item["loc"])
        words = WORDS.get(item["type"], item["msg"]).format(**item.get("ctx", {}))
        # What is wrong with a whole config is in the message; the config itself is too long.
        is_value = item["type"] != "missing" and not isinstance(item["input"], dict)
        given = f", got {item['input']!r}" if is_value else ""
        lines.append(f"{path}: {words}{given}".removeprefix(": "))
    return "; ".join(lines)


class Config(BaseModel):
    """Base of every config: frozen, without unknown keys; its field docstrings are help texts.

    Numbers must be finite, and whole numbers must fit into 64 bits, as in torch.
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

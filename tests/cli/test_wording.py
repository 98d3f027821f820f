"""What may be given is said without Python's words."""

import pytest

from smalti.cli.wording import plain_types


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Annotated[int, Ge(ge=1)]", "int >= 1"),
        ("typing.Annotated[float, Ge(ge=0), Lt(lt=1)]", "float >= 0, < 1"),
        ("Optional[Annotated[int | null, Ge(ge=1)]]", "int >= 1 or null"),
        ("Literal['l1', 'l2']", "one of ['l1', 'l2']"),
        ("Optional[tuple[Annotated[float, Gt(gt=0)], ...]]", "tuple[float > 0, ...] or null"),
        ("Annotated[float, Gt(gt=0), AllowInfNan(allow_inf_nan=False)]", "float > 0"),
        ("<class 'NoneType'>", "null"),
        ("plain words [default: 3]", "plain words [default: 3]"),
    ],
)
def test_types_are_plain(written, read):
    assert plain_types(written) == read

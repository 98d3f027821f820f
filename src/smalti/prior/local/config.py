"""Config of the local prior. Imports no torch."""

from typing import Annotated, Literal, NamedTuple, Self

from annotated_types import Ge
from pydantic import model_validator

from smalti.prior.transformer_config import BlockChoices


class Reach(NamedTuple):
    """How far a cell attends, in cells of the image."""

    rows: int
    """Rows above; of maps, also rows below."""
    columns: int
    """Columns on either side."""

    def around(self, column: int, columns: int) -> slice:
        """The columns of an image of so many columns in the neighbourhood of one; -1 begins rows.

        The column of the target may be the one behind the last.
        """
        return slice(max(column - self.columns, -1), min(column + self.columns + 1, columns))


class LocalConfig(BlockChoices):
    """Shape of a transformer whose cells attend to a neighbourhood, for images of any size."""

    kind: Literal["local"] = "local"
    neighbour_rows: Annotated[int, Ge(1)] | None = None
    """Rows above a cell that it attends to, at most those of the grid. Null is half of the grid."""
    neighbour_columns: Annotated[int, Ge(1)] | None = None
    """Columns on either side of a cell that it attends to, at most those of the grid. Null is half
    of the grid."""

    @model_validator(mode="after")
    def _channels_turn(self) -> Self:
        self.check_rotary()
        return self

    def reach(self, height: int, width: int) -> Reach:
        """How far cells attend in a prior whose grid has so many rows and columns.

        Raises:
            ValueError: further than the grid.
        """
        rows, columns = self.neighbour_rows, self.neighbour_columns
        if (rows or 1) > height or (columns or 1) > width:
            raise ValueError(
                f"neighbour-rows and neighbour-columns are {rows or 'null'} and "
                f"{columns or 'null'}; allowed are at most the grid's {height} rows and {width} "
                "columns of codes"
            )
        half = Reach((height + 1) // 2, (width + 1) // 2)
        return Reach(rows or half.rows, columns or half.columns)

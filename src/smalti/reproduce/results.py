"""What was measured of one seed of a study, written down after each measurement."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError

from smalti.config import Config, InputError, describe
from smalti.files import atomic_file, write_json
from smalti.plain_data import read_json

Points = Sequence[tuple[float, float]]
"""Points (x, y) of a curve."""


class StoredResults(Config):
    """The file of a seed."""

    figures: dict[str, float] = Field(default_factory=dict)
    """Numbers by name, such as `row_major/nll`."""
    curves: dict[str, tuple[tuple[float, float], ...]] = Field(default_factory=dict)
    """Points of curves by name."""
    measured: tuple[str, ...] = ()
    """Names of the measurements that are done."""
    is_complete: bool = False
    """Whether all that the study measures is there."""


class Results:
    """Figures and curves of one seed; a measurement that is done is not repeated.

    Args:
        path: the file in which they are kept; it may not exist yet.

    Raises:
        InputError: the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stored = StoredResults()
        if path.is_file():
            try:
                content = read_json(path.read_bytes(), str(path))
                self._stored = StoredResults.model_validate(content)
            except ValidationError as error:
                raise InputError(f"{path} is damaged: {describe(error)}") from error
            except (ValueError, RecursionError) as error:
                raise InputError(f"{path} is damaged: it is no JSON") from error

    @classmethod
    def of(cls, figures: Mapping[str, float]) -> Self:
        """Results with some figures, which are not kept in a file."""
        results = cls(Path())
        results._stored.figures.update(figures)
        return results

    @property
    def figures(self) -> Mapping[str, float]:
        """Figures by the name of measurement and figure, such as `row_major/nll`."""
        return self._stored.figures

    @property
    def curves(self) -> Mapping[str, Points]:
        """Points of each curve, such as NLL over steps, by the name of the curve."""
        return self._stored.curves

    @property
    def is_complete(self) -> bool:
        """Whether the study has measured all of this seed."""
        return self._stored.is_complete

    def measure(self, name: str, compute: Callable[[], Mapping[str, float]]) -> None:
        """Compute figures, unless that was done before, and write them down.

        Args:
            name: name of the measurement, before the names of its figures: `NAME/FIGURE`.
            compute: gives the figures by name.
        """
        if name in self._stored.measured:
            return
        found = {f"{name}/{key}": value for key, value in compute().items()}
        self._keep(figures=self._stored.figures | found, measured=(*self._stored.measured, name))

    def add(self, name: str, figures: Mapping[str, float]) -> None:
        """Add figures that cost nothing to compute, or replace them: `NAME/FIGURE`."""
        named = {f"{name}/{key}": value for key, value in figures.items()}
        self._keep(figures=self._stored.figures | named)

    def add_curve(self, name: str, points: Points) -> None:
        """Add a curve, or replace it."""
        curve = tuple((float(x), float(y)) for x, y in points)
        self._keep(curves=self._stored.curves | {name: curve})

    def complete(self) -> None:
        """Note that the study has measured all of this seed."""
        self._keep(is_complete=True)

    def _keep(self, **changes: object) -> None:
        self._stored = self._stored.model_copy(update=changes)
        with atomic_file(self._path) as temporary:
            write_json(temporary, self._stored.model_dump(mode="json"))

"""Named files: pictures that a user names one by one."""

from collections.abc import Sequence

from smalti.data.sources.files import FileSource


class NamedFiles(FileSource):
    """Picture files in the order given, without classes and without anything beside them.

    Args:
        paths: of the files, at least one.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.spec = paths[0]
        self.hold("", paths, None)

    @classmethod
    def accepts(cls, spec: str) -> bool:
        """Nothing: it is no kind of data set."""
        return False

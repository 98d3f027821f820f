"""The studies, each in a file; importing this package registers them all."""

from smalti.reproduce.studies import orderings
from smalti.reproduce.study import STUDIES

__all__ = ["STUDIES", "orderings"]

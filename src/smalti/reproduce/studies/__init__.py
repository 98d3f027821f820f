"""The studies, each in a file; importing this package registers them all."""

from smalti.reproduce.studies import cifar10, context, orderings, table1, tradeoff, vqvae, windows
from smalti.reproduce.study import STUDIES

__all__ = ["STUDIES", "cifar10", "context", "orderings", "table1", "tradeoff", "vqvae", "windows"]

"""The studies, each in a file; importing this package registers them all."""

from smalti.reproduce.studies import (
    blocks,
    cifar10,
    context,
    local,
    orderings,
    random_orders,
    table1,
    tradeoff,
    vqvae,
    windows,
)
from smalti.reproduce.study import STUDIES

__all__ = [
    "STUDIES",
    "blocks",
    "cifar10",
    "context",
    "local",
    "orderings",
    "random_orders",
    "table1",
    "tradeoff",
    "vqvae",
    "windows",
]

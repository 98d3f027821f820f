"""The cache of the local prior at its training size, in the form of the protocol `Prior`.

Axes: B batch, b rows that are read, L sequence length, S conditioning length, V vocabulary size.
"""

import torch
from torch import Tensor

from smalti.prior.local.band import Band
from smalti.prior.local.network import LocalNetwork


class LocalCache:
    """A band for one image of the training size.

    Args:
        network: the prior's network, in eval mode.
        batch: B.
    """

    reads_together = False
    """Whether several tokens after the cached ones are computed together; here it is one by one."""

    def __init__(self, network: LocalNetwork, batch: int) -> None:
        self._network, self._batch = network, batch
        self._band: Band | None = None
        self.reset()

    def reset(self) -> None:
        """Forget all tokens: the next ones are the first of a new sequence."""
        self.length = 0
        """Number of tokens that were read."""
        self._conditioning: list[Tensor] = []  # (B, 1) each, until all are there

    def read(self, tokens: Tensor) -> Tensor:
        """Logits (b, L, V) of what follows each of the next tokens (b, L), b being at most B.

        They are zero before the last conditioning token.
        """
        rows = torch.arange(self._batch, device=tokens.device).clamp(max=len(tokens) - 1)
        logits = [self._read(newest) for newest in tokens[rows].unbind(1)]
        return torch.stack(logits, dim=1)[: len(tokens)]

    def _read(self, newest: Tensor) -> Tensor:
        """Logits (B, V) of what follows the newest tokens (B,)."""
        sizes = self._network.sizes
        self.length += 1
        if self.length > sizes.cond_length:
            assert self._band is not None
            logits = self._band.step(newest)
            is_row_done = (self.length - sizes.cond_length) % sizes.grid_width == 0
            return self._band.begin_row() if is_row_done else logits
        self._conditioning.append(newest[:, None])
        if self.length == sizes.cond_length:
            return self._begin(torch.cat(self._conditioning, dim=1))
        return self._network.head.weight.new_zeros(len(newest), sizes.vocab_size)

    def _begin(self, conditioning: Tensor) -> Tensor:
        """Logits (B, V) of the first code, given the conditioning (B, S)."""
        sizes = self._network.sizes
        maps = [
            conditioning[:, tokens.start :][:, : tokens.rows * tokens.columns].view(
                self._batch, tokens.rows, tokens.columns
            )
            for tokens in sizes.maps
        ]
        if self._band is None:
            size = (sizes.grid_height, sizes.grid_width)
            self._band = Band(self._network, self._batch, *size, maps)
        self._band.restart(maps)
        self._band.read_globals(conditioning[:, self._network.globals])
        return self._band.begin_row()

    def spread(self, rows: Tensor) -> None:
        """Let row i hold what row rows[i] holds, rows being (B,) int64 in [0, B)."""
        self._conditioning = [tokens[rows] for tokens in self._conditioning]
        if self._band is not None:
            self._band.spread(rows)

"""The cache of the local prior: the rows that the neighbourhood of the next code reaches.

An image of any size is read from the top left, row by row. What a row has computed does not change
any more, so each token is computed once. Rows that no neighbourhood reaches any more are forgotten.

Axes: B batch, n tokens, W width of the network, V vocabulary size, N layers, G heads of keys and
values, C channels of one head, h/w grid of the whole image.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from smalti.prior.attention import attend_freely, masked_attention
from smalti.prior.gpt.decoding import TokenStep
from smalti.prior.kv_cache import dtype_in_use
from smalti.prior.local.near import Near
from smalti.prior.local.neighbourhood import Tokens, global_tokens, joined, visible
from smalti.prior.local.network import LocalNetwork
from smalti.prior.local.ring import Ring
from smalti.prior.local.sequence import image_grid, map_grid
from smalti.prior.rotary import Rotation, rotation_of


class Band:
    """Keys and values of the conditioning tokens, and of the latest rows of image and maps.

    First `read_globals`, then row by row: `begin_row` and `step`, or `read_row`. It serves
    generation in eval mode, with the present weights: no gradient passes through it.

    Args:
        network: the prior's network.
        height: h, rows of codes of the image.
        width: w, columns of codes of the image.
        batch: B.
        maps: tokens (B, rows, columns) int64 of each map, of the whole image.
    """

    def __init__(
        self, network: LocalNetwork, batch: int, height: int, width: int, maps: Sequence[Tensor]
    ) -> None:
        self.network, self.batch = network, batch
        block, weight, reach = network.config.block, network.head.weight, network.reach
        self.dtype, self.device = dtype_in_use(weight), weight.device
        self._step_of_token = TokenStep(
            network.layers, network.norm, network.head, batch, self.dtype
        )
        shape = (network.config.layers, batch, block.kv_heads, block.head_channels)
        self._shape = shape
        self.image = Ring(image_grid(height, width), reach.rows + 1, shape, self.dtype, self.device)
        self.near = [
            Near(map_grid(number, network.sizes, *tokens.shape[1:]), height, width, reach)
            for number, tokens in enumerate(maps)
        ]
        self.maps = [
            Ring(near.grid, near.most_rows, shape, self.dtype, self.device) for near in self.near
        ]
        self.restart(maps)

    def restart(self, maps: Sequence[Tensor]) -> None:
        """Forget all tokens: the next ones are the first of another image, with maps of its own."""
        self.map_tokens = list(maps)
        self._map_rows = [0] * len(maps)  # that were read
        self.globals = self._room(0)
        """Keys, then values, of the conditioning tokens without a place: (N, 2, B, G, n, C)."""
        self.row, self.column = -1, -1
        """Row and column of the newest token; a row begins with column -1."""

    @torch.no_grad()
    def read_globals(self, tokens: Tensor) -> None:
        """Read the conditioning tokens (B, n) int64 without a place, in place of former ones."""
        count = tokens.shape[1]
        if count == 0:
            return
        rotation = self._rotation_of(torch.full((count, 2), torch.nan))
        everything = torch.ones(count, count, dtype=torch.bool, device=self.device)
        self.globals = self._read(self.network.embed_globals(tokens), [], rotation, everything)[1]

    def begin_row(self) -> Tensor:
        """Logits (B, V) of the first code of the next row."""
        self._next_row()
        return self._step(self.network.row_embedding.expand(self.batch, -1))

    def step(self, tokens: Tensor) -> Tensor:
        """Logits (B, V) of the next code of the row, given the newest, tokens (B,) int64.

        Those after the last code of a row mean nothing.
        """
        self.column += 1
        return self._step(self.network.token_embedding(tokens))

    @torch.no_grad()
    def read_row(self, codes: Tensor) -> Tensor:
        """Logits (B, w, V) of the codes (B, w) int64 of the next row, given the codes before each.

        They are those of `begin_row` and `step`, but for rounding.
        """
        self._next_row()
        seen, tokens = [self.globals], [global_tokens(self.globals.shape[4])]
        for near, ring in zip(self.near, self.maps, strict=True):
            seen += ring.read(near.rows[self.row], slice(None))
            tokens.append(near.grid.tokens(near.rows[self.row]))
        x = self.network.embed_rows(codes.unsqueeze(1)).squeeze(1)
        x = self._read_row(x, self.image, self.row, self._rows_above, seen, tokens)
        self.column = codes.shape[1] - 1
        return self.network.head(self.network.norm(x[:, :-1]))

    @property
    def _rows_above(self) -> range:
        """The rows of the image above the newest one in the neighbourhood of its cells."""
        return range(max(self.row - self.network.reach.rows, 0), self.row)

    def _next_row(self) -> None:
        self.row, self.column = self.row + 1, -1
        self._rotation = self._rotation_of(self.image.grid.places[self.row])
        for number, near in enumerate(self.near):
            while self._map_rows[number] < near.rows[self.row].stop:
                self._read_map_row(number, self._map_rows[number])

    @torch.no_grad()
    def _read_map_row(self, number: int, row: int) -> None:
        """Read the next row of a map."""
        x = self.network.token_embedding(self.map_tokens[number][:, row])
        tokens = [global_tokens(self.globals.shape[4])]
        above = range(self.near[number].first_above[row], row)
        self._read_row(x, self.maps[number], row, above, [self.globals], tokens)
        self._map_rows[number] += 1

    def _read_row(
        self,
        x: Tensor,
        ring: Ring,
        row: int,
        above: range,
        seen: Sequence[Tensor],
        seen_tokens: Sequence[Tokens],
    ) -> Tensor:
        """Read a whole row of the image or of a map.

        Args:
            x: (B, n, W), the embedded tokens of the row.
            ring: rows of the same grid.
            row: number of the row.
            above: rows of the ring that the row may see.
            seen: keys and values (N, 2, B, G, ..., C) of other tokens that the row may see.
            seen_tokens: what the tokens of `seen` are.

        Returns:
            (B, n, W), the output of the last block.
        """
        own = ring.grid.tokens(range(row, row + 1))
        keys = joined(*seen_tokens, ring.grid.tokens(above), own)
        mask = visible(own, keys, self.network.reach).to(self.device)
        rotation = self._rotation_of(own.places)
        seen = [*seen, *ring.read(above, slice(None))]
        x, kv = self._read(x, seen, rotation, mask)
        ring.write(row, slice(None), kv)
        return x

    def _read(
        self, x: Tensor, seen: Sequence[Tensor], rotation: Rotation, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Read n embedded tokens (B, n, W).

        Args:
            x: (B, n, W).
            seen: keys and values (N, 2, B, G, ..., C) of the tokens before.
            rotation: rotation of the n tokens.
            mask: (n, keys) bool, which of the tokens before and of the n each one sees.

        Returns:
            The output of the last block (B, n, W), and keys and values (N, 2, B, G, n, C).
        """
        kv = torch.cat([*seen, self._room(x.shape[1])], dim=4)

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return masked_attention(q, *_added(kv[layer], k, v), mask)

        for block in self.network.layers:
            x = block(x, attend, rotation)
        return x, kv[..., kv.shape[4] - x.shape[1] :, :]

    @torch.no_grad()
    def _step(self, x: Tensor) -> Tensor:
        """Logits (B, V) after one embedded token (B, W)."""
        # The place in the grid of the row's beginning, 0, and of its codes; and the column of the
        # code that is predicted, around which the neighbourhood lies.
        place = self.column + 1
        columns = self.network.reach.around(place, self.image.grid.columns - 1)
        columns = slice(columns.start + 1, columns.stop + 1)  # the beginning has column -1
        seen = [self.globals]
        for near, ring in zip(self.near, self.maps, strict=True):
            seen += ring.read(near.rows[self.row], near.columns[place])
        seen += self.image.read(self._rows_above, columns)
        seen += self.image.read(range(self.row, self.row + 1), slice(columns.start, place))
        kv = torch.cat([*seen, self._room(1)], dim=4)
        layers = kv.unbind()

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return attend_freely(q, *_added(layers[layer], k, v))

        rotation = self._rotation.of(slice(place, place + 1))
        logits = self._step_of_token(x, attend, rotation)
        self.image.write(self.row, slice(place, place + 1), kv[..., -1:, :])
        return logits

    def _room(self, tokens: int) -> Tensor:
        """Room for keys and values (N, 2, B, G, n, C) of so many tokens."""
        layers, *rest, channels = self._shape
        return torch.empty(layers, 2, *rest, tokens, channels, dtype=self.dtype, device=self.device)

    def _rotation_of(self, places: Tensor) -> Rotation:
        """The rotation of tokens at places (n, 2)."""
        cos, sin = rotation_of(places, self._shape[-1])
        return Rotation(cos.to(self.device), sin.to(self.device))

    @property
    def nbytes(self) -> int:
        """Size in bytes of keys and values."""
        return sum(
            part.nbytes for part in (self.globals, self.image.kv, *(ring.kv for ring in self.maps))
        )

    def spread(self, rows: Tensor) -> None:
        """Let row i of the batch hold what row rows[i] holds, rows being (B,) int64 in [0, B)."""
        self.globals = self.globals.index_select(2, rows)
        self.map_tokens = [tokens[rows] for tokens in self.map_tokens]
        for ring in (self.image, *self.maps):
            ring.spread(rows)


def _added(kv: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Put keys and values (B, G, n, C) into the end of those of a layer (2, B, G, m, C)."""
    keys, values = kv.unbind()
    new = k.shape[2]
    keys[:, :, -new:].copy_(k)
    values[:, :, -new:].copy_(v)
    return keys, values

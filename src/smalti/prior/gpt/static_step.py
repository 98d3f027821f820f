"""The step over one new token of each row, as a CUDA graph.

A step is a few hundred small kernels, and a processor takes longer to launch them than a card to
run them. A graph records the launches once and repeats them in one go. It repeats them on the same
memory, so that input, position and result stand in tensors that stay, and attention goes over the
whole cache with a mask: which tokens have been read is a number on the card, not a size.

Axes: R rows, W width, H heads, C channels of one head, L sequence length, V vocabulary size.
"""

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from smalti.prior.attention import Attend, attend_freely
from smalti.prior.kv_cache import KVCache

WARM_UP = 3  # calls before the recording, in which libraries choose kernels and take memory


def is_worth_it(device: torch.device) -> bool:
    """Whether a device gains from a step on tensors that stay: only a card has graphs."""
    return device.type == "cuda"


class StaticStep:
    """A step on tensors that stay in place; on a card it is recorded at the first call.

    Args:
        cache: cache whose keys and values are used.
        compute: computes the logits (R, V) of embedded tokens (R, W), with a given attention and
            the number of their position, (1,) int64 on their device.
    """

    def __init__(self, cache: KVCache, compute: Callable[[Tensor, Attend, Tensor], Tensor]) -> None:
        length, device = cache.keys.shape[3], cache.keys.device
        self._layers = list(zip(cache.keys.unbind(), cache.values.unbind(), strict=True))
        self._compute = compute
        self._numbers = torch.arange(length, device=device)
        self._position = torch.zeros(1, dtype=torch.int64, device=device)
        self._read = torch.zeros(1, length, dtype=torch.bool, device=device)
        self._x: Tensor | None = None
        self._repeat: Callable[[], Tensor] | None = None

    def __call__(self, x: Tensor, position: int) -> Tensor:
        """Logits (R, V) of embedded tokens (R, W) at a position."""
        if self._x is None:
            self._x = torch.empty_like(x)
        self._x.copy_(x)
        self._position.fill_(position)
        if not x.is_cuda:
            return self._logits(self._x)
        if self._repeat is None:
            self._repeat = record(functools.partial(self._logits, self._x), x.device)
        return self._repeat()

    def _logits(self, x: Tensor) -> Tensor:
        torch.le(self._numbers, self._position, out=self._read[0])
        return self._compute(x, self._attend, self._position)

    def _attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Write the new tokens into the cache, and attend to all that have been read: `Attend`."""
        keys, values = self._layers[layer]
        keys.index_copy_(2, self._position, k.to(keys.dtype))
        values.index_copy_(2, self._position, v.to(values.dtype))
        return attend_freely(q, keys, values, self._read)


def record(run: Callable[[], Tensor], device: torch.device) -> Callable[[], Tensor]:
    """Record what a function launches on a card, as a function that repeats it.

    The function is called some times before; it must compute the same each time. It reads from and
    writes to the same memory whenever it is repeated.
    """
    with torch.cuda.device(device):
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                run()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Threads that load data may take memory meanwhile.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            result = run()

    def repeat() -> Tensor:
        graph.replay()
        return result.clone()  # the next step writes over it

    return repeat

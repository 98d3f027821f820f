"""Sampling with our cache against transformers' GPT-2 of the same size, and against no cache.

    python benchmarks/sampling.py [--layers N] [--width W] [--tokens L] [--rounds R]
        [--device cuda] [--precision bfloat16] [--clock processor]

All draw with temperature 1 and top-k 100, with the same threads and number format. For the library
transformers, its own `generate`, a plain loop over `past_key_values`, and on a card its compiled
`generate` with a static cache are tried, and the fastest counts. The memory limit is the time to
read every weight once per token, at the highest bandwidth that a plain sum or a batch of
matrix-vector products over as many bytes reaches in the same rounds. PixelSNAIL, of its default
size, is measured against itself without a cache.

Axes: B batch, L tokens, V vocabulary size.
"""

import argparse
import contextlib
import functools
import json
import math
import statistics
import time
from collections.abc import Callable

import torch
import transformers
from measure import CLOCKS, Timings, peak_mb_of, peak_rss_mb, take_turns
from torch import Tensor
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel

from smalti.prior.base import GridSizes, SequenceSizes
from smalti.prior.gpt.config import GPT2Config as PapersConfig
from smalti.prior.gpt.model import GPT
from smalti.prior.pixelsnail.config import PixelSNAILConfig
from smalti.prior.pixelsnail.model import PixelSNAIL
from smalti.sampling.choice import seeded_choice
from smalti.sampling.config import SamplingConfig
from smalti.sampling.filters import probabilities
from smalti.sampling.guidance import Guidance
from smalti.sampling.token_loop import TokenLoop
from smalti.types import Prior

CODES = 1024  # K; the start token has number K
BATCHES = (1, 4)
SAMPLING = SamplingConfig(temperature=1, top_k=100)
GRID_WIDTH = 16  # of PixelSNAIL
READS = 4  # passes over the weights in one timing of the memory
MODELS = ("ours", "transformers")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def our_model(size: argparse.Namespace) -> GPT:
    """A GPT with new weights; speed does not depend on them."""
    shape = {"layers": size.layers, "heads": size.heads, "width": size.width}
    sizes = SequenceSizes(CODES + 1, size.tokens)
    return GPT(PapersConfig(**shape, dropout=0), sizes).eval().to(size.device)


def our_pixelsnail(tokens: int, device: torch.device) -> PixelSNAIL:
    """A PixelSNAIL of default size with a grid for so many tokens."""
    height = math.ceil(tokens / GRID_WIDTH)
    sizes = GridSizes(CODES + 1, height * GRID_WIDTH, 1, height, GRID_WIDTH)
    return PixelSNAIL(PixelSNAILConfig(dropout=0), sizes).eval().to(device)


def transformers_model(size: argparse.Namespace) -> GPT2LMHeadModel:
    """GPT-2 of the same shape, with fused attention."""
    shape = {"n_layer": size.layers, "n_head": size.heads, "n_embd": size.width}
    config = GPT2Config(
        vocab_size=CODES + 1,
        n_positions=size.tokens + 1,
        bos_token_id=CODES,
        eos_token_id=None,
        pad_token_id=CODES,
        attn_implementation="sdpa",
        **shape,
    )
    return GPT2LMHeadModel(config).eval().to(size.device, DTYPES[size.precision])


def start_tokens(model: torch.nn.Module, batch: int) -> Tensor:
    """Start tokens (B, 1), on the device of a model."""
    return torch.full((batch, 1), CODES, device=next(model.parameters()).device)


@torch.inference_mode()
def ours(model: Prior, batch: int, tokens: int) -> Tensor:
    """Our sampler."""
    start = start_tokens(model, batch)
    choose = seeded_choice(0, range(batch), tokens, start.device)
    drawn: list[Tensor] = []

    def place(step: int, codes: Tensor) -> Tensor:
        drawn.append(codes)
        return codes

    loop = TokenLoop(model, Guidance((1.0,)), SAMPLING, choose, CODES, tokens)
    for _ in loop.run(start, range(tokens), place):
        pass
    loop.check_finite()
    return torch.stack(drawn, dim=1)


@torch.inference_mode()
def without_cache(model: Prior, batch: int, tokens: int) -> Tensor:
    """The same, reading the whole sequence again for each token."""
    sequence = start_tokens(model, batch)
    choose = seeded_choice(0, range(batch), tokens, sequence.device)
    for step in range(tokens):
        logits = model.logits(sequence)[:, -1, :CODES]
        drawn = choose(probabilities(logits, SAMPLING), step)
        sequence = torch.cat([sequence, drawn.unsqueeze(1)], dim=1)
    return sequence


@torch.inference_mode()
def transformers_generate(
    model: GPT2LMHeadModel, batch: int, tokens: int, cache: str | None = None
) -> Tensor:
    """The sampler that transformers has; with the cache "static" it compiles its step on a card."""
    start = start_tokens(model, batch)
    return model.generate(
        start,
        attention_mask=torch.ones_like(start),
        do_sample=True,
        top_k=SAMPLING.top_k,
        max_new_tokens=tokens,
        min_new_tokens=tokens,
        cache_implementation=cache,
    )


@torch.inference_mode()
def transformers_loop(model: GPT2LMHeadModel, batch: int, tokens: int) -> Tensor:
    """A plain loop over transformers' model and its cache."""
    newest, cache = start_tokens(model, batch), DynamicCache(config=model.config)
    drawn = []
    for _ in range(tokens):
        logits = model(newest, cache=cache, use_cache=True).logits[:, -1]
        highest = logits.topk(SAMPLING.top_k, dim=-1)
        chosen = torch.multinomial(highest.values.softmax(-1), 1)
        newest = highest.indices.gather(1, chosen)
        drawn.append(newest)
    return torch.cat(drawn, dim=1)


def fastest_of_transformers(
    model: GPT2LMHeadModel, batch: int, tokens: int
) -> Callable[[], Tensor]:
    """The fastest of transformers' ways, by a short trial of each."""
    short = min(tokens, 32)
    ways = [transformers_generate, transformers_loop]
    if model.device.type == "cuda":
        ways.append(functools.partial(transformers_generate, cache="static"))

    def seconds(sample: Callable[[GPT2LMHeadModel, int, int], Tensor]) -> float:
        sample(model, batch, short)
        start = time.perf_counter()
        sample(model, batch, short).cpu()
        return time.perf_counter() - start

    sample = min(ways, key=seconds)
    return functools.partial(sample, model, batch, tokens)


class Memory:
    """As many bytes as the weights that one token reads, and two ways to read them."""

    def __init__(self, model: GPT, dtype: torch.dtype) -> None:
        width = model.config.width
        total = sum(weight.numel() for weight in model.parameters())
        looked_up = model.token_embedding.weight.numel() + model.position_embedding.numel()
        self.numbers_a_token = total - looked_up  # of the two tables one row is read
        matrices = max(1, self.numbers_a_token // (4 * width * width))
        options = {"device": model.head.weight.device, "dtype": dtype}
        self.numbers = torch.randn(matrices, 4, width, width, **options)
        self.vectors = torch.randn(1, 1, width, **options).mT.expand(4, -1, -1)

    def sum(self) -> None:
        """Read it all, many times, adding up."""
        for _ in range(READS):
            self.numbers.sum()

    def products(self) -> None:
        """Read it all, many times, multiplying each matrix by a vector."""
        for _ in range(READS):
            for matrix in self.numbers:
                torch.bmm(matrix, self.vectors)

    def limit_seconds(self, read_seconds: float) -> float:
        """Time to read the weights of one token, at the speed of a timing of the reads."""
        return self.numbers_a_token / (READS * self.numbers.numel() / read_seconds)

    def gigabytes_a_second(self, read_seconds: float) -> float:
        """Bandwidth of a timing of the reads."""
        return READS * self.numbers.nbytes / read_seconds / 1e9


def peak_growth_mb(which: str, size: argparse.Namespace) -> float:
    """Peak memory of one model sampling a batch of 1, over that of the imports."""
    before = peak_rss_mb()
    if which == "ours":
        ours(our_model(size), 1, size.tokens)
    else:
        transformers_loop(transformers_model(size), 1, size.tokens)
    return peak_rss_mb() - before


def measure(size: argparse.Namespace, model: GPT, memory: Memory) -> Timings:
    """Time all contenders in turns."""
    other = transformers_model(size)
    short = size.tokens // 4
    contenders: dict[str, Callable[[], object]] = {
        "read by sum": memory.sum,
        "read by products": memory.products,
    }
    for batch in BATCHES:
        contenders[f"ours, batch {batch}"] = functools.partial(ours, model, batch, size.tokens)
        contenders[f"transformers, batch {batch}"] = fastest_of_transformers(
            other, batch, size.tokens
        )
    contenders["ours, short"] = functools.partial(ours, model, 1, short)
    contenders["no cache, short"] = functools.partial(without_cache, model, 1, short)
    snail = our_pixelsnail(short, size.device)
    contenders["pixelsnail, short"] = functools.partial(ours, snail, 1, short)
    contenders["pixelsnail, no cache, short"] = functools.partial(without_cache, snail, 1, short)
    finished = {
        name: functools.partial(to_the_end, run, size.device) for name, run in contenders.items()
    }
    with in_precision(size):
        return take_turns(finished, size.rounds, clock=CLOCKS[size.clock])


def to_the_end(run: Callable[[], object], device: torch.device) -> None:
    """Run something until the device is done with it."""
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def in_precision(size: argparse.Namespace) -> contextlib.AbstractContextManager[object]:
    """Context in which our models compute in the number format that is measured."""
    if size.precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(size.device.type, dtype=torch.bfloat16)


def of_memory_limit(timings: Timings, memory: Memory, tokens: int) -> float:
    """Our speed at batch 1 as a share of what the memory allows: 1 is the roof."""
    names = ("read by sum", "read by products", f"ours, batch {BATCHES[0]}")
    rounds = zip(*(timings.seconds[name] for name in names), strict=True)
    return statistics.median(
        memory.limit_seconds(min(by_sum, by_products)) / (mine / tokens)
        for by_sum, by_products, mine in rounds
    )


def parse_arguments() -> argparse.Namespace:
    """The command line; the defaults have the size of GPT-2 small and a 16 x 16 grid."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--tokens", type=int, default=256, help="L, image tokens")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="see measure.CLOCKS")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--precision", choices=DTYPES, default="float32")
    parser.add_argument("--peak", choices=MODELS, help=argparse.SUPPRESS)
    return parser.parse_args()


def print_table(timings: Timings, memory: Memory, size: argparse.Namespace) -> None:
    """Times, memory and bandwidth, for people."""
    flags = [f"--{name}={getattr(size, name)}" for name in ("layers", "heads", "width", "tokens")]
    print(
        f"{size.layers} layers, width {size.width}, {size.tokens} tokens, {size.precision}, "
        f"{device_name(size.device)}, median of {size.rounds} after a warm-up"
    )
    for name in timings.seconds:
        seconds = timings.median(name)
        if name.startswith("read"):
            print(f"{name:28}{memory.gigabytes_a_second(seconds):10.1f} GB/s")
            continue
        tokens = size.tokens // 4 if name.endswith("short") else size.tokens
        print(f"{name:28}{1e3 * seconds / tokens:10.2f} ms/token")
    for name in MODELS if size.device.type == "cpu" else ():
        peak = peak_mb_of(__file__, *flags, "--peak", name)
        print(f"{name + ', peak memory':28}{peak:10.0f} MB over the imports, batch 1")


def device_name(device: torch.device) -> str:
    """What computes, for people."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} threads"


def main() -> None:
    """Measure and print."""
    size = parse_arguments()
    transformers.logging.set_verbosity_error()
    if size.peak:
        print(peak_growth_mb(size.peak, size))
        return
    model = our_model(size)
    memory = Memory(model, DTYPES[size.precision])
    timings = measure(size, model, memory)
    print_table(timings, memory, size)
    ratios = {
        f"batch{batch}_vs_transformers": timings.ratio(
            f"transformers, batch {batch}", f"ours, batch {batch}"
        )
        for batch in BATCHES
    }
    ratios["batch4_vs_batch1"] = timings.ratio("ours, batch 4", "ours, batch 1")
    ratios["batch1_of_memory_limit"] = of_memory_limit(timings, memory, size.tokens)
    ratios["cache_vs_no_cache"] = timings.ratio("no cache, short", "ours, short")
    ratios["pixelsnail_cache_vs_no_cache"] = timings.ratio(
        "pixelsnail, no cache, short", "pixelsnail, short"
    )
    print(json.dumps({name: round(ratio, 3) for name, ratio in ratios.items()}))


if __name__ == "__main__":
    main()

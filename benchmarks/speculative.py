"""Speculative sampling against the plain loop: codes a pass, and seconds a picture.

    python benchmarks/speculative.py [MODEL...] [--top-k K] [--rounds R] [--draft MODEL] [--busy]
        [--layers N] [--width W] [--codes N [N ...]]

Each MODEL is a trained prior, of which plain and speculative sampling draw the same number of
pictures in turns, in batches of 1 and of 4. For the size of `--layers` and `--width`, with new
weights, it says what a pass over n tokens costs, in passes over one token. With `--draft`, it says
how often that prior draws the same code as the MODEL with the same random numbers: this is what a
small prior could draft.

Axes: B batch, L tokens, K codebook size.
"""

import argparse
import functools
import json
import time
from collections.abc import Sequence
from typing import Any
from unittest import mock

import torch
from measure import Timings, take_turns
from torch import Tensor

from smalti.prior.base import SequenceSizes
from smalti.prior.gpt.config import GPT2Config
from smalti.prior.gpt.model import GPT
from smalti.prior.products import packed_copy
from smalti.sampling.choice import RacingChoice
from smalti.sampling.config import SamplingConfig
from smalti.sampling.filters import probabilities
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.speculative import SpeculativeLoop

BATCHES = (1, 4)
READ = 128  # tokens before those of a pass
COUNTED = 8  # images of which the codes a pass are the mean
DRAFTED = 16  # images of which a draft prior guesses the codes


def draw(pipeline: Pipeline, batch: int, config: SamplingConfig, n: int | None = None) -> Tensor:
    """Codes of n pictures, or of one batch of them."""
    request = pipeline.request(n or batch)
    return pipeline.sample_codes(request, config=config, batch_size=batch, progress=False)


def codes_a_pass(pipeline: Pipeline, batch: int, config: SamplingConfig) -> float:
    """Codes of an image that are kept of a pass, the first code aside, which has no drafts."""
    one_pass = SpeculativeLoop._pass
    with mock.patch.object(SpeculativeLoop, "_pass", autospec=True, side_effect=one_pass) as passes:
        codes = draw(pipeline, batch, config, COUNTED)
    return (codes[0].numel() - 1) * COUNTED / batch / passes.call_count


def measure_model(name: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Figures of a trained prior, for each batch size and number of codes a pass."""
    pipeline = Pipeline.from_pretrained(name)
    figures = []
    for batch in BATCHES:
        configs = {
            codes: SamplingConfig(top_k=options.top_k, speculative=codes)
            for codes in (1, *options.codes)
        }
        runs = {
            str(codes): functools.partial(draw, pipeline, batch, config)
            for codes, config in configs.items()
        }
        timings = take_turns(runs, options.rounds, clock=options.clock)
        for codes in options.codes:
            found = {
                "model": name,
                "batch": batch,
                "codes": codes,
                "codes_a_pass": round(codes_a_pass(pipeline, batch, configs[codes]), 2),
                "plain_seconds_a_picture": round(timings.median("1") / batch, 4),
                "seconds_a_picture": round(timings.median(str(codes)) / batch, 4),
                "times_as_fast": round(timings.ratio("1", str(codes)), 2),
                "range": spread(timings, str(codes)),
            }
            figures.append(found)
            print(found, flush=True)
    return figures


def spread(timings: Timings, name: str) -> list[float]:
    """Least and most times as fast as the plain loop in one round."""
    pairs = zip(timings.seconds["1"], timings.seconds[name], strict=True)
    ratios = [plain / ours for plain, ours in pairs]
    return [round(min(ratios), 2), round(max(ratios), 2)]


def measure_passes(options: argparse.Namespace) -> list[dict[str, Any]]:
    """What a pass over n tokens costs, in passes over one token."""
    shape = GPT2Config(layers=options.layers, width=options.width, heads=4, dropout=0)
    gpt = GPT(shape, SequenceSizes(1025, 256)).eval()
    figures = []
    for batch in BATCHES:
        cache = gpt.new_cache(batch)

        def read(model: Any, tokens: int, cache: Any = cache, batch: int = batch) -> None:
            cache.length = READ
            model.logits(torch.zeros(batch, tokens, dtype=torch.int64), cache)

        runs = {"1": functools.partial(read, gpt, 1)}
        for codes in options.codes:
            packed = packed_copy(gpt, batch * codes)
            runs[str(codes)] = functools.partial(read, packed, codes)
        timings = take_turns(runs, 2 * options.rounds, clock=options.clock)
        for codes in options.codes:
            found = {
                "layers": options.layers,
                "width": options.width,
                "batch": batch,
                "codes": codes,
                "single_ms": round(timings.median("1") * 1e3, 1),
                "cost": round(1 / timings.ratio("1", str(codes)), 2),
            }
            figures.append(found)
            print(found, flush=True)
    return figures


@torch.inference_mode()
def agreement(name: str, draft: str, top_k: int) -> float:
    """Share of the codes of a prior's images that another one draws, given the codes before."""
    target, drafter = Pipeline.from_pretrained(name), Pipeline.from_pretrained(draft)
    config = SamplingConfig(top_k=top_k, speculative=8)
    codes = draw(target, DRAFTED, config)
    race = RacingChoice(0, range(DRAFTED), target.config.codebook_size, target.device)
    tokens = target.ordering.to_tokens(codes)
    guesses = []
    for pipeline in (target, drafter):
        conditions = pipeline.encode_conditions(pipeline.request(DRAFTED).values)
        cond_tokens = pipeline.conditioning.tokens(conditions, None)
        logits = pipeline.prior.logits(pipeline.layout.join(cond_tokens, tokens).tokens)
        of_codes = pipeline.layout.image_logits(logits)[..., : pipeline.config.codebook_size]
        chances = probabilities(of_codes.flatten(0, 1), config).view(of_codes.shape)
        guesses.append(race.several(chances, 0))
    assert (guesses[0] == tokens).float().mean() > 0.99, "the race is not that of the images"
    return float((guesses[1] == tokens).float().mean())


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--draft", metavar="MODEL")
    parser.add_argument("--top-k", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--busy",
        dest="clock",
        action="store_const",
        const=time.process_time,
        default=time.perf_counter,
        help="time of the processor, for a machine with other work; with one thread only",
    )
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--codes", type=int, nargs="+", default=[4, 8, 16])
    return parser.parse_args(words)


def main() -> None:
    """Measure, print lines to read, and a line of JSON at the end."""
    options = parse_arguments()
    torch.manual_seed(0)
    result: dict[str, Any] = {"threads": torch.get_num_threads(), "top_k": options.top_k}
    if options.draft:
        shares = {one: agreement(one, options.draft, options.top_k) for one in options.models}
        print(json.dumps(result | {"draft": options.draft, "agreement": shares}))
        return
    with torch.inference_mode():
        result["passes"] = measure_passes(options)
    result["models"] = [one for model in options.models for one in measure_model(model, options)]
    print(json.dumps(result))


if __name__ == "__main__":
    main()

"""Stage 2's training step against transformers' GPT-2, and the time that a run waits for data.

    python benchmarks/prior_step.py [--layers N] [--width W] [--batch B] [--rounds R] [--threads T]
        [--device D] [--clock processor]

step: ours is the step of a run, from cached codes to the averaged weights. For the library
    transformers it is forward, loss and backward of its GPT-2 of the same shape, with the same
    activation, fused attention, optimizer and average, on tokens that are made beforehand.
data: a short run of `smalti train prior` with the same prior, on pictures of noise; the share of
    time that it waits for batches is the one that it logs, after its first line.

Axes: B batch, L tokens.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from measure import CLOCKS, Timings, synchronized, take_turns
from PIL import Image
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from smalti.cli.train_config import read_config
from smalti.compute import Compute
from smalti.conditions.conditioning import Conditioning
from smalti.conditions.none import Unconditional, UnconditionalConfig
from smalti.prior.base import SequenceSizes
from smalti.prior.gpt.config import GPT2Config as PapersConfig
from smalti.prior.gpt.model import GPT
from smalti.runs.config import PriorRunConfig
from smalti.runs.prior import train_prior
from smalti.sequence.layout import Layout
from smalti.sequence.ordering import ORDERINGS
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.vqgan import VQGAN
from smalti.training.config import OptimizerConfig
from smalti.training.ema import EMA
from smalti.training.log import read_metrics
from smalti.training.optim import ScheduledAdamW
from smalti.training.prior.code_batch import CodeBatch
from smalti.training.prior.step import PriorState, PriorStepConfig, prior_step

CODES = 1024  # K; the start token has number K
GRID = 16  # rows and columns of codes
OPTIMIZER, STEPS = OptimizerConfig(warmup_steps=0), 10**6
EMA_DECAY = 0.995
PICTURES, VIEWS = 16, 2  # of the short run
RUN_STEPS, LOG_STEPS = 10, 2

Step = Callable[[], object]


def our_step(arguments: argparse.Namespace, codes: Tensor) -> Step:
    """The step of a run."""
    device = torch.device(arguments.device)
    layout = Layout(CODES, 1, 1, GRID * GRID)
    sizes = SequenceSizes(layout.vocab_size, layout.input_length)
    prior = GPT(our_shape(arguments), sizes).to(device)
    optimizer = ScheduledAdamW(prior, OPTIMIZER, STEPS)
    compute = Compute(device, torch.float32)
    state = PriorState(prior, prior, EMA(prior, EMA_DECAY), optimizer, compute)
    none = Unconditional(UnconditionalConfig())
    ordering = ORDERINGS["row_major"](GRID, GRID)
    config = PriorStepConfig(layout, ordering, Conditioning([none]), 0.0, accumulation_steps=1)
    keys = [str(number) for number in range(len(codes))]
    batch = CodeBatch(keys, codes, {none.kind: none.blank(len(codes))})
    return lambda: prior_step(state, batch, config)


def transformers_step(arguments: argparse.Namespace, codes: Tensor) -> Step:
    """The same with transformers' GPT-2, which reads tokens that are ready."""
    model = transformers_model(arguments).to(arguments.device).train()
    optimizer, average = ScheduledAdamW(model, OPTIMIZER, STEPS), EMA(model, EMA_DECAY)
    targets = codes.flatten(1).to(arguments.device)
    tokens = F.pad(targets[:, :-1], (1, 0), value=CODES)

    def step() -> None:
        logits = model(tokens, use_cache=False).logits
        F.cross_entropy(logits.flatten(0, 1), targets.flatten()).backward()
        optimizer.update(0)
        average.update(model, 0)

    return step


def our_shape(arguments: argparse.Namespace) -> PapersConfig:
    """The shape of the prior, without dropout."""
    return PapersConfig(
        layers=arguments.layers, heads=arguments.heads, width=arguments.width, dropout=0
    )


def transformers_model(arguments: argparse.Namespace) -> GPT2LMHeadModel:
    """GPT-2 of the same shape, with our activation and a head of its own, as ours has."""
    config = GPT2Config(
        vocab_size=CODES + 1,
        n_positions=GRID * GRID,
        n_layer=arguments.layers,
        n_head=arguments.heads,
        n_embd=arguments.width,
        activation_function="gelu",
        embd_pdrop=0,
        attn_pdrop=0,
        resid_pdrop=0,
        tie_word_embeddings=False,
        bos_token_id=CODES,
        eos_token_id=None,
        attn_implementation="sdpa",
    )
    return GPT2LMHeadModel(config)


def check_same_shape(arguments: argparse.Namespace) -> None:
    """Both priors must have as many weights."""
    ours = GPT(our_shape(arguments), SequenceSizes(CODES + 1, GRID * GRID))
    counts = [
        sum(parameter.numel() for parameter in model.parameters())
        for model in (ours, transformers_model(arguments))
    ]
    assert counts[0] == counts[1], f"ours has {counts[0]} parameters, GPT-2 has {counts[1]}"


def share_of_waiting(arguments: argparse.Namespace) -> float:
    """Share of the time that a short run waits for its batches, in [0, 1]."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pictures(folder / "pictures")
        VQGAN(
            VQGANConfig(channels=16, channel_multipliers=(1, 1, 1, 1), codebook_size=CODES)
        ).save_pretrained(folder / "vqgan")
        options = {
            "data": folder / "pictures",
            "vqgan": folder / "vqgan",
            "out": folder / "prior",
            "image.size": 8 * GRID,
            "codes.views": VIEWS,
            "prior.layers": arguments.layers,
            "prior.heads": arguments.heads,
            "prior.width": arguments.width,
            "prior.dropout": 0,
            "training.batch-size": arguments.batch,
            "training.total-steps": RUN_STEPS,
            "training.log-steps": LOG_STEPS,
            "training.eval-images": 1,
            "training.device": arguments.device,
            "training.precision": "float32",
        }
        words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        train_prior(read_config(PriorRunConfig, words))
        lines = read_metrics(folder / "prior")
        shares = [line["data_wait"] for line in lines if "data_wait" in line]
    return statistics.mean(shares[1:])


def write_pictures(folder: Path) -> None:
    """Pictures of noise."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(PICTURES):
        pixels = random.integers(256, size=(9 * GRID, 9 * GRID, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")


def print_table(timings: Timings, arguments: argparse.Namespace, waiting: float) -> None:
    """Times and share of waiting, for people."""
    print(
        f"{arguments.layers} layers, width {arguments.width}, batch {arguments.batch} of "
        f"{GRID * GRID} tokens, float32, {arguments.device}, {torch.get_num_threads()} thread(s), "
        f"median of {arguments.rounds}"
    )
    print(f"{'':16}{'ms a step':>12}{'images a second':>18}")
    for name in timings.seconds:
        seconds = timings.median(name)
        print(f"{name:16}{1000 * seconds:12.0f}{arguments.batch / seconds:18.1f}")
    print(f"waiting for data in a run: {waiting:.2%} of the time")


def parse_arguments() -> argparse.Namespace:
    """The command line; the defaults are those of `smalti train prior`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="see measure.CLOCKS")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    transformers.logging.set_verbosity_error()
    check_same_shape(arguments)
    shape = (arguments.batch, GRID, GRID)
    codes = torch.randint(CODES, shape, generator=torch.Generator().manual_seed(0))
    device = torch.device(arguments.device)
    contenders = {
        "ours": synchronized(our_step(arguments, codes), device),
        "transformers": synchronized(transformers_step(arguments, codes), device),
    }
    timings = take_turns(contenders, arguments.rounds, clock=CLOCKS[arguments.clock])
    waiting = share_of_waiting(arguments)
    print_table(timings, arguments, waiting)
    ratio = timings.ratio("transformers", "ours")
    print(f"time of transformers / ours: {ratio:.2f} (above 1: ours is faster)")
    print(json.dumps({"step_vs_transformers": round(ratio, 3), "data_wait": round(waiting, 4)}))


if __name__ == "__main__":
    main()

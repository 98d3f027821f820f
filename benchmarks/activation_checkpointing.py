"""Activation checkpointing: peak memory and time of a step of either stage with it and without.

    python benchmarks/activation_checkpointing.py [--stages STAGE...] [--rounds R] [--threads T]

vqgan: networks of the preset vqgan-photos-small, 4 images of 128 pixels, the generator loss at full
    weight.
prior: 12 layers of width 512, 256 tokens, batch 4, dropout 0.1.

Both have 1,024 codes.

Peak memory is that of a process that builds the networks and takes two steps, over what it held
before; beside it stands what `--dry-run` estimates. All compute in float32 on a processor. The time
is that of the processor if there is one thread, so that what runs beside it counts little.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import torch
from measure import peak_mb_of, peak_rss_mb, take_turns
from measure.random_codes import CODEBOOK_SIZE, prior_configs, step_on_random_codes

from smalti.compute import Compute
from smalti.losses.build import choose_perceptual
from smalti.prior.build import build_prior
from smalti.runs.config import PriorRunConfig, VQGANRunConfig
from smalti.runs.cost import StepCost, prior_cost, vqgan_cost
from smalti.runs.vqgan import vqgan_state
from smalti.sampling.prior_model import PriorModelConfig
from smalti.training.vqgan.step import VQGANStepConfig, vqgan_step

BATCH, SIZE_PX = 4, 128
CPU = Compute(torch.device("cpu"), torch.float32)
KINDS = {"kept": False, "checkpointed": True}

Step = Callable[[], object]


def training(checkpointing: bool) -> dict[str, Any]:
    """Options of training."""
    return {"batch_size": BATCH, "activation_checkpointing": checkpointing}


def vqgan_config(checkpointing: bool) -> VQGANRunConfig:
    """Config of stage 1."""
    return VQGANRunConfig.model_validate(
        {
            "data": ("none",),
            "vqgan": {
                "channels": 64,
                "channel_multipliers": (1, 1, 2, 2, 4),
                "residual_blocks": 2,
                "norm_groups": 16,
                "code_dim": 128,
                "codebook_size": CODEBOOK_SIZE,
            },
            "discriminator": {"filters": 64, "layers": 3},
            "loss": {
                "perceptual": {"kind": "efficientnet"},
                "adversary": {"kind": "hinge", "start": 0, "warmup": 0, "ramp": 0},
            },
            "training": training(checkpointing),
        }
    )


def vqgan_trial(checkpointing: bool) -> Step:
    """A step of stage 1 on random images."""
    config = vqgan_config(checkpointing)
    state = vqgan_state(config, CPU)
    images = 2 * torch.rand(BATCH, 3, SIZE_PX, SIZE_PX) - 1
    return lambda: vqgan_step(state, images, VQGANStepConfig(config.loss, accumulation_steps=1))


def vqgan_estimate(checkpointing: bool) -> StepCost:
    """What `--dry-run` says of stage 1."""
    config = vqgan_config(checkpointing)
    perceptual, size = choose_perceptual(config.loss.perceptual), (SIZE_PX, SIZE_PX)
    return vqgan_cost(config.vqgan, config.discriminator, perceptual, size, config.training, CPU)


def prior_options(checkpointing: bool) -> tuple[PriorRunConfig, PriorModelConfig]:
    """Config of stage 2, and that of its model."""
    return prior_configs(
        {"layers": 12, "heads": 8, "width": 512, "dropout": 0.1}, training(checkpointing)
    )


def prior_trial(checkpointing: bool) -> Step:
    """A step of stage 2 on random codes."""
    return step_on_random_codes(*prior_options(checkpointing))


def prior_estimate(checkpointing: bool) -> StepCost:
    """What `--dry-run` says of stage 2."""
    config, model = prior_options(checkpointing)
    return prior_cost(
        lambda: build_prior(model.prior, model.sizes), model.layout, config.training, CPU
    )


TRIALS = {"vqgan": vqgan_trial, "prior": prior_trial}
ESTIMATES = {"vqgan": vqgan_estimate, "prior": prior_estimate}


def growth_mb(stage: str, kind: str) -> float:
    """Peak memory of two steps over what was there before, in this process."""
    before = peak_rss_mb()
    step = TRIALS[stage](KINDS[kind])
    step()
    step()
    return peak_rss_mb() - before


def measure(stage: str, rounds: int, threads: int) -> dict[str, dict[str, float]]:
    """Time, peak memory and its estimate of a stage, with and without."""
    clock = time.process_time if threads == 1 else time.perf_counter
    trials = {kind: TRIALS[stage](checkpointing) for kind, checkpointing in KINDS.items()}
    timings = take_turns(trials, rounds, clock=clock)
    found = {}
    for kind, checkpointing in KINDS.items():
        flags = (f"--stages={stage}", f"--threads={threads}", f"--peak={kind}")
        found[kind] = {
            "seconds": timings.median(kind),
            "peak_mb": peak_mb_of(__file__, *flags),
            "estimate_mb": ESTIMATES[stage](checkpointing).memory_bytes / 1e6,
        }
    return found


def main() -> None:
    """Print a table, and its figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stages", nargs="+", choices=TRIALS, default=list(TRIALS))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peak", choices=KINDS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.peak:
        print(growth_mb(arguments.stages[0], arguments.peak))
        return
    results = {}
    for stage in arguments.stages:
        results[stage] = measure(stage, arguments.rounds, arguments.threads)
        for kind, row in results[stage].items():
            print(
                f"{stage:6} {kind:13} {row['seconds']:6.2f} s a step, "
                f"peak {row['peak_mb']:6.0f} MB, estimated {row['estimate_mb']:6.0f} MB"
            )
    print(json.dumps(results))


if __name__ == "__main__":
    main()

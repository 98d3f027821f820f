"""A training step of stage 2 on random codes, for measurements to which the data do not matter.

Axes: B batch, h/w grid of codes, K codebook size.
"""

from collections.abc import Callable
from typing import Any

import torch

from smalti.compute import Compute
from smalti.runs.config import PriorRunConfig
from smalti.runs.prior import prior_state, prior_step_config
from smalti.sampling.prior_model import PriorModelConfig
from smalti.training.prior.code_batch import CodeBatch
from smalti.training.prior.step import prior_step

GRID, CODEBOOK_SIZE = 16, 1024
"""h = w, and K."""


def prior_configs(
    prior: dict[str, Any], training: dict[str, Any]
) -> tuple[PriorRunConfig, PriorModelConfig]:
    """Configs of a run without conditions and of its model, for sections `prior` and `training`."""
    config = PriorRunConfig.model_validate(
        {
            "data": ("none",),
            "prior": prior,
            "token_keep": 1,  # no tokens are replaced
            "training": training,
        }
    )
    model = PriorModelConfig(
        prior=config.prior,
        vocab_size=CODEBOOK_SIZE + 1,
        max_length=GRID * GRID,
        codebook_size=CODEBOOK_SIZE,
        grid_height=GRID,
        grid_width=GRID,
    )
    return config, model


def step_on_random_codes(config: PriorRunConfig, model: PriorModelConfig) -> Callable[[], object]:
    """A step on the processor in float32, on the same random codes (B, h, w) at each call."""
    state = prior_state(config, model, Compute(torch.device("cpu"), torch.float32))
    conditioning = model.build_conditioning()
    step_config = prior_step_config(config, model, conditioning)
    size = config.training.batch_size
    codes = torch.randint(CODEBOOK_SIZE, (size, GRID, GRID))
    batch = CodeBatch([""] * size, codes, conditioning.blank(size))
    return lambda: prior_step(state, batch, step_config)

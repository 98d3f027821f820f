"""One of several processes that train together; `test_distributed_training.py` starts them.

    python two_processes.py JOBS.json

A job is {"stage", "config", "disturbance"}: a run, and what goes wrong in it. How each ended is
written beside the jobs after each, as outcome.RANK.json.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from smalti.cluster import STOP_SIGNALS
from smalti.config import InputError
from smalti.distributed import rank
from smalti.runs import data as run_data
from smalti.runs.config import PriorRunConfig, VQGANRunConfig
from smalti.runs.prior import train_prior
from smalti.runs.vqgan import train_vqgan
from smalti.training import checkpoint
from smalti.training.loop import Stopped
from smalti.training.processes import processes
from smalti.training.vqgan.learner import VQGANLearner

STEP = VQGANLearner.step
DESCRIBE = checkpoint._describe


def disturb(disturbance: dict[str, Any]) -> None:
    """Let something happen to one process, in the middle of one step."""

    def step(stage: VQGANLearner, batch: Any) -> Any:
        scalars = STEP(stage, batch)
        hit = (disturbance.get("rank"), disturbance.get("step")) == (rank(), stage.training.step)
        if hit and disturbance["how"] == "signal":
            signal.raise_signal(STOP_SIGNALS[-1])
        if hit and disturbance["how"] == "nan":
            scalars = scalars | {"pixel_loss": torch.tensor(float("nan"))}
        if hit and disturbance["how"] == "death":
            os._exit(3)
        return scalars

    def describe(folder: Path, counters: Any) -> None:
        hit = (disturbance.get("how"), disturbance.get("step")) == ("kill in save", counters.step)
        if hit:  # the tensors are written, and what says that they are whole is not
            os.kill(os.getpid(), signal.SIGKILL)
        DESCRIBE(folder, counters)

    VQGANLearner.step = step
    checkpoint._describe = describe


def run(job: dict[str, Any]) -> str:
    """Train; the error it ended with, or an empty text."""
    disturb(job.get("disturbance", {}))
    try:
        if job["stage"] == "vqgan":
            train_vqgan(VQGANRunConfig.model_validate(job["config"]))
        else:
            train_prior(PriorRunConfig.model_validate(job["config"]))
    except (InputError, Stopped) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def main() -> None:
    torch.set_num_threads(1)
    jobs_file = Path(sys.argv[1])
    run_data.draw_curves = lambda _folder: None  # drawing takes longer than training
    outcomes: list[str] = []
    with processes():
        for job in json.loads(jobs_file.read_text(encoding="utf-8")):
            outcomes.append(run(job))
            jobs_file.with_name(f"outcome.{rank()}.json").write_text(
                json.dumps(outcomes), encoding="utf-8"
            )


if __name__ == "__main__":
    main()

"""The defaults learn something on real photographs, in a minute or two."""

from pathlib import Path

import pytest

from smalti.demo.photographs import write_photographs
from smalti.runs.config import (
    PriorRunConfig,
    PriorTrainingConfig,
    VQGANRunConfig,
    VQGANTrainingConfig,
)
from smalti.runs.prior import train_prior
from smalti.runs.vqgan import train_vqgan
from smalti.training.log import read_metrics

STEPS = 80


def last_evaluation(run: Path) -> dict[str, float]:
    return [line for line in read_metrics(run) if line["group"] == "eval"][-1]


@pytest.mark.slow
def test_defaults_learn_codes_and_compositions(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photographs")
    data = (str(tmp_path / "photographs"),)
    length = {"total_steps": STEPS, "eval_steps": STEPS, "ema_decay": 0.9}
    training = VQGANTrainingConfig(**length)
    vqgan = train_vqgan(VQGANRunConfig(data=data, out=str(tmp_path / "vqgan"), training=training))
    evaluation = last_evaluation(vqgan)
    assert evaluation["psnr_db"] > 17
    assert evaluation["code_use"] > 0.1
    training = PriorTrainingConfig(**length)
    prior = train_prior(
        PriorRunConfig(data=data, vqgan=str(vqgan), out=str(tmp_path / "prior"), training=training)
    )
    evaluation = last_evaluation(prior)
    assert evaluation["nll"] < 0.8 * evaluation["nll_uniform"]

"""The card of a model on the hub: what it tells of a run, and what it keeps to itself."""

from pathlib import Path

import pytest

from smalti.report.hub_card import Described, model_card
from smalti.runs.config import PriorRunConfig, VQGANRunConfig
from smalti.runs.state import RunState

HIDDEN = "/home/someone/private"


def _card(config: VQGANRunConfig | PriorRunConfig) -> str:
    """Card of a run that logged nothing."""
    state = RunState(Path(HIDDEN), config, [])
    return str(model_card(Described("owner/name", "mit", config.stage, (), state, {})))


@pytest.mark.parametrize(
    "config",
    [
        PriorRunConfig(
            data=(HIDDEN,),
            out=HIDDEN,
            vqgan=HIDDEN,
            condition=(f"segmentation={HIDDEN}",),
            codes={"folder": HIDDEN, "views": 3},
        ),
        PriorRunConfig(codes={"data": HIDDEN, "views": 3}, vqgan=HIDDEN, init=HIDDEN),
        VQGANRunConfig(
            data=(HIDDEN,),
            out=HIDDEN,
            init=HIDDEN,
            loss={"perceptual": {"kind": "lpips", "vgg_weights": HIDDEN}},
        ),
    ],
    ids=["prior", "prior of codes", "tokenizer"],
)
def test_no_option_names_a_place(config):
    assert HIDDEN not in _card(config)


def test_command_of_a_prior_of_codes_takes_codes():
    card = _card(PriorRunConfig(codes={"data": "codes", "views": 3}, vqgan="runs/vqgan"))
    assert "smalti train prior --codes CODES --vqgan TOKENIZER --config options.yaml" in card
    assert "views: 3" in card

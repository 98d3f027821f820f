"""What a small prior makes of a tokenizer's codes."""

import math

import pytest
import torch

from smalti.config import InputError
from smalti.evaluation import as_prior_data
from smalti.evaluation.as_prior_data import (
    PriorData,
    check_codes,
    learn_codes,
    prior_data_figures,
    replace_codes,
    replaced_figures,
)

CPU = torch.device("cpu")


@pytest.fixture
def _short(monkeypatch):
    monkeypatch.setattr(as_prior_data, "STEPS", 30)
    monkeypatch.setattr(as_prior_data, "EVALUATE_STEPS", 10)
    monkeypatch.setattr(as_prior_data, "WARMUP_STEPS", 2)


@pytest.mark.usefixtures("_short")
def test_what_never_changes_costs_little_and_the_random_as_much_as_all_codes():
    same = torch.full((20, 2, 3), 5)
    assert learn_codes(same, 8, CPU).nats < 0.1
    random = torch.randint(8, (20, 2, 3), generator=torch.Generator().manual_seed(0))
    found = learn_codes(random, 8, CPU)
    assert found.nats > 0.9 * math.log(8)
    assert (found.training, found.unseen) == (16, 4)
    assert learn_codes(random, 8, CPU) == found


@pytest.mark.usefixtures("_short")
def test_every_fifth_image_is_not_learned_from():
    codes = torch.zeros(20, 2, 3, dtype=torch.int64)
    codes[4::5] = 7
    steps = []
    assert learn_codes(codes, 8, CPU, lambda: steps.append(1)).nats > math.log(8)
    assert len(steps) == 30


def test_figures_are_bits_of_all_colour_values():
    found = PriorData(nats=2 * math.log(2), step=10, training=8, unseen=2)
    figures = prior_data_figures(found, codebook_size=16, grid=(4, 8), size_px=(16, 32))
    values = {figure.name: figure.value for figure in figures}
    assert values["prior_data_bits"] == pytest.approx(2 * 32 / (3 * 16 * 32))
    assert values["prior_data_bits_uniform"] == pytest.approx(4 * 32 / (3 * 16 * 32))
    assert values["prior_data_nats"] == pytest.approx(2 * math.log(2))


@pytest.mark.parametrize(
    ("sizes", "words"), [((9, 4, 4), "needs 10 at least, got 9"), ((10, 32, 33), "smaller --size")]
)
def test_what_it_cannot_learn_is_refused(sizes, words):
    with pytest.raises(InputError, match=words):
        check_codes(*sizes)
    check_codes(10, 32, 32)


def test_a_share_of_the_codes_is_replaced_by_codes_of_the_images():
    codes = torch.zeros(40, 8, 8, dtype=torch.int64)
    pool = torch.full((1, 2, 2), 3)
    changed = replace_codes(codes, pool, share=0.25)
    assert set(changed.unique().tolist()) == {0, 3}
    assert (changed == 3).float().mean() == pytest.approx(0.25, abs=0.03)
    assert not torch.equal(changed[0], changed[1])
    assert torch.equal(replace_codes(codes[3:5], pool, 0.25, first=3), changed[3:5])


class Grey:
    """Code k is a grey of k / 8 all over its pixel."""

    def decode(self, codes):
        return (codes / 8).unsqueeze(1).expand(-1, 3, -1, -1)


def test_the_distance_grows_with_the_share(extractor, monkeypatch):
    monkeypatch.setattr(as_prior_data, "SHARES", (0.0, 0.05, 0.5))
    codes = torch.arange(8).repeat(5)[:, None, None].expand(-1, 4, 4)
    batches = torch.split(Grey().decode(codes), 7)
    figures = replaced_figures(Grey(), batches, codes, extractor)
    none, few, half = (figure.value for figure in figures)
    assert none == pytest.approx(0, abs=1e-6)
    assert 0 < few < half
    assert figures[1].name == "fd_replaced_5"
    assert "5% of the codes" in figures[1].label
    one_by_one = replaced_figures(Grey(), torch.split(Grey().decode(codes), 1), codes, extractor)
    assert [figure.value for figure in one_by_one] == pytest.approx([none, few, half], abs=1e-6)

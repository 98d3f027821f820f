"""Remedies: what they change, and where they stop."""

import torch

from smalti.health.remedies import LOWEST_FACTOR, Remedies


def test_a_run_that_needed_none_is_left_as_it_is():
    assert all(float(factor) == 1 for factor in Remedies().state_dict().values())


def test_each_remedy_halves_its_own_factor():
    remedies = Remedies()
    change = remedies.slow_discriminator()
    assert "learning rate of the discriminator halved, to 0.5" in change
    assert float(remedies.discriminator_rate_factor) == 0.5
    assert float(remedies.adversary_weight_factor) == 1
    assert "weight of the adversary" in remedies.soften_adversary()
    assert float(remedies.adversary_weight_factor) == 0.5


def test_factors_stop_at_an_eighth():
    remedies = Remedies()
    changes = [remedies.soften_adversary() for _ in range(4)]
    assert [change is None for change in changes] == [False, False, False, True]
    assert float(remedies.adversary_weight_factor) == LOWEST_FACTOR


def test_factors_are_saved_and_restored():
    treated, fresh = Remedies(), Remedies()
    treated.soften_adversary()
    treated.slow_discriminator()
    treated.slow_discriminator()
    fresh.load_state_dict(treated.state_dict())
    assert float(fresh.adversary_weight_factor) == 0.5
    assert torch.equal(fresh.discriminator_rate_factor, torch.tensor(0.25))

"""The choice of device and number format."""

import pytest
import torch

from smalti import compute
from smalti.compute import choose_compute
from smalti.config import InputError


@pytest.mark.parametrize(("fast", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_takes_bfloat16_only_where_the_hardware_has_it(monkeypatch, fast, dtype):
    monkeypatch.setattr(compute, "has_bfloat16", lambda device: fast)
    assert choose_compute("cpu", "auto").dtype == dtype


@pytest.mark.parametrize(
    ("instructions", "expected"),
    [((True, False), True), ((False, True), True), ((False,) * 2, False)],
)
def test_a_processor_has_bfloat16_with_either_instruction_set(monkeypatch, instructions, expected):
    avx512, amx = instructions
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert compute.has_bfloat16(torch.device("cpu")) is expected


def test_what_is_asked_for_is_taken_whatever_the_hardware(monkeypatch):
    monkeypatch.setattr(compute, "has_bfloat16", lambda device: True)
    assert choose_compute("cpu", "float32").dtype == torch.float32
    monkeypatch.setattr(compute, "has_bfloat16", lambda device: False)
    assert choose_compute("cpu", "bfloat16").dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("choice", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)]
)
def test_autocast_multiplies_in_the_chosen_format(choice, dtype):
    with choose_compute("cpu", choice).autocast():
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == dtype


@pytest.mark.parametrize("name", ["tpu9000", "cuda:99", ""])
def test_missing_device_is_one_clear_line(name):
    with pytest.raises(InputError, match="is not there; best here") as caught:
        choose_compute(name)
    assert "\n" not in str(caught.value)


def test_auto_device_is_the_processor_without_an_accelerator(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_compute().device == torch.device("cpu")


def test_name_says_device_and_format():
    assert str(choose_compute("cpu", "float32")).startswith("cpu (")
    assert str(choose_compute("cpu", "float32")).endswith("float32")


# Several processes


@pytest.fixture
def fourth_process(monkeypatch) -> None:
    """Of a machine that says it has every device."""
    monkeypatch.setattr(compute, "is_distributed", lambda: True)
    monkeypatch.setattr(compute, "local_rank", lambda: 3)
    monkeypatch.setattr(compute, "has_bfloat16", lambda device: True)
    monkeypatch.setattr(compute, "existing_device", torch.device)
    monkeypatch.setattr(compute, "_best_device", lambda: "cuda")


@pytest.mark.parametrize("asked", ["auto", "cuda"])
def test_each_process_has_its_own_card(fourth_process, monkeypatch, asked):
    current = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    assert choose_compute(asked).device == torch.device("cuda", 3)
    assert current == [3]


@pytest.mark.parametrize("asked", ["cuda:1", "mps"])
def test_device_that_processes_would_share_is_refused(fourth_process, asked):
    with pytest.raises(InputError, match=f"device '{asked}.*' is one for all processes; .*allowed"):
        choose_compute(asked)


def test_more_processes_than_cards_are_refused(fourth_process, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(InputError, match="process 3 of this machine has no card: there are 2"):
        choose_compute("cuda")


def test_card_that_slurm_shows_to_one_task_only_is_its_own(fourth_process, monkeypatch):
    current = []
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "8")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    assert choose_compute("cuda").device == torch.device("cuda", 0)
    assert current == [0]


def test_processes_may_share_a_processor(fourth_process):
    assert choose_compute("cpu").device == torch.device("cpu")

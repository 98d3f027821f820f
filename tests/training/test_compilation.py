"""Compiled blocks train what others do but for rounding, and a machine that cannot is refused."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from smalti.compute import Compute
from smalti.config import InputError
from smalti.runs.config import PriorRunConfig, VQGANRunConfig
from smalti.runs.prior import prior_state, prior_step_config
from smalti.runs.vqgan import vqgan_state
from smalti.sampling.prior_model import PriorModelConfig
from smalti.training.compilation import check_compiler
from smalti.training.config import TrainingConfig
from smalti.training.prior.code_batch import CodeBatch
from smalti.training.prior.step import PriorState, prior_step
from smalti.training.vqgan.step import VQGANState, VQGANStepConfig, vqgan_step

CPU = Compute(torch.device("cpu"), torch.float32)
SHAPE = {"kind": "gpt2", "layers": 2, "heads": 2, "width": 16, "dropout": 0.0}

Scalars = list[dict[str, Tensor]]


def vqgan_of(**training: Any) -> tuple[VQGANState, Callable[[], Scalars]]:
    """A tokenizer, with what trains it for two steps with an adversary."""
    config = VQGANRunConfig.model_validate(
        {
            "data": ("none",),
            "vqgan": {
                "channels": 8,
                "channel_multipliers": (1, 1),
                "code_dim": 8,
                "codebook_size": 16,
            },
            "discriminator": {"filters": 4, "layers": 1},
            "loss": {
                "perceptual": {"kind": "none"},
                "adversary": {"start": 0, "warmup": 0, "ramp": 0},
            },
            "training": training,
        }
    )
    state = vqgan_state(config, CPU)
    images = 2 * torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(1)) - 1
    step_config = VQGANStepConfig(config.loss, accumulation_steps=1)
    return state, lambda: [vqgan_step(state, images, step_config) for _ in range(2)]


def prior_of(**training: Any) -> tuple[PriorState, Callable[[], Scalars]]:
    """A prior without dropout, with what trains it for two steps."""
    model = PriorModelConfig(
        prior=SHAPE, vocab_size=11, max_length=12, codebook_size=10, grid_height=3, grid_width=4
    )
    config = PriorRunConfig.model_validate(
        {"data": ("none",), "token_keep": 1, "prior": SHAPE, "training": training}
    )
    state, conditioning = prior_state(config, model, CPU), model.build_conditioning()
    codes = torch.randint(10, (4, 3, 4), generator=torch.Generator().manual_seed(1))
    batch = CodeBatch([""] * 4, codes, conditioning.blank(4))
    step_config = prior_step_config(config, model, conditioning)
    return state, lambda: [prior_step(state, batch, step_config) for _ in range(2)]


STAGES = {"vqgan": vqgan_of, "prior": prior_of}


@pytest.fixture
def calls(monkeypatch) -> list[str]:
    """What is called of that which was given to `torch.compile`, which compiles nothing here."""
    called = []

    def compiled(forward: Callable[..., Any], **_: Any) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            called.append(type(forward.__self__).__name__)
            return forward(*arguments)

        return call

    monkeypatch.setattr(torch, "compile", compiled)
    return called


@pytest.mark.parametrize("stage", STAGES)
def test_steps_call_the_compiled_blocks_and_the_average_others(calls, stage):
    state, train = STAGES[stage](compile=True)
    train()
    expected = {  # two steps, each with one pass
        "vqgan": {"ResidualBlock": 2 * 10, "NonLocalAttention": 2 * 5},
        "prior": {"Block": 2 * 2},
    }
    assert Counter(calls) == expected[stage]
    calls.clear()
    inputs = {"vqgan": torch.zeros(1, 3, 16, 16), "prior": torch.zeros(1, 12).long()}
    state.average.model(inputs[stage])
    assert calls == []


def test_nothing_is_compiled_by_default(calls):
    for stage in STAGES.values():
        stage()[1]()
    assert calls == []


def test_checkpointed_blocks_call_what_was_compiled_in_both_passes(calls):
    prior_of(compile=True, activation_checkpointing=True)[1]()
    assert calls == ["Block"] * 2 * 2 * 2  # blocks, passes, steps


@pytest.mark.parametrize("stage", STAGES)
def test_weights_keep_their_names(stage, monkeypatch):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    usual, compiled = (
        getattr(STAGES[stage](compile=choice)[0], stage).state_dict() for choice in (False, True)
    )
    assert compiled.keys() == usual.keys()


# A machine that cannot


def test_processor_without_a_compiler_is_refused(monkeypatch, tmp_path):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"the C\+\+ compiler \S+ is not there; install it"):
        check_compiler(TrainingConfig(compile=True), CPU.device)
    check_compiler(TrainingConfig(), CPU.device)


def test_compiler_that_the_environment_names_is_looked_for(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(InputError, match="compiler no-such-compiler is not there"):
        check_compiler(TrainingConfig(compile=True), CPU.device)


def test_what_else_is_missing_is_told_in_one_line(monkeypatch):
    def fail(_: object) -> None:
        raise RuntimeError("Python.h is missing\nand much more")

    monkeypatch.setattr(torch, "compile", fail)
    monkeypatch.setattr(shutil, "which", lambda name: name)
    with pytest.raises(InputError, match=r"compiling fails on cpu: Python.h is missing; leave"):
        check_compiler(TrainingConfig(compile=True), CPU.device)


# Compiled in earnest


@pytest.fixture
def forgotten() -> Iterator[None]:
    """Nothing is left of what was compiled."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield
    torch._dynamo.reset()


@pytest.mark.slow
@pytest.mark.usefixtures("forgotten")
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs the C++ compiler g++")
@pytest.mark.filterwarnings("ignore")  # those of the compiler itself
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("stage", STAGES)
def test_compiled_blocks_train_the_same_but_for_rounding(stage, checkpointing):
    check_compiler(TrainingConfig(compile=True), CPU.device)
    usual, compiled = (
        STAGES[stage](compile=choice, activation_checkpointing=checkpointing)
        for choice in (False, True)
    )
    for ours, theirs in zip(compiled[1](), usual[1](), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 1  # the first is of the check

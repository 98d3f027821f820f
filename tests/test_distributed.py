"""What processes do together, in a group of one; `training/` has tests with two."""

import socket
from collections.abc import Iterator
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from smalti.cli.main import main
from smalti.config import InputError
from smalti.distributed import (
    from_first,
    is_distributed,
    mean_with_gradient,
    together,
    without_sync,
    wrap,
)
from smalti.training.processes import RENDEZVOUS, ProcessLostError, processes


@pytest.fixture
def group() -> Iterator[None]:
    """This process as the only one of a group."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def fail() -> None:
    raise InputError("a line")


def test_one_process_alone_joins_no_group(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "1")
    with processes():
        assert not is_distributed()
        network = nn.Linear(1, 1)
        assert wrap(network) is network


@pytest.mark.parametrize(("has_nccl", "backend"), [(True, "cpu:gloo,cuda:nccl"), (False, "gloo")])
def test_cards_speak_over_nccl_where_there_is_one(monkeypatch, has_nccl, backend):
    """Windows has none."""
    for name in RENDEZVOUS:
        monkeypatch.setenv(name, "2")
    asked: list[str] = []

    def join(backend: str, **_: object) -> None:
        asked.append(backend)
        raise KeyboardInterrupt

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(dist, "is_nccl_available", lambda: has_nccl)
    monkeypatch.setattr(dist, "init_process_group", join)
    with pytest.raises(KeyboardInterrupt), processes():
        pass
    assert asked == [backend]


def test_error_of_a_block_is_raised_after_it(group):
    with pytest.raises(InputError, match=r"^a line$"), together():
        fail()
    with pytest.raises(InputError, match=r"^a line$"):
        from_first(fail)


def test_result_of_the_first_process_is_given_to_all(group):
    assert from_first(lambda: {"score": 1.5}) == {"score": 1.5}


def test_gradients_flow_through_a_mean_over_processes(group):
    tensor = torch.ones(3, 2).t().requires_grad_()
    mean_with_gradient(tensor).square().sum().backward()
    assert torch.equal(tensor.grad, 2 * tensor.detach())


def test_gradients_are_exchanged_after_the_last_part_only(group):
    network = wrap(nn.Linear(1, 1))
    assert isinstance(network, DistributedDataParallel)
    for is_last in (False, True):
        with without_sync(network, unless=is_last):
            assert network.require_backward_grad_sync is is_last


def test_only_errors_of_the_connection_tell_of_a_lost_process(monkeypatch, group):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "2")
    monkeypatch.setattr("smalti.training.processes.is_distributed", lambda: False)
    monkeypatch.setattr(dist, "init_process_group", lambda *_args, **_options: None)
    with pytest.raises(ProcessLostError, match="another process of the run ended"), processes():
        raise RuntimeError("[/gloo/transport/tcp/pair.cc:537] Connection reset by peer")
    with pytest.raises(RuntimeError, match="out of memory"), processes():
        raise RuntimeError("out of memory")


def test_port_that_another_program_has_is_one_line(monkeypatch):
    with socket.create_server(("", 0)) as taken:
        port = str(taken.getsockname()[1])
        for name, value in zip(RENDEZVOUS, ("0", "2", "127.0.0.1", port), strict=True):
            monkeypatch.setenv(name, value)
        with pytest.raises(InputError, match=f"port {port} is in use by another"), processes():
            pass


def test_process_whom_no_other_meets_ends_with_a_line(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    for name, value in zip(RENDEZVOUS, ("1", "2", "127.0.0.1", port), strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("smalti.training.processes.PATIENCE", timedelta(milliseconds=200))
    lost = pytest.raises(ProcessLostError, match=f"did not meet at 127.0.0.1, port {port}")
    with lost, processes():
        pass


# The command


def test_lost_process_is_one_line_and_exit_code_1(monkeypatch, capsys):
    def lose(_arguments: list[str]) -> None:
        raise ProcessLostError("another process ended")

    monkeypatch.setattr("smalti.cli.train.run", lose)
    assert main(["train"]) == 1
    assert capsys.readouterr().err == "smalti: another process ended\n"


@pytest.mark.parametrize("rank", ["0", "1"])
def test_wrong_input_is_told_by_the_first_process_alone(monkeypatch, capsys, rank):
    def run(_arguments: list[str]) -> None:
        print("result")
        fail()

    monkeypatch.setattr("smalti.cli.train.run", run)
    monkeypatch.setenv("RANK", rank)
    assert main(["train"]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == (("result\n", "smalti: a line\n") if rank == "0" else ("", ""))

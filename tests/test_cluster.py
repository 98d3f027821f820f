"""What a process takes from the variables of torchrun and of Slurm."""

import logging
import os

import pytest

from helpers.signals import needs_requeue_signal
from smalti import cluster
from smalti.cluster import (
    STOP_SIGNALS,
    exit_code,
    first_host,
    has_lost_torchrun,
    is_slurm_task,
    launch_variables,
    rank_of_process,
    tasks_left_idle,
)
from smalti.config import InputError
from smalti.distributed import is_distributed
from smalti.training.processes import processes

TASK = {
    "SLURM_JOB_ID": "4711",
    "SLURM_STEP_ID": "0",
    "SLURM_NTASKS": "4",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_JOB_NODELIST": "login,node[003-004]",
    "SLURM_STEP_NODELIST": "node[003-004]",
}
"""The last of four tasks on two machines."""
INTERACTIVE = TASK | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0", "SLURM_NTASKS": "1"}
BATCH = {name: TASK[name] for name in TASK if "STEP" not in name} | {"SLURM_PROCID": "0"}
"""The batch script of a job, which runs before any srun."""


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("localhost", "localhost"),
        ("node1,node2", "node1"),
        ("node[003-010,12]", "node003"),
        ("node[7,9-11],login[1-2]", "node7"),
        ("gpu-a[01-04]-ib,gpu-b1", "gpu-a01-ib"),
        ("rack[2-3]node[08-16]", "rack2node08"),
        ("c[12]", "c12"),
        ("login,node[1-2]", "login"),
        ("10.0.0.[5-8]", "10.0.0.5"),
        ("a.example.org,b.example.org", "a.example.org"),
        (" node4 ", "node4"),
    ],
)
def test_first_host_of_a_node_list(nodes, first):
    assert first_host(nodes) == first


@pytest.mark.parametrize("nodes", ["", "  ", ",node1", "[]"])
def test_node_list_without_a_host_is_refused(nodes):
    with pytest.raises(InputError, match="names no host; MASTER_ADDR"):
        first_host(nodes)


def test_task_of_slurm_has_the_variables_of_torchrun():
    assert launch_variables(TASK) == {
        "RANK": "3",
        "WORLD_SIZE": "4",
        "LOCAL_RANK": "1",
        "MASTER_ADDR": "node003",
        "MASTER_PORT": "19711",
    }


def test_variables_of_torchrun_come_before_those_of_slurm():
    own = {"MASTER_ADDR": "head", "MASTER_PORT": "29500"}
    assert launch_variables(TASK | own) == launch_variables(TASK) | own
    assert launch_variables(TASK | {"SLURM_STEP_NODELIST": ",", "MASTER_ADDR": "head"})


def test_processes_of_a_torchrun_that_srun_started_are_those_of_torchrun():
    started = {"RANK": "5", "WORLD_SIZE": "8", "TORCHELASTIC_RUN_ID": "photos"}
    assert launch_variables(TASK | started) == {"RANK": "5", "WORLD_SIZE": "8"}
    assert not is_slurm_task(TASK | started)
    assert rank_of_process(TASK | started) == 5


def test_job_id_and_step_choose_the_port():
    others = [{"SLURM_JOB_ID": "4712"}, {"SLURM_STEP_ID": "1"}, {"SLURM_JOB_ID": "4294967290"}]
    ports = [int(launch_variables(TASK | other)["MASTER_PORT"]) for other in others]
    assert len({*ports, 19711}) == 4
    assert all(1024 < port < 32768 for port in ports)


@pytest.mark.parametrize("environment", [{}, BATCH, INTERACTIVE])
def test_batch_script_and_interactive_shell_are_one_process(environment, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert launch_variables(environment).get("WORLD_SIZE", "1") == "1"
    assert rank_of_process(environment) == 0
    with processes():
        assert not is_distributed()


def test_job_whose_tasks_a_command_leaves_idle_is_told_of_srun(caplog, monkeypatch):
    for name, value in BATCH.items():
        monkeypatch.setenv(name, value)
    with caplog.at_level(logging.WARNING), processes():
        pass
    assert caplog.messages == [
        "Slurm has 4 tasks for this job, and this command runs once; put srun before it to run it "
        "in all of them"
    ]
    assert [tasks_left_idle(one) for one in ({}, TASK, INTERACTIVE)] == [0, 0, 0]
    assert tasks_left_idle(BATCH | {"WORLD_SIZE": "8"}) == 0


@needs_requeue_signal
def test_only_a_process_of_torchrun_can_lose_it(monkeypatch):
    environment = {"TORCHELASTIC_RUN_ID": "photos"}
    assert not has_lost_torchrun(environment)
    monkeypatch.setattr(cluster, "_PARENT", os.getppid() + 1)
    assert has_lost_torchrun(environment)
    assert not has_lost_torchrun({})  # such as a run in a terminal that was closed


def test_exit_codes_of_signals():
    assert [exit_code(number) for number in STOP_SIGNALS] == [130, 143, 75]

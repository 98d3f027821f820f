"""Moves a run to another host: while the first one trains, and after the first one has died.

    python docs/results/cluster/move_host.py --data SRC --out FILE.json

A host is a process with namespaces of its own (`unshare`): another host name, another identity of
the machine's start, and a network of its own. Only the folder of the run is the same. Both train on
two processes under torchrun. It needs Linux and the rights of root.
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from smalti.training.log import read_metrics

BOOT_FILE = "/proc/sys/kernel/random/boot_id"
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
OPTIONS = shlex.split("""--image.size 32 --training.device cpu --training.precision float32
    --training.total-steps 100000 --training.batch-size 8 --training.log-steps 1
    --training.eval-steps 100000 --training.picture-steps 100000 --training.save-steps 4
    --vqgan.channels 16 --vqgan.channel-multipliers [1,1] --vqgan.code-dim 8
    --vqgan.codebook-size 16 --discriminator.filters 4 --discriminator.layers 1
    --loss.perceptual.kind none""")
STEPS = 8
"""Steps that a host trains before it dies."""


class Host:
    """A command on a host of its own."""

    def __init__(self, name: str, folder: Path, command: list[str]) -> None:
        boot = folder / f"boot_{name}"
        boot.write_text(f"{uuid.uuid5(uuid.NAMESPACE_DNS, name)}\n", encoding="ascii")
        hosts = folder / f"hosts_{name}"
        hosts.write_text(f"127.0.0.1 localhost {name}\n", encoding="ascii")
        inside = (
            f"hostname {name} && mount --bind {boot} {BOOT_FILE} && "
            f"mount --bind {hosts} /etc/hosts && ip link set lo up && "
            f"exec {shlex.join(command)}"
        )
        self.started = time.monotonic()
        self.log = folder / f"{name}.log"
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                # All of a PID namespace end with its first process, as all of a host do.
                [
                    *shlex.split("unshare --uts --mount --net --pid --fork --kill-child sh -c"),
                    inside,
                ],
                env=os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
                stderr=log,
                stdout=log,
                start_new_session=True,
            )

    def die(self) -> None:
        """End all processes of the host at once, as a cut of power does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def said(self, words: str) -> str:
        """The line that has some words, or an empty text."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return next((line for line in lines if words in line), "")

    def wait_to_say(self, words: str) -> float:
        """Wait for a line; returns the seconds since the start of the host."""
        while not self.said(words):
            assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
            time.sleep(0.05)
        return round(time.monotonic() - self.started, 1)


def last_step(run: Path) -> int:
    """Last step that the log of a run has, or 0."""
    return max((line["step"] for line in read_metrics(run)), default=0)


def main() -> None:
    """Train on one host, then on another that comes too early, then on one that comes after."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = folder / "run"
        train = ["-m", "smalti", "train", "vqgan", "--data", options.data, *OPTIONS]
        command = [*TORCHRUN, *train, "--out", str(run)]
        first = Host("first", folder, command)
        first.wait_to_say("step 1/")
        early = Host("early", folder, command)
        early.process.wait()
        refused_seconds = round(time.monotonic() - early.started, 1)
        assert first.process.poll() is None, "the first host must train on"
        while last_step(run) < STEPS:
            time.sleep(0.05)
        first.die()
        last = last_step(run)
        second = Host("second", folder, command)
        taken_seconds = second.wait_to_say("taking over")
        second.wait_to_say("resuming from")
        second.die()
        figures = {
            "while_the_first_trains": early.said("is in use").replace(name, "RUNS"),
            "refused_after_seconds": refused_seconds,
            "last_step_of_the_first": last,
            "watching": second.said("watching for").replace(name, "RUNS"),
            "taken_over": second.said("taking over").replace(name, "RUNS"),
            "taken_over_after_seconds": taken_seconds,
            "goes_on": second.said("resuming from"),
        }
    print(json.dumps(figures, indent=2))
    options.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

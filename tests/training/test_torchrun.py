"""The command of docs/distributed.md, as it stands there: torchrun begins again what was killed, and nothing is lost."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.training.test_processes import STATEFUL, Pretrainings, pretrainings, together

__all__ = ["pretrainings", "together"]

LONG = {**STATEFUL, "steps": 60, "evaluations": 3, "checkpoint_steps": 7}


def process_of_rank(rank: int, launcher: int) -> int:
    """The process that torchrun has started for a rank."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    return next(int(child) for child in children if f"RANK={rank}".encode() in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"))


@pytest.mark.slow
@pytest.mark.skipif(not Path(f"/proc/self/task/{os.getpid()}/children").exists(), reason="children are found by Linux's /proc")
@pytest.mark.parametrize("rank", [0, 1])
def test_torchrun_begins_again_what_was_killed(pretrainings: Pretrainings, rank: int) -> None:
    whole = f"undisturbed-{rank}"
    assert [ended.code for ended in pretrainings.run(2, whole, training=LONG)] == [0, 0]
    folder = f"torchrun-{rank}"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [*launcher, "-m", "bertworks", *pretrainings.command(folder, **LONG)]
    log = pretrainings.home / folder / "log.jsonl"
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as started:
        while started.poll() is None and not (log.exists() and log.read_bytes().count(b"\n") >= 20):
            time.sleep(0.002)
        os.kill(process_of_rank(rank, started.pid), signal.SIGKILL)
        _, said = started.communicate()
    assert started.returncode == 0, said
    lost = [line for line in said.splitlines() if line.startswith("error:")]
    assert len(lost) == 1
    assert "another process of this training was lost (killed, or its machine failed); torchrun starts all of them again" in lost[0]
    assert "going on at step" in said
    assert pretrainings.log(folder) == pretrainings.log(whole)
    for name in ("model/model.safetensors", "checkpoints/step-00000060/optimizer.safetensors"):
        assert (pretrainings.home / folder / name).read_bytes() == (pretrainings.home / whole / name).read_bytes(), name

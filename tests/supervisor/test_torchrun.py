"""A distributed step under the real torchrun: a log per rank, the first failure ends all, requests reach every rank."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.config.torchrun import torchrun_line
from engine.protocol.layout import RunPaths
from engine.protocol.spec import RunSpec
from remote.local_host import LocalHost
from tests.live import Specs, processes_under, wait_final
from tests.polling import until

IMPORT_S = 120.0
"""torchrun imports torch, and on a busy machine that takes its time."""
_BIN = Path(sys.executable).parent
pytestmark = pytest.mark.skipif(
    not shutil.which("torchrun", path=f"{_BIN}{os.pathsep}{os.environ['PATH']}"), reason="no torch here"
)


def two_ranks(specs: Specs, script: str, **more: Any) -> RunSpec:
    """The script as two ranks."""
    file = specs.folder / "train.py"
    file.write_text(script)
    spec = specs.argv([], path_prefix=[str(_BIN)], env={"OMP_NUM_THREADS": "1"}, **more)
    argv = torchrun_line(["torchrun", "--nproc-per-node=2", str(file)], 0, 1, spec.run_id)
    return RunSpec.from_json({**spec.to_json(), "argv": argv})


def rank_log(paths: RunPaths, rank: int) -> str:
    file = paths.rank_log(rank)
    return file.read_text() if file.exists() else ""


def test_two_ranks_meet_and_each_has_its_log(host: LocalHost, specs: Specs) -> None:
    script = (
        "import torch, torch.distributed as dist\n"
        "dist.init_process_group('gloo')\n"
        "one = torch.ones(1) * (dist.get_rank() + 1)\n"
        "dist.all_reduce(one)\n"
        "print('rank', dist.get_rank(), 'sum', one.item(), flush=True)\n"
        "dist.destroy_process_group()\n"
    )
    spec = two_ranks(specs, script)
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    assert wait_final(paths, IMPORT_S).state == "succeeded"
    assert "rank 0 sum 3.0" in rank_log(paths, 0)
    assert "rank 1" not in rank_log(paths, 0)
    assert "rank 1 sum 3.0" in rank_log(paths, 1)


WAIT = "import os, signal, sys, time\nrank = int(os.environ['RANK'])\n"


def test_the_first_rank_that_fails_ends_the_others(host: LocalHost, specs: Specs) -> None:
    script = WAIT + "if rank == 1:\n    print('no good', flush=True)\n    sys.exit(7)\ntime.sleep(300)\n"
    spec = two_ranks(specs, script)
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    assert wait_final(paths, IMPORT_S).state == "failed"
    assert rank_log(paths, 1) == "no good\n"
    assert "exitcode" in rank_log(paths, 0)  # torchrun's own word on which rank it was


def test_a_checkpoint_is_asked_of_every_rank_and_a_kill_leaves_none(host: LocalHost, specs: Specs) -> None:
    script = WAIT + (
        "signal.signal(signal.SIGUSR2, lambda *a: print('saved', flush=True))\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "print('ready', flush=True)\nwhile True:\n    time.sleep(0.05)\n"
    )
    spec = two_ranks(specs, script, grace_s=0.3)
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    until(lambda: "ready" in rank_log(paths, 0), "rank 0", IMPORT_S)
    until(lambda: "ready" in rank_log(paths, 1), "rank 1")
    host.checkpoint(spec.run_id, "tester")
    for rank in (0, 1):
        until(lambda rank=rank: "saved" in rank_log(paths, rank), f"rank {rank} to save")  # type: ignore[misc]
    host.stop(spec.run_id, "tester")
    assert wait_final(paths).state == "stopped"
    until(lambda: not processes_under(paths.folder), "every rank to be gone")

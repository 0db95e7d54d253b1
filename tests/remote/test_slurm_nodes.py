"""A step on two nodes: srun starts an agent on each, they meet on the first, a log per rank in one run folder."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.config.torchrun import torchrun_line
from engine.protocol.durable import write_json
from engine.protocol.layout import Root
from engine.protocol.spec import RunSpec
from remote.local_host import LocalHost
from tests.live import Specs, log_of, wait_final
from tests.remote.slurm_cluster import Cluster, needs_slurm

_BIN = Path(sys.executable).parent
pytestmark = [
    needs_slurm,
    pytest.mark.skipif(
        not shutil.which("torchrun", path=f"{_BIN}{os.pathsep}{os.environ['PATH']}"), reason="no torch here"
    ),
]

SCRIPT = """
import os
import torch, torch.distributed as dist
dist.init_process_group("gloo")
one = torch.ones(1) * (dist.get_rank() + 1)
dist.all_reduce(one)
print("rank", dist.get_rank(), "of", dist.get_world_size(), "on", os.environ["SLURMD_NODENAME"], one.item(), flush=True)
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    try:
        with Cluster(tmp_path_factory.mktemp("slurm"), nodes=2) as cluster:
            yield cluster
    except AssertionError as error:
        pytest.skip(f"this Slurm runs no two nodes on one machine: {str(error)[-300:]}")


def test_two_nodes_meet_and_write_one_run(
    cluster: Cluster, root: Root, specs: Specs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CONF", str(cluster.conf))
    write_json(root.host_file, {"slurm": {"options": []}})
    (specs.folder / "train.py").write_text(SCRIPT)
    env = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    spec = specs.argv([], path_prefix=[str(_BIN)], env=env, nodes=2)
    argv = torchrun_line(["torchrun", str(specs.folder / "train.py")], 0, 2, spec.run_id)
    spec = RunSpec.from_json({**spec.to_json(), "argv": argv})
    LocalHost(root).launch(spec)
    paths = root.run(spec.run_id)
    status = wait_final(paths, 120.0)
    assert status.state == "succeeded", log_of(paths).decode()[-3000:]
    first, second = log_of(paths).decode().split(), paths.rank_log(1).read_text().split()
    assert (first[:4], second[:4]) == (["rank", "0", "of", "2"], ["rank", "1", "of", "2"])
    assert {first[5], second[5]} == {"node1", "node2"}  # which node is first is torchrun's to say
    assert (first[6], second[6]) == ("3.0", "3.0")

"""The sandbox over a local cluster of two nodes gives what the local pool gives. Needs Ray: `-m ray`."""

import sys
from pathlib import Path

import pytest

from engine.verify.sandbox.pool import Pool
from engine.verify.sandbox.verdict import Limits, NoIsolation, Sample, Tests

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def cluster():
    ray = pytest.importorskip("ray", reason="Ray is not installed (pip install 'ray>=2.40')")
    from ray.cluster_utils import Cluster

    two = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    two.add_node(num_cpus=1)
    project = str(Path(__file__).resolve().parents[3])
    ray.init(address=two.address, logging_level="ERROR", runtime_env={"env_vars": {"PYTHONPATH": project}})
    yield ray
    ray.shutdown()
    two.shutdown()


def test_two_nodes_judge_as_one_machine_does(cluster):
    from engine.verify.sandbox.ray_pool import RayPool

    tests = Tests(asserts=("assert f(1) == 2", "assert f(2) == 3"), cpu_s=1)
    codes = ["def f(x): return x + 1", "def f(x): return x", "def f(x) return", "def f(x):\n  while True: pass"]
    samples = [Sample(str(n), codes[n % 4] if n < 8 else codes[n % 2], tests) for n in range(40)]
    patient = Limits(wall_factor=30.0)  # a busy machine must not turn a CPU kill into a wall time-out
    try:
        with Pool(1, patient) as pool:
            local = {v.key: (v.verdict, v.reason, v.outputs) for v in pool.judge(samples)}
    except NoIsolation as error:
        pytest.skip(str(error))
    spread = RayPool(2, patient)
    found = {v.key: (v.verdict, v.reason, v.outputs) for v in spread.judge(samples)}
    spread.close()
    assert found == local
    assert len({n["NodeID"] for n in cluster.nodes() if n["Alive"]}) == 2


def test_without_ray_the_message_names_the_way_out(monkeypatch):
    from engine.verify.sandbox.ray_pool import RayPool
    from engine.verify.sandbox.verdict import SandboxBroken

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SandboxBroken, match=r"sandbox\.backend=local"):
        RayPool(1, Limits())

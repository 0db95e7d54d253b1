"""The sandbox over a local cluster of two nodes gives what the local pool gives. Needs Ray: `-m ray`."""

import os
import sys

import pytest

from engine.verify.sandbox.pool import Pool
from engine.verify.sandbox.verdict import Limits, NoIsolation, Sample, SandboxBroken, Tests

pytestmark = pytest.mark.ray

_PATIENT = Limits(wall_factor=30.0)  # a busy machine must not turn a CPU kill into a wall time-out


@pytest.fixture(scope="module")
def cluster():
    """Two nodes, found by their address as a user's cluster is; the pool itself sends them the engine."""
    ray = pytest.importorskip("ray", reason="Ray is not installed (pip install 'ray>=2.40')")
    from ray.cluster_utils import Cluster

    two = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    two.add_node(num_cpus=1)
    os.environ["RAY_ADDRESS"] = two.address
    yield ray
    ray.shutdown()
    two.shutdown()
    del os.environ["RAY_ADDRESS"]


@pytest.fixture
def spread(cluster):
    from engine.verify.sandbox.ray_pool import RayPool

    pool = RayPool(2, _PATIENT)
    yield pool
    pool.close()


def samples(count):
    tests = Tests(asserts=("assert f(1) == 2", "assert f(2) == 3"), cpu_s=1)
    codes = ["def f(x): return x + 1", "def f(x): return x", "def f(x) return", "def f(x):\n  while True: pass"]
    return [Sample(str(n), codes[n % 4] if n < 8 else codes[n % 2], tests) for n in range(count)]


def test_two_nodes_judge_as_one_machine_does(cluster, spread):
    try:
        with Pool(1, _PATIENT) as pool:
            local = {v.key: (v.verdict, v.reason, v.outputs) for v in pool.judge(samples(40))}
    except NoIsolation as error:
        pytest.skip(str(error))
    found = {v.key: (v.verdict, v.reason, v.outputs) for v in spread.judge(samples(40))}
    assert found == local
    assert len({n["NodeID"] for n in cluster.nodes() if n["Alive"]}) == 2
    assert len({cluster.get(actor.where.remote()) for actor in spread._actors}) == 2


def test_an_actor_that_dies_takes_no_label_with_it(cluster, spread):
    verdicts = spread.judge(samples(48))
    first = next(verdicts)
    cluster.kill(spread._actors[0])
    keys = [first.key, *(v.key for v in verdicts)]
    assert sorted(keys, key=int) == [str(n) for n in range(48)]


def test_a_sample_over_which_two_actors_die_is_a_broken_sandbox(cluster, spread):
    make = spread._make

    def doomed():
        actor = make()
        cluster.kill(actor)
        return actor

    spread._make = doomed
    cluster.kill(spread._actors[0])
    with pytest.raises(SandboxBroken, match="died twice over"):
        list(spread.judge(samples(16)))


def test_without_ray_the_message_names_the_way_out(monkeypatch):
    from engine.verify.sandbox.ray_pool import RayPool

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SandboxBroken, match=r"sandbox\.backend=local"):
        RayPool(1, Limits())

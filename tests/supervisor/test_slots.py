"""Slots: one run at a time on each GPU, or on a machine without; who holds what is told rightly to any number who ask."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
from pathlib import Path

import pytest

from engine.protocol.durable import create_once, write_json
from engine.protocol.identity import identify
from engine.protocol.layout import Root
from engine.supervisor.slots import Queue, Slot, count_gpus, holders, slot_names, take, waiting
from remote.local_host import LocalHost
from tests.live import Specs, log_of, wait_final, wait_state
from tests.polling import until

HOLD = "echo $CUDA_VISIBLE_DEVICES; until [ -e go ]; do sleep 0.02; done"


@pytest.fixture
def two_gpus(root: Root) -> Root:
    write_json(root.host_file, {"gpus": 2})
    return root


def let_go(specs: Specs) -> None:
    (specs.folder / "go").touch()


def close(slots: list[Slot] | None) -> None:
    for slot in slots or []:
        os.close(slot.fd)


def test_what_the_hosts_file_states_counts(root: Root, two_gpus: Root) -> None:
    assert count_gpus(root) == 2
    assert slot_names(root, 1) == ["gpu0", "gpu1"]
    assert slot_names(root, 0) == ["cpu"]


def test_each_run_sees_its_own_gpu(host: LocalHost, specs: Specs, two_gpus: Root) -> None:
    runs = [specs.sh(HOLD, gpus=1) for _ in range(2)]
    for spec in runs:
        host.launch(spec)
        wait_state(two_gpus.run(spec.run_id), "running")
    logs = [until(lambda s=spec: log_of(two_gpus.run(s.run_id)), "a log") for spec in runs]  # type: ignore[misc]
    assert sorted(logs) == [b"0\n", b"1\n"]
    assert sorted(holders(two_gpus).values()) == sorted(spec.run_id for spec in runs)
    let_go(specs)
    for spec in runs:
        assert wait_final(two_gpus.run(spec.run_id)).state == "succeeded"


def test_a_run_of_both_gpus_waits_for_both_and_nobody_overtakes_it(
    host: LocalHost, specs: Specs, two_gpus: Root
) -> None:
    first, both, last = (specs.sh(HOLD, gpus=n) for n in (1, 2, 1))
    for spec, state in ((first, "running"), (both, "queued"), (last, "queued")):
        host.launch(spec)
        wait_state(two_gpus.run(spec.run_id), state)
        until(lambda: len(waiting(two_gpus)) + len(holders(two_gpus)) > 0, "the queue")
    until(lambda: [w.run_id for w in waiting(two_gpus)] == [both.run_id, last.run_id], "both to wait")
    let_go(specs)
    for spec in (first, both, last):
        assert wait_final(two_gpus.run(spec.run_id)).state == "succeeded"
    assert log_of(two_gpus.run(both.run_id)) == b"0,1\n"


def test_a_run_without_gpu_does_not_wait_for_one(host: LocalHost, specs: Specs, two_gpus: Root) -> None:
    gpu, cpu = specs.sh(HOLD, gpus=2), specs.sh('echo "[$CUDA_VISIBLE_DEVICES]"', env={"CUDA_VISIBLE_DEVICES": ""})
    host.launch(gpu)
    wait_state(two_gpus.run(gpu.run_id), "running")
    host.launch(cpu)
    assert wait_final(two_gpus.run(cpu.run_id)).state == "succeeded"
    assert log_of(two_gpus.run(cpu.run_id)) == b"[]\n"
    let_go(specs)
    wait_final(two_gpus.run(gpu.run_id))


def test_more_gpus_than_there_are_fail_at_once_and_say_so(host: LocalHost, specs: Specs, two_gpus: Root) -> None:
    spec = specs.sh("true", gpus=3)
    host.launch(spec)
    status = wait_final(two_gpus.run(spec.run_id))
    assert status.state == "failed"
    assert status.reason.startswith("it asks for 3 GPU(s) and this host has 2")
    assert waiting(two_gpus) == []


def test_two_who_ask_at_once_do_not_take_each_other_for_a_run(root: Root) -> None:
    root.slots.mkdir(parents=True)
    slot = take(root.slots / "cpu")
    assert slot is not None
    os.pwrite(slot.fd, b"earlier-run", 0)
    os.close(slot.fd)
    asking = os.open(root.slots / "cpu", os.O_RDONLY)
    fcntl.flock(asking, fcntl.LOCK_SH)  # another console in the middle of its question
    assert holders(root) == {}
    os.close(asking)


def ask_often(path: Path, wrong: object) -> None:
    for _ in range(300):
        if holders(Root(path)):
            wrong.set()  # type: ignore[attr-defined]


def test_many_who_ask_at_once_see_no_ghost(root: Root) -> None:
    root.slots.mkdir(parents=True)
    (root.slots / "cpu").write_text("earlier-run")
    context = multiprocessing.get_context("fork")
    wrong = context.Event()
    asking = [context.Process(target=ask_often, args=(root.path, wrong)) for _ in range(4)]
    for process in asking:
        process.start()
    for process in asking:
        process.join(20)
    assert not wrong.is_set()


def test_a_slot_that_is_asked_about_is_taken_at_the_next_try(root: Root) -> None:
    queue = Queue(root, "mine", 0)
    (root.slots / "cpu").touch()
    asking = os.open(root.slots / "cpu", os.O_RDONLY)
    fcntl.flock(asking, fcntl.LOCK_SH)
    assert queue.try_take() is None
    os.close(asking)
    held = queue.try_take()
    assert [slot.name for slot in held or []] == ["cpu"]
    assert holders(root) == {"cpu": "mine"}
    close(held)


def test_a_ticket_of_the_dead_is_taken_away(root: Root) -> None:
    root.queue.mkdir(parents=True)
    create_once(root.queue / "00000000000000000001~cpu~dead", {**identify().to_json(), "start": "never"})
    create_once(root.queue / "00000000000000000002~cpu~alive", identify().to_json())
    assert [(w.run_id, w.position) for w in waiting(root)] == [("alive", 1)]
    assert len(list(root.queue.iterdir())) == 1


def test_each_kind_of_slot_has_its_own_positions(root: Root) -> None:
    root.queue.mkdir(parents=True)
    for at, kind in enumerate(["cpu", "gpu", "gpu", "cpu"]):
        create_once(root.queue / f"{at:020d}~{kind}~run{at}", identify().to_json())
    assert [(w.run_id, w.kind, w.position) for w in waiting(root)] == [
        ("run0", "cpu", 1),
        ("run1", "gpu", 1),
        ("run2", "gpu", 2),
        ("run3", "cpu", 2),
    ]

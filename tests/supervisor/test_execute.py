"""A plan being executed: its end keeps what must not be lost and never goes on costing, whatever breaks on the way.

Most of it runs in this process with a clock of its own: `start` makes a run folder as a supervisor would leave it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.protocol.checks import compile_check
from engine.protocol.durable import read_json, write_json
from engine.protocol.events import encode
from engine.protocol.identity import Identity, alive
from engine.protocol.layout import Root
from engine.protocol.plan import EndPolicy, Item, Plan
from engine.protocol.spec import RunSpec
from engine.supervisor import execute as executing
from engine.supervisor.ops import LaunchError, prepare
from engine.supervisor.save import Kept
from remote.local_host import LocalHost
from tests.live import Specs, kill_and_wait, log_of, plan_of, step, wait_final, wait_state
from tests.polling import until
from tests.supervisor.world import Crash, World


@pytest.fixture
def world(root: Root, specs: Specs, tmp_path: Path) -> World:
    return World(root, specs, tmp_path / "safe")


def gate(text: str) -> Item:
    return Item("gate", "gate", checks=[compile_check(text)])


def test_everything_is_saved_and_verified_before_the_machine_ends(world: World) -> None:
    plan = plan_of(step(world.spec("a")), gate("step a succeeded"), step(world.spec("b")), end=world.end())
    progress = world.execute(plan)
    assert (progress.outcome, progress.verified, progress.terminated) == ("passed", True, True)
    assert world.started == ["a", "b"]
    assert world.is_safe("a")
    assert world.is_safe("b")
    assert world.times_ended() == 1


@pytest.mark.parametrize("how", ["failed", "lost", "stopped"])
def test_a_step_that_does_not_succeed_ends_the_plan_and_the_machine(world: World, how: str) -> None:
    world.ends["a"] = how
    progress = world.execute(plan_of(step(world.spec("a")), step(world.spec("b")), end=world.end()))
    assert (progress.outcome, progress.states[0]) == ("failed", how)
    assert world.started == ["a"]
    assert world.is_safe("a")
    assert world.times_ended() == 1


def test_a_shut_gate_saves_what_was_made_and_ends_the_machine(world: World) -> None:
    plan = plan_of(step(world.spec("a")), gate("fact rows of a > 3"), step(world.spec("b")), end=world.end())
    progress = world.execute(plan)
    assert progress.outcome == "blocked"
    assert "rows was never measured" in progress.reason
    assert world.started == ["a"]
    assert world.is_safe("a")
    assert world.times_ended() == 1


def test_a_manual_check_waits_for_nobody(world: World) -> None:
    plan = plan_of(step(world.spec("a")), gate("manual: it looks good"), end=world.end())
    assert world.execute(plan).outcome == "blocked"
    assert world.times_ended() == 1


def test_a_run_that_can_not_be_started_fails_the_plan_and_ends_the_machine(world: World) -> None:
    def refuse(spec: RunSpec) -> None:
        raise LaunchError("no more processes")

    world.on_start = refuse
    progress = world.execute(plan_of(step(world.spec("a")), end=world.end()))
    assert progress.outcome == "failed"
    assert "no more processes" in progress.reason
    assert world.times_ended() == 1


def test_a_check_that_breaks_the_judge_still_ends_the_machine(world: World) -> None:
    broken = Item("gate", "gate", checks=[{"kind": "from the future", "id": "x", "text": "x", "step": "a"}])
    progress = world.execute(plan_of(step(world.spec("a")), broken, end=world.end()))
    assert progress.outcome == "failed"
    assert "from the future" in progress.reason
    assert world.is_safe("a")
    assert world.times_ended() == 1


def test_a_copy_that_fails_at_first_is_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real, left = executing.copy, [3]

    def copy(kept: Kept) -> dict[str, str]:
        if left[0]:
            left[0] -= 1
            raise OSError(5, "the cable is out")
        return real(kept)

    monkeypatch.setattr(executing, "copy", copy)
    progress = world.execute(plan_of(step(world.spec("a")), end=world.end()))
    assert (progress.verified, progress.terminated) == (True, True)
    assert world.is_safe("a")


def test_a_corrupted_copy_is_found_and_copied_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real, left = executing.copy, [2]

    def copy(kept: Kept) -> dict[str, str]:
        done = real(kept)
        if left[0]:
            left[0] -= 1
            kept.target.write_bytes(b"flipped" + kept.target.read_bytes()[7:])
        return done

    monkeypatch.setattr(executing, "copy", copy)
    assert world.execute(plan_of(step(world.spec("a")), end=world.end())).terminated
    assert world.is_safe("a")


def corrupt_always(monkeypatch: pytest.MonkeyPatch) -> None:
    real = executing.copy

    def copy(kept: Kept) -> dict[str, str]:
        done = real(kept)
        kept.target.write_bytes(b"flipped")
        return done

    monkeypatch.setattr(executing, "copy", copy)


def fail_always(monkeypatch: pytest.MonkeyPatch) -> None:
    def copy(kept: Kept) -> dict[str, str]:
        raise OSError(5, "the cable is out")

    monkeypatch.setattr(executing, "copy", copy)


# How a plan with a cap ends when nothing can be copied: whether the machine is ended, and that within the grace.
@pytest.mark.parametrize("break_copy", [corrupt_always, fail_always])
@pytest.mark.parametrize("on_cap", ["save-then-terminate", "terminate"])
def test_at_a_cap_an_impossible_copy_does_not_hold_the_machine(
    world: World, monkeypatch: pytest.MonkeyPatch, break_copy: Callable[[pytest.MonkeyPatch], None], on_cap: str
) -> None:
    break_copy(monkeypatch)
    world.on_start = lambda spec: world.sleep(3700)
    plan = plan_of(step(world.spec("a")), step(world.spec("b")), end=world.end(on_cap=on_cap, max_hours=1.0))
    begun = world.now
    progress = world.execute(plan)
    assert (progress.outcome, progress.verified, progress.terminated) == ("capped", False, True)
    assert world.started == ["a"]
    assert world.now - begun < 3700 + 60 + 30


@pytest.mark.parametrize("break_copy", [corrupt_always, fail_always])
def test_hold_keeps_the_machine_until_the_copy_is_verified(
    world: World, monkeypatch: pytest.MonkeyPatch, break_copy: Callable[[pytest.MonkeyPatch], None]
) -> None:
    with monkeypatch.context() as broken:
        break_copy(broken)
        world.on_start = lambda spec: world.sleep(3700)
        plan = plan_of(step(world.spec("a")), step(world.spec("b")), end=world.end(on_cap="hold", max_hours=1.0))
        world.patience = 60
        with pytest.raises(AssertionError, match="never came to its end"):
            world.execute(plan)
        assert world.times_ended() == 0
        assert (read_json(world.root.plan(plan.plan_id).status) or {})["progress"]["stage"] == "hold"
    world.patience = 100
    assert world.execute(plan).verified
    assert world.is_safe("a")
    assert world.times_ended() == 1


def test_without_a_cap_a_failed_copy_is_tried_until_it_works(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real, begun = executing.copy, world.now

    def copy(kept: Kept) -> dict[str, str]:
        if world.now < begun + 1000:
            raise OSError(5, "the cable is out")
        return real(kept)

    monkeypatch.setattr(executing, "copy", copy)
    assert world.execute(plan_of(step(world.spec("a")), end=world.end())).terminated
    assert world.is_safe("a")


def test_ending_the_machine_is_tried_until_it_is_said_to_have_worked(world: World) -> None:
    count = world.safe.parent / "tries"
    script = f"echo x >> {count}; test $(wc -l < {count}) -ge 3 || {{ echo 'API is down' >&2; exit 1; }}"
    progress = world.execute(plan_of(step(world.spec("a")), end=world.end(terminate=["sh", "-c", script])))
    assert progress.terminated
    assert len(count.read_bytes().split()) == 3


def test_a_command_for_ending_that_is_not_there_is_a_problem_in_words(world: World) -> None:
    plan = plan_of(step(world.spec("a")), end=world.end(terminate=["/no/such/program"]))
    world.patience = 20
    with pytest.raises(AssertionError, match="never came to its end"):
        world.execute(plan)
    said = (read_json(world.root.plan(plan.plan_id).status) or {})["progress"]
    assert said["stage"] == "terminate"
    assert "/no/such/program" in said["problem"]


def test_a_run_that_was_lost_has_its_files_saved_by_their_patterns(world: World) -> None:
    """Supervisor and shim were killed: nobody recorded the outputs, but they are there."""

    def start(spec: RunSpec) -> None:
        prepare(world.root, spec)
        paths = world.root.run(spec.run_id)
        (world.specs.folder / "a.pt").write_bytes(b"a" * 1000)
        dead = {"pid": 1, "start": "0", "boot": "gone"}
        write_json(paths.status, {"state": "running", "supervisor": dead, "command": dead, "shim": dead})

    plan = plan_of(step(world.spec("a")), end=world.end())
    executor = world.executor(plan)
    executor.start = start
    progress = executor.execute()
    assert (progress.states, progress.outcome) == (["lost"], "failed")
    assert world.is_safe("a")
    assert world.times_ended() == 1


def test_the_last_checkpoint_of_an_unfinished_run_is_saved(world: World) -> None:
    def checkpoint(spec: RunSpec) -> None:
        folder = world.specs.folder
        for n in (1, 2):
            (folder / f"step{n}.pt").write_bytes(b"w" * n)
        lines = [encode({"kind": "checkpoint", "path": f"step{n}.pt", "step": n}) for n in (1, 2)]
        world.root.run(spec.run_id).events.write_bytes(b"".join(lines))

    world.on_start = checkpoint
    world.ends["a"] = "stopped"
    world.execute(plan_of(step(world.spec("a")), end=world.end()))
    assert sorted(p.name for p in (world.safe / "phase0" / "cpu").iterdir()) == ["a.pt", "step2.pt"]


def test_a_folder_is_saved_whole(world: World) -> None:
    def folder(spec: RunSpec) -> None:
        (world.specs.folder / "model" / "deep").mkdir(parents=True)
        (world.specs.folder / "model" / "deep" / "w.bin").write_bytes(b"weights")
        (world.specs.folder / "model" / "config.json").write_bytes(b"{}")
        lines = encode({"kind": "checkpoint", "path": "model", "step": 1})
        world.root.run(spec.run_id).events.write_bytes(lines)

    world.on_start = folder
    world.ends["a"] = "failed"
    progress = world.execute(plan_of(step(world.spec("a")), end=world.end()))
    assert progress.verified
    assert (world.safe / "phase0" / "cpu" / "model" / "deep" / "w.bin").read_bytes() == b"weights"


def test_progress_that_can_not_be_written_does_not_keep_the_machine(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = executing.write_json

    def full(path: Path, value: object) -> None:
        if path.name == "status.json":
            raise OSError(28, "No space left on device")
        real(path, value)

    monkeypatch.setattr(executing, "write_json", full)
    assert world.execute(plan_of(step(world.spec("a")), end=world.end())).terminated
    assert world.is_safe("a")


@pytest.mark.parametrize("after", [False, True], ids=["before the write", "after the write"])
def test_killed_at_every_moment_and_started_again_it_comes_to_the_same_end(
    world: World, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """kill -9 at each write of progress in turn, and at each start of a run: the second executor finishes the plan."""
    real_write, real_start = executing.write_json, world.start
    for moment in range(40):
        left = [moment]

        def tick(left: list[int] = left) -> bool:
            left[0] -= 1
            return left[0] == -1

        def write(path: Path, value: object, tick: Callable[[], bool] = tick) -> None:
            die = tick()
            if die and not after:
                raise Crash
            real_write(path, value)
            if die:
                raise Crash

        def start(spec: RunSpec, tick: Callable[[], bool] = tick) -> None:
            die = tick()
            if die and not after:
                raise Crash
            if not world.root.run(spec.run_id).claim.exists():
                real_start(spec)
            if die:
                raise Crash

        world.started.clear()
        world.ended.unlink(missing_ok=True)
        plan = plan_of(step(world.spec("a")), gate("step a succeeded"), step(world.spec("b")), end=world.end())
        with monkeypatch.context() as broken:
            broken.setattr(executing, "write_json", write)
            executor = world.executor(plan)
            executor.start = start
            try:
                executor.execute()
                crashed = False
            except Crash:
                crashed = True
        progress = world.execute(plan)
        assert (progress.outcome, progress.stage, progress.verified) == ("passed", "done", True), moment
        assert sorted(world.started) == ["a", "b"], moment
        assert world.times_ended() >= 1
        if not crashed:
            break
    else:
        pytest.fail("the plan has more moments than the test looks at")
    assert moment > 8


@pytest.mark.parametrize("spoilt", [b"", b"{", b'"status"', b"\0" * 100])
def test_a_spoilt_status_does_not_set_the_clock_of_the_cap_back(world: World, spoilt: bytes) -> None:
    plan = plan_of(step(world.spec("one")), end=world.end(max_hours=1.0), created=world.now)
    world.ends["one"] = "running"
    executor = world.executor(plan)
    executor._write()
    world.root.plan(plan.plan_id).status.write_bytes(spoilt)
    world.now += 3599
    again = world.executor(plan)
    again._look()
    assert again.progress.elapsed_s == 3599
    world.now += 1
    assert world.execute(plan).outcome == "capped"


def test_a_laptop_whose_clock_is_ahead_gives_no_plan_more_time(world: World) -> None:
    plan = plan_of(step(world.spec("one")), end=world.end(max_hours=1.0), created=world.now + 9999)
    world.executor(plan)._write()
    world.root.plan(plan.plan_id).status.write_bytes(b"")
    again = world.executor(plan)
    world.now += 10
    again._look()
    assert again.progress.elapsed_s == 10


def test_a_finished_plan_that_is_started_again_does_nothing_more(world: World) -> None:
    plan = plan_of(step(world.spec("a")), end=world.end())
    world.execute(plan)
    world.execute(plan)
    assert world.started == ["a"]
    assert world.times_ended() == 1


# From here on with real processes.


def executor_of(host: LocalHost, plan: Plan) -> Identity:
    def found() -> Identity | None:
        return Identity.from_json((read_json(host.root.plan(plan.plan_id).status) or {}).get("executor"))

    identity = until(found, "the executor")
    assert identity is not None
    return identity


def ended(host: LocalHost, plan: Plan) -> dict[str, Any]:
    def done() -> dict[str, Any]:
        progress = (read_json(host.root.plan(plan.plan_id).status) or {}).get("progress") or {}
        return progress if progress.get("stage") == "done" else {}

    return until(done, "the end of the plan")


def test_an_executor_killed_in_a_step_goes_on_where_it_was(host: LocalHost, specs: Specs) -> None:
    first = specs.sh("echo one; while [ ! -e go ]; do sleep 0.02; done", step="a")
    second = specs.sh("echo two", step="b")
    plan = plan_of(step(first), step(second))
    assert host.launch_plan(plan) == "executing"
    until(lambda: b"one" in log_of(host.root.run(first.run_id)), "the first step")
    kill_and_wait(executor_of(host, plan))
    (specs.folder / "go").touch()
    wait_final(host.root.run(first.run_id))
    assert host.launch_plan(plan) == "executing"
    progress = ended(host, plan)
    assert (progress["outcome"], progress["states"]) == ("passed", ["succeeded", "succeeded"])
    assert log_of(host.root.run(first.run_id)) == b"one\n"


def test_a_plan_is_executed_by_one_executor(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh("echo on; exec sleep 60")
    plan = plan_of(step(spec))
    assert host.launch_plan(plan) == "executing"
    who = executor_of(host, plan)
    assert host.launch_plan(plan) == "already executing"
    assert alive(who)
    assert executor_of(host, plan) == who


def test_a_stopped_plan_does_not_wait_for_a_checkpoint_that_nobody_writes(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh("echo on; exec sleep 60")
    plan = plan_of(step(spec), end=EndPolicy(grace_s=600.0))
    host.launch_plan(plan)
    until(lambda: b"on" in log_of(host.root.run(spec.run_id)), "the step")
    wait_state(host.root.run(spec.run_id), "running")
    host.stop_plan(plan.plan_id, "ann", "enough")
    progress = ended(host, plan)
    assert progress["outcome"] == "stopped"
    assert host.observe(spec.run_id).state == "stopped"


def test_a_stopped_plan_waits_for_the_checkpoint_and_saves_it(host: LocalHost, specs: Specs, tmp_path: Path) -> None:
    script = """
save() { sleep 0.3; echo weights > ck.pt
  echo "{\\"kind\\":\\"checkpoint\\",\\"path\\":\\"ck.pt\\",\\"time\\":$(date +%s.%N)}" >> "$FRACTAL_EVENTS"; }
trap save USR2
echo on
while :; do sleep 0.05; done
"""
    spec = specs.sh(script)
    plan = plan_of(step(spec), end=EndPolicy(grace_s=600.0, save_to=str(tmp_path / "safe")))
    host.launch_plan(plan)
    until(lambda: b"on" in log_of(host.root.run(spec.run_id)), "the step")
    wait_state(host.root.run(spec.run_id), "running")
    host.stop_plan(plan.plan_id, "ann", "enough")
    assert ended(host, plan)["verified"]
    assert (tmp_path / "safe" / "phase0" / "cpu" / "ck.pt").read_text() == "weights\n"


def test_a_plan_ends_a_step_whose_supervisor_was_killed(host: LocalHost, specs: Specs) -> None:
    from tests.live import identities

    spec = specs.sh("echo on; exec sleep 60", grace_s=0.5)
    plan = plan_of(step(spec), end=EndPolicy(grace_s=0.5))
    host.launch_plan(plan)
    paths = host.root.run(spec.run_id)
    until(lambda: b"on" in log_of(paths), "the step")
    wait_state(paths, "running")
    kill_and_wait(identities(paths)["supervisor"])
    host.stop_plan(plan.plan_id, "ann", "enough")
    assert ended(host, plan)["outcome"] == "stopped"
    assert wait_final(paths).state == "stopped"
    assert time.time() > 0

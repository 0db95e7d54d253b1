"""What a plan does next, as tables: outcomes, caps, copies, ends. Pure."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.protocol.case import Word
from engine.protocol.checks import compile_check
from engine.protocol.gates import Verdict
from engine.protocol.plan import EndPolicy, Item, Plan, Progress, judged, next_end_move, next_move
from engine.protocol.version import NewerProtocol
from tests.live import Specs, plan_of, step

SAVES = EndPolicy(save_to="/safe", terminate=["end-it"], grace_s=100.0, max_hours=1.0)
OUTCOMES = ("passed", "failed", "blocked", "capped", "stopped")
ON_CAP = ("save-then-terminate", "terminate", "hold")


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    specs = Specs(tmp_path / "work")
    gate = Item("gate", "g", checks=[compile_check("step a succeeded")])
    return plan_of(step(specs.sh("true", step="a")), gate, step(specs.sh("true", step="b")), end=SAVES)


def progress(*states: str, **more: Any) -> Progress:
    return Progress(states=list(states), reasons=["because"] * len(states), **more)


@pytest.mark.parametrize(
    ("states", "do", "item"),
    [
        (("waiting", "waiting", "waiting"), "run", 0),
        (("queued", "waiting", "waiting"), "wait", 0),
        (("starting", "waiting", "waiting"), "wait", 0),
        (("running", "waiting", "waiting"), "wait", 0),
        (("stalled", "waiting", "waiting"), "wait", 0),
        (("orphaned", "waiting", "waiting"), "wait", 0),
        (("succeeded", "waiting", "waiting"), "judge", 1),
        (("succeeded", "passed", "waiting"), "run", 2),
        (("succeeded", "overridden", "waiting"), "run", 2),
        (("succeeded", "passed", "running"), "wait", 2),
    ],
)
def test_the_next_item(plan: Plan, states: tuple[str, ...], do: str, item: int) -> None:
    move = next_move(plan, progress(*states))
    assert (move.do, move.item) == (do, item)


@pytest.mark.parametrize(
    ("states", "outcome", "words"),
    [
        (("succeeded", "passed", "succeeded"), "passed", ""),
        (("failed", "waiting", "waiting"), "failed", "step a failed: because"),
        (("stopped", "waiting", "waiting"), "failed", "step a stopped"),
        (("lost", "waiting", "waiting"), "failed", "step a lost"),
        (("succeeded", "failed", "waiting"), "blocked", "gate g"),
        (("succeeded", "stale", "waiting"), "blocked", "gate g"),
        (("succeeded", "blocked", "waiting"), "blocked", "because"),
        (("succeeded", "passed", "failed"), "failed", "step b"),
    ],
)
def test_how_it_finishes(plan: Plan, states: tuple[str, ...], outcome: str, words: str) -> None:
    move = next_move(plan, progress(*states))
    assert (move.do, move.outcome) == ("finish", outcome)
    assert words in move.reason


def test_a_person_stops_it_whatever_runs(plan: Plan) -> None:
    move = next_move(plan, progress("running", "waiting", "waiting", stop_by="ann"))
    assert (move.do, move.outcome) == ("finish", "stopped")
    assert "ann" in move.reason


@pytest.mark.parametrize(("elapsed", "do"), [(3599.9, "wait"), (3600.0, "finish"), (1e9, "finish")])
def test_the_cap_in_hours(plan: Plan, elapsed: float, do: str) -> None:
    move = next_move(plan, progress("running", "waiting", "waiting", elapsed_s=elapsed))
    assert move.do == do
    assert move.outcome == ("capped" if do == "finish" else "")


@pytest.mark.parametrize(
    ("end", "seconds"),
    [
        (EndPolicy(), None),
        (EndPolicy(max_hours=2.0), 7200.0),
        (EndPolicy(max_usd=3.0, price_usd_per_h=1.5), 7200.0),
        (EndPolicy(max_hours=1.0, max_usd=3.0, price_usd_per_h=1.5), 3600.0),
        (EndPolicy(max_hours=9.0, max_usd=3.0, price_usd_per_h=1.5), 7200.0),
        (EndPolicy(max_usd=3.0), None),
        (EndPolicy(max_hours=0.0), 0.0),
    ],
)
def test_the_tighter_cap_counts(end: EndPolicy, seconds: float | None) -> None:
    assert end.seconds_allowed() == seconds


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_what_still_runs_is_asked_for_a_checkpoint_first(outcome: str) -> None:
    assert next_end_move(SAVES, Progress(outcome=outcome, run_alive=True)).do == "checkpoint"
    waiting = Progress(outcome=outcome, run_alive=True, stage="checkpoint", stage_s=99.0)
    assert next_end_move(SAVES, waiting).do == "checkpoint"


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_then_it_is_stopped_and_the_stop_is_kept_up(outcome: str) -> None:
    over = Progress(outcome=outcome, run_alive=True, stage="checkpoint", stage_s=100.0)
    written = Progress(outcome=outcome, run_alive=True, stage="checkpoint", checkpointed=True)
    stopping = Progress(outcome=outcome, run_alive=True, stage="stop", stage_s=50.0)
    assert [next_end_move(SAVES, p).do for p in (over, written, stopping)] == ["stop"] * 3


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("on_cap", ON_CAP)
def test_what_is_verified_may_be_terminated(outcome: str, on_cap: str) -> None:
    end = replace(SAVES, on_cap=on_cap)
    done = Progress(outcome=outcome, saved=True, verified=True, stage="verify")
    assert next_end_move(end, done).do == "terminate"
    assert next_end_move(end, replace(done, terminated=True, stage="terminate")).do == "done"


# (on_cap, within the grace of saving) → what is done while the copy is not verified, when a cap ended the plan
AT_CAP = {
    ("save-then-terminate", True): "save",
    ("save-then-terminate", False): "terminate",
    ("terminate", True): "terminate",
    ("terminate", False): "terminate",
    ("hold", True): "save",
    ("hold", False): "hold",
}


@pytest.mark.parametrize(("on_cap", "in_time"), AT_CAP)
@pytest.mark.parametrize("stage", ["save", "verify"])
def test_an_unsaved_copy_at_a_cap(on_cap: str, in_time: bool, stage: str) -> None:
    end = replace(SAVES, on_cap=on_cap)
    now = Progress(outcome="capped", stage=stage, stage_s=99.0 if in_time else 100.0, elapsed_s=3700.0)
    assert next_end_move(end, now).do == AT_CAP[(on_cap, in_time)]


@pytest.mark.parametrize("on_cap", ON_CAP)
@pytest.mark.parametrize("outcome", [o for o in OUTCOMES if o != "capped"])
def test_an_unsaved_copy_without_a_cap_holds_the_machine(on_cap: str, outcome: str) -> None:
    end = replace(SAVES, on_cap=on_cap)
    trying = Progress(outcome=outcome, stage="save", stage_s=99.0, elapsed_s=10.0)
    assert next_end_move(end, trying).do == "save"
    assert next_end_move(end, replace(trying, stage_s=100.0)).do == "hold"
    assert next_end_move(end, replace(trying, stage="hold", elapsed_s=3600.0)).do == "hold"


@pytest.mark.parametrize(
    ("on_cap", "do"), [("save-then-terminate", "terminate"), ("terminate", "terminate"), ("hold", "hold")]
)
def test_a_hold_ends_at_a_later_cap_unless_it_was_chosen(on_cap: str, do: str) -> None:
    held = Progress(outcome="passed", stage="hold", elapsed_s=3700.0)
    assert next_end_move(replace(SAVES, on_cap=on_cap), held).do == do


def test_a_hold_without_any_cap_never_ends_by_itself() -> None:
    held = Progress(outcome="passed", stage="hold", elapsed_s=1e9)
    assert next_end_move(replace(SAVES, max_hours=None), held).do == "hold"


def test_the_decision_to_end_an_unsaved_machine_stands_while_the_attempts_fail() -> None:
    failing = Progress(outcome="capped", stage="terminate", stage_s=500.0, elapsed_s=9e9, problem="API is down")
    assert next_end_move(SAVES, failing).do == "terminate"
    assert next_end_move(SAVES, replace(failing, terminated=True)).do == "done"


def test_saved_is_verified_before_anything_ends() -> None:
    assert next_end_move(SAVES, Progress(outcome="passed", stage="save", saved=True)).do == "verify"


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_nothing_to_save_and_nothing_to_end_is_done(outcome: str) -> None:
    assert next_end_move(EndPolicy(), Progress(outcome=outcome)).do == "done"


def test_nothing_to_save_ends_the_machine_at_once() -> None:
    assert next_end_move(EndPolicy(terminate=["end-it"]), Progress(outcome="failed")).do == "terminate"


def test_a_run_that_can_not_be_stopped_does_not_burn_money_for_ever() -> None:
    stuck = Progress(outcome="capped", run_alive=True, stage="stop", stage_s=1e6, unstoppable=True, elapsed_s=1e6)
    assert next_end_move(SAVES, stuck).do in ("save", "terminate")


def test_a_plan_survives_json(plan: Plan) -> None:
    full = replace(plan, ticks={"x": Word("ann", "looks good", 1.0)}, overrides={"y": Word("bob", "known", 2.0)})
    assert Plan.from_json(json.loads(json.dumps(full.to_json()))) == full


def test_a_newer_plan_is_refused(plan: Plan) -> None:
    with pytest.raises(NewerProtocol):
        Plan.from_json({**plan.to_json(), "v": 2})


def verdict(state: str) -> Verdict:
    return Verdict("id", f"check {state}", state, "the numbers")


@pytest.mark.parametrize(
    ("states", "state", "words"),
    [
        (("passed", "passed"), "passed", ""),
        (("passed", "overridden"), "overridden", ""),
        (("passed", "failed", "waiting"), "failed", "check failed — the numbers"),
        (("passed", "waiting"), "blocked", "check waiting — the numbers"),
        (("stale", "passed"), "stale", "check stale — the numbers"),
    ],
)
def test_a_plan_waits_for_nobody(states: tuple[str, ...], state: str, words: str) -> None:
    assert judged([verdict(s) for s in states]) == (state, words)

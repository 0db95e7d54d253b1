from __future__ import annotations

import ast
import math
from dataclasses import replace
from pathlib import Path

import pytest

from remote.cloud.guard_rules import END_MARGIN_S, Facts, decide

LAUNCHED = 1_000_000.0
LEASE = LAUNCHED + 4 * 3600
GRACE = 600.0

USED = Facts(
    now=LAUNCHED + 3600,
    asked_at=LAUNCHED,
    lease_until=LEASE,
    max_usd=100.0,
    price_cents_per_h=129,
    billing_from=LAUNCHED + 100,
    on_cap="save-then-terminate",
    grace_s=GRACE,
)


def action(**changes: object) -> str:
    return decide(replace(USED, **changes)).action  # type: ignore[arg-type]


def test_a_machine_within_its_caps_is_left_alone() -> None:
    assert action() == "nothing"


def test_saving_is_asked_one_grace_before_the_lease_ends() -> None:
    assert action(now=LEASE - GRACE - 1) == "nothing"
    assert action(now=LEASE - GRACE) == "save"


def test_a_machine_ends_as_soon_as_everything_is_verified() -> None:
    assert action(now=LEASE - 500, save_asked_at=LEASE - GRACE, unverified=()) == "terminate"


def test_a_machine_waits_for_its_files_until_the_lease_ends_and_no_longer() -> None:
    waiting = {"save_asked_at": LEASE - GRACE, "unverified": ("critic.pt",)}
    assert action(now=LEASE - 1, **waiting) == "nothing"
    assert action(now=LEASE, **waiting) == "terminate"


def test_not_knowing_what_is_saved_is_not_saved() -> None:
    assert action(now=LEASE - 1, save_asked_at=LEASE - GRACE, unverified=None) == "nothing"
    assert action(now=LEASE, save_asked_at=LEASE - GRACE, unverified=None) == "terminate"


def test_hold_keeps_what_is_not_verified_and_says_that_it_bills() -> None:
    facts = replace(USED, on_cap="hold", now=LEASE + 9, save_asked_at=LEASE - GRACE, unverified=("critic.pt",))
    assert decide(facts).action == "hold"
    assert "IT STILL BILLS" in decide(facts).because
    assert decide(replace(facts, unverified=())).action == "terminate"


def test_terminate_at_the_cap_asks_nobody() -> None:
    assert action(on_cap="terminate", now=LEASE - 1) == "nothing"
    assert action(on_cap="terminate", now=LEASE) == "terminate"


def test_a_laptop_that_slept_over_the_lease_still_gives_one_grace() -> None:
    woke = LEASE + 3600
    assert action(now=woke) == "save"
    assert action(now=woke + GRACE - 1, save_asked_at=woke) == "nothing"
    assert action(now=woke + GRACE, save_asked_at=woke) == "terminate"


def test_the_budget_ends_before_the_minute_that_would_exceed_it() -> None:
    span = math.floor(2.58 * 6000 / 129) * 60
    facts = replace(USED, max_usd=2.58, on_cap="terminate")
    end = facts.billing_from + span
    assert span == 7200
    assert decide(replace(facts, now=end - END_MARGIN_S - 1)).action == "nothing"
    assert decide(replace(facts, now=end - END_MARGIN_S)).action == "terminate"


def test_the_grace_of_a_short_life_is_a_quarter_of_it() -> None:
    lease = LAUNCHED + 600
    assert action(lease_until=lease, now=lease - 151) == "nothing"
    assert action(lease_until=lease, now=lease - 150) == "save"


def test_a_free_machine_has_no_budget_to_exceed() -> None:
    assert action(price_cents_per_h=0, max_usd=0.0) == "nothing"


IDLE = {"idle_minutes": 30.0, "is_activity_known": True}


def test_idle_time_counts_from_the_last_use() -> None:
    busy = LAUNCHED + 600
    assert action(**IDLE, busy_at=busy, now=busy + 1799) == "nothing"
    assert action(**IDLE, busy_at=busy, now=busy + 1800) == "save"


def test_a_machine_that_was_never_used_is_idle_since_its_bill_began() -> None:
    assert action(**IDLE, now=USED.billing_from + 1799) == "nothing"
    assert action(**IDLE, now=USED.billing_from + 1800) == "save"


def test_a_booting_machine_is_not_idle() -> None:
    assert action(**IDLE, was_active=False) == "nothing"


def test_a_machine_that_nobody_can_look_into_is_not_idle() -> None:
    assert action(idle_minutes=30.0, is_activity_known=False) == "nothing"


def test_use_during_the_grace_of_an_idle_machine_keeps_it() -> None:
    due = LAUNCHED + 600 + 1800
    assert action(**IDLE, busy_at=due + 60, now=due + 120, save_asked_at=due) == "nothing"


def test_a_save_of_an_earlier_idle_spell_does_not_count_at_the_lease() -> None:
    assert action(**IDLE, now=LEASE - 10, busy_at=LEASE - 20, save_asked_at=LEASE - 7000, unverified=()) == "save"


def test_idle_and_saved_ends_at_once() -> None:
    due = LAUNCHED + 600 + 1800
    assert action(**IDLE, busy_at=LAUNCHED + 600, now=due + 60, save_asked_at=due, unverified=()) == "terminate"


def test_an_end_that_was_decided_is_pursued_whatever_else_holds() -> None:
    assert action(is_ending=True, on_cap="hold") == "terminate"


@pytest.mark.parametrize("name", ["guard_rules", "activity", "instance_guard"])
def test_what_runs_on_the_machine_is_standard_library_and_python_3_10(name: str) -> None:
    source = (Path(__file__).parents[3] / "remote" / "cloud" / f"{name}.py").read_text()
    tree = ast.parse(source, feature_version=(3, 10))
    imported = {
        alias.name.split(".")[0] if isinstance(node, ast.Import) else (node.module or "")
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    import sys

    ours = {"remote.cloud.guard_rules", "remote.cloud.activity"}
    assert imported <= set(sys.stdlib_module_names) | ours | {"collections.abc", "urllib.error", "urllib.request"}

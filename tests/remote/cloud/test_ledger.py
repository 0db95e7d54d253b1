from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from remote.cloud.caps import caps_for
from remote.cloud.cloud_paths import CloudPaths
from remote.cloud.ledger import Entry, Ledger, NameTaken, caps_of_tags, new_entry

NOW = 1_790_000_000.0


def entry(name: str = "a100") -> Entry:
    return new_entry(name, "gpu_1x_a100_sxm4", "us-east-1", 129, "acc", caps_for(129), NOW)


def test_an_entry_comes_back_as_it_was_written(ledger: Ledger) -> None:
    written = entry()
    ledger.intend(written)
    assert ledger.get(written.uuid) == written


def test_an_intent_survives_a_process_that_is_killed_right_after_it(paths: CloudPaths) -> None:
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from remote.cloud.caps import caps_for\n"
        "from remote.cloud.ledger import Ledger, new_entry\n"
        "Ledger(Path(sys.argv[1])).intend(new_entry('a', 't', 'r', 129, 'acc', caps_for(129), 1.0))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", program, str(paths.ledger)], cwd=root, env={**os.environ})
    assert done.returncode == -signal.SIGKILL
    with Ledger(paths.ledger) as ledger:
        assert [e.name for e in ledger.open()] == ["a"]


def test_every_write_waits_for_the_disk(paths: CloudPaths) -> None:
    with Ledger(paths.ledger) as ledger:
        assert ledger._db.execute("pragma synchronous").fetchone()[0] == 3  # extra
        assert ledger._db.execute("pragma journal_mode").fetchone()[0] == "delete"


def test_a_name_belongs_to_one_open_machine(ledger: Ledger) -> None:
    ledger.intend(entry())
    with pytest.raises(NameTaken, match="instances terminate a100"):
        ledger.intend(entry())


def test_a_name_is_free_again_when_its_machine_has_ended(ledger: Ledger) -> None:
    first = entry()
    ledger.intend(first)
    ledger.rented(first.uuid, "i1", NOW)
    ledger.ended(first.uuid, "confirmed", NOW)
    ledger.intend(entry())
    assert len(ledger.all()) == 2


def test_an_ended_machine_does_not_come_back_by_a_late_word_of_another_console(ledger: Ledger) -> None:
    one = entry()
    ledger.intend(one)
    ledger.rented(one.uuid, "i1", NOW)
    ledger.ended(one.uuid, "confirmed", NOW)
    ledger.ending(one.uuid, "late", NOW)
    ledger.rented(one.uuid, "i1", NOW)
    assert ledger.get(one.uuid).state == "ended"  # type: ignore[union-attr]


def test_a_launch_in_doubt_stays_open(ledger: Ledger) -> None:
    one = entry()
    ledger.intend(one)
    ledger.doubt(one.uuid, "HTTP 500", NOW)
    assert ledger.open()[0].reason == "HTTP 500"


def test_the_bill_can_only_begin_after_the_last_look_at_a_booting_machine(ledger: Ledger) -> None:
    one = entry()
    ledger.intend(one)
    ledger.rented(one.uuid, "i1", NOW)
    ledger.seen(one.uuid, is_active=False, now=NOW + 90)
    ledger.seen(one.uuid, is_active=True, now=NOW + 100)
    ledger.seen(one.uuid, is_active=False, now=NOW + 500)
    found = ledger.get(one.uuid)
    assert found is not None
    assert found.billing_from == NOW + 90
    assert found.cost_usd(NOW + 90 + 3600) == pytest.approx(1.29)


def test_every_change_leaves_a_line_and_a_change_that_is_not_allowed_leaves_none(ledger: Ledger) -> None:
    one = entry()
    ledger.intend(one)
    ledger.ended(one.uuid, "not from asked", NOW)
    ledger.rented(one.uuid, "i1", NOW)
    assert ledger.history(one.uuid) == ["asked: gpu_1x_a100_sxm4 in us-east-1", "rented as i1"]


def test_tags_fit_the_provider_and_carry_the_caps() -> None:
    tags = entry().tags()
    assert all(len(key) <= 55 and len(value) <= 128 for key, value in tags.items())
    assert caps_of_tags(tags) == {"usd": "5.16", "idle": "30", "on_cap": "save-then-terminate", "grace": "600"}


def test_the_ledger_is_closed_to_other_users(ledger: Ledger, paths: CloudPaths) -> None:
    assert paths.ledger.stat().st_mode & 0o077 == 0

"""The console's memory: two consoles at once, kill -9 at any point, a lost or broken file; words are only ever added."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from console import errors
from console.standing import _deciding, _runs_of
from console.store import RunRow, Store
from engine.config.phase import Step
from engine.protocol.durable import create_once, write_json
from engine.protocol.events import encode
from engine.protocol.evidence import Evidence
from engine.protocol.layout import Root
from engine.protocol.spec import RunSpec
from engine.protocol.status import Status
from tests.polling import until

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "console.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store(path)
    yield store
    store.close()


@pytest.fixture
def other(path: Path, store: Store) -> Iterator[Store]:
    other = Store(path)
    yield other
    other.close()


def spec(run_id: str, **more: object) -> RunSpec:
    given = {"project": "p", "phase": "phase1", "step": "s", "preset": "cpu", "variant": "cpu", "created": 5.0}
    return RunSpec(run_id=run_id, argv=["true"], cwd="/", work="/", **{**given, **more})  # type: ignore[arg-type]


def ended(root: Root, run_id: str, state: str = "succeeded") -> None:
    """A run folder as a supervisor leaves it."""
    paths = root.run(run_id)
    paths.folder.mkdir(parents=True, exist_ok=True)
    create_once(paths.spec, spec(run_id).to_json())
    paths.events.write_bytes(encode({"kind": "fact", "name": "n", "value": 7}))
    write_json(paths.result, {"state": state, "reason": "as told", "started": 1.0, "ended": 2.0})


def say(store: Store, said: bool = True, who: str = "ann", reason: str = "", check: str = "c") -> None:
    store.say("tick", "p", "phase1", "cpu", check, said, who, reason, "code")


def rows_of_words(path: Path) -> list[tuple[object, ...]]:
    database = sqlite3.connect(path)
    try:
        return database.execute("SELECT * FROM words ORDER BY n").fetchall()
    finally:
        database.close()


# What people said.


def test_the_newest_word_counts_and_every_older_one_is_kept(store: Store, path: Path) -> None:
    for said, who in ((True, "ann"), (False, "bob"), (True, "cid")):
        before = rows_of_words(path)
        say(store, said, who)
        assert rows_of_words(path)[:-1] == before
    assert store.words("tick", "p", "phase1", "cpu")["c"].by == "cid"
    assert len(rows_of_words(path)) == 3


def test_a_word_taken_back_is_gone_and_its_row_is_not(store: Store, path: Path) -> None:
    say(store)
    say(store, said=False)
    assert store.words("tick", "p", "phase1", "cpu") == {}
    assert len(rows_of_words(path)) == 2


def test_a_word_is_of_its_kind_project_phase_and_preset(store: Store) -> None:
    say(store)
    for kind, *where in (
        ("override", "p", "phase1", "cpu"),
        ("tick", "q", "phase1", "cpu"),
        ("tick", "p", "phase2", "cpu"),
        ("tick", "p", "phase1", "a100"),
    ):
        assert store.words(kind, *where) == {}


# Two consoles.


def test_what_one_console_says_the_other_sees(store: Store, other: Store) -> None:
    say(store, reason="read them")
    assert other.words("tick", "p", "phase1", "cpu")["c"].reason == "read them"
    other.remember("phase", "phase7")
    assert store.recall("phase") == "phase7"
    store.put_run(spec("a"), Status("running"))
    assert [row.run_id for row in other.runs("p")] == ["a"]


def test_looking_does_not_wait_for_a_console_that_writes(store: Store, other: Store) -> None:
    store.put_run(spec("a"), Status("running"))
    store._db.execute("BEGIN IMMEDIATE")
    say(store)
    begun = time.monotonic()
    assert [row.run_id for row in other.runs()] == ["a"]
    assert other.words("tick", "p", "phase1", "cpu") == {}
    assert time.monotonic() - begun < 5
    store._db.execute("COMMIT")
    assert other.words("tick", "p", "phase1", "cpu") != {}


def in_processes(work: object, path: Path, count: int) -> None:
    """All at once; each must end well."""
    gate = FORK.Barrier(count)
    processes = [FORK.Process(target=work, args=(path, gate, n)) for n in range(count)]  # type: ignore[arg-type]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * count


def open_at_once(path: Path, gate: object, n: int) -> None:
    gate.wait()  # type: ignore[attr-defined]
    store = Store(path)
    say(store, who=f"user{n}")
    store.close()


def test_consoles_that_open_a_new_index_at_once_all_get_it(path: Path) -> None:
    in_processes(open_at_once, path, 8)
    assert len(rows_of_words(path)) == 8


def write_much(path: Path, gate: object, n: int) -> None:
    store = Store(path)
    gate.wait()  # type: ignore[attr-defined]
    for at in range(100):
        say(store, who=f"user{n}", check=f"c{at}")
        store.put_run(spec(f"run{at}"), Status("running", f"seen by {n}"))
        store.remember("phase", n)
    store.close()


def test_consoles_that_write_at_once_lose_nothing(path: Path) -> None:
    in_processes(write_much, path, 3)
    said = [row[7] for row in rows_of_words(path)]
    assert {who: said.count(who) for who in set(said)} == {"user0": 100, "user1": 100, "user2": 100}
    store = Store(path)
    assert len(store.runs()) == 100
    store.close()


def refresh_much(path: Path, gate: object, n: int) -> None:
    store, root = Store(path), Root(path.parent / "root")
    gate.wait()  # type: ignore[attr-defined]
    for at in range(40):
        ended(root, f"run-{n}-{at}")
        store.refresh(root)
    store.close()


def test_consoles_that_look_at_new_runs_at_once_do_not_lock_each_other_out(path: Path) -> None:
    in_processes(refresh_much, path, 3)
    store = Store(path)
    store.refresh(Root(path.parent / "root"))
    assert len(store.runs()) == 120
    assert {row.state for row in store.runs()} == {"succeeded"}
    store.close()


# kill -9.


def write_until_killed(path: Path, told: int) -> None:
    store = Store(path)
    n = 0
    while True:
        n += 1
        say(store, who=str(n))
        store.put_run(spec(f"run{n % 50}"), Status("running", str(n)))
        os.write(told, b"%d\n" % n)  # told only after it is kept


def test_a_killed_writer_loses_nothing_that_it_was_told_is_kept(path: Path) -> None:
    rng = random.Random(0)
    kept = 0
    for _ in range(10):
        listen, told = os.pipe()
        process = FORK.Process(target=write_until_killed, args=(path, told))
        process.start()
        os.close(told)
        assert os.read(listen, 1)  # it writes by now
        time.sleep(rng.random() * 0.03)
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join(20)
        words = b"1"
        while piece := os.read(listen, 1 << 16):
            words += piece
        os.close(listen)
        kept += int(words[: words.rfind(b"\n")].splitlines()[-1] if b"\n" in words else b"0")
        found = len(rows_of_words(path))
        assert kept <= found <= kept + 1, "a word was lost or doubled"
        kept = found
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


def test_a_writer_killed_inside_a_transaction_leaves_no_half_and_no_lock(path: Path) -> None:
    def hold(path: Path, told: int) -> None:
        store = Store(path)
        store._db.execute("BEGIN IMMEDIATE")
        say(store)
        os.write(told, b"x")
        signal.pause()

    listen, told = os.pipe()
    process = FORK.Process(target=hold, args=(path, told))
    process.start()
    os.read(listen, 1)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join(20)
    os.close(listen)
    os.close(told)
    store = Store(path)
    assert store.words("tick", "p", "phase1", "cpu") == {}
    say(store)
    assert len(rows_of_words(path)) == 1
    store.close()


# The index is no truth: run folders are.


def known(store: Store) -> list[tuple[str, str, bool]]:
    return [(row.run_id, row.state, row.final) for row in store.runs()]


def test_an_index_that_was_deleted_comes_back_from_the_folders(path: Path, root: Root) -> None:
    for name, state in (("a", "succeeded"), ("b", "failed"), ("c", "stopped")):
        ended(root, name, state)
    store = Store(path)
    store.refresh(root)
    before = known(store)
    store.close()
    path.unlink()
    again = Store(path)
    assert sorted(again.refresh(root)) == ["a", "b", "c"]
    assert known(again) == before
    row = again.run("a")
    assert row is not None
    evidence = again.evidence(root, row)
    assert evidence is not None
    assert evidence.value("fact", "n", "last") == 7
    again.close()


def test_an_index_that_was_moved_aside_with_its_journal_left_behind_comes_back(path: Path, root: Root) -> None:
    ended(root, "a")
    abandoned = Store(path)  # a console that is still open, or was killed: its journal lies beside
    abandoned.refresh(root)
    say(abandoned)
    path.rename(path.with_suffix(".broken"))
    again = Store(path)
    again.refresh(root)
    assert known(again) == [("a", "succeeded", True)]
    again.close()
    abandoned.close()


@pytest.mark.parametrize("spoil", [b"garbage " * 600, b"\0" * 4096, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_broken_index_ends_in_one_line_that_says_what_to_do(
    path: Path, root: Root, spoil: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(root, "a")
    store = Store(path)
    store.refresh(root)
    store.close()
    whole = path.read_bytes()
    path.write_bytes(spoil + whole[len(spoil) :])
    with pytest.raises(sqlite3.Error) as error:
        Store(path).refresh(root)
    line = errors.foreseen(error.value)
    assert line is not None
    assert "\n" not in line
    assert "move it aside" in line
    assert path.read_bytes()[: len(spoil)] == spoil  # a person's words may still be saved from it


def test_a_run_that_goes_on_is_looked_at_again_and_one_that_ended_is_not(store: Store, root: Root) -> None:
    ended(root, "a")
    paths = root.run("b")
    paths.folder.mkdir(parents=True)
    create_once(paths.spec, spec("b").to_json())
    assert store.refresh(root) == ["a", "b"]
    assert store.refresh(root) == []
    write_json(root.run("a").result, {"state": "failed", "reason": "changed by hand"})
    ended(root, "b", "failed")
    assert store.refresh(root) == ["b"]
    assert known(store) == [("b", "failed", True), ("a", "succeeded", True)]


def test_a_lost_run_may_still_get_its_end(store: Store) -> None:
    lately = replace(spec("a"), created=time.time())
    store.put_run(lately, Status("lost", "vanished"))
    store.put_run(replace(spec("b"), created=time.time() - 7200), Status("lost", "vanished"))
    assert {row.run_id: row.final for row in store.runs()} == {"a": False, "b": True}


def test_what_was_chosen_last_is_recalled(store: Store) -> None:
    assert store.recall("phase", "none") == "none"
    for value in ("phase7", {"a": [1, None]}, ""):
        store.remember("phase", value)
        assert store.recall("phase") == value


def test_a_console_that_waits_for_a_writer_gets_its_turn(store: Store, path: Path) -> None:
    listen, told = os.pipe()
    process = FORK.Process(target=hold_for_a_moment, args=(path, told))
    process.start()
    os.read(listen, 1)
    say(store, who="late")
    process.join(20)
    os.close(listen)
    os.close(told)
    until(lambda: len(rows_of_words(path)) == 2, "both words")


def hold_for_a_moment(path: Path, told: int) -> None:
    store = Store(path)
    store._db.execute("BEGIN IMMEDIATE")
    say(store, who="early")
    os.write(told, b"x")
    time.sleep(0.3)  # what the other has to wait for
    store._db.execute("COMMIT")


# What queries lean on.


def test_an_index_of_an_earlier_version_is_completed_at_the_first_look(path: Path, tmp_path: Path) -> None:
    from console.runs.index import RunIndex
    from console.runs.query import parse, resolved
    from tests.console.made_runs import lay_run

    root = Root(tmp_path / "root")
    lay_run(root, "a", {"lr": 0.1}, {"acc": [0.9]})
    old = Store(path)
    old.refresh(root)
    for table in ("configs", "finals", "names"):
        old._db.execute(f"DELETE FROM {table}")
    old.close()
    store = Store(path)
    store.refresh(root)
    index = RunIndex(store)
    assert index.ids(resolved(parse("cfg.lr=0.1 acc>0.8"), index.names())) == ["a"]
    index.close()
    store.close()


def test_a_look_at_ended_runs_reads_no_folder_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Root(tmp_path / "root")
    for run_id in ("a", "b"):
        ended(root, run_id)
    old = time.time() - 60
    os.utime(root.runs, (old, old))
    store.refresh(root)

    def never(self: Root) -> list[str]:
        raise AssertionError("the folder did not change")

    monkeypatch.setattr(Root, "run_folders", never)
    assert store.refresh(root) == []
    monkeypatch.undo()
    ended(root, "c")
    assert store.refresh(root) == ["c"]


def test_the_index_hears_the_newest_values_of_a_run_that_goes_on(store: Store, tmp_path: Path) -> None:
    from console.runs.index import RunIndex

    root = Root(tmp_path / "root")
    paths = root.run("live")
    paths.folder.mkdir(parents=True)
    create_once(paths.spec, spec("live", created=time.time()).to_json())
    paths.events.write_bytes(encode({"kind": "metric", "step": 1, "values": {"loss": 3.0}}))
    store.refresh(root)
    index = RunIndex(store)
    assert index.shown(["live"])["live"][1] == {"loss": 3.0}
    with open(paths.events, "ab") as file:
        file.write(encode({"kind": "metric", "step": 2, "values": {"loss": 2.0}}))
    store.refresh(root)
    assert index.shown(["live"])["live"][1] == {"loss": 3.0}, "told now and then, not at every look"
    store._told.clear()
    store.refresh(root)
    assert index.shown(["live"])["live"][1] == {"loss": 2.0}
    index.close()


def test_the_deciding_runs_decide_as_all_of_them_would(root: Root, store: Store) -> None:
    """The quick query against the slow obvious one: whatever is judged from the runs of a variant comes out the same."""
    dice = random.Random(5)
    for round_ in range(20):
        for at in range(dice.choice([1, 5, 40])):
            one = spec(
                f"r{round_}-{at}",
                phase=f"phase{round_}",
                created=float(dice.randrange(12)),  # some at the same moment
                variant=dice.choice(["cpu", "cpu", "cpu+seed=1", "other"]),
                family=dice.choice(["f", "f", "g"]),
                seed=dice.choice([0, 1]),
                code=dice.choice(["c", "d"]),
            )
            store.put_run(one, Status(dice.choice(["succeeded", "failed", "running", "lost"]), "told"))
        for variant in ("cpu", "cpu+seed=1"):
            chosen: Any = SimpleNamespace(variant=variant, family="f")
            named = ("p", f"phase{round_}", "cpu", variant, "f")
            assert judged(store.deciding_runs(*named), chosen) == judged(store.runs_of(*named), chosen)


def judged(rows: list[RunRow], chosen: Any) -> tuple[str | None, list[str]]:
    """The run that stands for the step, and those whose evidence is read."""
    runs = _runs_of(Step("s", "true"), rows, chosen)
    return (
        runs[0].run_id if runs else None,
        [e.run_id for e in _deciding(runs, lambda r: Evidence(r.run_id, "s", r.state))],
    )

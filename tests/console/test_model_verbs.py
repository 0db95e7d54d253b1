"""The registry by verbs: rows for people, data for programs, an exit code for scripts."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.verbs.model_tables import ACTIONS, Table
from engine.registry.model import GateFinding, RegistryError
from engine.registry.registry import Registry

OPEN, SHUT = [GateFinding("good", "passed")], [GateFinding("good", "failed", "acc is 0.5, needs > 0.9")]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    registry = Registry(tmp_path / "registry.db", clock=lambda: 1_790_000_000.0)
    for name, accuracy in (("one", 0.5), ("two", 0.75)):
        (tmp_path / f"{name}.pt").write_bytes(name.encode())
        metadata = {"accuracy": accuracy, "parameters": 25_000_000, "parents": ["one"] if name == "two" else []}
        registry.register_model("phase3", "bake", "baked", tmp_path / f"{name}.pt", metadata, session=f"run-{name}")
    yield registry
    registry.close()


def do(registry: Registry, action: str, **given: object) -> Table:
    nothing = {"phase": None, "model_type": None, "model": None, "other": None, "to": None, "by": "ada", "reason": None}
    return ACTIONS[action](registry, Namespace(**{**nothing, "gates": OPEN, **given}))


def test_list_marks_the_champion(registry: Registry) -> None:
    do(registry, "promote", model="two")
    assert {row[1]: row[0] for row in do(registry, "list").rows} == {
        "phase3_one_run-one": "",
        "phase3_two_run-two": "★",
    }


def test_an_empty_list_says_how_a_model_comes_into_it(registry: Registry) -> None:
    assert "runlog.model" in do(registry, "list", phase="phase9").note


def test_show_tells_parents_parameters_and_metrics(registry: Registry) -> None:
    rows = dict(do(registry, "show", model="two").rows)
    assert rows["parent"] == "phase3_one_run-one"
    assert (rows["parameters"], rows["accuracy"], rows["made (UTC)"]) == ("25,000,000", "0.75", "2026-09-21 14:13")


def test_compare_shows_the_change_with_its_sign(registry: Registry) -> None:
    table = do(registry, "compare", model="two", other="one")
    assert ["accuracy", "0.75", "0.5", "-0.25"] in table.rows
    assert ["accuracy", "0.5", "0.75", "+0.25"] in do(registry, "compare", model="one", other="two").rows


@pytest.mark.parametrize(("action", "given"), [("promote", {}), ("handoff", {"to": "phase4"})])
def test_a_refusal_is_code_1_with_its_reason(registry: Registry, action: str, given: dict[str, str]) -> None:
    table = do(registry, action, model="two", gates=SHUT, **given)
    assert table.code == 1
    assert "gate good is failed (acc is 0.5, needs > 0.9)" in table.rows[0][0]


def test_verify_counts_the_files_that_changed(registry: Registry, tmp_path: Path) -> None:
    assert do(registry, "verify").code == 0
    (tmp_path / "one.pt").write_bytes(b"eno")
    table = do(registry, "verify")
    assert (table.code, table.note) == (1, "1 of 2 files are not what was registered")


def test_hand_offs_are_listed_with_the_reason_of_a_refusal(registry: Registry) -> None:
    do(registry, "handoff", model="one", to="phase4", gates=SHUT)
    do(registry, "handoff", model="two", to="phase4")
    because = {row[3]: (row[4], row[5]) for row in do(registry, "handoff").rows}
    assert because["phase3_one_run-one"] == ("refused", "gate good is failed (acc is 0.5, needs > 0.9)")
    assert because["phase3_two_run-two"] == ("accepted", "")


def test_a_hand_off_needs_a_phase(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="--to phase4"):
        do(registry, "handoff", model="one")


def test_what_programs_get_is_json(registry: Registry) -> None:
    for action in ("list", "show", "compare", "verify", "promote", "handoff"):
        table = do(registry, action, model="two", other="one", to="phase4")
        assert json.loads(json.dumps(table.data)), action

"""The spec of a run: written once, read by any version, its id sortable and its hashes stable."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from pathlib import Path

import pytest

from engine.protocol.durable import create_once
from engine.protocol.layout import Root, safe_id
from engine.protocol.spec import LogMetric, Output, RunSpec, hash_of, new_id, read_spec
from engine.protocol.version import VERSION, NewerProtocol, require_readable


@pytest.fixture
def spec() -> RunSpec:
    return RunSpec(
        run_id="r",
        project="p",
        phase="phase7",
        step="train",
        preset="cpu",
        variant="cpu+seed=1",
        argv=["python", "-m", "train"],
        cwd="/c",
        work="/w",
        seed=1,
        gpus=2,
        timeout_s=5.0,
        env={"A": "1"},
        outputs=[Output("a.pt"), Output("*.log", required=False, unique=["id"])],
        log_metrics=[LogMetric(r"loss (?P<value>\S+)", "loss")],
        config={"lr": 1e-3, "nested": {"list": [1, None, "x"]}},
    )


def test_a_spec_survives_json(spec: RunSpec) -> None:
    assert RunSpec.from_json(json.loads(json.dumps(spec.to_json(), allow_nan=False))) == spec


def test_a_spec_survives_its_file(spec: RunSpec, tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    assert read_spec(path) is None
    assert create_once(path, spec.to_json())
    assert read_spec(path) == spec


def test_fields_of_a_later_version_are_passed_over(spec: RunSpec) -> None:
    assert RunSpec.from_json({**spec.to_json(), "colour": "red"}) == spec


def test_fields_that_an_earlier_version_did_not_write_have_their_defaults(spec: RunSpec) -> None:
    needed = {f: v for f, v in spec.to_json().items() if f in RunSpec.__dataclass_fields__ and f in NEEDED}
    old = RunSpec.from_json(needed)
    assert (old.attempt, old.gpus, old.outputs, old.timeout_s) == (1, 0, [], None)


NEEDED = ("run_id", "project", "phase", "step", "preset", "variant", "argv", "cwd", "work")


@pytest.mark.parametrize("missing", NEEDED)
def test_a_spec_without_what_it_needs_is_no_spec(spec: RunSpec, missing: str) -> None:
    with pytest.raises(TypeError, match=missing):
        RunSpec.from_json({k: v for k, v in spec.to_json().items() if k != missing})


def test_a_newer_spec_is_refused_by_name_with_what_to_do(spec: RunSpec, tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    create_once(path, {**spec.to_json(), "v": VERSION + 1})
    with pytest.raises(NewerProtocol, match="Update this installation") as error:
        read_spec(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("found", [None, "1", VERSION, 0, 1.5])
def test_what_is_no_newer_version_is_read(found: object) -> None:
    require_readable("x", found)


def test_a_spec_names_no_secret(spec: RunSpec) -> None:
    words = ("token", "password", "secret", "api_key")
    assert [f.name for f in fields(spec) if any(word in f.name for word in words)] == []


def test_ids_sort_by_time_and_say_what_they_are() -> None:
    ids = [new_id("phase7", "train", now=now) for now in (0.0, 86400.0, 1_790_000_000.0)]
    assert ids == sorted(ids)
    assert ids[0].startswith("19700101-000000-phase7-train-")


def test_two_ids_of_one_moment_differ_and_can_name_folders() -> None:
    ids = {new_id("x", now=5.0) for _ in range(500)}
    assert len(ids) == 500
    assert {safe_id(name) for name in ids} == ids


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a..b", "-a", ".a", "a b", "ä", "a\n", "a" * 122, "a\0"])
def test_what_can_not_name_a_folder_is_refused(name: str, tmp_path: Path) -> None:
    for use in (safe_id, Root(tmp_path).run, Root(tmp_path).plan):
        with pytest.raises(ValueError, match="can't name a folder"):
            use(name)


@pytest.mark.parametrize("name", ["a", "7", "cpu+lr=1e-3,seed=1", "a.b_c", "a" * 121])
def test_what_can_name_a_folder_does(name: str) -> None:
    assert safe_id(name) == name


def test_a_hash_is_of_the_value_and_not_of_its_order() -> None:
    assert hash_of({"a": 1, "b": [1, 2]}) == hash_of({"b": [1, 2], "a": 1})
    assert len({hash_of(v) for v in ({"a": 1}, {"a": 2}, {"a": "1"}, {"a": 1.5}, {"b": 1}, [1], None)}) == 7


def test_a_hash_is_the_same_tomorrow_on_another_machine() -> None:
    assert hash_of({"lr": 0.001, "layers": [2, 2], "name": "ü"}) == "e13c17c6640168a3"


def test_what_json_has_no_word_for_is_not_hashed() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        hash_of({"lr": math.nan})

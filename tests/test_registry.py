"""The registry: what goes in, what comes out, what is refused, and two processes that write at once."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.protocol.events import Event
from engine.protocol.files import describe
from engine.protocol.spec import RunSpec
from engine.registry.model import GateFinding, Refused, RegistryError
from engine.registry.registry import Registry

OPEN = [GateFinding("baked", "passed")]
REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    registry = Registry(tmp_path / "registry.db")
    yield registry
    registry.close()


def a_file(folder: Path, name: str = "phase3_baked_model.pt", data: bytes = b"weights") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def a_run(
    work: Path, run_id: str = "run-1", phase: str = "phase3-quietstar", step: str = "bake", seed: int = 0
) -> RunSpec:
    return RunSpec(
        *(run_id, "fractal", phase, step, "cpu", "cpu", ["true"], "/", str(work)),
        seed=seed,
        config_hash="c0",
        created=5.0,
    )


def a_model_event(path: Path, name: str = "baked", **metadata: object) -> Event:
    return {
        "kind": "model",
        "time": 10.0,
        "name": name,
        "model_type": "baked_reasoning",
        "metadata": metadata,
        **describe(path, path.name),
    }


def test_register_model_as_the_source_calls_it(registry: Registry, tmp_path: Path) -> None:
    metadata = {"final_accuracy": 0.8612, "strategy_accuracies": {"self_doubt": 0.7956}, "converged": True}
    made = registry.register_model(
        phase=3, step=1, model_type="baked_reasoning", model_path=a_file(tmp_path), metadata=metadata
    )
    model = registry.model(made)
    assert (model.phase, model.step, model.model_type) == ("phase3", "1", "baked_reasoning")
    assert model.metrics == {"final_accuracy": 0.8612, "strategy_accuracies/self_doubt": 0.7956, "converged": 1.0}


def test_a_file_that_is_not_there_is_not_registered(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="does not exist: save the model before"):
        registry.register_model(3, 1, "baked_reasoning", tmp_path / "absent.pt")


def test_inside_a_run_the_phase_and_session_are_the_runs(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.protocol.durable import write_json

    write_json(tmp_path / "spec.json", a_run(tmp_path).to_json())
    monkeypatch.setenv("FRACTAL_SPEC", str(tmp_path / "spec.json"))
    monkeypatch.setenv("FRACTAL_RUN", "run-1")
    made = registry.register_model(3, 1, "baked_reasoning", a_file(tmp_path), name="baked")
    assert made == "phase3-quietstar_baked_run-1"


def test_model_events_are_taken_with_what_the_run_measured(registry: Registry, tmp_path: Path) -> None:
    path = a_file(tmp_path)
    events = [
        {"kind": "metric", "step": 1, "values": {"baking/loss": 2.0}},
        {"kind": "metric", "step": 2, "values": {"baking/loss": 0.5, "strange": "NaN"}},
        {"kind": "fact", "name": "bake/kl", "value": 0.06},
        a_model_event(path, final_accuracy=0.9),
        {"kind": "something-new"},
    ]
    (made,) = registry.take_events(a_run(tmp_path), events)
    model = registry.model(made)
    assert (model.metrics["baking/loss"], model.metrics["bake/kl"], model.metrics["final_accuracy"]) == (0.5, 0.06, 0.9)
    assert (model.session_id, model.seed, model.config_hash) == ("run-1", 0, "c0")


def test_taking_the_same_events_again_changes_nothing(registry: Registry, tmp_path: Path) -> None:
    events = [a_model_event(a_file(tmp_path), parents=["champion"])]
    registry.take_events(a_run(tmp_path), events)
    before = registry.models()
    registry.take_events(a_run(tmp_path), events)
    assert registry.models() == before
    assert len(registry.lineage("baked")) == 1


def test_later_events_add_to_what_was_measured(registry: Registry, tmp_path: Path) -> None:
    spec = a_run(tmp_path)
    registry.take_events(spec, [a_model_event(a_file(tmp_path)), {"kind": "fact", "name": "a", "value": 1}])
    registry.take_events(spec, [{"kind": "fact", "name": "b", "value": 2}])
    assert registry.model("baked").measured == {"a": 1.0, "b": 2.0}


def test_a_program_of_any_language_may_only_name_its_file(registry: Registry, tmp_path: Path) -> None:
    path = a_file(tmp_path)
    registry.take_events(a_run(tmp_path), [{"kind": "model", "name": "plain", "path": path.name}])
    assert registry.verify("plain").ok


def test_a_pulled_model_is_looked_for_where_it_was_pulled_to(registry: Registry, tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    here.mkdir()
    event = a_model_event(a_file(there))
    (there / "phase3_baked_model.pt").rename(here / "phase3_baked_model.pt")
    registry.take_events(a_run(there), [event])
    assert not registry.verify("baked").ok
    registry.take_events(a_run(there), [event], files=here)
    assert registry.verify("baked").ok


def test_models_are_listed_newest_first_and_by_phase(registry: Registry, tmp_path: Path) -> None:
    old, new = a_model_event(a_file(tmp_path), "old"), a_model_event(a_file(tmp_path), "new") | {"time": 11.0}
    registry.take_events(a_run(tmp_path), [old, new])
    registry.take_events(a_run(tmp_path, "run-2", "phase4"), [a_model_event(a_file(tmp_path), "other")])
    assert [m.name for m in registry.models("phase3-quietstar")] == ["new", "old"]
    assert [m.name for m in registry.models(model_type="unheard-of")] == []


@pytest.mark.parametrize("word", ["baked", "phase3-quietstar_bak", "sha"])
def test_a_model_is_found_by_name_id_or_hash(registry: Registry, tmp_path: Path, word: str) -> None:
    event = a_model_event(a_file(tmp_path))
    registry.take_events(a_run(tmp_path), [event])
    assert registry.model(event["sha256"][:8] if word == "sha" else word).name == "baked"


def test_a_word_that_means_several_models_names_them(registry: Registry, tmp_path: Path) -> None:
    for run in ("run-1", "run-2"):
        registry.take_events(a_run(tmp_path, run), [a_model_event(a_file(tmp_path))])
    with pytest.raises(RegistryError, match=r"may be any of 2 models(.|\n)*run-1"):
        registry.model("baked")


def test_an_unknown_model_says_what_to_type(registry: Registry) -> None:
    with pytest.raises(RegistryError, match=r"no model 'nobody'\. Type: fractal-console models"):
        registry.model("nobody")


def test_lineage_goes_back_over_phases(registry: Registry, tmp_path: Path) -> None:
    champion = a_file(tmp_path, "phase2_champion_model.pt", b"champion")
    registry.take_events(a_run(tmp_path, "run-0", "phase2"), [a_model_event(champion, "champion") | {"time": 1.0}])
    baked = a_model_event(a_file(tmp_path), parents=[describe(champion)["sha256"]])
    registry.take_events(a_run(tmp_path), [baked])
    registry.take_events(
        a_run(tmp_path, "run-2", step="rl"), [a_model_event(a_file(tmp_path, "rl.pt", b"rl"), "rl", parent="baked")]
    )
    assert [(a.depth, a.model.name if a.model else None) for a in registry.lineage("rl")] == [
        (1, "baked"),
        (2, "champion"),
    ]
    assert [m.name for m in registry.children("champion")] == ["baked"]


def test_a_parent_pulled_after_its_child_is_found(registry: Registry, tmp_path: Path) -> None:
    parent = a_model_event(a_file(tmp_path, "p.pt", b"p"), "parent")
    registry.take_events(a_run(tmp_path), [a_model_event(a_file(tmp_path), parents=[parent["sha256"]])])
    assert registry.lineage("baked")[0].model is None
    registry.take_events(a_run(tmp_path, "run-0"), [parent])
    (found,) = registry.lineage("baked")
    assert found.model is not None
    assert found.model.name == "parent"


def test_two_models_that_name_each_other_end_the_lineage(registry: Registry, tmp_path: Path) -> None:
    one, two = (
        a_model_event(a_file(tmp_path), "one", parents="two"),
        a_model_event(a_file(tmp_path), "two", parents="one"),
    )
    registry.take_events(a_run(tmp_path), [one, two])
    assert [a.said for a in registry.lineage("one")] == ["two", "one"]


def test_compare_shows_what_one_model_has_and_the_other_lacks(registry: Registry, tmp_path: Path) -> None:
    one, two = a_model_event(a_file(tmp_path), "one", acc=0.5, only=1), a_model_event(a_file(tmp_path), "two", acc=0.75)
    registry.take_events(a_run(tmp_path), [one, two])
    assert [(d.name, d.change) for d in registry.compare("one", "two")] == [("acc", 0.25), ("only", None)]


@pytest.mark.parametrize(
    ("harm", "because"),
    [
        (lambda p: p.unlink(), "does not exist"),
        (lambda p: p.write_bytes(b"more weights"), "has 12 bytes, registered were 7"),
        (lambda p: p.write_bytes(b"weighty"), "has changed: sha256 is"),
    ],
    ids=["gone", "size", "hash"],
)
def test_a_file_that_changed_is_neither_verified_promoted_nor_handed_over(
    registry: Registry, tmp_path: Path, harm: object, because: str
) -> None:
    path = a_file(tmp_path)
    registry.take_events(a_run(tmp_path), [a_model_event(path)])
    harm(path)  # type: ignore[operator]
    assert because in registry.verify("baked").because
    with pytest.raises(Refused, match=because):
        registry.promote("baked", OPEN, by="ada")
    with pytest.raises(Refused, match=because):
        registry.hand_off("baked", "phase4", OPEN)


@pytest.mark.parametrize("state", ["failed", "waiting", "stale"])
def test_a_model_behind_a_shut_gate_is_refused_with_the_reason(registry: Registry, tmp_path: Path, state: str) -> None:
    registry.take_events(a_run(tmp_path), [a_model_event(a_file(tmp_path))])
    shut = [*OPEN, GateFinding("anti-theater", state, "ablation/gain is 0.01, needs > 0.02")]
    with pytest.raises(Refused, match=rf"gate anti-theater is {state} \(ablation/gain is 0.01"):
        registry.promote("baked", shut, by="ada")
    assert registry.champion("phase3-quietstar") is None
    assert registry.gates("baked") == shut


def test_an_overridden_gate_stands_open(registry: Registry, tmp_path: Path) -> None:
    registry.take_events(a_run(tmp_path), [a_model_event(a_file(tmp_path))])
    registry.promote("baked", [GateFinding("baked", "overridden", "ada: seen by eye")], by="ada")
    champion = registry.champion("phase3-quietstar")
    assert champion is not None
    assert champion.name == "baked"


def test_a_model_of_a_failed_run_is_refused(registry: Registry, tmp_path: Path) -> None:
    registry.take_events(a_run(tmp_path), [a_model_event(a_file(tmp_path))])
    registry.end_run("run-1", "failed", "theater: three rollbacks")
    with pytest.raises(Refused, match="its run run-1 is failed: theater: three rollbacks"):
        registry.promote("baked", OPEN, by="ada")


def test_the_newest_promotion_stands_and_the_old_ones_are_kept(registry: Registry, tmp_path: Path) -> None:
    for name in ("one", "two"):
        registry.take_events(a_run(tmp_path, name), [a_model_event(a_file(tmp_path), name)])
        registry.promote(name, OPEN, by="ada", reason=f"better {name}")
    assert [p.reason for p in registry.promotions("phase3-quietstar")] == ["better two", "better one"]


def test_a_champion_registered_with_another_file_is_no_champion(registry: Registry, tmp_path: Path) -> None:
    registry.take_events(a_run(tmp_path), [a_model_event(a_file(tmp_path))])
    registry.promote("baked", OPEN, by="ada")
    registry.take_events(a_run(tmp_path), [a_model_event(a_file(tmp_path, data=b"others!"))])
    with pytest.raises(Refused, match="promote it again"):
        registry.champion("phase3-quietstar")


def test_a_hand_off_learns_what_the_target_phase_made_of_it(registry: Registry, tmp_path: Path) -> None:
    baked = a_model_event(a_file(tmp_path))
    registry.take_events(a_run(tmp_path), [baked])
    made = registry.hand_off("baked", "phase4", OPEN)
    assert (made.status, made.target_model_id) == ("accepted", None)
    child = a_model_event(a_file(tmp_path, "q.pt", b"q"), "quantised", parents=[baked["sha256"]])
    registry.take_events(a_run(tmp_path, "run-4", "phase4"), [child])
    assert registry.hand_offs("phase4")[0].target_model_id == "phase4_quantised_run-4"


def test_a_hand_off_without_its_parent_is_refused_and_kept(registry: Registry, tmp_path: Path) -> None:
    registry.take_events(a_run(tmp_path), [a_model_event(a_file(tmp_path), parents=["phase2-champion"])])
    with pytest.raises(Refused, match="its parent phase2-champion is not in the registry"):
        registry.hand_off("baked", "phase4", OPEN)
    (kept,) = registry.hand_offs()
    assert kept.status == "refused"
    assert kept.validation["problems"] == ["its parent phase2-champion is not in the registry"]


def test_a_registry_of_the_first_version_goes_on_with_its_models(tmp_path: Path) -> None:
    from engine.registry.file import _SCHEMA

    with sqlite3.connect(tmp_path / "registry.db") as file:
        file.executescript(_SCHEMA + "PRAGMA user_version=1;")
        file.execute("INSERT INTO sessions (session_id) VALUES ('old')")
        file.execute(
            "INSERT INTO models (model_id, session_id, phase_name, model_name, model_path, created_at)"
            " VALUES ('phase3_old_old', 'old', 'phase3', 'old', '/m.pt', 1.0)"
        )
    file.close()
    registry = Registry(tmp_path / "registry.db")
    assert registry.model("old").variant == ""
    registry.take_events(a_run(tmp_path), [a_model_event(a_file(tmp_path))])
    assert registry.model("baked").variant == "cpu"
    registry.close()


def test_a_newer_registry_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "registry.db") as file:
        file.execute("PRAGMA user_version=99")
    file.close()
    with pytest.raises(RegistryError, match="registry 99"):
        Registry(tmp_path / "registry.db")


def test_a_file_that_is_no_registry_is_named(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    path.write_bytes(b"not a database at all, but long enough to be taken for one" * 20)
    with pytest.raises(RegistryError, match=r"registry\.db can't be used as the registry"):
        Registry(path)


_WRITER = """
import sys
from pathlib import Path
from engine.protocol.spec import RunSpec
from engine.registry.registry import Registry

registry = Registry(Path(sys.argv[1]))
for n in range(int(sys.argv[3])):
    spec = RunSpec(f"{sys.argv[2]}-{n}", "p", "phase3", "bake", "cpu", "cpu", ["true"], "/", "/nowhere")
    event = {"kind": "model", "name": "m", "path": "m.pt", "size": 1, "sha256": "0" * 64, "metadata": {"parents": ["a", "b"]}}
    registry.take_events(spec, [event, {"kind": "fact", "name": "n", "value": n}])
    print(n, flush=True)
"""


def start_writer(file: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _WRITER, str(file), name, str(count)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    file = tmp_path / "registry.db"
    writers = [start_writer(file, name, 40) for name in ("a", "b")]
    assert [w.communicate(timeout=60)[1] for w in writers] == ["", ""]
    registry = Registry(file)
    assert len(registry.models()) == 80
    assert all(len(registry.lineage(m.model_id)) == 2 for m in registry.models())
    registry.close()


def test_a_writer_killed_at_any_moment_leaves_whole_registrations(tmp_path: Path) -> None:
    file = tmp_path / "registry.db"
    said = 0
    for attempt in range(4):
        writer = start_writer(file, f"w{attempt}", 100_000)
        assert writer.stdout is not None
        for _ in range(3 + 7 * attempt):
            writer.stdout.readline()
            said += 1
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate(timeout=20)
    registry = Registry(file)
    models = registry.models()
    assert len(models) >= said
    assert all(len(registry.lineage(m.model_id)) == 2 and "n" in m.measured for m in models)
    assert registry.take_events(a_run(tmp_path), [a_model_event(a_file(tmp_path))])
    registry.close()

"""What is kept of phases and configs is never shown for other files, for other code, or where it is damaged."""

from __future__ import annotations

import datetime
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from console import checked as module
from console.checked import Checked
from console.launch import resolved
from console.project import Project
from console.settings import Settings, load_settings
from console.workspace import Workspace
from engine.config import phase_file
from engine.protocol.layout import Root
from tests.console.conftest import Console
from tests.console.tiny import make_project


class Maker:
    """Makes a value and counts how often it had to."""

    def __init__(self, value: Any = "made") -> None:
        self.value, self.calls = value, 0

    def __call__(self) -> Any:
        self.calls += 1
        return self.value


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "file.yaml"
    file.write_text("a: 1")
    return file


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "checked"


def kept(cache: Path) -> list[Path]:
    return sorted(cache.iterdir()) if cache.exists() else []


def test_the_same_bytes_are_made_once_for_every_later_console(file: Path, cache: Path) -> None:
    make = Maker({"a": [1, 2.0, None, True]})
    for _ in range(3):
        assert Checked(cache).of("x", [file], make) == {"a": [1, 2.0, None, True]}
    assert make.calls == 1


def test_what_is_given_out_is_nobody_elses(file: Path) -> None:
    checked, make = Checked(), Maker({"a": [1]})
    checked.of("x", [file], make)["a"].append(2)
    assert checked.of("x", [file], make) == {"a": [1]}


@pytest.mark.parametrize(
    "change",
    [
        lambda file, monkeypatch: file.write_text("a: 2"),
        lambda file, monkeypatch: file.unlink(),
        lambda file, monkeypatch: monkeypatch.setattr(module, "_code", lambda: b"another version"),
    ],
    ids=["edited", "deleted", "other code"],
)
def test_other_files_and_other_code_are_made_anew(
    file: Path, cache: Path, change: Callable[[Path, pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    Checked(cache).of("x", [file], Maker("old"))
    change(file, monkeypatch)
    assert Checked(cache).of("x", [file], Maker("new")) == "new"


def test_a_file_that_comes_into_being_makes_it_anew(file: Path, cache: Path, tmp_path: Path) -> None:
    late = tmp_path / "base.yaml"
    Checked(cache).of("x", [file, late], Maker("old"))
    late.write_text("")
    assert Checked(cache).of("x", [file, late], Maker("new")) == "new"


def test_the_codes_marks_move_with_its_sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module._code.cache_clear()
    before = module._code()
    monkeypatch.setattr("engine.config.__path__", [str(tmp_path)])
    (tmp_path / "phase.py").write_text("one")
    module._code.cache_clear()
    one = module._code()
    about = (tmp_path / "phase.py").stat()
    (tmp_path / "phase.py").write_text("two")
    os.utime(tmp_path / "phase.py", ns=(about.st_atime_ns, about.st_mtime_ns))  # as an unpacked archive may have it
    module._code.cache_clear()
    assert len({before, one, module._code()}) == 3
    module._code.cache_clear()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data.replace(b"old", b"odd"),
        lambda data: b"\x00" * len(data),
        lambda data: b"not a checksum\n" + data,
    ],
    ids=["empty", "torn", "changed", "zeros", "garbage"],
)
def test_a_damaged_one_is_passed_over_and_mended(file: Path, cache: Path, damage: Callable[[bytes], bytes]) -> None:
    Checked(cache).of("x", [file], Maker("old"))
    (one,) = kept(cache)
    one.write_bytes(damage(one.read_bytes()))
    assert Checked(cache).of("x", [file], Maker("new")) == "new"
    again = Maker("never")
    assert Checked(cache).of("x", [file], again) == "new"
    assert again.calls == 0


def test_what_was_edited_while_it_was_read_is_not_kept(file: Path, cache: Path) -> None:
    def make() -> str:
        file.write_text("a: 2")
        return "half of each"

    assert Checked(cache).of("x", [file], make) == "half of each"
    file.write_text("a: 1")
    assert Checked(cache).of("x", [file], Maker("right")) == "right"


@pytest.mark.parametrize("value", [{"day": datetime.date(2026, 1, 1)}, {1: "a"}, {"x": math.nan}, {"t": (1, 2)}])
def test_what_json_would_change_is_not_kept(file: Path, cache: Path, value: Any) -> None:
    assert Checked(cache).of("x", [file], Maker(value)) is value
    assert kept(cache) == []


def test_what_is_wrong_is_refused_each_time(file: Path, cache: Path) -> None:
    def make() -> str:
        raise ValueError("wrong")

    for _ in range(2):
        with pytest.raises(ValueError, match="wrong"):
            Checked(cache).of("x", [file], make)
    assert kept(cache) == []


def test_many_consoles_may_keep_at_once(tmp_path: Path, cache: Path) -> None:
    files = [tmp_path / f"{at}.yaml" for at in range(20)]
    for file in files:
        file.write_text(file.name * 500)

    def one(_: int) -> list[str]:
        checked = Checked(cache)
        return [checked.of("x", [file], file.read_text) for file in files]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(24))) == [[file.read_text() for file in files]] * 24
    assert len(kept(cache)) == 20


def test_the_oldest_go(file: Path, cache: Path) -> None:
    checked = Checked(cache)
    for at in range(module._MOST_FILES + 5):
        checked.of(at, [file], Maker(at))
    assert len(kept(cache)) == module._MOST_FILES


def test_what_a_colleague_keeps_is_not_believed(file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Checked(cache).of("x", [file], Maker("theirs"))
    monkeypatch.setattr("os.getuid", lambda: 12345)
    assert Checked(cache, writes=False).of("x", [file], Maker("mine")) == "mine"


# As a user meets it


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return make_project(tmp_path / "own")


def counted(monkeypatch: pytest.MonkeyPatch, where: Any, name: str) -> list[Any]:
    """The calls of a function from now on."""
    calls: list[Any] = []
    real = getattr(where, name)
    monkeypatch.setattr(where, name, lambda *given: (calls.append(given), real(*given))[1])
    return calls


def test_a_second_console_checks_nothing_again(tiny: Path, root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Workspace(Project(tiny), root)
    phases = first.project.phases.phases
    configs = {name: first.choose(phase).config for name, phase in phases.items()}
    first.close()
    loads = counted(monkeypatch, phase_file, "load_phase")
    checks = counted(monkeypatch, resolved, "_made_config")
    second = Workspace(Project(tiny), root)
    assert second.project.phases.phases == phases
    assert {name: second.choose(phase).config for name, phase in phases.items()} == configs
    assert loads == checks == []
    second.close()


def test_an_edited_phase_and_an_edited_preset_are_seen_at_the_next_look(tiny: Path, root: Root) -> None:
    space = Workspace(Project(tiny), root)
    phase = space.phase("phase1-tiny")
    preset = space.choose(phase).preset
    file = tiny / "configs" / "phases" / "phase1-tiny.yaml"
    file.write_text(file.read_text().replace("A tiny phase", "Another title"))
    overlay = tiny / "configs" / "phase1-tiny" / f"{preset}.yaml"
    overlay.write_text(overlay.read_text() + "\nnewly: 1e-4\n")
    space.reload_if_edited()
    assert space.phase("phase1-tiny").title == "Another title"
    assert space.choose(space.phase("phase1-tiny")).config["newly"] == 1e-4
    space.close()


def test_a_phase_with_a_model_of_the_projects_own_is_asked_each_time(tiny: Path, root: Root) -> None:
    space = Workspace(Project(tiny), root)
    phase = space.phase("phase1-tiny")
    foreign = phase.__class__(**{**phase.__dict__, "config": "somebody.else:Model"})
    with pytest.raises(Exception, match="can't be loaded"):
        space.choose(foreign)
    space.close()


def test_a_glance_keeps_nothing(tiny: Path, root: Root) -> None:
    space = Workspace(Project(tiny), root, readonly=True)
    space.choose(space.phase("phase1-tiny"))
    space.tree()
    space.close()
    assert not (root.path / "cache").exists()


def test_settings_are_kept_unless_they_say_to_look_only(root: Root) -> None:
    file = root.path / "settings.yaml"
    cache = root.path / "cache" / "checked"
    file.write_text("fps: 5\nlaunch: {max_hours: 2}\n")
    once = load_settings(root.path, Checked(cache))
    assert load_settings(root.path, Checked(cache)) == once == load_settings(root.path)
    assert once.launch.max_hours == 2
    assert len(kept(cache)) == 1
    file.write_text("readonly: true\n")
    assert load_settings(root.path, Checked(cache)) == Settings(readonly=True)
    assert len(kept(cache)) == 1


def test_verbs_that_only_look_write_nothing_under_readonly(project: Path, root: Root, console: Console) -> None:
    assert console("run", "phase1-tiny").code == 0
    run_id = console("runs", "--json").json[0]["run_id"]
    before = {path: path.stat().st_mtime_ns for path in root.path.rglob("*") if path.is_file()}
    for verb in (
        ["phases"],
        ["show", "phase1-tiny"],
        ["gates", "phase1-tiny"],
        ["config", "phase1-tiny"],
        ["runs"],
        ["status", run_id],
        ["logs", run_id],
        ["events", run_id],
        ["queue"],
        ["plans"],
        ["why", run_id],
        ["context"],
        ["report", "phase1-tiny"],
    ):
        assert console("--readonly", *verb).code in (0, 1), verb
    assert {path: path.stat().st_mtime_ns for path in root.path.rglob("*") if path.is_file()} == before

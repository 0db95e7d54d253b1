"""The settings file: every key does what it says, a wrong one is named, the console opens all the same."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from console import cli
from console.settings import Settings, as_yaml, first_theme, load_settings, settings_or_default, terminal_wishes
from console.words import desktop_note
from engine.config.errors import ConfigError
from engine.protocol.layout import Root
from tests.console.driver import driven
from tests.console.tiny import make_project


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_project(tmp_path / "tiny")


def write(root: Root, text: str) -> None:
    root.path.mkdir(parents=True, exist_ok=True)
    (root.path / "settings.yaml").write_text(text)


def test_without_a_file_the_defaults_hold(root: Root) -> None:
    assert load_settings(root.path) == Settings()


def test_what_is_printed_is_a_file_with_the_same_settings(root: Root) -> None:
    chosen = Settings(theme="nord", keymap={"run.stop": "S"}, notify="bell", fps=5, plain=True)
    write(root, as_yaml(chosen))
    assert load_settings(root.path) == chosen


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("them: nord", "unknown key 'them'; did you mean 'theme'?"),
        ("fps: 500", "fps: must be 60 or less (found 500)"),
        ("keymap: {run.stopp: S}", "no key has the id 'run.stopp'; did you mean 'run.stop'?"),
        ("launch: {max_hours: 0}", "launch.max_hours: must be more than 0 (found 0)"),
        ("notify: loud", "notify: Input should be 'screen', 'bell', 'desktop' or 'off'"),
    ],
)
def test_a_wrong_line_is_named_with_what_was_meant(root: Root, text: str, said: str) -> None:
    write(root, text)
    with pytest.raises(ConfigError) as error:
        load_settings(root.path)
    assert said in str(error.value)
    assert "settings.yaml" in str(error.value)
    settings, problem = settings_or_default(root.path)
    assert settings == Settings()
    assert "defaults hold" in str(problem)


def test_the_verb_prints_checks_and_lists_keys(
    root: Root, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRACTAL_ROOT", str(root.path))
    write(root, "keymap: {run.stop: S}")
    assert cli.main(["settings"]) == 0
    assert 'keymap: {"run.stop": "S"}' in capfd.readouterr().out
    assert cli.main(["settings", "path"]) == 0
    assert capfd.readouterr().out.strip() == str(root.path / "settings.yaml")
    assert cli.main(["settings", "check"]) == 0
    assert "is sound" in capfd.readouterr().out
    assert cli.main(["settings", "keys"]) == 0
    assert "run.stop" in (listed := capfd.readouterr().out)
    assert "yours" in listed
    write(root, "keymap: {x: y}")
    assert cli.main(["settings", "check"]) == 2


def test_a_slow_link_gets_fewer_frames_and_no_animations() -> None:
    assert terminal_wishes(Settings(fps=5), {}) == {"TEXTUAL_FPS": "5"}
    assert terminal_wishes(Settings(), {"SSH_CONNECTION": "x"})["TEXTUAL_ANIMATIONS"] == "none"
    assert terminal_wishes(Settings(animations=True), {"SSH_CONNECTION": "x", "TEXTUAL_FPS": "9"}) == {}


def test_the_theme_is_that_of_the_file_then_the_last_then_one_for_the_terminal() -> None:
    assert first_theme(Settings(theme="nord"), "dracula", {}) == "nord"
    assert first_theme(Settings(), "dracula", {}) == "dracula"
    assert first_theme(Settings(), None, {"COLORFGBG": "0;15"}) == "textual-light"
    assert first_theme(Settings(), None, {"COLORFGBG": "15;0"}) == "textual-dark"


def test_a_desktop_note_passes_through_tmux_and_holds_no_control_characters() -> None:
    assert desktop_note("a\x1b]b", {}) == "\x1b]9;a]b\x07"
    assert desktop_note("a", {"TMUX": "1"}) == "\x1bPtmux;\x1b\x1b]9;a\x07\x1b\\"


async def test_a_key_of_the_users_own_works_and_stands_in_footer_and_help(folder: Path, root: Root) -> None:
    async with driven(folder, root, settings=Settings(keymap={"phases.next_preset": "f5"})) as driver:
        await driver.sees("f5 Preset")
        await driver.keys("p")
        await driver.keys("f5")
        await driver.sees("at smoke")
        await driver.keys("question_mark")
        await driver.sees("f5            Preset")


async def test_a_theme_that_does_not_exist_is_told_and_the_console_opens(folder: Path, root: Root) -> None:
    async with driven(folder, root, settings=Settings(theme="textual-drak")) as driver:
        await driver.sees("there is no theme 'textual-drak'")


async def test_leaving_asks_where_the_settings_say_so(folder: Path, root: Root) -> None:
    async with driven(folder, root, settings=Settings(confirm=["quit"])) as driver:
        await driver.keys("q")
        await driver.sees("Leave the console?")
        await driver.keys("n")
        await driver.sees("phase1-tiny")


async def test_a_glance_writes_nothing_into_the_root(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        await driver.keys("tab", "r", "enter")
        await driver.sees("✓ succeeded")
        await driver.keys("1")
    before = {f: f.stat().st_mtime_ns for f in root.path.rglob("*")}
    for path in [root.path, *root.path.rglob("*")]:
        if path.is_dir():
            path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        async with driven(folder, root, settings=Settings(readonly=True)) as driver:
            await driver.sees("✓ make")
            await driver.keys("2")
            await driver.sees("Runs — 1")
    finally:
        for path in [root.path, *root.path.rglob("*")]:
            if path.is_dir():
                path.chmod(0o755)
    assert {f: f.stat().st_mtime_ns for f in root.path.rglob("*") if f in before} == before
    assert set(root.path.rglob("*")) == set(before), os.listdir(root.path)

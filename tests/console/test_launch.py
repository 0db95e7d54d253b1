"""Before anything starts: what would run, where, what would be sent, what it costs; and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.launch.rehearsal import Place, Rehearsal, Source, place_of, place_words, rehearse, words
from console.launch.specs import capped
from console.launch.starting import Choice
from console.project import Project
from console.screens.launch import LaunchDialog
from console.screens.run import RunScreen
from console.widgets.turn import Turn
from console.workspace import Workspace
from engine.config.phase import Step
from engine.protocol.layout import Root
from remote.cloud.cloud_paths import CloudPaths
from remote.cloud.ledger import Entry, Ledger
from tests.console.conftest import Console
from tests.console.driver import Driver, driven
from tests.console.tiny import make_project


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return make_project(tmp_path / "tiny")


def row(kind: str, position: int) -> dict[str, object]:
    return {"run_id": "r", "kind": kind, "position": position, "slot": "" if position else kind}


@pytest.mark.parametrize(
    ("queue", "kind", "needed", "gpus", "number"),
    [
        ([], "cpu", 1, 0, 0),
        ([row("cpu", 0)], "cpu", 1, 0, 1),
        ([row("cpu", 0), row("cpu", 1)], "cpu", 1, 0, 2),
        ([row("cpu", 0)], "gpu", 1, 2, 0),
        ([row("gpu", 0)], "gpu", 1, 2, 0),
        ([row("gpu", 0)], "gpu", 2, 2, 1),
        ([row("gpu", 0), row("gpu", 0), row("gpu", 1)], "gpu", 1, 2, 2),
    ],
)
def test_the_place_in_the_queue_is_foreseen(
    queue: list[dict[str, object]], kind: str, needed: int, gpus: int, number: int
) -> None:
    assert place_of(queue, kind, needed, gpus).number == number


def test_a_host_without_the_gpu_that_is_asked_for_says_so() -> None:
    assert "has none" in place_words(Place("gpu", 0, 0, 0))


def test_large_files_are_warned_of_before_they_are_sent() -> None:
    source = Source("ab12cd34ef", 3, 70 << 20, [("weights.bin", 61 << 20)], to_send=[("weights.bin", 61 << 20)])
    told = words(Rehearsal("gpu", "p", "cpu", "cpu", [], "/w", source))
    assert ("source", "! weights.bin has 64 MB: is it source? .gitignore leaves it out") in told
    assert ("source", "1 to be sent, 64 MB: weights.bin") in told


def test_what_stands_here_already_is_not_copied_again(tiny: Path, root: Root) -> None:
    space = Workspace(Project(tiny), root)
    phase = space.phase("phase1-tiny")
    choice = Choice(phase, space.choose(phase, "cpu"))
    first = rehearse(space, choice, [phase.step_named("make")])
    assert first.source.to_send is not None
    assert sorted(path for path, _ in first.source.to_send)[-2:] == ["judge.sh", "make.sh"]
    space.local.put_tree(space.tree())
    again = rehearse(space, choice, [phase.step_named("make")])
    assert again.source.to_send == []
    assert "there already" in words(again)[1][1]
    assert again.minutes == pytest.approx(0.1)
    space.close()


def test_a_rented_host_is_reckoned_at_its_own_price(tiny: Path, root: Root) -> None:
    paths = CloudPaths(root.path / "cloud")
    paths.folder.mkdir()
    with Ledger(paths.ledger) as ledger:
        where = ("gpu_1x_a100", "us-east-1", 129, "account")
        ledger.intend(Entry("u1", "gpu", *where, 0.0, 9e9, 5.16, 30, "hold", 600))
    space = Workspace(Project(tiny), root)
    phase = space.phase("phase1-tiny")
    found = rehearse(space, Choice(phase, space.choose(phase, "cpu"), "gpu"), [phase.step_named("make")])
    assert found.price_usd_per_h == 1.29
    assert found.usd == pytest.approx(0.1 / 60 * 1.29)
    space.close()


def test_caps_bring_a_steps_time_limit_down_and_never_up() -> None:
    step = Step(step="s", run="true", timeout_hours=2)
    assert capped(step, None, None, 0).timeout_hours == 2
    assert capped(step, 1, None, 0).timeout_hours == 1
    assert capped(step, 5, None, 0).timeout_hours == 2
    assert capped(step, None, 1.0, 2.0).timeout_hours == 0.5


def test_a_dry_run_tells_programs_everything_and_starts_nothing(project: Path, console: Console, root: Root) -> None:
    told = console("run", "phase1-tiny", "--dry-run", "--json").json
    assert [s["step"] for s in told["steps"]] == ["make", "use"]
    assert told["queue"]["number"] == 0
    assert told["source"]["bytes_to_send"] > 0
    assert (told["host"], told["variant"], told["blocked"]) == ("local", "default", "")
    assert root.run_ids() == []
    page = console("run", "phase1-tiny", "use", "--dry-run").out
    assert "cat " in page
    assert "step make has not succeeded yet" in page


def test_dollars_can_cap_only_what_has_a_price(project: Path, console: Console) -> None:
    answer = console("run", "phase1-tiny", "make", "--max-usd", "3")
    assert answer.code == 2
    assert "cap it with --max-hours" in answer.line


def test_a_slip_in_a_key_is_named_also_without_a_model(
    tiny: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny)
    answer = console("run", "phase1-tiny", "make", "--set", "levle=3", "--dry-run")
    assert answer.code == 2
    assert "unknown key 'levle'; did you mean 'level'?" in answer.line
    assert console("run", "phase1-tiny", "make", "--set", "wholly.new=3", "--dry-run").code == 0


# The dialog


async def opened(driver: Driver, *keys: str) -> LaunchDialog:
    await driver.keys(*keys)
    await driver.until(lambda: isinstance(driver.app.screen, LaunchDialog), "the launch dialog")
    dialog = driver.app.screen
    assert isinstance(dialog, LaunchDialog)
    await driver.until(lambda: dialog.rehearsal is not None, "the rehearsal")
    return dialog


async def test_the_dialog_shows_what_would_be_copied_and_starts_on_enter(tiny: Path, root: Root) -> None:
    async with driven(tiny, root) as driver:
        await opened(driver, "tab", "r")
        await driver.sees("to be copied")
        await driver.sees("starts at once")
        await driver.keys("enter")
        await driver.until(lambda: isinstance(driver.app.screen, RunScreen), "the run's screen")
        await driver.sees("succeeded")


async def test_arrows_turn_the_preset_and_the_words_follow(tiny: Path, root: Root) -> None:
    async with driven(tiny, root) as driver:
        dialog = await opened(driver, "tab", "r")
        assert dialog.query_one("#preset", Turn).chosen == "cpu"
        await driver.keys("left")
        await driver.sees("at smoke on local")


async def test_a_wrong_override_or_cap_is_named_live_and_enter_starts_nothing(tiny: Path, root: Root) -> None:
    async with driven(tiny, root) as driver:
        await opened(driver, "tab", "r")
        await driver.keys("tab", "tab", *"levle=3")
        await driver.sees("did you mean 'level'?")
        await driver.keys("enter")
        assert isinstance(driver.app.screen, LaunchDialog)
        await driver.keys(*["backspace"] * 4, *"el=3")
        await driver.sees("at cpu+level=3 on local")
        await driver.keys("tab", *"soon")
        await driver.sees("'soon' is no cap")
        await driver.keys(*["backspace"] * 4, *"1.5")
        await driver.sees("1.5 h, then the stop ladder")
        await driver.keys("enter")
        await driver.until(lambda: isinstance(driver.app.screen, RunScreen), "the run's screen")
        await driver.until(lambda: bool(driver.app.screen.view.spec), "its spec")
        assert driver.app.screen.view.spec.timeout_s == 5400


async def test_a_host_that_can_not_be_asked_says_why_and_the_rest_is_still_there(tiny: Path, root: Root) -> None:
    (root.path / "hosts.yaml").write_text("hosts: {box: {ssh: nobody@127.0.0.1:1}}\n")
    async with driven(tiny, root) as driver:
        dialog = await opened(driver, "R")
        await driver.keys("tab", "right")
        await driver.sees("at cpu on box")
        await driver.until(lambda: bool(dialog.rehearsal and dialog.rehearsal.problem), "why it could not be asked")
        await driver.keys("escape")
        assert root.run_ids() == []


async def test_a_plan_with_a_cap_chooses_what_happens_there(tiny: Path, root: Root) -> None:
    async with driven(tiny, root) as driver:
        dialog = await opened(driver, "R")
        assert not dialog.query_one("#cap-row").display
        await driver.keys("tab", "tab", "tab", *"2")
        await driver.sees("2 h, then save-then-terminate")
        await driver.keys("tab", "right", "right")
        await driver.sees("2 h, then hold")


@pytest.mark.parametrize("size", [(80, 24), (250, 80)])
async def test_the_dialog_fits_any_terminal(tiny: Path, root: Root, size: tuple[int, int]) -> None:
    async with driven(tiny, root, size) as driver:
        await opened(driver, "tab", "r")
        await driver.sees("enter starts")
        await driver.sees("estimate")


async def test_a_refusal_says_what_to_do_where_the_table_knows_it(tiny: Path, root: Root) -> None:
    (root.path / "hosts.yaml").write_text("hosts: {box: {ssh: nobody@127.0.0.1:1}}\n")
    async with driven(tiny, root) as driver:
        await opened(driver, "tab", "r")
        await driver.keys("tab", "right", "enter")
        await driver.sees("→ Does plain ssh reach it?")
        assert root.run_ids() == []

"""The key `p` on the screen of a run on another machine, a real OpenSSH server: its files come here, or a line says why not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from console.hosts.far import Far
from engine.protocol.layout import Root
from tests.console.driver import Driver, driven
from tests.console.far_user import User, user_with_box
from tests.console.tiny import make_project
from tests.live import end_everything
from tests.remote.sshd import needs_sshd

pytestmark = needs_sshd


@pytest.fixture
def user(tmp_path: Path, root: Root, monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    """A user whose first step has run on the other machine; this process has their agent."""
    with user_with_box(tmp_path, make_project(tmp_path / "tiny"), root.path) as user:
        monkeypatch.setenv("SSH_AUTH_SOCK", user.env["SSH_AUTH_SOCK"])
        user.types("run", "phase1-tiny", "make", "--preset", "cpu", "--host", "box")
        yield user
        end_everything(Root(user.far))


async def on_its_screen(driver: Driver, root: Root) -> str:
    (run_id,) = root.run_ids()
    driver.app.open_run(run_id)
    await driver.sees("✓ succeeded")
    return run_id


def said(driver: Driver) -> str:
    """What was told, whole: on screen it is wrapped."""
    return " ".join(n.message for n in driver.app._notifications)


async def test_p_brings_the_files_of_a_remote_run_here_verified(user: User, root: Root, tmp_path: Path) -> None:
    made = root.work("tiny", "phase1-tiny", "cpu") / "rows.jsonl"
    assert not made.exists()
    async with driven(tmp_path / "tiny", root) as driver:
        await on_its_screen(driver, root)
        await driver.keys("p")
        await driver.until(lambda: "are here, verified" in said(driver), "the files")
    assert made.read_text().count("\n") == 2


@pytest.mark.parametrize("key", ["p", "E"])
async def test_a_host_that_does_not_answer_is_a_refusal_in_a_line(
    user: User, root: Root, tmp_path: Path, key: str
) -> None:
    async with driven(tmp_path / "tiny", root) as driver:
        await on_its_screen(driver, root)
        user.server.__exit__()
        await driver.keys(key)
        await driver.until(lambda: any(n.severity == "error" for n in driver.app._notifications), "a refusal")
        assert "box" in said(driver)
        assert "Traceback" not in said(driver)


async def test_p_on_a_run_of_this_machine_says_that_its_files_are_here(tmp_path: Path, root: Root) -> None:
    async with driven(make_project(tmp_path / "tiny"), root) as driver:
        await driver.keys("tab", "r", "enter")
        await driver.sees("✓ succeeded")
        await driver.keys("p")
        await driver.until(lambda: "its files are here" in said(driver), "the answer")


async def test_a_log_that_is_not_here_yet_says_so_and_shows_its_end_from_there(
    user: User, root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Far, "log_lag", lambda self, run_id: 340_000_000)
    async with driven(tmp_path / "tiny", root) as driver:
        run_id = await on_its_screen(driver, root)
        await driver.sees("340 MB are still on box: E shows its end")
        root.run(run_id).log.write_bytes(b"old\n")
        await driver.keys("E")
        await driver.sees("The end of the log on box")
        await driver.sees("step 3 loss 0.6")
        await driver.keys("escape")
        await driver.sees("p Pull")

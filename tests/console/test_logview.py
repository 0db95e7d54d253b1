"""The log on screen, driven by its keys."""

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from console.logs.index import BLOCK
from console.widgets.log import KEYS, LogView


class LogApp(App[None]):
    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self.log_path = path
        self.selected: list[LogView.LineSelected] = []

    def compose(self) -> ComposeResult:
        yield LogView()

    def on_mount(self) -> None:
        self.view.open(self.log_path)
        self.view.focus()

    @property
    def view(self) -> LogView:
        return self.query_one(LogView)

    def on_log_view_line_selected(self, message: LogView.LineSelected) -> None:
        self.selected.append(message)


def seen(app: LogApp) -> list[str]:
    """What stands on the rows of the log, without gutter and blanks."""
    lines = app.view.lines
    return [lines.render_line(y).text[2:].rstrip() for y in range(lines.room.height)]


def status(app: LogApp) -> str:
    return app.view.lines.status()


async def settle(pilot: Pilot[None]) -> None:
    """Until threads and the messages that they posted are through."""
    await pilot.pause()
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


def numbered(count: int, first: int = 0) -> str:
    return "".join(f"2026-11-20 10:{n // 60 % 60:02d}:{n % 60:02d} step {n} loss 0.5\n" for n in range(first, count))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


async def test_the_newest_lines_show_first_and_are_followed(path: Path) -> None:
    path.write_text(numbered(1000))
    app = LogApp(path)
    async with app.run_test(size=(60, 12)) as pilot:
        assert seen(app)[-1].endswith("step 999 loss 0.5")
        with path.open("a") as out:
            out.write("one more\n")
        app.view.pump()
        await pilot.pause()
        assert seen(app)[-1] == "one more"
        assert app.view.follow


async def test_a_torn_line_shows_as_far_as_it_is_and_is_not_counted(path: Path) -> None:
    path.write_bytes("whole\n 42% ca\u00e9".encode()[:-1])
    app = LogApp(path)
    async with app.run_test(size=(60, 8)):
        assert seen(app)[:2] == ["whole", " 42% ca"]
        assert app.view.lines.rows is not None
        assert app.view.lines.rows.index.line_count == 1


async def test_a_progress_bar_stays_on_one_row_and_only_that_row_is_redrawn(path: Path) -> None:
    path.write_bytes(b"start\n 10%\r")
    app = LogApp(path)
    async with app.run_test(size=(60, 8)) as pilot:
        await pilot.pause()
        for percent in (50, 90):
            with path.open("ab") as out:
                out.write(b" %d%%\r" % percent)
            app.view.pump()
            assert {region.y for region in app.view.lines._repaint_regions} == {1}
            await pilot.pause()
        assert seen(app)[:2] == ["start", " 90%"]


async def test_a_log_that_is_not_there_yet_is_waited_for(path: Path) -> None:
    app = LogApp(path)
    async with app.run_test(size=(60, 8)) as pilot:
        assert "no log yet" in " ".join(seen(app))
        path.write_text("here\n")
        app.view.pump()
        await pilot.pause()
        assert seen(app)[0] == "here"


async def test_opening_nothing_lets_go_of_the_file(path: Path) -> None:
    path.write_text("here\n")
    app = LogApp(path)
    async with app.run_test(size=(60, 8)):
        app.view.open(None)
        app.view.pump()
        assert "no log yet" in " ".join(seen(app))


async def test_a_rewritten_file_starts_over_and_says_so(path: Path) -> None:
    path.write_text(numbered(100))
    app = LogApp(path)
    async with app.run_test(size=(60, 8)) as pilot:
        path.write_text("anew\n")
        app.view.pump()
        await pilot.pause()
        assert seen(app)[0] == "anew"
        assert "started over" in status(app)


async def test_a_file_that_is_gone_still_shows_what_it_held(path: Path) -> None:
    path.write_text("held\n")
    app = LogApp(path)
    async with app.run_test(size=(60, 8)):
        path.unlink()
        app.view.pump()
        assert seen(app)[0] == "held"
        assert "gone" in status(app)


async def test_old_lines_are_counted_while_what_is_in_sight_stays(path: Path) -> None:
    line = b"%07d " + b"x" * 92 + b"\n"
    path.write_bytes(b"".join(line % n for n in range(30_000)))
    app = LogApp(path)
    async with app.run_test(size=(60, 12)) as pilot:
        await pilot.press("pageup")
        before = seen(app)
        await settle(pilot)
        assert seen(app) == before
        assert app.view.lines.row_count == 30_000
        await pilot.press("g")
        assert seen(app)[0].startswith("0000000")


async def test_moving_up_stops_following_and_end_follows_again(path: Path) -> None:
    path.write_text(numbered(100))
    app = LogApp(path)
    async with app.run_test(size=(60, 12)) as pilot:
        await pilot.press("up")
        assert not app.view.follow
        path.write_text(path.read_text() + "new\n")
        app.view.pump()
        assert "new" not in seen(app)
        await pilot.press("end")
        assert app.view.follow
        assert seen(app)[-1] == "new"


async def test_scrolling_with_the_wheel_stops_following_until_the_end(path: Path) -> None:
    path.write_text(numbered(100))
    app = LogApp(path)
    async with app.run_test(size=(60, 12)) as pilot:
        app.view.lines.scroll_to(y=20, animate=False)
        await pilot.pause()
        assert not app.view.follow
        app.view.lines.scroll_to(y=1000, animate=False)
        await pilot.pause()
        assert app.view.follow


@pytest.mark.parametrize("wrap", [False, True])
async def test_the_cursor_walks_over_every_line_and_stays_in_sight(path: Path, wrap: bool) -> None:
    path.write_text("".join(f"{n} " + "word " * (n % 40) + "\n" for n in range(60)))
    app = LogApp(path)
    async with app.run_test(size=(50, 12)) as pilot:
        await pilot.press(*(["w"] if wrap else []), "g")
        for row in range(60):
            assert app.view.lines.cursor_row == row
            assert any(text.startswith(f"{row} ") or text == f"{row}" for text in seen(app)), row
            app.view.lines.action_cursor(1)
        for row in reversed(range(59)):
            app.view.lines.action_cursor(-1)
            assert app.view.lines.cursor_row == row
            assert any(text.startswith(f"{row} ") or text == f"{row}" for text in seen(app)), row


async def test_wrapped_lines_show_all_of_their_text_and_the_end_at_the_end(path: Path) -> None:
    path.write_text("".join(f"{n} " + "abcdefghij" * 12 + f" end{n}\n" for n in range(30)))
    app = LogApp(path)
    async with app.run_test(size=(50, 12)) as pilot:
        await pilot.press("w")
        text = "".join(row for row in seen(app))
        assert text.endswith("end29")
        await pilot.press("w")
        assert all(len(row) <= 48 for row in seen(app))


async def test_a_long_line_is_read_sideways(path: Path) -> None:
    path.write_text("0123456789" * 20 + "\n")
    app = LogApp(path)
    async with app.run_test(size=(50, 8)) as pilot:
        await pilot.press("right")
        assert seen(app)[0].startswith("678901")
        app.view.lines.action_sideways(1000)
        assert seen(app)[0].endswith("789")
        app.view.lines.action_sideways(-1000)
        assert seen(app)[0].startswith("012345")


async def test_search_goes_upwards_from_the_end_then_onwards_with_n_and_around(path: Path) -> None:
    path.write_text(numbered(300).replace("step 50 ", "step 50 needle ").replace("step 200 ", "step 200 needle "))
    app = LogApp(path)
    async with app.run_test(size=(60, 12)) as pilot:
        found = []
        await pilot.press("slash", *"needle", "enter")
        await settle(pilot)
        found.append(app.view.lines.cursor_row)
        for key in ("N", "n", "n"):
            await pilot.press(key)
            await settle(pilot)
            found.append(app.view.lines.cursor_row)
        assert found == [200, 50, 200, 50]
        assert "/ needle 1 of 2" in status(app)
        with path.open("a") as out:
            out.write("one more needle\n")
        app.view.pump()
        assert "/ needle 1 of 3" in status(app)
        assert "went around" in status(app)


async def test_what_is_searched_for_is_highlighted(path: Path) -> None:
    path.write_text("a needle here\n")
    app = LogApp(path)
    async with app.run_test(size=(60, 8)) as pilot:
        await pilot.press("slash", *"needle", "enter")
        await settle(pilot)
        lit = app.view.lines.get_component_rich_style("log--match").bgcolor
        strip = app.view.lines.render_line(0)
        assert [segment.text for segment in strip if segment.style and segment.style.bgcolor == lit] == ["needle"]


async def test_nothing_found_is_said_and_a_bad_expression_too(path: Path) -> None:
    path.write_text("text\n")
    app = LogApp(path)
    async with app.run_test(size=(80, 8)) as pilot:
        await pilot.press("slash", *"absent", "enter")
        await settle(pilot)
        assert "absent: not found" in status(app)
        await pilot.press("slash", "(", "enter")
        assert "no regular expression" in status(app)


async def test_a_filter_shows_matching_lines_also_new_ones_and_escape_shows_all(path: Path) -> None:
    path.write_text("".join(f"{'ERROR' if n % 10 == 0 else 'info'} {n}\n" for n in range(100)))
    app = LogApp(path)
    async with app.run_test(size=(80, 20)) as pilot:
        await pilot.press("ampersand", *"ERROR", "enter")
        await settle(pilot)
        assert [text for text in seen(app) if text] == [f"ERROR {n}" for n in range(0, 100, 10)]
        with path.open("a") as out:
            out.write("info 100\nERROR 101\n")
        app.view.pump()
        assert [text for text in seen(app) if text][-1] == "ERROR 101"
        await pilot.press("escape")
        assert app.view.lines.row_count == 102


async def test_leaving_a_filter_keeps_the_cursor_on_its_line(path: Path) -> None:
    path.write_text("".join(f"{'ERROR' if n == 50 else 'info'} {n}\n" for n in range(100)))
    app = LogApp(path)
    async with app.run_test(size=(80, 10)) as pilot:
        await pilot.press("ampersand", *"ERROR", "enter")
        await settle(pilot)
        await pilot.press("up", "escape")
        assert app.view.lines.cursor_row == 50
        assert "ERROR 50" in seen(app)


async def test_a_file_older_than_its_index_is_searched_and_shown_once_counted(path: Path) -> None:
    path.write_bytes(b"needle at the beginning\n" + b"hay\n" * (BLOCK * 5))
    app = LogApp(path)
    async with app.run_test(size=(60, 10)) as pilot:
        await pilot.press("slash", *"needle", "enter")
        await settle(pilot)
        await settle(pilot)
        assert app.view.lines.cursor_row == 0
        assert "needle at the beginning" in seen(app)


async def test_going_to_a_time_that_someone_typed(path: Path) -> None:
    path.write_text(numbered(600))
    app = LogApp(path)
    async with app.run_test(size=(60, 10)) as pilot:
        await pilot.press("at", *"2026-11-20 10:05", "enter")
        await pilot.pause()
        assert app.view.lines.cursor_row == 300
        await pilot.press("at", *"soon", "enter")
        assert "is no time" in status(app)


async def test_marks_are_set_visited_in_order_and_taken_away(path: Path) -> None:
    path.write_text(numbered(100))
    app = LogApp(path)
    async with app.run_test(size=(60, 10)) as pilot:
        await pilot.press("g", "m", "down", "down", "m", "end")
        visited = []
        for _ in range(3):
            await pilot.press("apostrophe")
            visited.append(app.view.lines.cursor_row)
        assert visited == [0, 2, 0]
        assert app.view.lines.render_line(0).text[0] == "▌"
        await pilot.press("m")
        assert "1 marked" in status(app)


async def test_the_line_under_the_cursor_is_told_with_its_step_and_time(path: Path) -> None:
    path.write_text(numbered(100))
    app = LogApp(path)
    async with app.run_test(size=(60, 10)) as pilot:
        await pilot.press("g", "down")
        await pilot.pause()
        message = app.selected[-1]
        assert (message.step, message.text) == (1, "2026-11-20 10:00:01 step 1 loss 0.5")
        assert message.unix_time is not None


async def test_going_where_a_chart_points_tells_nobody(path: Path) -> None:
    path.write_text(numbered(100))
    app = LogApp(path)
    async with app.run_test(size=(60, 10)) as pilot:
        assert app.view.go_to_step(40)
        await pilot.pause()
        assert app.view.lines.cursor_row == 40
        assert app.selected == []


async def test_escape_belongs_to_the_log_only_while_there_is_something_to_drop(path: Path) -> None:
    path.write_text("needle\n")
    app = LogApp(path)
    async with app.run_test(size=(60, 10)) as pilot:
        assert app.view.lines.check_action("stop", ()) is False
        await pilot.press("slash", *"needle", "enter")
        await settle(pilot)
        assert app.view.lines.check_action("stop", ()) is True
        await pilot.press("escape")
        assert app.view.lines.needle is None


@pytest.mark.parametrize("size", [(250, 80), (80, 24), (12, 4), (3, 2), (1, 1)])
@pytest.mark.parametrize("key", ["w", "f"])
async def test_hostile_bytes_and_any_size_do_no_harm(path: Path, size: tuple[int, int], key: str) -> None:
    path.write_bytes(
        bytes(range(256)) * 300 + b"\n" + b"y" * 1_000_000 + b"\n" + "日本語🎉\n".encode() * 50 + b"\xf0\x9f"
    )
    app = LogApp(path)
    async with app.run_test(size=size) as pilot:
        await pilot.press(key, "g", "down", "pagedown", "end", "pageup", "right", "up", "m")
        lines = app.view.lines
        for y in range(lines.room.height):
            strip = lines.render_line(y)
            assert strip.text.isprintable()
            assert strip.cell_length == lines.room.width


@pytest.mark.parametrize("environment", ["NO_COLOR", None])
async def test_without_colour_the_cursor_is_a_sign(
    path: Path, environment: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if environment:
        monkeypatch.setenv(environment, "1")
    path.write_text("one\ntwo\n")
    app = LogApp(path)
    async with app.run_test(size=(40, 8)) as pilot:
        await pilot.press("g")
        assert app.view.lines.render_line(0).text.startswith(" >one" if environment else "  one")


async def test_text_is_selected_with_the_mouse_and_copied_as_it_is_seen(path: Path) -> None:
    path.write_bytes(b"first line\n\x1b[31msecond\x1b[0m line\nthird line\n")
    app = LogApp(path)
    async with app.run_test(size=(60, 10)) as pilot:
        lines = app.view.lines
        await pilot.mouse_down(lines, offset=(2 + 6, 0))
        await pilot.hover(lines, offset=(2 + 3, 2))
        await pilot.mouse_up(lines, offset=(2 + 4, 2))
        await pilot.pause()
        assert app.screen.get_selected_text() == "line\nsecond line\nthird"
        lit = app.screen.get_component_rich_style("screen--selection").bgcolor
        row = lines.render_line(0)
        assert "".join(part.text for part in row if part.style and part.style.bgcolor == lit) == "line"


async def test_the_line_that_a_copy_takes_is_the_cursors_or_the_newest(path: Path) -> None:
    path.write_text("one\ntwo\n")
    app = LogApp(path)
    async with app.run_test(size=(60, 10)) as pilot:
        assert app.view.text_at_cursor == "two"
        await pilot.press("g")
        assert app.view.text_at_cursor == "one"


def test_every_key_of_the_table_has_an_action_and_words() -> None:
    from console.widgets.loglines import LogLines

    for key, action, words in KEYS:
        method: Callable[..., None] | None = getattr(LogLines, f"action_{action.split('(')[0]}", None)
        assert method is not None, (key, action)
        assert words

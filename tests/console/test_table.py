"""The table of any number of rows: which columns there is room for, and which rows are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from textual.app import App, ComposeResult

from console.widgets.table import Cell, Column, VirtualTable, aligned, fitting

COLUMNS = [Column("a", "a", 6), Column("b", "b", 10, rank=5), Column("c", "c", 8, rank=1, most=20), Column("d", "d", 4)]


@pytest.mark.parametrize(
    ("width", "kept"),
    [
        (10, [("a", 10)]),
        (12, [("a", 6), ("d", 4)]),
        (24, [("a", 6), ("c", 8), ("d", 6)]),
        (34, [("a", 6), ("b", 10), ("c", 8), ("d", 4)]),
        (60, [("a", 6), ("b", 10), ("c", 14), ("d", 24)]),
        (90, [("a", 6), ("b", 10), ("c", 20), ("d", 48)]),
        (1, [("a", 1)]),
    ],
)
def test_columns_of_a_high_rank_leave_first_and_spare_room_is_shared(width: int, kept: list[tuple[str, int]]) -> None:
    fitted = [(c.key, c.width) for c in fitting(COLUMNS, width)]
    assert fitted == kept
    assert sum(w + 2 for _, w in fitted) - 2 <= max(width, 1)


@pytest.mark.parametrize(
    ("text", "width", "right", "shown"),
    [
        ("ab", 4, False, "ab  "),
        ("ab", 4, True, "  ab"),
        ("abcdef", 4, False, "abc…"),
        ("漢字漢", 4, False, "漢 …"),
        ("a", 0, False, ""),
    ],
)
def test_text_takes_exactly_its_cells(text: str, width: int, right: bool, shown: str) -> None:
    assert aligned(text, width, right) == shown


class Shown(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []

    def compose(self) -> ComposeResult:
        yield VirtualTable(self.cells, id="table")

    def cells(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, Cell]]:
        self.read += ids
        return {i: {"a": Cell(i)} for i in ids}


async def test_only_rows_around_those_in_sight_are_read() -> None:
    app = Shown()
    async with app.run_test(size=(40, 12)) as pilot:
        table = app.query_one(VirtualTable)
        table.show_columns(COLUMNS)
        table.show_ids([str(i) for i in range(100_000)])
        table.focus()
        await pilot.press("end")
        assert table.chosen == "99999"
        await pilot.press("pageup", "home", "down")
        assert table.chosen == "1"
        assert len(set(app.read)) < 200


async def test_the_highlighted_row_stays_when_others_come_and_go() -> None:
    app = Shown()
    async with app.run_test(size=(40, 12)) as pilot:
        table = app.query_one(VirtualTable)
        table.show_ids(["a", "b", "c"])
        await pilot.pause()
        table.move_to(1)
        table.show_ids(["new", "a", "b", "c"])
        assert table.chosen == "b"
        table.show_ids(["new", "a"])
        assert table.chosen == "a", "the nearest one where it is gone"
        table.show_ids([])
        assert table.chosen is None
        await pilot.pause()


async def test_freshening_redraws_only_what_changed() -> None:
    app = Shown()
    async with app.run_test(size=(40, 12)) as pilot:
        table = app.query_one(VirtualTable)
        table.show_columns(COLUMNS)
        table.show_ids(["a", "b", "c"])
        await pilot.pause()
        drawn: list[int] = []
        table._refresh_row = drawn.append  # type: ignore[method-assign]
        table.freshen()
        assert drawn == []
        table.source = lambda ids: {i: {"a": Cell("x" if i == "b" else i)} for i in ids}
        table.freshen()
        assert drawn == [1]

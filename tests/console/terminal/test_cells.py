"""Only what changed is written, and the terminal shows what it would have shown."""

from __future__ import annotations

import random
from io import StringIO

import pytest
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from console.terminal.cells import is_sure, turn
from console.terminal.shown import Shown
from tests.console.terminal.screen import Terminal

WIDTH, HEIGHT = 24, 5
STYLES = [
    Style(color="#e0e0e0", bgcolor="#1e1e1e"),
    Style(color="#7269e8", bgcolor="#1e1e1e"),
    Style(color="red", bold=True),
    Style(color="bright_green", bgcolor="color(17)", underline=True, reverse=True),
    Style(bgcolor="#123456"),
    Style(link="https://example.org/a"),
    Style(meta={"offset": (1, 2)}),
    None,
]
GLYPHS = ["a", "b", " ", "·", "⣿", "│", "▶", "字", "🎉", "é"]


def a_console() -> Console:
    return Console(file=StringIO(), force_terminal=True, color_system="truecolor")


def a_strip(dice: random.Random, width: int, glyphs: list[str]) -> Strip:
    """Exactly so wide."""
    segments: list[Segment] = []
    left = width
    while left > 0:
        text = "".join(dice.choices(glyphs, k=dice.randint(1, 6)))
        piece = Strip([Segment(text, dice.choice(STYLES))])
        piece = piece if piece.cell_length <= left else piece.adjust_cell_length(left)
        segments += piece
        left -= piece.cell_length
    return Strip(segments, width)


def edited(dice: random.Random, strip: Strip, glyphs: list[str]) -> Strip:
    """A few cells of it anew, as a tick of the screen would."""
    start = dice.randrange(WIDTH)
    stop = min(WIDTH, start + dice.randint(0, 6))
    return Strip.join([strip.crop(0, start), a_strip(dice, stop - start, glyphs), strip.crop(stop, WIDTH)])


@pytest.mark.parametrize("seed", range(60))
def test_the_terminal_shows_what_textuals_own_sequences_would_have_made_it_show(seed: int) -> None:
    dice, console, shown = random.Random(seed), a_console(), Shown()
    glyphs = GLYPHS if seed % 2 else GLYPHS[:7]
    ours, theirs = Terminal(), Terminal()
    lines = [a_strip(dice, WIDTH, glyphs) for _ in range(HEIGHT)]
    picture: ChopsUpdate | LayoutUpdate = LayoutUpdate([[line] for line in lines], Region(0, 0, WIDTH, HEIGHT))
    for _ in range(12):
        ours.take(shown.through(picture).render_segments(console))  # type: ignore[attr-defined]
        theirs.take(picture.render_segments(console))
        assert ours.cells == theirs.cells
        lines = [edited(dice, line, glyphs) if dice.random() < 0.6 else line for line in lines]
        if dice.random() < 0.1:
            shown.forget()
        if dice.random() < 0.1:
            picture = LayoutUpdate([[line] for line in lines], Region(0, 0, WIDTH, HEIGHT))
            continue
        cut = dice.randrange(1, WIDTH)
        chops = [{0: line.crop(0, cut), cut: line.crop(cut, WIDTH)} for line in lines]
        picture = ChopsUpdate(chops, [(y, 0, WIDTH) for y in range(HEIGHT)], [[cut, WIDTH]] * HEIGHT)


def changed_by(before: str, now: str) -> str:
    """What is written when one line becomes another of the same style."""
    console, shown = a_console(), Shown()
    style = STYLES[0]
    for text in (before, now):
        picture = ChopsUpdate([{0: Strip([Segment(text, style)])}], [(0, 0, len(text))], [[len(text)]])
        written = shown.through(picture).render_segments(console)  # type: ignore[attr-defined]
    return str(written)


def test_one_changed_digit_is_one_jump_one_look_and_the_digit() -> None:
    assert changed_by("step 2004 loss 0.3786", "step 2005 loss 0.3786") == (
        "\x1b[1;9H\x1b[38;2;224;224;224;48;2;30;30;30m5\x1b[0m"
    )


def test_a_picture_that_is_the_same_writes_nothing() -> None:
    assert changed_by("step 2004", "step 2004") == ""


def test_a_line_with_a_glyph_of_doubtful_width_is_written_whole_so_that_nothing_is_left_over() -> None:
    assert "🎉 party 2" in changed_by("🎉 party 1", "🎉 party 2")
    assert [glyph for glyph in "🎉字\u200d⣿▶é" if is_sure(glyph)] == ["⣿", "▶", "é"]


def test_after_a_glyph_that_the_terminal_draws_wider_the_rest_of_the_line_is_not_torn() -> None:
    console, shown, ours = a_console(), Shown(), Terminal(wide="🫠")
    for text in ("🫠 1234567", "🫠 1294567"):
        picture = ChopsUpdate([{0: Strip([Segment(text, STYLES[0])])}], [(0, 0, 10)], [[10]])
        ours.take(shown.through(picture).render_segments(console))  # type: ignore[attr-defined]
    line = "".join(glyph for (_, _), (glyph, *_) in sorted(ours.cells.items()))
    assert line.startswith("🫠 1294567")


def test_a_look_that_shares_its_ground_says_only_its_ink() -> None:
    assert turn("38;2;1;2;3;48;2;9;9;9", "38;2;4;5;6;48;2;9;9;9") == "\x1b[38;2;4;5;6m"
    assert turn("1;31", "31") == "\x1b[0;31m"
    assert turn("31;42", "42") == "\x1b[39m"
    assert turn("31", "") == "\x1b[0m"

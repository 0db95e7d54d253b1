import os
import random
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from console.logs import index as logindex
from console.logs.index import BLOCK, Change, LogFile, LogIndex, count_newlines
from console.logs.rows import LogRows, find_nearest, tally
from console.logs.search import QueryError, matching_lines, matching_lines_back, parse_query, required_literals
from console.logs.stamps import asked_time, find_line, line_step, line_time
from console.logs.text import Sgr, last_state, plain, read_line, show, whole_characters


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


def lines_of(index: LogIndex) -> list[bytes]:
    found = (index.line(number) for number in range(index.line_count))
    return [index.file.read(line.start, line.stop) for line in found]


def backfill(index: LogIndex, blocks: int = 1) -> None:
    while not index.complete:
        first = max(0, index.first_block - blocks)
        index.prepend(first, count_newlines(index.file, first, index.first_block, index.first_block * BLOCK))


def random_lines(seed: int, size: int) -> bytes:
    rng = random.Random(seed)
    parts, total = [], 0
    while total < size:
        length = rng.choice([0, 1, 10, 80, 300]) if rng.random() > 0.001 else rng.randrange(3 * BLOCK)
        parts.append(bytes(rng.choices(range(32, 127), k=min(length, 50))) * (length // 50 + 1))
        total += len(parts[-1]) + 1
    return b"\n".join(parts)


# ---------------------------------------------------------------- index


@pytest.mark.parametrize("seed", range(3))
def test_lines_are_those_of_splitting_the_file(path: Path, seed: int) -> None:
    data = random_lines(seed, 2_500_000)
    path.write_bytes(data)
    index = LogIndex(LogFile(path))
    assert not index.complete
    newest = index.line_count
    whole = data.split(b"\n")[:-1]
    assert lines_of(index) == whole[-newest:]
    backfill(index, blocks=7)
    assert lines_of(index) == whole
    assert data[index.tail.start :] == data.split(b"\n")[-1]


def test_a_byte_is_found_in_its_line_before_and_after_backfill(path: Path) -> None:
    path.write_bytes(random_lines(4, 2_000_000))
    index = LogIndex(LogFile(path))
    for _ in range(2):
        for number in range(0, index.line_count, 97):
            line = index.line(number)
            assert index.line_at(line.start) == index.line_at(line.stop) == number
        backfill(index)
    assert index.line_at(index.tail.start) == index.line_count


def test_a_growing_file_gives_whole_lines_only(path: Path) -> None:
    data = random_lines(5, 400_000)
    path.write_bytes(b"")
    index = LogIndex(LogFile(path))
    rng = random.Random(5)
    at = 0
    with path.open("ab") as out:
        while at < len(data):
            step = rng.randrange(1, 60_000)
            out.write(data[at : at + step])
            out.flush()
            at += step
            assert index.file.check() is Change.GREW
            while index.grow():
                pass
            assert index.line_count == data[:at].count(b"\n")
            assert index.tail.stop == min(at, len(data))
    assert lines_of(index) == data.split(b"\n")[:-1]


def test_a_burst_is_taken_in_over_several_calls(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logindex, "GROWTH", 100_000)
    path.write_bytes(b"first\n")
    index = LogIndex(LogFile(path))
    with path.open("ab") as out:
        out.write(b"line\n" * 60_000)
    index.file.check()
    calls = 1
    while index.grow():
        calls += 1
    assert (calls, index.line_count) == (3, 60_001)


def test_memory_is_four_bytes_per_block_and_a_sum(path: Path) -> None:
    with path.open("wb") as out:
        out.truncate(BLOCK * 10_000)
    index = LogIndex(LogFile(path))
    backfill(index, blocks=4000)
    assert index._counts.itemsize * len(index._counts) + index._sums.itemsize * len(index._sums) == 120_000


@pytest.mark.parametrize("anew", [b"", b"short\n", b"other beginning, as long as before\n" * 3, None])
def test_a_file_that_was_written_anew_is_noticed(path: Path, anew: bytes | None) -> None:
    path.write_bytes(b"the beginning, and more of the same\n" * 3)
    file = LogFile(path)
    if anew is None:
        os.replace(_written(path.with_suffix(".new"), path.read_bytes() + b"more\n"), path)
    else:
        path.write_bytes(anew)
    assert file.check() is Change.RESTARTED


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_a_file_that_is_gone_can_still_be_read(path: Path) -> None:
    path.write_bytes(b"one\ntwo\n")
    index = LogIndex(LogFile(path))
    path.unlink()
    assert index.file.check() is Change.GONE
    assert lines_of(index) == [b"one", b"two"]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_ordinary_file_is_refused_and_never_waited_for(path: Path, make: Callable[[Path], None]) -> None:
    make(path)
    with pytest.raises(OSError, match="not an ordinary file"):
        LogFile(path)


def test_a_file_cut_short_between_two_reads_gives_no_error(path: Path) -> None:
    path.write_bytes(b"line\n" * 50_000)
    index = LogIndex(LogFile(path))
    path.write_bytes(b"")
    assert index.line(40_000).stop <= index.indexed_to
    assert index.line_at(200_000) >= 0


# ---------------------------------------------------------------- text


@pytest.mark.parametrize(
    "data",
    [
        b"\x1b]0;title\x07ok",
        b"\x1b]52;c;ZXZpbA==\x1b\\ok",
        b"\x1bPdevice string\x1b\\ok",
        b"\x1b[2J\x1b[10;10Hok",
        b"\x1b[?1049hok",
        b"\x1bcok",
        "\u202eok".encode(),
        "\u200b\u2066ok".encode(),
        "\x9b5nok".encode(),
    ],
)
def test_no_sequence_that_moves_erases_or_sets_gets_through(data: bytes) -> None:
    assert show(data).text == "ok"


def test_no_byte_at_all_gets_a_control_character_through() -> None:
    rng = random.Random(0)
    for _ in range(300):
        text = show(bytes(rng.choices(range(256), k=200)) + b"\x1b").text
        assert text.isprintable(), text


def test_colours_become_styles_and_reset_ends_them() -> None:
    pieces = show(b"\x1b[1;31mbad\x1b[0m fine \x1b[38;5;208mor\x1b[48;2;1;2;3mange\x1b[39;49m.").pieces
    assert [(piece.text, piece.style) for piece in pieces] == [
        ("bad", Sgr(colour="red", bold=True)),
        (" fine ", Sgr()),
        ("or", Sgr(colour="color(208)", bold=False)),
        ("ange", Sgr(colour="color(208)", ground="#010203")),
        (".", Sgr()),
    ]


@pytest.mark.parametrize("codes", ["38", "38;5", "38;2;1", "999;5;2", "48;7;1", ";;;"])
def test_colour_sequences_that_make_no_sense_do_no_harm(codes: str) -> None:
    assert show(f"\x1b[{codes}mtext".encode()).text == "text"


@pytest.mark.parametrize(
    ("data", "left"),
    [
        (b"\r 10%\r 50%\r100%", b"100%"),
        (b" 10%\r 50%\r", b" 50%"),
        (b"windows line\r", b"windows line"),
        (b"90%\r    \r", b"90%"),
        (b"\r", b""),
        (b"plain", b"plain"),
    ],
)
def test_a_progress_bar_is_its_last_state(data: bytes, left: bytes) -> None:
    assert last_state(data) == left


@pytest.mark.parametrize("cut", range(1, 4))
def test_a_character_torn_at_the_end_waits_for_its_bytes(cut: int) -> None:
    data = "ok 🎉".encode()
    assert whole_characters(data[:-cut]) == b"ok "
    assert whole_characters(data) == data


def test_a_line_of_a_megabyte_is_read_at_its_head_and_says_so(path: Path) -> None:
    path.write_bytes(b"head" + b"x" * 1_000_000 + b"\nnext\n")
    file = LogFile(path)
    shown = read_line(file, LogIndex(file).line(0))
    assert shown.text.startswith("headx")
    assert len(shown.text) + shown.hidden == 1_000_004


def test_a_megabyte_of_progress_shows_its_end(path: Path) -> None:
    path.write_bytes(b"".join(b"\r%6d/100000 [####]" % step for step in range(60_000)) + b"\n")
    index = LogIndex(LogFile(path))
    backfill(index)
    assert read_line(index.file, index.line(0)).text == " 59999/100000 [####]"


def test_tabs_go_to_the_next_stop_also_after_a_colour() -> None:
    assert show(b"ab\tc").text == "ab      c"
    assert show(b"\x1b[1mab\x1b[0m\tc").text == "ab      c"


# ---------------------------------------------------------------- search


@pytest.mark.parametrize(
    ("pattern", "literal"),
    [
        (r"loss=\d+", "loss="),
        (r"CUDA (out|error)", "CUDA "),
        (r"a|b", ""),
        (r"(a|b)cd", "cd"),
        (r"colou?r", "colo"),
        (r"ab{2}c", "a"),
        (r"x+yz", "yz"),
        (r"step \[\d+\]", "step ["),
        (r"[abc]def\.txt", "def.txt"),
        (r"(?i)abc", ""),
        (r"(?:abc)*de", "de"),
        (r"[]x]yy", "yy"),
        (r"\bword\b", "word"),
        (r".*", ""),
    ],
)
def test_the_literal_of_an_expression_is_one_that_every_match_holds(pattern: str, literal: str) -> None:
    assert max(required_literals(pattern), key=len, default="") == literal


WORDS = [
    "loss=1.25",
    "Loss=3",
    "CUDA error",
    "CUDA out of memory",
    "abc",
    "abbc",
    "color",
    "colour",
    "step [12]",
    "x" * 90,
]
PATTERNS = [
    "loss",
    "Loss",
    r"loss=\d",
    r"CUDA (out|error)",
    r"ab{2}c",
    r"colou?r$",
    r"^abc",
    r"step \[\d+\]",
    "nothing",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_search_finds_the_lines_that_a_plain_loop_finds(
    path: Path, pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.logs.search.CHUNK", 500)
    rng = random.Random(pattern)
    lines = [" ".join(rng.choices(WORDS, k=rng.randrange(4))) for _ in range(800)]
    path.write_text("\n".join(lines) + "\n")
    flags = re.IGNORECASE if pattern == pattern.lower() else 0
    wanted, at = [], 0
    for line in lines:
        if re.search(pattern, line, flags):
            wanted.append(at)
        at += len(line) + 1
    file, query = LogFile(path), parse_query(pattern)
    assert list(matching_lines(file, query, 0, at)) == wanted
    assert list(matching_lines_back(file, query, 0, at)) == wanted[::-1]


def test_an_expression_sees_text_without_its_colours(path: Path) -> None:
    path.write_bytes(b"\x1b[31mER\x1b[0mROR at 3\n")
    assert list(matching_lines(LogFile(path), parse_query("^ERROR at [0-9]"), 0, 30)) == []
    path.write_bytes(b"\x1b[31mERROR\x1b[0m at 3\n")
    assert list(matching_lines(LogFile(path), parse_query("^ERROR.at [0-9]"), 0, 30)) == [0]


def test_an_expression_that_does_not_parse_is_refused_in_words() -> None:
    with pytest.raises(QueryError, match="is no regular expression"):
        parse_query("loss=[")


def test_a_search_stops_when_it_is_told_to(path: Path) -> None:
    path.write_bytes(b"no\n" * 2_000_000)
    asked: Iterator[bool] = iter([False, False, True])
    assert list(matching_lines(LogFile(path), parse_query("yes"), 0, 6_000_000, lambda: next(asked))) == []


def test_a_search_that_finds_nothing_below_goes_around_the_end(path: Path) -> None:
    path.write_bytes(b"hit\nno\nno\n")
    file, query = LogFile(path), parse_query("hit")
    assert find_nearest(file, query, None, 4, 10, 1) == (0, True)
    assert find_nearest(file, query, None, 4, 10, -1) == (0, False)
    assert find_nearest(file, parse_query("absent"), None, 4, 10, 1) is None


def test_a_search_within_a_filter_passes_over_lines_that_are_hidden(path: Path) -> None:
    path.write_bytes(b"a hit\nb hit\na no\nb no\n")
    assert find_nearest(LogFile(path), parse_query("hit"), parse_query("^b"), 0, 21, 1) == (6, False)


def test_a_tally_says_which_match_this_is_and_when_there_are_too_many(path: Path) -> None:
    path.write_bytes(b"hit\nno\nhit\nhit\n")
    file = LogFile(path)
    known = tally(file, parse_query("hit"), file.size)
    assert known.words(7) == "2 of 3"
    assert known.words(4) == known.words(None) == "3 lines"
    assert tally(file, parse_query("hit"), file.size, most=2).words(0) == "1 of 2+"


def test_a_filter_keeps_older_and_newer_lines_in_order(path: Path) -> None:
    path.write_bytes(b"".join(b"%d %s\n" % (n, b"keep" if n % 3 == 0 else b"drop") for n in range(100)))
    rows = LogRows(LogFile(path))
    query = parse_query("keep")
    stop = rows.set_filter(query)
    rows.keep_older(list(matching_lines_back(rows.file, query, 0, stop)))
    with path.open("ab") as out:
        out.write(b"100 drop\n101 keep\n102 keep, torn")
    rows.file.check()
    rows.grow()
    assert [rows.shown(row).text.split()[0] for row in range(rows.count)][-3:] == ["96", "99", "101"]
    assert rows.row_of(rows.line(5).start) == 5


# ---------------------------------------------------------------- time


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-11-20 23:45:01,250 INFO x", "2026-11-20T23:45:01.250+00:00"),
        ("2026-11-20T23:45:01Z x", "2026-11-20T23:45:01+00:00"),
        ("[2026-11-20 23:45:01+01:00] x", "2026-11-20T22:45:01+00:00"),
        ("1763682301.5 x", "2025-11-20T23:45:01.500+00:00"),
        ("[23:45:01] x", "2026-01-02T23:45:01+00:00"),
    ],
)
def test_the_times_that_logs_carry_are_read(text: str, wanted: str) -> None:
    day = datetime(2026, 1, 2, tzinfo=UTC)
    assert line_time(text, day) == datetime.fromisoformat(wanted).timestamp()


@pytest.mark.parametrize("text", ["no time", "2026-13-45 99:99:99 x", "[29:00:00] x", ""])
def test_what_is_no_time_is_none(text: str) -> None:
    assert line_time(text, datetime(2026, 1, 2, tzinfo=UTC)) is None


@pytest.mark.parametrize("text", ["step 120: loss", "step=120", '{"step": 120}', "iter 120/500", "global_step: 120"])
def test_the_steps_that_logs_name_are_read(text: str) -> None:
    assert line_step(text) == 120


def test_a_line_is_found_by_halving_as_by_reading_all(path: Path) -> None:
    rng = random.Random(1)
    steps = sorted(rng.randrange(100_000) for _ in range(3000))
    lines = [f"step {step} loss 0.1" if rng.random() < 0.5 else "some other line" * 20 for step in steps]
    path.write_text("\n".join(lines) + "\n")
    file = LogFile(path)
    for target in [0, 50_000, steps[-1] + 1, *rng.sample(range(100_000), 40)]:
        at, first, last = 0, None, None
        for line in lines:
            step = line_step(line)
            if step is not None:
                last = at
                first = at if first is None and step >= target else first
            at += len(line) + 1
        assert find_line(file, target, line_step, at) == (last if first is None else first)


def test_times_are_asked_for_as_people_say_them() -> None:
    now = datetime(2026, 11, 20, 12, 0, tzinfo=UTC).timestamp()
    assert asked_time("-5m", now, UTC) == now - 300
    assert asked_time("11:30", now, UTC) == now - 1800
    assert asked_time("23:00", now, UTC) == now - 13 * 3600
    assert asked_time("2026-11-20 11:00", now, UTC) == now - 3600
    assert asked_time("soon", now, UTC) is None


def test_searching_text_is_what_is_seen() -> None:
    assert plain(b"\x1b[32m 10%\r\x1b[32m100%\x1b[0m done") == "100% done"

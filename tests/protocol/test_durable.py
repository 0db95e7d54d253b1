"""Files that are whole or absent, also with several writers."""

from __future__ import annotations

import math
import os
import threading
from pathlib import Path

import pytest

from engine.protocol.durable import create_once, read_json, write_bytes, write_json


def hidden(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.startswith(".")]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"ä": [1, None, "x"]})
    assert read_json(tmp_path / "a.json") == {"ä": [1, None, "x"]}


def test_nothing_stays_beside_the_file(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {})
    create_once(tmp_path / "b.json", {})
    create_once(tmp_path / "b.json", {})
    assert sorted(os.listdir(tmp_path)) == ["a.json", "b.json"]


def test_a_value_that_is_no_json_leaves_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"n": 1})
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"n": math.nan})
    assert read_json(tmp_path / "a.json") == {"n": 1}
    assert hidden(tmp_path) == []


def test_create_once_lets_the_first_win(tmp_path: Path) -> None:
    assert create_once(tmp_path / "claim", {"who": 1})
    assert not create_once(tmp_path / "claim", {"who": 2})
    assert read_json(tmp_path / "claim") == {"who": 1}


def test_of_many_threads_exactly_one_creates_and_its_content_stands(tmp_path: Path) -> None:
    for round_ in range(40):
        path, won = tmp_path / f"claim{round_}", []
        gate = threading.Barrier(8)

        def create(who: int, path: Path = path, won: list[int] = won, gate: threading.Barrier = gate) -> None:
            gate.wait()
            if create_once(path, {"who": who, "long": "x" * 20_000}):
                won.append(who)

        threads = [threading.Thread(target=create, args=(who,)) for who in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert (read_json(path) or {}).get("who") == won[0]
    assert hidden(tmp_path) == []


def test_threads_that_replace_one_file_never_break_it(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    problems: list[BaseException] = []

    def write(who: int) -> None:
        try:
            for _ in range(30):
                write_json(path, {"who": who, "long": str(who) * 10_000})
        except BaseException as error:
            problems.append(error)

    write(0)
    threads = [threading.Thread(target=write, args=(who,)) for who in range(1, 5)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        value = read_json(path)
        assert value is not None
        assert value["long"] == str(value["who"]) * 10_000
    for thread in threads:
        thread.join()
    assert problems == []
    assert hidden(tmp_path) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1]", b"null", b"\xff\xfe", b"\0" * 100, b"[" * 100_000, b'{"a":NaN'],
    ids=lambda c: repr(c[:9]),
)
def test_what_is_no_json_object_reads_as_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    assert read_json(tmp_path / "a.json") is None


def test_a_file_or_folder_that_is_not_there_reads_as_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert read_json(tmp_path / "no.json") is None
    assert read_json(tmp_path / "file" / "no.json") is None


def test_writing_where_no_folder_is_raises_and_makes_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_bytes(tmp_path / "no" / "a", b"x")
    assert not (tmp_path / "no").exists()

"""What is known of a file: size, hash, rows, different values; and that a file that lies about its kind ends no run."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from engine.protocol.files import count_rows, describe, free_bytes, latest_change, shown_path, unchanged, unique_values


def test_a_file_is_described_by_size_hash_and_change(tmp_path: Path) -> None:
    file = tmp_path / "weights.bin"
    file.write_bytes(b"x" * 3_000_000)
    about = describe(file, "out/weights.bin")
    assert about == {
        "path": "out/weights.bin",
        "size": 3_000_000,
        "sha256": hashlib.sha256(b"x" * 3_000_000).hexdigest(),
        "mtime_ns": file.stat().st_mtime_ns,
    }


def folder_of(where: Path, **files: str) -> Path:
    where.mkdir()
    for name, text in files.items():
        (where / name).write_text(text)
    return where


def test_a_folder_is_hashed_by_names_and_contents_in_any_order(tmp_path: Path) -> None:
    one = describe(folder_of(tmp_path / "one", a="x", b="y"))
    same = describe(folder_of(tmp_path / "same", b="y", a="x"))
    renamed = describe(folder_of(tmp_path / "renamed", a="x", c="y"))
    moved = describe(folder_of(tmp_path / "moved", a="xy", b=""))
    assert one["size"] == 2
    assert one["sha256"] == same["sha256"]
    assert len({one["sha256"], renamed["sha256"], moved["sha256"]}) == 3


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("a.jsonl", b'{"a":1}\n{"a":2}\n', 2),
        ("a.jsonl", b'{"a":1}\n\n  \n{"a":2}', 2),
        ("a.jsonl", b"", 0),
        ("a.json", b"[1, 2, 3]", 3),
        ("a.json", b'{"a": 1}', None),
        ("a.json", b"[1, 2", None),
        ("a.json", b"[" * 100_000, None),
        ("a.json", b"\xff\xfe", None),
        ("a.txt", b"one\ntwo\n", None),
        ("a.npz", b"no archive", None),
        ("a.npz", b"", None),
        ("a", b"x", None),
    ],
)
def test_rows_are_counted_where_the_kind_has_any(tmp_path: Path, name: str, content: bytes, rows: int | None) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    assert count_rows(file) == rows
    assert ("rows" in describe(file)) is (rows is not None)


@pytest.mark.parametrize(("shape", "rows"), [((7, 3), 7), ((0, 4), 0), ((5,), 5), ((), None)])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_the_rows_of_an_npz_are_those_of_its_first_array(
    tmp_path: Path, save: object, shape: tuple[int, ...], rows: int | None
) -> None:
    file = tmp_path / "a.npz"
    save(file, first=np.zeros(shape), second=np.zeros(99))  # type: ignore[operator]
    assert count_rows(file) == rows


def npz(file: Path, inside: bytes) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("first.npy", inside)
    return file


@pytest.mark.parametrize(
    "header",
    [
        b"\x93NUMPY\x01\x00\x10\x00(broken header)",
        b"\x93NUMPY\x01\x00\x02\x00{}",
        b"",
        b"__import__('os').system('touch hacked')",
    ],
)
def test_an_archive_with_a_strange_header_has_no_rows(tmp_path: Path, header: bytes) -> None:
    assert count_rows(npz(tmp_path / "a.npz", header)) is None
    assert not Path("hacked").exists()


def test_a_torn_archive_has_no_rows(tmp_path: Path) -> None:
    whole = tmp_path / "a.npz"
    np.savez_compressed(whole, first=np.arange(10_000))
    torn = tmp_path / "b.npz"
    torn.write_bytes(whole.read_bytes()[:-200])
    assert count_rows(torn) is None


def test_a_description_holds_until_size_or_time_change(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("one")
    about = describe(file)
    assert unchanged(file, about)
    file.write_text("other")
    assert not unchanged(file, about)
    file.unlink()
    assert not unchanged(file, about)


def test_a_folder_has_changed_when_one_of_its_files_has(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "f", a="x", b="y")
    about = describe(folder)
    assert latest_change(folder) == about["mtime_ns"]
    assert unchanged(folder, about)
    (folder / "c").write_text("z")
    assert not unchanged(folder, about)


@pytest.mark.parametrize(
    ("path", "shown"), [("work/out/a.pt", "out/a.pt"), ("elsewhere/a.pt", None), ("work/../elsewhere/a.pt", None)]
)
def test_a_path_is_shown_as_seen_from_the_work_folder(tmp_path: Path, path: str, shown: str | None) -> None:
    for folder in ("work/out", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
    given = tmp_path / path
    assert shown_path(given, str(tmp_path / "work")) == (str(given) if shown is None else shown)


def test_without_a_work_folder_the_path_is_itself() -> None:
    assert shown_path(Path("a/b"), None) == "a/b"
    assert shown_path(Path("a/b"), "") == "a/b"


@pytest.mark.parametrize(
    ("rows", "counted"),
    [
        ([{"id": 1}, {"id": 2}], (2, 2)),
        ([{"id": 1}, {"id": 1}], (2, 1)),
        ([{"id": 1}, {"id": "1"}, {"id": None}], (3, 3)),
        ([{"x": 1}, {"x": 2}], (2, 1)),
        ([{"id": {"a": 1, "b": 2}}, {"id": {"b": 2, "a": 1}}], (2, 1)),
        ([5, [1], "id"], (3, 1)),
        ([], (0, 0)),
    ],
)
def test_different_values_of_a_key_are_counted(tmp_path: Path, rows: list[object], counted: tuple[int, int]) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert unique_values(file, "id") == counted


def test_a_torn_line_is_a_row_that_is_not_unique(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'{"id":1}\n{"id":\n{"no":1}\n\n{"id":2')
    assert unique_values(file, "id") == (4, 2)


def test_free_space_is_told(tmp_path: Path) -> None:
    assert free_bytes(tmp_path) > 0

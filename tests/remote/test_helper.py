"""The helper process by itself, on two pipes: how it begins, what it answers to nonsense, and that it never stays behind."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.protocol.frames import Decoder, Frame, encode
from engine.protocol.layout import Root
from engine.supervisor import lay
from remote.helper_session import Start, packed_code
from remote.ship import code_hash


class Helper:
    """One process and its frames."""

    def __init__(self, root: Root, **order: Any) -> None:
        source = Path(lay.__file__).read_text()
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-E", "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/"
        )
        packed = packed_code()
        said = {"root": str(root.path), "code": code_hash(), "bytes": len(packed), **order}
        self.write(json.dumps(said).encode() + b"\n" + packed)
        self.decoder = Decoder(wait_for_magic=True)
        self.held: list[Frame] = []

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def ask(self, **head: Any) -> dict[str, Any]:
        self.write(encode(head))
        return self.next("re").head

    def next(self, key: str) -> Frame:
        """The next frame that has this key."""
        assert self.process.stdout is not None
        while True:
            while self.held:
                frame = self.held.pop(0)
                if key in frame.head:
                    return frame
            data = self.process.stdout.read1(1 << 16)  # type: ignore[attr-defined]
            assert data, "the helper ended"
            self.held += self.decoder.feed(data)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()


@pytest.fixture
def helper(root: Root) -> Iterator[Helper]:
    helper = Helper(root)
    yield helper
    helper.end()


def test_it_says_hello_with_its_root(helper: Helper, root: Root) -> None:
    assert helper.next("hello").head["root"] == str(root.path)


def test_its_code_lies_under_its_hash(root: Root, tmp_path: Path) -> None:
    fresh = Root(tmp_path / "fresh")
    helper = Helper(fresh)
    helper.next("hello")
    helper.end()
    assert (fresh.bin / code_hash() / "engine" / "supervisor" / "serve.py").exists()
    assert (fresh.path.stat().st_mode & 0o777) == 0o700


def test_it_ends_when_its_input_does(helper: Helper) -> None:
    helper.next("hello")
    assert helper.process.stdin is not None
    helper.process.stdin.close()
    assert helper.process.wait(10) == 0


def test_it_ends_when_its_console_is_silent_even_in_the_middle_of_a_write_that_nobody_reads(
    root: Root, tmp_path: Path
) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"x" * (4 << 20))
    helper = Helper(root, alone_s=0.5)
    helper.next("hello")
    helper.write(encode({"id": 1, "op": "range", "path": str(large), "at": 0, "count": 4 << 20}))
    assert helper.process.wait(10) == 0
    helper.end()


def test_it_gives_signs_of_life(helper: Helper) -> None:
    assert helper.next("beat").head["beat"] > 0


def test_an_unknown_request_is_refused_and_the_next_one_answered(helper: Helper) -> None:
    assert "knows no" in helper.ask(id=1, op="dance")["message"]
    assert helper.ask(id=2, op="runs")["runs"] == []


def test_a_request_without_what_it_needs_is_an_error_and_no_end(helper: Helper) -> None:
    assert helper.ask(id=1, op="observe")["error"] == "host"
    assert helper.ask(id=2, op="runs")["runs"] == []


def test_bytes_that_are_no_frame_end_it(helper: Helper) -> None:
    helper.next("hello")
    helper.write(b"GET / HTTP/1.1\r\n\r\n")
    assert helper.process.wait(10) == 1


def test_a_root_that_can_not_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    source = Path(lay.__file__).read_text()
    order = Start(str(tmp_path / "file" / "below")).preamble()
    done = subprocess.run([sys.executable, "-S", "-E", "-c", source], input=order, capture_output=True, check=False)
    assert done.returncode == lay.NO_ROOT
    assert str(tmp_path / "file") in done.stderr.decode()

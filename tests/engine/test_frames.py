"""Frames come out as they went in, whatever pieces they arrive in."""

from __future__ import annotations

import pytest

from engine.protocol.frames import MAGIC, BadFrame, Decoder, Frame, encode

FRAMES = [Frame({"id": 1, "word": "ä"}, b""), Frame({}, b"\0" * 1000), Frame({"re": 2}, MAGIC)]
WIRE = b"".join(encode(f.head, f.payload) for f in FRAMES)


@pytest.mark.parametrize("size", [1, 7, 1000, 5000])
def test_frames_come_out_whole_whatever_the_pieces(size: int) -> None:
    decoder = Decoder()
    found = [f for at in range(0, len(WIRE), size) for f in decoder.feed(WIRE[at : at + size])]
    assert found == FRAMES


@pytest.mark.parametrize("size", [1, 5, 50, 100_000])
def test_what_a_login_shell_prints_is_skipped_and_kept_for_the_error(size: int) -> None:
    data = b"Welcome!\n\0\1fractal" + MAGIC + WIRE
    decoder = Decoder(wait_for_magic=True)
    found = [f for at in range(0, len(data), size) for f in decoder.feed(data[at : at + size])]
    assert found == FRAMES
    assert bytes(decoder.noise) == b"Welcome!\n\0\1fractal"


def test_noise_without_an_end_takes_no_memory() -> None:
    decoder = Decoder(wait_for_magic=True)
    for _ in range(100):
        assert list(decoder.feed(b"x" * 10_000)) == []
    assert len(decoder.noise) <= 4096


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\2\0\0\0\0[]", b"\0\0\0\2\0\0\0\0{x", b"\xff" * 8])
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(BadFrame):
        list(Decoder().feed(data))

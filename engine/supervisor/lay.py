"""Lays the supervisor's code on a host and becomes its helper. This source travels in the SSH command itself.

    python3 -S -E -c 'exec(this source)'      # stdin: one line of JSON, then the packed code, then frames

Imports nothing of ours: nothing of ours is there yet. Ends with 3 where python3 is too old, 4 where the root can't be used.
"""

import json
import os
import shutil
import sys
import tempfile
import zlib

TOO_OLD, NO_ROOT = 3, 4


def read_exactly(fd: int, count: int) -> bytes:
    """Unbuffered, so that not a byte of the frames behind is taken."""
    data = b""
    while len(data) < count:
        piece = os.read(fd, count - len(data))
        if not piece:
            sys.exit(0)  # the console is gone already
        data += piece
    return data


def read_line(fd: int) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        line += read_exactly(fd, 1)
    return line


def lay(root: str, name: str, packed: bytes) -> str:
    """`<root>/bin/<name>` with the code in it; made whole or not at all."""
    target = os.path.join(root, "bin", name)
    if os.path.isdir(target):
        return target
    os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
    staging = tempfile.mkdtemp(prefix=".ship-", dir=os.path.dirname(target))
    try:
        for file, text in json.loads(zlib.decompress(packed)).items():
            path = os.path.join(staging, file)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as out:
                out.write(text)
        os.rename(staging, target)
    except OSError:
        shutil.rmtree(staging, ignore_errors=True)
        if not os.path.isdir(target):  # else another console was first, with the same content
            raise
    return target


def main() -> int:
    if sys.version_info < (3, 10):  # noqa: UP036 (this source runs on whatever python3 a host has)
        print(f"python3 is {sys.version.split()[0]}; 3.10 or later is needed", file=sys.stderr)
        return TOO_OLD
    order = json.loads(read_line(0))
    packed = read_exactly(0, order["bytes"])
    root = os.path.abspath(os.path.expanduser(order["root"]))
    try:
        os.makedirs(root, mode=0o700, exist_ok=True)
        code = lay(root, order["code"], packed)
    except OSError as error:
        print(f"{root} can't be used: {error.strerror}", file=sys.stderr)
        return NO_ROOT
    sys.path.insert(0, code)
    from engine.supervisor.serve import main as serve

    return serve(root, code, order.get("cwd") or "", order.get("alone_s"), order.get("stated"))


if __name__ == "__main__":
    sys.exit(main())

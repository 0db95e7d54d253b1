"""A machine behind a link of its own: an sshd in a network namespace, and the cable in the test's hand."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.remote.sshd import Sshd


def _ip(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=False)


def missing() -> str:
    """Why no namespace can be made here; empty where one can."""
    if os.getuid() != 0 or not shutil.which("ip"):
        return "network namespaces need root and iproute2"
    name = f"fr-try-{os.getpid()}"
    done = _ip("netns", "add", name)
    _ip("netns", "del", name)
    return "" if done.returncode == 0 else f"no network namespaces here: {done.stderr.strip()}"


needs_namespace = pytest.mark.skipif(bool(missing()), reason=missing() or "here")


@dataclass
class Link:
    """`with Link() as link`; the far end is `link.there`. Everything that it makes has a name of its own."""

    number: int = field(default_factory=lambda: os.getpid() % 250)

    def __post_init__(self) -> None:
        self.name = f"fr-{os.getpid()}"
        self.here, self.there = f"10.213.{self.number}.1", f"10.213.{self.number}.2"

    def __enter__(self) -> Link:
        ends = (f"{self.name}a", f"{self.name}b")
        for words in (
            ["netns", "add", self.name],
            ["link", "add", ends[0], "type", "veth", "peer", "name", ends[1], "netns", self.name],
            ["addr", "add", f"{self.here}/30", "dev", ends[0]],
            ["link", "set", ends[0], "up"],
            ["-n", self.name, "addr", "add", f"{self.there}/30", "dev", ends[1]],
            ["-n", self.name, "link", "set", ends[1], "up"],
            ["-n", self.name, "link", "set", "lo", "up"],
        ):
            done = _ip(*words)
            assert done.returncode == 0, (words, done.stderr)
        return self

    def __exit__(self, *_: object) -> None:
        _ip("netns", "del", self.name)

    def cut(self) -> None:
        _ip("link", "set", f"{self.name}a", "down")

    def mend(self) -> None:
        _ip("link", "set", f"{self.name}a", "up")

    def sshd(self, folder: Path, key: Path) -> Sshd:
        """A server that is reached through the link alone."""
        return Sshd(folder, [key], address=self.there, inside=["ip", "netns", "exec", self.name])


class Flapping:
    """`with Flapping(link)`: a cable with a loose contact, gone for a moment again and again."""

    def __init__(self, link: Link, off_s: float = 0.05, on_s: float = 0.6) -> None:
        self._link, self._off_s, self._on_s = link, off_s, on_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._flap, daemon=True)
        self.cuts = 0

    def _flap(self) -> None:
        while not self._over.wait(self._on_s):
            self._link.cut()
            self.cuts += 1
            self._over.wait(self._off_s)
            self._link.mend()

    def __enter__(self) -> Flapping:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._link.mend()

"""How well this machine can hold an untrusted program, found out by trying.

A: namespaces, Landlock, seccomp, limits. B: the same without namespaces (inside a default container, say). C: less than
that; refused unless the user says `--unsafe`. The tier is recorded in every result.
"""

from __future__ import annotations

import time

from engine.verify.sandbox import codec
from engine.verify.sandbox.link import Standing, Zygote
from engine.verify.sandbox.verdict import Limits, NoIsolation, SandboxBroken

# Each attempt must be refused inside; the program names those that were not.
_ATTEMPTS = """
import os, socket
def attempts():
    holes = []
    def must_fail(name, act):
        try:
            act()
        except OSError:
            return
        holes.append(name)
    def fork():
        if os.fork() == 0:
            os._exit(0)
    must_fail("read /etc/passwd", lambda: open("/etc/passwd").close())
    must_fail("list /proc", lambda: os.listdir("/proc"))
    must_fail("write /tmp", lambda: open("/tmp/fractal-probe", "w").close())
    must_fail("socket", lambda: socket.socket().close())
    must_fail("fork", fork)
    must_fail("kill", lambda: os.kill(os.getppid(), 0))
    must_fail("exec", lambda: os.execv("/bin/true", ["true"]))
    return holes
"""


def tier_of(standing: Standing) -> str:
    """The letter for the walls that stand."""
    if not (standing.seccomp and standing.landlock):
        return "C"
    return "A" if standing.namespaces else "B"


def open_zygote(limits: Limits, walls: str = "all", unsafe: bool = False) -> tuple[Zygote, str]:
    """A zygote behind the best walls that this machine has, tried out, and its tier."""
    zygote = Zygote(limits.memory_bytes, walls)
    tier = tier_of(zygote.standing)
    if tier == "C" and walls == "all" and not zygote.standing.namespaces:
        zygote.close()
        zygote = Zygote(limits.memory_bytes, "landlock")
        tier = tier_of(zygote.standing)
    try:
        if tier == "C" and not unsafe:
            raise NoIsolation(_said(zygote.standing))
        if tier != "C":
            _try_to_escape(zygote, limits)
    except BaseException:
        zygote.close()
        raise
    return zygote, tier


def _said(standing: Standing) -> str:
    missing = [name for name in ("landlock", "seccomp") if not getattr(standing, name)]
    return (
        f"this machine can't hold untrusted programs: no {' and no '.join(missing)}. "
        "Use a Linux kernel of 5.13 or later on x86-64 or arm64, or pass --unsafe (in a run: --set sandbox.unsafe=true) "
        "to run them without walls."
    )


def _try_to_escape(zygote: Zygote, limits: Limits) -> None:
    """Walls that are said to stand must hold; a hole is a broken sandbox, not a lower tier."""
    child = zygote.start(5, limits.output_bytes)
    try:
        end = time.monotonic() + 30
        request = {"code": _ATTEMPTS, "calls": [["attempts", [], {}]], "more": False, "most": limits.output_bytes}
        child.send(codec.dumps(request), end)
        answer = codec.loads(child.receive(end))
    finally:
        child.close()
        zygote.end()
    if answer != [[0, ["l"]]]:
        raise SandboxBroken(f"the sandbox has holes: {answer!r}. Nothing was judged.")

"""What goes into the sandbox and what comes out of it.

`Tests` is a problem's trusted side: it stays with the judge. `Sample` adds one candidate program. `Verdict` says what
became of it. A sandbox that can't do its work raises `SandboxBroken`: our fault is never a candidate's wrong answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

PASS, FAIL, TIMEOUT = "PASS", "FAIL", "TIMEOUT"


class SandboxBroken(Exception):
    """The sandbox itself failed; no candidate is to blame and nothing may be labelled. Says what to do next."""


class NoIsolation(SandboxBroken):
    """This machine can't hold untrusted programs; `--unsafe` is the user's explicit word to run them anyway."""


@dataclass(frozen=True)
class Tests:
    """The tests of one problem, in one of four shapes. Never sent to the process that runs a candidate."""

    __test__ = False  # the name is a noun here: pytest has nothing to collect

    asserts: tuple[str, ...] = ()
    """MBPP: one statement each."""
    imports: tuple[str, ...] = ()
    """MBPP sanitized: import lines that the asserts need."""
    setup: str = ""
    check: str = ""
    """HumanEval: a program that defines `check(candidate)`."""
    entry_point: str = ""
    prelude: str = ""
    """Trusted code whose helpers the tests may use (HumanEval's prompt): a candidate can't redefine them for the tests."""
    reference: str = ""
    """Its top-level names are those that tests may call in the candidate."""
    calls: tuple[tuple[str, str], ...] = ()
    """APPS, call-based: JSON of the arguments and JSON of the expected value."""
    stdin: tuple[tuple[str, str], ...] = ()
    """APPS, standard input: what is typed and what must be printed."""
    cpu_s: float = 2.0
    """CPU time the candidate may use for all of it (for stdin: for each input)."""


@dataclass(frozen=True)
class Sample:
    """One candidate program and what judges it."""

    key: str
    code: str
    tests: Tests


@dataclass(frozen=True)
class Limits:
    """What a candidate may use."""

    memory_bytes: int = 1 << 30
    wall_factor: float = 3.0
    wall_extra_s: float = 2.0
    """The wall backstop is `wall_factor` × CPU limit + this: a busy box delays, it does not judge."""
    output_bytes: int = 4 << 20
    """Cap of one message and of what a stdin program prints."""

    def wall_s(self, cpu_s: float) -> float:
        return self.wall_factor * cpu_s + self.wall_extra_s


@dataclass(frozen=True)
class Verdict:
    """What became of a candidate."""

    key: str
    verdict: str
    reason: str
    """`ok`, `assert`, `exc:<type>`, `syntax`, `exit`, `signal`, `memory`, `output`, `protocol`, `denied`, `cpu`, `wall`."""
    passed: int
    """Tests that held, counted by the judge."""
    total: int
    cpu_s: float = 0.0
    maxrss_kb: int = 0
    outputs: tuple[str, ...] = field(default=())
    """A fingerprint per call, without any expected value: material for agreement."""
    mode: str = "batch"
    tier: str = ""

    @property
    def ok(self) -> bool:
        return self.verdict == PASS

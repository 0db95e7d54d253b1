"""One programming problem: what a generator may see, what judges, and where it came from."""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.verify.sandbox.verdict import Sample, Tests

# MBPP/367 and 927 build their tests from a class that only the reference names: no candidate can pass them by right.
# MBPP/123's own reference takes over a second.
SET_ASIDE = frozenset({"mbpp/367", "mbpp/927"})
SLOW_S = {"123": 15.0}


class BadData(Exception):
    """A data file that can't be used. Says which file, which row and what to do."""


@dataclass(frozen=True)
class Problem:
    """A problem of one of the data sets."""

    task_id: str
    """`mbpp/17`, `sanitized/17`, `humaneval/3`, `apps/0001`, `own/sum-of-digits`: data sets never share an id."""
    split: str
    text: str
    entry_point: str
    tests: Tests
    reference: str
    visible: tuple[str, ...] = ()
    """Tests that a prompt may show. What it shows is not what judges, unless the config says so."""

    @property
    def source(self) -> str:
        """The set it belongs to, by its id."""
        return self.task_id.split("/", 1)[0]

    @property
    def set_aside(self) -> bool:
        """Counted with its split, generated and executed, but left out of training and of every score."""
        return self.task_id in SET_ASIDE

    def sample(self, key: str, code: str, hide: int = 0) -> Sample:
        """A candidate for the sandbox; `hide` leaves the first so many asserts to the prompt alone."""
        tests = self.tests
        if hide and len(tests.asserts) > hide:
            tests = Tests(
                asserts=tests.asserts[hide:],
                imports=tests.imports,
                setup=tests.setup,
                reference=tests.reference,
                cpu_s=tests.cpu_s,
            )
        return Sample(key, code, tests)


def plain(code: str) -> str:
    """Unix line ends and no blanks at line ends: 972 of MBPP's 974 references hold carriage returns."""
    return (
        "\n".join(line.rstrip() for line in code.replace("\r\n", "\n").replace("\r", "\n").split("\n")).strip("\n")
        + "\n"
    )


_CALL = re.compile(r"assert\s+\(?(?:not\s+|set\(|sorted\(|math\.isclose\(|abs\(|list\(|tuple\(|len\(|round\()*(\w+)\(")


def called_in(asserts: tuple[str, ...]) -> str:
    """The function that the first assert calls: the name a prompt must ask for."""
    found = _CALL.match(asserts[0].strip()) if asserts else None
    return found.group(1) if found else ""

"""The order of package versions, as Python's packages write them: `2.13.0rc1` comes before `2.13.0`, `2.13.0+cpu` equals it.

Pure. Covers what PEP 440 allows, the build tag left out; what is no version of that form is None, never a guess.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

_VERSION = re.compile(
    r"v?(?:(?P<epoch>\d+)!)?(?P<numbers>\d+(?:\.\d+)*)"
    r"(?:[-_.]?(?P<pre>alpha|beta|preview|pre|rc|a|b|c)[-_.]?(?P<pre_n>\d*))?"
    r"(?P<post>-(?P<dash_n>\d+)|[-_.]?(?:post|rev|r)[-_.]?(?P<post_n>\d*))?"
    r"(?P<dev>[-_.]?dev[-_.]?(?P<dev_n>\d*))?(?:\+[a-z0-9._-]+)?\Z",
    re.I,
)


@dataclass(frozen=True, order=True)
class Release:
    """One version; compares as installers compare."""

    epoch: int
    numbers: tuple[int, ...]
    """Without zeros at the end: 2.13 equals 2.13.0."""
    stage: tuple[float, int]
    """Before the release (a, b, rc), or infinity: the release itself."""
    post: int
    dev: float


def release(text: str) -> Release | None:
    """The version that a text states."""
    found = _VERSION.match(text.strip())
    if found is None:
        return None
    numbers = [int(n) for n in found["numbers"].split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    post = -1 if found["post"] is None else int(found["dash_n"] or found["post_n"] or 0)
    dev = math.inf if found["dev"] is None else int(found["dev_n"] or 0)
    return Release(int(found["epoch"] or 0), tuple(numbers), _stage(found, post, dev), post, dev)


def _stage(found: re.Match[str], post: int, dev: float) -> tuple[float, int]:
    if found["pre"] is not None:
        word = found["pre"].lower()
        return {"a": 0, "b": 1}.get(word[0], 2), int(found["pre_n"] or 0)
    return (-1 if post < 0 and dev < math.inf else math.inf), 0  # 2.0.dev1 comes before 2.0a1

"""Short hashes of values, so that programs can be asked whether they agree without anybody knowing what is right."""

from __future__ import annotations

import hashlib
from typing import Any


def fingerprint(value: Any) -> str:
    """A short hash that equal plain values share, whatever order their sets and dicts were built in."""
    try:
        text = repr(value)
        if "{" in text or "Counter(" in text or "OrderedDict(" in text:
            text = _canonical(value)
    except (RecursionError, ValueError):  # ValueError: more digits than Python prints
        text = f"<{type(value).__name__}>"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _canonical(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(sorted(f"{_canonical(k)}:{_canonical(v)}" for k, v in value.items())) + "}"
    if isinstance(value, (set, frozenset)):
        return "s{" + ",".join(sorted(map(_canonical, value))) + "}"
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}[" + ",".join(map(_canonical, value)) + "]"
    return repr(value)

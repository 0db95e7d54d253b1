"""Which machine a person means by "a100": pure.

An exact type name wins; otherwise every type whose name holds the word, fewest GPUs first, then cheapest. Among those the
first that has capacity now.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from remote.cloud.cloud_errors import Refused, TryElsewhere
from remote.cloud.cloud_models import InstanceType


@dataclass(frozen=True)
class Choice:
    """A type and the regions to try, in order."""

    type: InstanceType
    regions: tuple[str, ...]


def choose(types: Sequence[InstanceType], wanted: str, region: str | None = None) -> Choice:
    """The machine that is meant and where it can be had now."""
    candidates = _candidates(types, wanted)
    for kind in candidates:
        regions = tuple(r for r in kind.regions if region in (None, r))
        if regions:
            return Choice(kind, regions)
    where = f" in {region}" if region else ""
    raise TryElsewhere(
        f"no capacity for {', '.join(k.name for k in candidates)}{where} now",
        f"with capacity now: {_with_capacity(types)}",
        "instance-operations/launch/insufficient-capacity",
    )


def _candidates(types: Sequence[InstanceType], wanted: str) -> list[InstanceType]:
    exact = [t for t in types if t.name == wanted]
    word = wanted.lower()
    found = exact or sorted((t for t in types if word and word in t.name), key=lambda t: (t.gpus, t.price_cents_per_h))
    if found:
        return found
    near = difflib.get_close_matches(word, [t.name for t in types], n=3, cutoff=0.3)
    hint = f"nearest: {', '.join(near)}" if near else "see `fractal-console instances types`"
    raise Refused(f"there is no instance type {wanted!r}", hint)


def _with_capacity(types: Sequence[InstanceType]) -> str:
    free = [f"{t.name} ({', '.join(t.regions)})" for t in types if t.regions]
    return "; ".join(free[:5]) or "nothing at all; try again in some minutes"

"""The stop ladder as it is climbed: which signals were sent, which come next and when. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from console.words import duration
from engine.protocol.events import Event
from engine.supervisor.ladder import RUNGS


@dataclass(frozen=True)
class Rung:
    """One signal of the ladder."""

    signal: str
    sent: float | None = None
    """When it was sent; None while it was not."""
    due: float | None = None
    """When it will be, while the run lives."""
    reached: bool = True


def ladder(events: list[Event]) -> list[Rung]:
    """The ladder of a run from the supervisor's words; empty where no stop was asked for."""
    asked = next((e for e in events if e.get("kind") == "stop-asked"), None)
    if asked is None:
        return []
    begun = float(asked.get("time", 0.0))
    grace = float(asked.get("grace_s", 0.0))
    hurried = next((e for e in reversed(events) if e.get("kind") == "stop-hurried"), None)
    if hurried is not None:
        grace = float(hurried.get("grace_s", grace))
    sent = {str(e.get("signal")): e for e in events if e.get("kind") == "signal"}
    rungs = []
    for at, signum in enumerate(RUNGS):
        event = sent.get(signum.name)
        if event is not None:
            rungs.append(
                Rung(signum.name, sent=float(event.get("time", begun)), reached=bool(event.get("reached", True)))
            )
        else:
            rungs.append(Rung(signum.name, due=begun + at * grace))
    last = max((at for at, rung in enumerate(rungs) if rung.sent is not None), default=-1)
    return [rung for at, rung in enumerate(rungs) if rung.sent is not None or at > last]


def ladder_words(rungs: list[Rung], now: float, live: bool) -> str:
    """`✓ SIGINT sent → SIGTERM in 7 s → SIGKILL in 17 s`; of a run that is over, what was sent."""
    words = []
    for rung in rungs:
        if rung.sent is not None:
            words.append(f"✓ {rung.signal} sent" if rung.reached else f"✓ {rung.signal} (nobody was left)")
        elif live and rung.due is not None:
            words.append(f"{rung.signal} in {duration(max(0.0, rung.due - now))}")
    return " → ".join(words)

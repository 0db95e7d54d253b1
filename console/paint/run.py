"""One run as lines of text: the line on top with its progress and its stop ladder, its events. Pure."""

from __future__ import annotations

import time

from rich.text import Text

from console.paint.phases import state_text
from console.reading.replay import ReplayView
from console.reading.stopping import ladder, ladder_words
from console.reading.view import RunView
from console.words import STYLES, duration, number
from engine.protocol.events import Event

_MOST_EVENTS = 100
_LOUD = {"stop-asked": "yellow", "signal": "yellow", "disk-low": "red", "shim-lost": "yellow", "not-started": "red"}


def run_head(view: RunView, now: float | None = None) -> Text:
    """The top line of the run screen: state, what it is, how far, how fast, until when, or how it ends."""
    now = time.time() if now is None else now
    text = Text(no_wrap=True, overflow="ellipsis")
    spec, status = view.spec, view.status
    if isinstance(view, ReplayView):
        text.append_text(_replay_words(view))
    text.append_text(state_text(status.state))
    if spec is not None:
        text.append(f"  {spec.phase} ", "bold")
        text.append(f"{spec.step} ", "bold cyan")
        text.append(f"at {spec.variant} on {spec.host}  ", "dim")
    rungs = ladder(view.events)
    if rungs and status.live:  # in place of the progress: it is what one waits for now
        text.append(f"stopping: {ladder_words(rungs, now, live=True)}", "yellow")
    elif status.stopping:
        text.append(f"stopping: {status.stopping}", "yellow")
    elif status.position:
        text.append(f"number {status.position} in the queue", "cyan")
    elif view.progress.total and not status.final:
        text.append(_progress_words(view))
    if status.reason and status.state != "running":
        text.append(f"  {status.reason}", "dim")
    elif status.stage:
        text.append(f"  {status.stage}", "dim")
    if rungs and status.final:
        text.append(f"  {ladder_words(rungs, now, live=False)}", "dim")
    if view.corrupt:
        text.append(f"  {view.corrupt} corrupt event line(s) passed over", "red")
    return text


def _progress_words(view: RunView) -> str:
    p = view.progress
    words = f"{bar(p.share)} {number(p.done)}/{number(p.total)} {p.unit}"
    rate = p.rate
    if rate is not None:
        words += f"  {number(float(f'{rate:.3g}'))}/s" if rate >= 1 else f"  {number(float(f'{1 / rate:.3g}'))} s each"
    return words + (f"  ETA {duration(p.eta_s)}" if p.eta_s is not None else "")


def _replay_words(view: ReplayView) -> Text:
    clock = view.clock
    sign = "⏸" if clock.paused else "■" if clock.over else "▶▶"
    at, whole = duration(clock.moment - clock.start), duration(clock.end - clock.start)
    return Text(f"{sign} replay {clock.speed:g}×  {at} of {whole}  ", "reverse")


def bar(share: float, width: int = 16) -> str:
    """A bar of eighths."""
    full = share * width
    whole = int(full)
    rest = " ▏▎▍▌▋▊▉"[int((full - whole) * 8)] if whole < width else ""
    return ("█" * whole + rest).ljust(width)


def event_rows(view: RunView) -> list[tuple[str, Text]]:
    """The newest facts, notes, artifacts and supervisor's words, in the order of their time, each with an id."""
    first = max(0, len(view.events) - _MOST_EVENTS)
    begun = min((at for e in view.events if (at := time_of(e)) is not None), default=0.0)
    newest = sorted(range(first, len(view.events)), key=lambda at: time_of(view.events[at]) or begun)
    return [(f"event{at}", _event_row(view.events[at], begun)) for at in newest]


def _event_row(event: Event, begun: float) -> Text:
    kind, at = str(event.get("kind", "?")), time_of(event)
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{_since(at - begun) if at is not None else '':>7} ", "dim")
    text.append(f"{kind:<11} ", _LOUD.get(kind, "cyan"))
    text.append(event_words(event), STYLES.get(str(event.get("state")), "") if kind == "ended" else "")
    return text


def _since(seconds: float) -> str:
    if abs(seconds) < 60:
        return f"{seconds:.1f} s"
    return f"{seconds // 3600:.0f}:{seconds % 3600 // 60:02.0f}:{seconds % 60:02.0f}"


def time_of(event: Event) -> float | None:
    at = event.get("time")
    return float(at) if isinstance(at, (int, float)) else None


def event_words(event: dict[str, object]) -> str:
    kind = event.get("kind")
    if kind == "fact":
        value = event.get("value")
        shown = number(value) if isinstance(value, (int, float)) else str(value)
        interval = f" [{number(event['low'])}, {number(event['high'])}]" if _has_interval(event) else ""  # type: ignore[arg-type]
        return f"{event.get('name')} = {shown}{interval}"
    if kind in ("artifact", "model", "checkpoint"):
        return f"{event.get('path')}"
    if kind == "note":
        return str(event.get("text"))
    left_out = ("v", "seq", "time", "kind", "packages", "command")
    return "  ".join(f"{k} {v}" for k, v in event.items() if k not in left_out)


def _has_interval(event: dict[str, object]) -> bool:
    return isinstance(event.get("low"), (int, float)) and isinstance(event.get("high"), (int, float))

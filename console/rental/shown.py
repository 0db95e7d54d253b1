"""From what is rented to lines of text for the screen. Pure; every state is a word, colour only repeats it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from console.words import duration, usd

Told = Mapping[str, Any]
"""A machine or a type as `instances list --json` and `instances types --json` tell it."""

_CALM = ("ok", "found", "gone")


def machine_line(told: Told) -> Text:
    """One machine in the list."""
    text = Text(no_wrap=True, overflow="ellipsis")
    state = str(told["status"] if told["kind"] in _CALM else told["kind"])
    style = {"active": "green", "booting": "cyan", "terminated": "dim"}.get(state, "yellow")
    text.append(f"{state:<11} ", style if told["kind"] in _CALM else "red bold")
    text.append(f"{told['name']:<16} ", "bold")
    text.append(f"{usd(told['usd_per_h'])}/h  ")
    if told["cost_usd"] is not None:
        text.append(f"{usd(told['cost_usd'])} of at most {usd(told['max_usd'])}  ", "bold")
    if told["hours_left"] is not None:
        text.append(_left(told["hours_left"]), "dim" if told["hours_left"] > 0.5 else "yellow")
    text.append(f"  {told['type']} {told['region']}  {told['address'] or 'no address yet'}", "dim")
    return text


def _left(hours: float) -> str:
    return f"ends in {duration(3600 * hours)}" if hours > 0 else "OVER ITS TIME"


def type_line(told: Told) -> Text:
    """One type: price, machine, where there is one now."""
    text = Text(no_wrap=True, overflow="ellipsis")
    has = bool(told["regions"])
    text.append(f"{usd(told['price_cents_per_h'] / 100):>7}/h  ", "bold" if has else "dim")
    text.append(f"{told['name']:<22} ", "" if has else "dim")
    text.append("free in " + ", ".join(told["regions"]) if has else "none free now", "green" if has else "dim")
    text.append(f"  {told['gpus']} GPU  {told['vcpus']} cores  {told['memory_gib']} GiB", "dim")
    return text


def machine_page(told: Told, stages: Sequence[str], guard_here: str) -> Text:
    """Everything about the chosen machine: caps, guards, idle time, what happened, how its boot goes."""
    text = Text()
    rows = [
        ("state", f"{told['status']}  {told['because'] if told['kind'] not in _CALM else ''}".strip()),
        ("cost", _cost(told)),
        ("caps", _caps(told)),
        ("idle", _idle(told)),
        ("guard here", guard_here),
        ("guard there", told["guard_there"] or "none (g puts one on the machine)"),
        ("next", told["hint"]),
    ]
    for name, said in rows:
        if said:
            text.append(f"{name:<12}", "dim")
            text.append(f"{said}\n")
    for title, lines in (("boot", stages), ("history", told.get("history", ()))):
        if lines:
            text.append(f"\n{title}\n", "bold")
            text.append("".join(f"  {line}\n" for line in lines))
    return text


def _cost(told: Told) -> str:
    so_far = "not in the ledger" if told["cost_usd"] is None else f"{usd(told['cost_usd'])} so far"
    return f"{so_far}, {usd(told['usd_per_h'])} an hour"


def _caps(told: Told) -> str:
    if told["hours_left"] is None:
        return "NONE: nobody here ends it (a takes it under guard)"
    return f"{_left(told['hours_left'])}, at most {usd(told['max_usd'])}, then {told['on_cap']}"


def _idle(told: Told) -> str:
    if told["idle_minutes"] is None:
        return "ends nothing"
    since = "not looked yet" if told["idle_s"] is None else f"last in use {duration(told['idle_s'])} ago"
    return f"{since}; ended after {told['idle_minutes']:g} min without use"

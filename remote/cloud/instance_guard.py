"""The guard on the machine itself, opt-in.

    python3 -m remote.cloud.instance_guard /etc/fractal-guard.json          # once a minute, by a timer
    python3 -m remote.cloud.instance_guard /etc/fractal-guard.json --end    # end the bill now; exit code 0: taken

It applies the same rules as the guard beside the console, and can end the bill only if it was given an API key. The key is
full-power, so it comes over SSH after the boot into a root-only file on a tmpfs, never by user_data, and is gone after a
restart. Without a key it asks the runs to save and says aloud that the machine still bills: a shutdown from inside would
end the work and not the bill.
Standard library only, Python 3.10.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from remote.cloud.activity import Activity, look, why_busy
from remote.cloud.guard_rules import Decision, Facts, decide

_TAG = "fractal-launch"


@dataclass(frozen=True)
class Settings:
    """What the console told this machine, as JSON. Times are spans, so that two clocks need not agree."""

    uuid: str
    serial: str
    """Names these settings; new ones begin to count when they are first read."""
    lease_s: float
    """What was left of the lease when this was written."""
    age_s: float
    """How long ago the machine had been asked for when this was written."""
    max_usd: float
    price_cents_per_h: int
    on_cap: str
    grace_s: float
    idle_minutes: float | None
    root: str
    state_file: str
    key_file: str
    api_url: str
    on_save: str = ""
    """A shell command; exit code 0 means that everything required is verified elsewhere."""

    @staticmethod
    def read(file: Path) -> Settings:
        return Settings(**json.loads(file.read_text()))


@dataclass
class Machine:
    """What the guard touches, passed in for tests."""

    now: Callable[[], float]
    uptime_s: Callable[[], float]
    see: Callable[[], Activity]
    shout: Callable[[str], None]


def tick(settings: Settings, machine: Machine) -> Decision:
    """Look, decide, act; the state file carries what must be remembered to the next minute."""
    file = Path(settings.state_file)
    state = _read_state(file)
    now = machine.now()
    # The bill begins after the boot, so this is early rather than late; a restart does not move it.
    state.setdefault("billing_from", now - machine.uptime_s())
    if state.get("serial") != settings.serial:
        state |= {"serial": settings.serial, "read_at": now, "is_ending": False}
    if why_busy(machine.see()) is not None:
        state["busy_at"] = now
    decision = decide(_facts(settings, state, now))
    if decision.action == "save":
        state["save_asked_at"] = now
        state["is_saved"] = _save(settings)
    elif decision.action == "terminate":
        state["is_ending"] = True
    _write_state(file, state)
    if decision.action == "terminate":
        machine.shout(f"{decision.because}; {end_the_bill(settings).words}")
    elif decision.action in ("hold", "save"):
        machine.shout(decision.because)
    return decision


def _facts(settings: Settings, state: dict[str, Any], now: float) -> Facts:
    read_at = float(state["read_at"])
    return Facts(
        now=now,
        asked_at=read_at - settings.age_s,
        lease_until=read_at + settings.lease_s,
        max_usd=settings.max_usd,
        price_cents_per_h=settings.price_cents_per_h,
        billing_from=float(state["billing_from"]),
        on_cap=settings.on_cap,
        grace_s=settings.grace_s,
        is_ending=bool(state.get("is_ending")),
        idle_minutes=settings.idle_minutes,
        busy_at=state.get("busy_at"),
        is_activity_known=True,
        save_asked_at=state.get("save_asked_at"),
        unverified=() if state.get("is_saved") else None,
    )


def _save(settings: Settings) -> bool:
    """Run the save command within the grace."""
    if not settings.on_save:
        return False
    try:
        return subprocess.run(settings.on_save, shell=True, timeout=max(settings.grace_s, 30)).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@dataclass(frozen=True)
class Order:
    """How the order to terminate went."""

    is_taken: bool
    words: str


def end_the_bill(settings: Settings) -> Order:
    """Find this machine by its tag and ask the provider to end it."""
    try:
        key = Path(settings.key_file).read_text().strip()
    except OSError:
        return Order(False, "no API key here, so IT STILL BILLS: terminate it from the console or the website")
    try:
        own = [i["id"] for i in _ask(settings, key, "GET", "/api/v1/instances", None) if _is_own(i, settings.uuid)]
        if not own:
            return Order(False, "not found in the account by its tag, so IT STILL BILLS")
        _ask(settings, key, "POST", "/api/v1/instance-operations/terminate", {"instance_ids": own})
    except (OSError, ValueError, KeyError, TypeError) as error:
        # The kind of error only: its text could repeat a header.
        return Order(
            False, f"the provider was not reached ({type(error).__name__}), so IT STILL BILLS; to be tried again"
        )
    return Order(True, "termination asked for")


def _is_own(instance: dict[str, Any], uuid: str) -> bool:
    return any(tag.get("key") == _TAG and tag.get("value") == uuid for tag in instance.get("tags") or [])


def _ask(settings: Settings, key: str, method: str, path: str, body: object) -> Any:
    request = urllib.request.Request(
        settings.api_url + path,
        data=None if body is None else json.dumps(body).encode(),
        method=method,
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)["data"]


def _read_state(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _write_state(file: Path, state: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(".tmp")
    beside.write_text(json.dumps(state))
    os.replace(beside, file)


def _shout(words: str) -> None:
    """To the journal, and to everybody who is logged in."""
    print(words, flush=True)
    try:
        subprocess.run(["wall", f"fractal-guard: {words}"], timeout=10, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        pass


def _uptime_s() -> float:
    try:
        return float(Path("/proc/uptime").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0.0


def main() -> int:
    settings = Settings.read(Path(sys.argv[1]))
    if "--end" in sys.argv[2:]:
        order = end_the_bill(settings)
        print(order.words)
        return 0 if order.is_taken else 1
    tick(settings, Machine(time.time, _uptime_s, lambda: look(Path(settings.root).expanduser()), _shout))
    return 0


if __name__ == "__main__":
    sys.exit(main())

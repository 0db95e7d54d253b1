"""The ledger: every machine that was ever asked for, written down before it was asked for.

    asked ──► rented ──► ending ──► ended        ended: the provider said so
      └─────► failed                             failed: refused, or never appeared
    and back again (`reopen`) if the machine of a closed entry is seen running

Guarantees: when `intend` returns, the intent is on the disk (SQLite, synchronous=EXTRA), so a crash can't hide a machine that
bills; any number of consoles and guards may write; nothing is deleted, and every change leaves a line in `history`.
Does not guarantee: that the account agrees. `remote.cloud.sweep` compares.
"""

from __future__ import annotations

import dataclasses
import sqlite3
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from remote.cloud.caps import Caps, usd_for

State = Literal["asked", "rented", "ending", "ended", "failed"]

OPEN: tuple[State, ...] = ("asked", "rented", "ending")
"""States in which money may be running."""

LAUNCH_TAG = "fractal-launch"
LEASE_TAG = "fractal-lease"
NAME_TAG = "fractal-name"
CAPS_TAG = "fractal-caps"


@dataclass(frozen=True)
class Entry:
    """One machine in the ledger. Times are seconds since 1970."""

    uuid: str
    name: str
    type_name: str
    region: str
    price_cents_per_h: int
    account: str
    """Fingerprint of the API key that asked."""
    asked_at: float
    lease_until: float
    max_usd: float
    idle_minutes: float | None
    on_cap: str
    grace_s: float
    state: State = "asked"
    instance_id: str | None = None
    billing_from: float = 0.0
    """The last moment at which it was known not to bill yet; frozen when it is first seen active."""
    was_active: bool = False
    busy_at: float | None = None
    """When it was last seen in use."""
    save_asked_at: float | None = None
    ended_at: float | None = None
    reason: str = ""
    """Why it is in this state, for people."""
    guard_there: str = ""
    """The guard on the machine itself: empty, `installed` (can save, can't end the bill), `armed` (has a key until a restart)."""

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    def cost_usd(self, now: float) -> float:
        """What it cost so far, at most: the bill may be a minute lower, never higher."""
        if self.state == "failed":
            return 0.0
        end = now if self.ended_at is None else self.ended_at
        return usd_for(end - self.billing_from, self.price_cents_per_h)

    def tags(self) -> dict[str, str]:
        """What the machine itself carries, so that ownership and caps survive the loss of this ledger."""
        idle = "" if self.idle_minutes is None else f"{self.idle_minutes:g}"
        return {
            LAUNCH_TAG: self.uuid,
            NAME_TAG: self.name,
            LEASE_TAG: f"{self.lease_until:.0f}",
            CAPS_TAG: f"usd={self.max_usd:g},idle={idle},on_cap={self.on_cap},grace={self.grace_s:g}",
        }


def new_entry(name: str, type_name: str, region: str, price: int, account: str, caps: Caps, now: float) -> Entry:
    """An intent, not yet written."""
    return Entry(
        uuid=uuid.uuid4().hex,
        name=name,
        type_name=type_name,
        region=region,
        price_cents_per_h=price,
        account=account,
        asked_at=now,
        lease_until=now + caps.max_hours * 3600,
        max_usd=caps.max_usd,
        idle_minutes=caps.idle_minutes,
        on_cap=caps.on_cap,
        grace_s=caps.grace_s,
        billing_from=now,
    )


def caps_of_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """`usd`, `idle`, `on_cap`, `grace` as a machine's tag states them; what is damaged is left out."""
    pairs = (part.partition("=") for part in tags.get(CAPS_TAG, "").split(","))
    return {key: value for key, _, value in pairs if key and value}


_COLUMNS = [field.name for field in dataclasses.fields(Entry)]

_SCHEMA = """
create table if not exists entries (
  uuid text primary key, name text not null, type_name text not null, region text not null,
  price_cents_per_h integer not null, account text not null, asked_at real not null, lease_until real not null,
  max_usd real not null, idle_minutes real, on_cap text not null, grace_s real not null, state text not null,
  instance_id text unique, billing_from real not null, was_active integer not null, busy_at real,
  save_asked_at real, ended_at real, reason text not null, guard_there text not null);
create unique index if not exists one_open_name on entries (name) where state in ('asked', 'rented', 'ending');
create table if not exists history (at real not null, uuid text not null, what text not null);
"""


class NameTaken(ValueError):
    """An open machine has this name already."""


class Ledger:
    """The file; open one per thread."""

    def __init__(self, file: Path) -> None:
        self._db = sqlite3.connect(file, timeout=30.0, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        # A rollback journal with EXTRA syncs the folder too, and works where write-ahead logs don't (a home on NFS).
        self._db.execute("pragma journal_mode=delete")
        self._db.execute("pragma synchronous=extra")
        self._db.executescript(_SCHEMA)
        file.chmod(0o600)

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def intend(self, entry: Entry) -> None:
        """Write the intent; on the disk when this returns."""
        marks = ", ".join("?" for _ in _COLUMNS)
        values = [getattr(entry, column) for column in _COLUMNS]
        try:
            self._write(entry.asked_at, entry.uuid, f"asked: {entry.type_name} in {entry.region}",
                        f"insert into entries ({', '.join(_COLUMNS)}) values ({marks})", values)  # fmt: skip
        except sqlite3.IntegrityError:
            raise NameTaken(
                f"an instance named {entry.name!r} is open: choose another name, "
                f"or fractal-console instances terminate {entry.name}"
            ) from None

    def rented(self, uuid: str, instance_id: str, now: float) -> None:
        """The provider gave it an id."""
        self._set(uuid, now, f"rented as {instance_id}", "state = 'asked'",
                  state="rented", instance_id=instance_id, reason="")  # fmt: skip

    def adopt(self, entry: Entry, instance_id: str, now: float) -> None:
        """Take over a machine that nobody here asked for, or that this ledger has lost."""
        if self.get(entry.uuid) is None:
            self.intend(replace(entry, name=self._free_name(entry.name, entry.uuid)))
        self.reopen(entry.uuid, "rented", instance_id, "adopted", now)

    def reopen(self, uuid: str, state: State, instance_id: str, reason: str, now: float) -> None:
        """The machine of a closed entry runs after all. If its name was given away meanwhile, it gets another."""
        entry = self.get(uuid)
        if entry is not None:
            name = self._free_name(entry.name, uuid)
            self._set(uuid, now, f"{state} again: {reason}", "state in ('asked', 'failed', 'ended')",
                      state=state, name=name, instance_id=instance_id, ended_at=None, reason=reason)  # fmt: skip

    def _free_name(self, name: str, uuid: str) -> str:
        holder = self.open_named(name)
        return name if holder is None or holder.uuid == uuid else f"{name}-{uuid[:4]}"

    def failed(self, uuid: str, reason: str, now: float) -> None:
        """There is certainly no machine."""
        self._set(uuid, now, f"failed: {reason}", "state = 'asked'", state="failed", reason=reason, ended_at=now)

    def doubt(self, uuid: str, reason: str, now: float) -> None:
        """There may be a machine: the answer did not say."""
        self._set(uuid, now, f"in doubt: {reason}", "state = 'asked'", reason=reason)

    def ending(self, uuid: str, reason: str, now: float) -> None:
        """Its end was decided; what is decided stays decided until the provider confirms it."""
        self._set(uuid, now, f"ending: {reason}", "state = 'rented'", state="ending", reason=reason)

    def ended(self, uuid: str, how: str, now: float) -> None:
        """The provider said that it is no more."""
        self._set(uuid, now, f"ended: {how}", "state in ('rented', 'ending')", state="ended", ended_at=now, reason=how)

    def seen(self, uuid: str, *, is_active: bool, now: float) -> None:
        """A look at a living machine: until it is first active, the bill can't have begun."""
        if is_active:
            self._set(uuid, now, "active", "was_active = 0", was_active=1)
        else:
            self._db.execute("update entries set billing_from = ? where uuid = ? and was_active = 0", (now, uuid))

    def busy(self, uuid: str, now: float) -> None:
        self._db.execute("update entries set busy_at = max(coalesce(busy_at, 0), ?) where uuid = ?", (now, uuid))

    def save_asked(self, uuid: str, now: float) -> None:
        self._set(uuid, now, "asked to save", "state = 'rented'", save_asked_at=now)

    def extend(self, uuid: str, lease_until: float, max_usd: float, now: float) -> None:
        """New caps, by a person's decision."""
        what = f"caps: until {lease_until:.0f}, ${max_usd:.2f}"
        self._set(uuid, now, what, "state in ('asked', 'rented')",
                  lease_until=lease_until, max_usd=max_usd, save_asked_at=None)  # fmt: skip

    def guard_is(self, uuid: str, state: str, now: float) -> None:
        """What stands on the machine itself."""
        self._set(uuid, now, f"guard on the machine {state}", "1", guard_there=state)

    def get(self, uuid: str) -> Entry | None:
        return self._one("uuid = ?", uuid)

    def fresh(self, entry: Entry) -> Entry:
        """The entry as it stands now."""
        return self.get(entry.uuid) or entry

    def open_named(self, name: str) -> Entry | None:
        """The open machine with this name, if there is one."""
        return self._one("name = ? and state in ('asked', 'rented', 'ending')", name)

    def by_instance(self, instance_id: str) -> Entry | None:
        return self._one("instance_id = ?", instance_id)

    def open(self) -> list[Entry]:
        """Everything that may cost money, oldest first."""
        return [entry for entry in self.all() if entry.is_open]

    def all(self) -> list[Entry]:
        return [_entry(row) for row in self._db.execute("select * from entries order by asked_at, uuid")]

    def history(self, uuid: str) -> list[str]:
        """What happened to one machine, in order."""
        found = self._db.execute("select what from history where uuid = ? order by rowid", (uuid,))
        return [row["what"] for row in found]

    def _one(self, where: str, value: str) -> Entry | None:
        row = self._db.execute(f"select * from entries where {where}", (value,)).fetchone()
        return None if row is None else _entry(row)

    def _set(self, uuid: str, now: float, what: str, only_if: str, **values: Any) -> None:
        """One transition; nothing happens if another console made it first or it is not allowed from here."""
        columns = ", ".join(f"{name} = ?" for name in values)
        self._write(
            now, uuid, what, f"update entries set {columns} where uuid = ? and {only_if}", [*values.values(), uuid]
        )

    def _write(self, now: float, uuid: str, what: str, statement: str, values: list[Any]) -> None:
        self._db.execute("begin immediate")
        try:
            if self._db.execute(statement, values).rowcount:
                self._db.execute("insert into history values (?, ?, ?)", (now, uuid, what))
            self._db.execute("commit")
        except BaseException:
            self._db.execute("rollback")
            raise


def _entry(row: sqlite3.Row) -> Entry:
    values = {column: row[column] for column in _COLUMNS}
    values["was_active"] = bool(values["was_active"])
    return Entry(**values)

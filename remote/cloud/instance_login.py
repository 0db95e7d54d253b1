"""Into a launched machine by SSH: with its pinned key, before any alias exists."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from remote.cloud.activity import Activity, from_json
from remote.cloud.cloud_models import Instance
from remote.cloud.cloud_paths import CloudPaths
from remote.cloud.ledger import Entry
from remote.host import HostError
from remote.ssh.config import Target, resolve
from remote.ssh.connect import connect
from remote.ssh.pins import alias_of
from remote.ssh.trust import Person, Trust

# What Lambda's images call their user.
USER = "ubuntu"

# Between "active" and a finished cloud-init the machine may still show its image's key: nobody is asked that early.
_SETTLE_S = 90.0

_LOOK_S = 20.0


def target_of(entry: Entry, address: str, user: str = USER, identity: Path | None = None) -> Target:
    """The machine with the user's own keys, known by its pin alone."""
    plain = resolve(address)
    keys = (identity,) if identity else plain.identity_files
    return replace(
        plain, alias=entry.name, user=user, host_key_alias=alias_of(entry.uuid), known_hosts=(), identity_files=keys
    )


Aim = Callable[[Entry, Instance], Target]


def aim(entry: Entry, instance: Instance) -> Target:
    """Where a machine is reached by default."""
    return target_of(entry, instance.ip or "")


def try_login(
    entry: Entry, paths: CloudPaths, person: Person, now: Callable[[], float], aim: Aim = aim
) -> Callable[[Instance], str | None]:
    """For `instances.wait`: None once a command has run there, else what stands in the way."""
    first_try: list[float] = []

    def attempt(instance: Instance) -> str | None:
        first_try.append(now())
        asked = person if now() - first_try[0] >= _SETTLE_S else Person(passphrase=person.passphrase)
        try:
            with connect(aim(entry, instance), Trust(paths.pins), asked) as connection:
                done = connection.run("true", timeout_s=_LOOK_S)
        except HostError as error:
            return str(error)
        return None if done.exit_code == 0 else f"`true` ended with {done.exit_code} there"

    return attempt


def look_inside(entry: Entry, instance: Instance, paths: CloudPaths, aim: Aim = aim) -> Activity | None:
    """What the machine is used for; None where its answer is none. Errors fly: the guard reads them as "not known"."""
    source = (Path(__file__).parent / "activity.py").read_bytes()
    with connect(aim(entry, instance), Trust(paths.pins)) as connection:
        done = connection.run("python3 -", stdin=source, timeout_s=_LOOK_S)
    return from_json(done.stdout.decode(errors="replace"))

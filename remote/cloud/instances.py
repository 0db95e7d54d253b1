"""The life of a rented machine after `remote.cloud.renting`: waited for, ended.

Guarantees: a look that fails is "unknown", never "gone"; a termination counts when a GET says `terminated` or that there is
no such instance under the key that launched it, and never because of an error.
Does not guarantee: that anything is saved first. The caller refuses or asks (`console.rental.actions`, `remote.cloud.guard`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from remote.cloud.clock import Time
from remote.cloud.cloud_errors import Absent, AskPerson, CloudError, Refused, TryLater
from remote.cloud.cloud_models import Instance
from remote.cloud.lambda_cloud import LambdaCloud
from remote.cloud.ledger import Entry, Ledger

_BOOT_DEADLINE_S = 20 * 60.0
_END_DEADLINE_S = 10 * 60.0

# How long a machine that was just made may be missing from the provider's own answers.
_YOUNG_S = 5 * 60.0


class NotConfirmed(CloudError):
    """The end was asked for; the provider has not said that it came."""


class NotUsable(CloudError):
    """The machine exists and will not become ready."""


@dataclass(frozen=True)
class Stage:
    """Where the waiting stands."""

    name: str
    """unknown, booting, address, active, ready"""
    detail: str
    elapsed_s: float
    cost_usd: float
    instance: Instance | None = None


SshReady = Callable[[Instance], str | None]
"""None when a login works, else what stands in the way."""


def wait(
    cloud: LambdaCloud,
    ledger: Ledger,
    entry: Entry,
    ssh_ready: SshReady,
    clock: Time,
    deadline_s: float = _BOOT_DEADLINE_S,
) -> Iterator[Stage]:
    """One stage a look, until a login works (the last one is `ready`). A failed look is "unknown", not the end."""
    start = clock.now()
    while True:
        stage = _look(cloud, ledger, entry, ssh_ready, clock.now(), clock.now() - start)
        yield stage
        if stage.name == "ready":
            return
        if clock.now() - start >= deadline_s:
            raise NotUsable(
                f"{entry.name} is not ready after {deadline_s / 60:.0f} min ({stage.detail}); it may bill",
                f"fractal-console instances wait {entry.name}   or   instances terminate {entry.name}",
            )
        clock.sleep(5.0 if clock.now() - start < 120 else 15.0)


def _look(cloud: LambdaCloud, ledger: Ledger, entry: Entry, ssh_ready: SshReady, now: float, elapsed_s: float) -> Stage:
    cost = ledger.fresh(entry).cost_usd(now)
    try:
        instance = cloud.instance(_id(entry))
    except TryLater as error:
        return Stage("unknown", error.message, elapsed_s, cost)
    except Absent:
        if is_young(entry, now):
            return Stage("booting", "not visible yet", elapsed_s, cost)
        raise _over(entry, "the provider knows it no more") from None
    if instance.status in ("terminated", "terminating", "preempted"):
        raise _over(entry, f"it is {instance.status}")
    if instance.status == "unhealthy":
        raise NotUsable(
            f"{entry.name} is unhealthy, and it bills",
            f"fractal-console instances terminate {entry.name}, then launch another",
        )
    ledger.seen(entry.uuid, is_active=instance.status == "active", now=now)
    cost = ledger.fresh(entry).cost_usd(now)
    if instance.status != "active":
        name = "address" if instance.ip else "booting"
        return Stage(name, f"{instance.status}, {instance.ip or 'no address yet'}", elapsed_s, cost, instance)
    obstacle = "no address yet" if instance.ip is None else ssh_ready(instance)
    if obstacle is not None:
        return Stage("active", obstacle, elapsed_s, cost, instance)
    return Stage("ready", f"{instance.ip} answers", elapsed_s, cost, instance)


def _over(entry: Entry, why: str) -> NotUsable:
    return NotUsable(
        f"{entry.name} will not become ready: {why}",
        "launch another; `fractal-console instances sweep` tidies the ledger",
    )


def terminate(
    cloud: LambdaCloud,
    ledger: Ledger,
    entry: Entry,
    reason: str,
    clock: Time,
    deadline_s: float = _END_DEADLINE_S,
    say: Callable[[str], None] = lambda words: None,
) -> Entry:
    """End the machine and return when the provider confirms it; `NotConfirmed` if it does not in time."""
    start = clock.now()
    while True:
        said = terminate_step(cloud, ledger, entry, reason, clock.now())
        if said is None:
            return ledger.fresh(entry)
        say(said)
        if clock.now() - start >= deadline_s:
            raise NotConfirmed(
                f"{entry.name} is NOT confirmed as terminated after {deadline_s / 60:.0f} min ({said}); assume that it bills",
                f"fractal-console instances terminate {entry.name}   or https://cloud.lambda.ai/instances",
            )
        clock.sleep(3.0 if clock.now() - start < 30 else 10.0)


def terminate_step(cloud: LambdaCloud, ledger: Ledger, entry: Entry, reason: str, now: float) -> str | None:
    """Look, and ask for the end where it is not under way. None when it is confirmed, else how it stands."""
    instance_id = _id(entry)
    ledger.ending(entry.uuid, reason, now)
    try:
        status = gone_or_status(cloud, entry, now)
    except TryLater as error:
        status = f"unknown ({error.message})"
    if status is None:
        ledger.ended(entry.uuid, f"{reason}; confirmed", now)
        return None
    if status == "terminating":
        return status
    try:
        cloud.terminate(instance_id)
    except AskPerson:
        raise
    except CloudError as error:
        # Refused (an action is under way), absent, too busy, unclear: only the next look decides.
        return f"{status}; {error.message}"
    return f"{status}, asked to terminate"


def is_young(entry: Entry, now: float) -> bool:
    """Just launched and never seen active: the provider may not show it yet, so that "absent" proves nothing."""
    return entry.state != "asked" and not entry.was_active and 0 <= now - entry.asked_at < _YOUNG_S


def gone_or_status(cloud: LambdaCloud, entry: Entry, now: float) -> str | None:
    """None if the provider confirms that the machine is gone, else its status. Errors are never "gone"."""
    try:
        instance = cloud.instance(_id(entry))
    except Absent:
        if is_young(entry, now):
            return "not visible yet"
        if entry.account == cloud.account:
            return None
        raise AskPerson(
            f"{entry.name} was launched with another API key (fingerprint {entry.account}), "
            f"and this one ({cloud.account}) does not see it",
            f"set that key, or look at the website and then: fractal-console instances forget {entry.name}",
        ) from None
    if instance.is_gone or instance.status == "terminating" or instance.terminate_blocked is None:
        return None if instance.is_gone else instance.status
    return f"{instance.status} (the provider won't end it now: {instance.terminate_blocked})"


def _id(entry: Entry) -> str:
    if entry.instance_id is None:
        raise Refused(
            f"{entry.name}: it is not known yet whether there is an instance ({entry.reason or 'no answer'})",
            "fractal-console instances sweep",
        )
    return entry.instance_id

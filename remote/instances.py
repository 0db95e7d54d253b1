"""The life of a rented machine: planned, asked for, waited for, ended.

Guarantees: the ledger knows of a launch before the provider does; a launch is posted once, and after an answer that does
not say whether it worked the account is searched for its tag instead of asking again; a termination counts when a GET
says `terminated` or that there is no such instance under the key that launched it, and never because of an error.
Does not guarantee: that anything is saved first. The caller refuses or asks (`console.instance_verbs`, `remote.guard`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from remote.caps import Caps, caps_for
from remote.choose_type import Choice, choose
from remote.cloud_errors import Absent, Ambiguous, AskPerson, CloudError, Refused, TryElsewhere, TryLater
from remote.cloud_models import Instance, InstanceType, LaunchOrder, SshKey
from remote.lambda_cloud import LambdaCloud
from remote.ledger import LAUNCH_TAG, Entry, Ledger, new_entry

# Looks after a launch whose answer was lost: two and a half minutes in all. What has not appeared by then stays "in doubt"
# and is looked for by every sweep and by the guard.
_SEARCH_S = (3.0, 6.0, 12.0, 24.0, 45.0, 60.0)

_BOOT_DEADLINE_S = 20 * 60.0
_END_DEADLINE_S = 10 * 60.0

# More than a slow answer or a coarse `Date` header explains.
MOST_CLOCK_S = 300.0


class NotConfirmed(CloudError):
    """The end was asked for; the provider has not said that it came."""


class NotUsable(CloudError):
    """The machine exists and will not become ready."""


@dataclass(frozen=True)
class Time:
    """The clock and the waiting, passed in."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Wish:
    """What a person asked for."""

    wanted: str
    """A type, or a word in its name: `a100`."""
    name: str
    region: str | None = None
    ssh_key: str | None = None
    file_systems: tuple[str, ...] = ()
    image_family: str | None = None
    max_hours: float | None = None
    max_usd: float | None = None
    idle_minutes: float | None = 30.0
    on_cap: str = "save-then-terminate"
    grace_s: float = 600.0


@dataclass(frozen=True)
class LaunchPlan:
    """What will be asked of the provider and what it can cost: to be shown before it is done."""

    name: str
    choice: Choice
    ssh_key: str
    caps: Caps
    file_systems: tuple[str, ...]
    image_family: str | None

    @property
    def type(self) -> InstanceType:
        return self.choice.type

    @property
    def most_usd(self) -> float:
        """What it costs if it runs until a cap ends it."""
        return min(self.caps.max_usd, self.caps.max_hours * self.type.price_cents_per_h / 100)

    def words(self) -> str:
        """The one line to agree to."""
        return (
            f"{self.name}: {self.type.name} in {self.choice.regions[0]}, ${self.type.price_cents_per_h / 100:.2f}/h, "
            f"at most {self.caps.max_hours:g} h and ${self.most_usd:.2f}, then {self.caps.on_cap}"
        )


def plan_launch(cloud: LambdaCloud, wish: Wish, own_keys: Sequence[str] = ()) -> LaunchPlan:
    """Resolve a wish against what the account offers now. Costs nothing."""
    types = cloud.instance_types()
    require_right_clock(cloud)
    choice = choose(types, wish.wanted, wish.region)
    caps = caps_for(
        choice.type.price_cents_per_h, wish.max_hours, wish.max_usd, wish.idle_minutes, wish.on_cap, wish.grace_s
    )
    if wish.file_systems:
        choice = _where_the_files_are(cloud, choice, wish.file_systems)
    ssh_key = choose_ssh_key(cloud.ssh_keys(), wish.ssh_key, own_keys)
    return LaunchPlan(wish.name, choice, ssh_key, caps, wish.file_systems, wish.image_family)


def require_right_clock(cloud: LambdaCloud) -> None:
    """Leases and budgets are kept by this computer's clock; with a wrong one they would end hours off."""
    ahead = cloud.clock_ahead_s
    if abs(ahead) > MOST_CLOCK_S:
        way = "ahead of" if ahead > 0 else "behind"
        raise AskPerson(
            f"this computer's clock is {abs(ahead) / 60:.0f} min {way} the provider's, and the caps are kept by it",
            "set it: sudo timedatectl set-ntp true   (macOS: sudo sntp -sS time.apple.com)",
        )


def choose_ssh_key(keys: Sequence[SshKey], wanted: str | None, own_keys: Sequence[str]) -> str:
    """The account's key to put on the machine: the named one, else the one whose other half is here."""
    names = [key.name for key in keys]
    if wanted is not None:
        if wanted not in names:
            raise Refused(f"the account has no SSH key {wanted!r}", f"it has: {', '.join(names) or 'none'}")
        return wanted
    ours = {_body(text) for text in own_keys}
    mine = [key.name for key in keys if _body(key.public_key) in ours]
    candidates = mine or names
    if len(candidates) == 1:
        return candidates[0]
    if not names:
        raise AskPerson("the account has no SSH key", "add ~/.ssh/id_ed25519.pub at https://cloud.lambda.ai/ssh-keys")
    raise Refused("the account has several SSH keys", f"choose with --ssh-key: {', '.join(candidates)}")


def _body(public_key: str) -> str:
    """Type and key without the comment."""
    return " ".join(public_key.split()[:2])


def _where_the_files_are(cloud: LambdaCloud, choice: Choice, names: Sequence[str]) -> Choice:
    known = {fs.name: fs for fs in cloud.file_systems()}
    for name in names:
        if name not in known:
            raise Refused(f"there is no file system {name!r}", f"there are: {', '.join(known) or 'none'}")
    homes = {known[name].region for name in names}
    regions = tuple(r for r in choice.regions if homes == {r})
    if not regions:
        raise TryElsewhere(
            f"{choice.type.name} has capacity in {', '.join(choice.regions)}, "
            f"and {', '.join(names)} lies in {', '.join(sorted(homes))}",
            "wait for capacity there, or launch without the file system",
        )
    return replace(choice, regions=regions)


UserData = Callable[[Entry], str | None]


def launch(
    cloud: LambdaCloud,
    ledger: Ledger,
    plan: LaunchPlan,
    clock: Time,
    user_data: UserData = lambda entry: None,
    say: Callable[[str], None] = lambda words: None,
) -> Entry:
    """Ask for the machine, region after region while there is certainly none. Returns its entry, state `rented`."""
    for region in plan.choice.regions[:-1]:
        try:
            return _launch_in(cloud, ledger, plan, region, clock, user_data)
        except TryElsewhere as error:
            say(f"{error.message}; trying the next region")
    return _launch_in(cloud, ledger, plan, plan.choice.regions[-1], clock, user_data)


def _launch_in(
    cloud: LambdaCloud, ledger: Ledger, plan: LaunchPlan, region: str, clock: Time, user_data: UserData
) -> Entry:
    kind = plan.type
    entry = new_entry(plan.name, kind.name, region, kind.price_cents_per_h, cloud.account, plan.caps, clock.now())
    body = user_data(entry)
    order = LaunchOrder(
        kind.name, region, plan.ssh_key, plan.name, entry.tags(), plan.file_systems, plan.image_family, body
    )
    ledger.intend(entry)
    try:
        instance_id = cloud.launch(order)[0]
    except Ambiguous as error:
        ledger.doubt(entry.uuid, error.message, clock.now())
        return _search(cloud, ledger, entry, error, clock)
    except CloudError as error:
        # Every other error is a refusal, or says that nothing was sent.
        ledger.failed(entry.uuid, error.message, clock.now())
        raise
    ledger.rented(entry.uuid, instance_id, clock.now())
    return _again(ledger, entry)


def _search(cloud: LambdaCloud, ledger: Ledger, entry: Entry, cause: Ambiguous, clock: Time) -> Entry:
    """Look for the machine that an unclear answer may have made."""
    for wait_s in _SEARCH_S:
        clock.sleep(wait_s)
        try:
            found = with_tag(cloud.instances(), entry.uuid)
        except TryLater:
            continue
        if found is not None:
            ledger.rented(entry.uuid, found.id, clock.now())
            return _again(ledger, entry)
    raise Ambiguous(
        f"{cause.message}; no instance with its tag has appeared yet",
        "do not launch again blindly: `fractal-console instances sweep` looks for it, and so does the guard",
    )


def with_tag(instances: Sequence[Instance], uuid: str) -> Instance | None:
    """The machine of one launch."""
    return next((i for i in instances if i.tags.get(LAUNCH_TAG) == uuid), None)


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
    cost = _again(ledger, entry).cost_usd(now)
    try:
        instance = cloud.instance(_id(entry))
    except TryLater as error:
        return Stage("unknown", error.message, elapsed_s, cost)
    except Absent:
        raise _over(entry, "the provider knows it no more") from None
    if instance.status in ("terminated", "terminating", "preempted"):
        raise _over(entry, f"it is {instance.status}")
    if instance.status == "unhealthy":
        raise NotUsable(
            f"{entry.name} is unhealthy, and it bills",
            f"fractal-console instances terminate {entry.name}, then launch another",
        )
    ledger.seen(entry.uuid, is_active=instance.status == "active", now=now)
    cost = _again(ledger, entry).cost_usd(now)
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
            return _again(ledger, entry)
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
        status = gone_or_status(cloud, entry)
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


def gone_or_status(cloud: LambdaCloud, entry: Entry) -> str | None:
    """None if the provider confirms that the machine is gone, else its status. Errors are never "gone"."""
    try:
        instance = cloud.instance(_id(entry))
    except Absent:
        if entry.account == cloud.account:
            return None
        raise AskPerson(
            f"{entry.name} was launched with another API key (fingerprint {entry.account}), "
            f"and this one ({cloud.account}) does not see it",
            f"set that key, or look at the website and then: fractal-console instances forget {entry.name}",
        ) from None
    return None if instance.is_gone else instance.status


def _id(entry: Entry) -> str:
    if entry.instance_id is None:
        raise Refused(
            f"{entry.name}: it is not known yet whether there is an instance ({entry.reason or 'no answer'})",
            "fractal-console instances sweep",
        )
    return entry.instance_id


def _again(ledger: Ledger, entry: Entry) -> Entry:
    return ledger.get(entry.uuid) or entry

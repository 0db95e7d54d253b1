"""Renting a machine: planned, shown, asked for once.

Guarantees: the ledger knows of a launch before the provider does; a launch is posted once, and after an answer that does not
say whether it worked the account is searched for its tag instead of asking again; nothing is asked for with a clock or a key
that would make the machine useless.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from remote.cloud.caps import Caps, caps_for
from remote.cloud.choose_type import Choice, choose
from remote.cloud.clock import Time
from remote.cloud.cloud_errors import Ambiguous, AskPerson, CloudError, Refused, TryElsewhere, TryLater
from remote.cloud.cloud_models import Instance, InstanceType, LaunchOrder, SshKey
from remote.cloud.lambda_cloud import LambdaCloud
from remote.cloud.ledger import LAUNCH_TAG, Entry, Ledger, new_entry

# Looks after a launch whose answer was lost: two and a half minutes in all. What has not appeared by then stays "in doubt"
# and is looked for by every sweep and by the guard.
_SEARCH_S = (3.0, 6.0, 12.0, 24.0, 45.0, 60.0)


# More than a slow answer or a coarse `Date` header explains.
MOST_CLOCK_S = 300.0


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
    return ledger.fresh(entry)


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
            return ledger.fresh(entry)
    raise Ambiguous(
        f"{cause.message}; no instance with its tag has appeared yet",
        "do not launch again blindly: `fractal-console instances sweep` looks for it, and so does the guard",
    )


def with_tag(instances: Sequence[Instance], uuid: str) -> Instance | None:
    """The machine of one launch."""
    return next((i for i in instances if i.tags.get(LAUNCH_TAG) == uuid), None)

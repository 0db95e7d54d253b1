"""The state behind the fake Lambda Cloud: machines with the moments of their lives, faults to come, and the true bill.

Time is injected. Prices and machines are invented examples.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


DEMO_KEY = "demo-key-not-a-secret"


@dataclass
class FakeMachine:
    """One rented machine with the moments of its life."""

    id: str
    name: str
    type_name: str
    region: str
    tags: list[Json]
    ssh_keys: list[str]
    file_systems: list[str]
    user_data: str | None
    launched: float
    boot_s: float
    ip: str
    end_asked: float | None = None
    terminating_s: float = 30.0
    fate: str | None = None
    """A status that it takes instead of `active`."""
    is_stubborn: bool = False
    """Accepts the order to terminate and does nothing."""

    def status(self, now: float) -> str:
        if self.end_asked is not None:
            return "terminated" if now >= self.end_asked + self.terminating_s else "terminating"
        if now < self.launched + self.boot_s:
            return "booting"
        return self.fate or "active"

    def billed_minutes(self, now: float) -> int:
        """From the end of the boot to the end of the terminating, in whole minutes."""
        end = now if self.end_asked is None else min(now, self.end_asked + self.terminating_s)
        return max(0, math.ceil((end - self.launched - self.boot_s) / 60))


@dataclass(frozen=True)
class Fault:
    """How one answer goes wrong."""

    status: int = 500
    code: str = "global/internal-error"
    message: str = "injected"
    is_done: bool = False
    """The deed is done all the same, and the answer lies: what makes a launch ambiguous."""
    is_dropped: bool = False
    """The connection is closed instead of an answer."""
    is_foreign: bool = False
    """A login page with status 200 instead of an answer of the API."""


NO_CAPACITY = Fault(
    400, "instance-operations/launch/insufficient-capacity", "Not enough capacity to fulfill launch request."
)


DONE_BUT_500 = Fault(500, "provider/internal-unavailable", "The provider is unavailable.", is_done=True)


NOT_DONE_500 = Fault(500, "provider/internal-unavailable", "The provider is unavailable.")


DONE_BUT_DROPPED = Fault(is_done=True, is_dropped=True)


NOT_DONE_DROPPED = Fault(is_dropped=True)


LOGIN_PAGE = Fault(is_foreign=True)


TOO_MANY = Fault(429, "global/too-many-requests", "Too many requests.")


@dataclass
class FakeAccount:
    """The state behind the server; tests read it and change it."""

    now: Callable[[], float] = time.time
    key: str = DEMO_KEY
    boot_s: float = 90.0
    terminating_s: float = 30.0
    forget_s: float | None = None
    """How long after its end a machine is still listed; None: for ever."""
    appear_s: float = 0.0
    """How long after its launch a machine is missing from every answer."""
    is_rate_limited: bool = False
    quota: int = 100
    types: dict[str, Json] = field(default_factory=lambda: _example_types())
    ssh_keys: list[Json] = field(default_factory=lambda: [_example_key()])
    file_systems: list[Json] = field(default_factory=list)
    machines: dict[str, FakeMachine] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    next_fate: str | None = None
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of every request, in order."""
    _last: dict[str, float] = field(default_factory=dict)

    def fail_next(self, operation: str, *faults: Fault) -> None:
        """The next calls of `operation` (launch, terminate, instances, instance, instance-types …) go wrong like this."""
        self.faults.setdefault(operation, []).extend(faults)

    def take_fault(self, operation: str) -> Fault | None:
        waiting = self.faults.get(operation)
        return waiting.pop(0) if waiting else None

    def too_fast(self, operation: str) -> bool:
        """The documented limits: one request a second, one launch in twelve; a hair of tolerance for float sums."""
        now = self.now()
        fast = now - self._last.get("any", -math.inf) < 1 - 1e-6
        fast = fast or (operation == "launch" and now - self._last.get("launch", -math.inf) < 12 - 1e-6)
        self._last["any"] = now
        if operation == "launch":
            self._last["launch"] = now
        return self.is_rate_limited and fast

    def count(self, method: str, path_end: str) -> int:
        return sum(m == method and p.endswith(path_end) for m, p in self.requests)

    def burning(self) -> list[FakeMachine]:
        """Machines that still bill."""
        return [m for m in self.machines.values() if m.status(self.now()) != "terminated"]

    def billed_usd(self, machine_id: str) -> float:
        machine = self.machines[machine_id]
        cents = self.types[machine.type_name]["instance_type"]["price_cents_per_hour"]
        return float(machine.billed_minutes(self.now()) * cents / 6000)

    def launch(self, body: Json) -> Json:
        """The deed of a launch; `BadRequest` where the API would refuse it."""
        kind = self._type_of(body)
        names = body.get("ssh_key_names")
        if not isinstance(names, list) or len(names) != 1:
            raise BadRequest(400, "global/invalid-parameters", "Exactly one SSH key is needed.")
        if names[0] not in [k["name"] for k in self.ssh_keys]:
            raise BadRequest(404, "global/object-does-not-exist", f"There is no SSH key {names[0]}.")
        if body["region_name"] not in [r["name"] for r in kind["regions_with_capacity_available"]]:
            raise BadRequest(NO_CAPACITY.status, NO_CAPACITY.code, NO_CAPACITY.message)
        if len(self.burning()) >= self.quota:
            raise BadRequest(400, "global/quota-exceeded", "Quota exceeded.")
        self._require_file_systems(body)
        machine = self._new_machine(body, names)
        self.machines[machine.id] = machine
        return {"instance_ids": [machine.id]}

    def _type_of(self, body: Json) -> Json:
        kind = self.types.get(str(body.get("instance_type_name")))
        if kind is None:
            raise BadRequest(400, "global/invalid-parameters", f"There is no type {body.get('instance_type_name')}.")
        return kind

    def _require_file_systems(self, body: Json) -> None:
        for name in body.get("file_system_names") or []:
            found = [f for f in self.file_systems if f["name"] == name]
            if not found:
                raise BadRequest(404, "global/object-does-not-exist", f"There is no file system {name}.")
            if found[0]["region"]["name"] != body["region_name"]:
                code = "instance-operations/launch/file-system-in-wrong-region"
                raise BadRequest(400, code, f"{name} is in {found[0]['region']['name']}.")

    def _new_machine(self, body: Json, ssh_keys: list[str]) -> FakeMachine:
        fate, self.next_fate = self.next_fate, None
        return FakeMachine(
            id=uuid.uuid4().hex,
            name=str(body.get("name") or ""),
            type_name=body["instance_type_name"],
            region=body["region_name"],
            tags=list(body.get("tags") or []),
            ssh_keys=ssh_keys,
            file_systems=list(body.get("file_system_names") or []),
            user_data=body.get("user_data"),
            launched=self.now(),
            boot_s=self.boot_s,
            terminating_s=self.terminating_s,
            ip=f"192.0.2.{len(self.machines) + 10}",
            fate=fate,
        )

    def terminate(self, body: Json) -> Json:
        ids = body.get("instance_ids") or []
        missing = [i for i in ids if i not in self.machines or self._hidden(self.machines[i])]
        if missing:
            raise BadRequest(404, "global/object-does-not-exist", f"There is no instance {missing[0]}.")
        for machine in (self.machines[i] for i in ids):
            if machine.end_asked is None and not machine.is_stubborn:
                machine.end_asked = self.now()
        return {"terminated_instances": [self.show(self.machines[i]) for i in ids]}

    def restart(self, body: Json) -> Json:
        for machine in (self.machines[i] for i in body.get("instance_ids") or []):
            machine.launched, machine.boot_s, machine.fate = self.now(), self.boot_s, None
        return {"restarted_instances": []}

    def listed(self) -> list[Json]:
        return [self.show(m) for m in self.machines.values() if not self._hidden(m)]

    def one(self, machine_id: str) -> Json:
        machine = self.machines.get(machine_id)
        if machine is None or self._hidden(machine):
            raise BadRequest(404, "global/object-does-not-exist", f"There is no instance {machine_id}.")
        return self.show(machine)

    def _hidden(self, machine: FakeMachine) -> bool:
        if self.now() < machine.launched + self.appear_s:
            return True
        if self.forget_s is None or machine.end_asked is None:
            return False
        return self.now() >= machine.end_asked + machine.terminating_s + self.forget_s

    def show(self, machine: FakeMachine) -> Json:
        status = machine.status(self.now())
        kind = self.types[machine.type_name]["instance_type"]
        shown: Json = {
            "id": machine.id,
            "name": machine.name,
            "status": status,
            "ssh_key_names": machine.ssh_keys,
            "file_system_names": machine.file_systems,
            "region": {"name": machine.region, "description": machine.region},
            "instance_type": kind,
            "hostname": f"{machine.id}.example",
            "is_reserved": False,
            "tags": machine.tags,
            "actions": {"terminate": {"available": status not in ("terminating", "terminated")}},
        }
        # The address comes only some way into the boot.
        if self.now() >= machine.launched + machine.boot_s / 2:
            shown |= {"ip": machine.ip, "private_ip": "10.0.0.2"}
        return shown


class BadRequest(Exception):
    """An answer with an error of the API."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def _example_key() -> Json:
    return {"id": "key-1", "name": "laptop", "public_key": "ssh-ed25519 AAAA laptop"}


def _example_types() -> dict[str, Json]:
    rows = [
        ("gpu_1x_a10", "1x A10 (24 GB PCIe)", 75, 1, 30, 200, 1400, ["us-west-1"]),
        ("gpu_1x_a100_sxm4", "1x A100 (40 GB SXM4)", 129, 1, 30, 200, 512, ["us-east-1", "us-west-2"]),
        ("gpu_1x_h100_pcie", "1x H100 (80 GB PCIe)", 249, 1, 26, 200, 1024, ["us-west-3"]),
        ("gpu_8x_a100_80gb_sxm4", "8x A100 (80 GB SXM4)", 1432, 8, 240, 1800, 20480, []),
    ]
    return {row[0]: _example_type(*row) for row in rows}


def _example_type(
    name: str, words: str, cents: int, gpus: int, cpus: int, memory: int, disk: int, regions: list[str]
) -> Json:
    specs = {"gpus": gpus, "vcpus": cpus, "memory_gib": memory, "storage_gib": disk}
    return {
        "instance_type": {
            "name": name,
            "description": words,
            "gpu_description": words,
            "price_cents_per_hour": cents,
            "specs": specs,
        },
        "regions_with_capacity_available": [{"name": r, "description": r} for r in regions],
    }

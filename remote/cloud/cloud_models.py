"""The provider's things as small dataclasses.

Guarantees: an answer that lacks what money depends on (id, status, price) raises `Malformed`; unknown extra fields and
unknown states are kept out of the way, so that a newer API does not break an old console.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class Malformed(ValueError):
    """The answer is JSON, but not what the API promises."""


@dataclass(frozen=True)
class InstanceType:
    """One kind of machine."""

    name: str
    description: str
    price_cents_per_h: int
    gpus: int
    vcpus: int
    memory_gib: int
    storage_gib: int
    regions: tuple[str, ...]
    """Regions that have one free right now."""


@dataclass(frozen=True)
class Instance:
    """One rented machine, as the provider sees it."""

    id: str
    name: str
    status: str
    """booting, active, unhealthy, terminating, terminated, preempted, or a word of a later API."""
    ip: str | None
    private_ip: str | None
    type_name: str
    price_cents_per_h: int
    region: str
    tags: Mapping[str, str] = field(default_factory=dict)
    file_systems: tuple[str, ...] = ()
    ssh_keys: tuple[str, ...] = ()
    terminate_blocked: str | None = None
    """Why the provider would refuse to terminate right now; None if it would not."""

    @property
    def is_gone(self) -> bool:
        """The provider says that nothing bills any more. `terminating` is not gone, and neither is `preempted`."""
        return self.status == "terminated"


@dataclass(frozen=True)
class SshKey:
    id: str
    name: str
    public_key: str


@dataclass(frozen=True)
class FileSystem:
    id: str
    name: str
    region: str
    mount_point: str
    is_in_use: bool


@dataclass(frozen=True)
class Image:
    id: str
    family: str
    name: str
    region: str


@dataclass(frozen=True)
class LaunchOrder:
    """What is asked of the provider, resolved."""

    type_name: str
    region: str
    ssh_key: str
    name: str
    tags: Mapping[str, str]
    file_systems: tuple[str, ...] = ()
    image_family: str | None = None
    user_data: str | None = None

    def to_json(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "region_name": self.region,
            "instance_type_name": self.type_name,
            "ssh_key_names": [self.ssh_key],
            "name": self.name,
            "tags": [{"key": key, "value": value} for key, value in self.tags.items()],
        }
        if self.file_systems:
            body["file_system_names"] = list(self.file_systems)
        if self.image_family:
            body["image"] = {"family": self.image_family}
        if self.user_data:
            body["user_data"] = self.user_data
        return body


def instance_types(data: Any) -> list[InstanceType]:
    """From `GET /instance-types`, cheapest first."""
    found = [_instance_type(name, entry) for name, entry in _mapping(data, "instance types").items()]
    return sorted(found, key=lambda t: (t.price_cents_per_h, t.name))


def _instance_type(name: str, entry: Any) -> InstanceType:
    kind = _mapping(_mapping(entry, name).get("instance_type"), name)
    specs = _mapping(kind.get("specs") or {}, name)
    regions = entry.get("regions_with_capacity_available") or []
    return InstanceType(
        name=str(name),
        description=str(kind.get("description") or ""),
        price_cents_per_h=_whole(kind, "price_cents_per_hour"),
        gpus=int(specs.get("gpus") or 0),
        vcpus=int(specs.get("vcpus") or 0),
        memory_gib=int(specs.get("memory_gib") or 0),
        storage_gib=int(specs.get("storage_gib") or 0),
        regions=tuple(str(_mapping(region, name).get("name")) for region in regions),
    )


def instances(data: Any) -> list[Instance]:
    """From `GET /instances`. A list that is no list is never "no instances"."""
    if not isinstance(data, list):
        raise Malformed("the list of instances is no list")
    return [instance(entry) for entry in data]


def instance(entry: Any) -> Instance:
    """From `GET /instances/{id}`."""
    value = _mapping(entry, "instance")
    kind = value.get("instance_type") or {}
    region = value.get("region") or {}
    return Instance(
        id=_word(value, "id"),
        name=str(value.get("name") or ""),
        status=_word(value, "status"),
        ip=value.get("ip") or None,
        private_ip=value.get("private_ip") or None,
        type_name=str(kind.get("name") or ""),
        price_cents_per_h=int(kind.get("price_cents_per_hour") or 0),
        region=str(region.get("name") or ""),
        tags={str(tag.get("key")): str(tag.get("value")) for tag in value.get("tags") or [] if isinstance(tag, dict)},
        file_systems=tuple(str(name) for name in value.get("file_system_names") or ()),
        ssh_keys=tuple(str(name) for name in value.get("ssh_key_names") or ()),
        terminate_blocked=_blocked(value),
    )


def _blocked(value: Mapping[str, Any]) -> str | None:
    action = (value.get("actions") or {}).get("terminate") or {}
    return None if action.get("available", True) else str(action.get("reason_code") or "not available now")


def ssh_keys(data: Any) -> list[SshKey]:
    return [SshKey(_word(k, "id"), _word(k, "name"), str(k.get("public_key") or "")) for k in _list(data, "SSH keys")]


def file_systems(data: Any) -> list[FileSystem]:
    return [
        FileSystem(
            id=_word(entry, "id"),
            name=_word(entry, "name"),
            region=str((entry.get("region") or {}).get("name") or ""),
            mount_point=str(entry.get("mount_point") or ""),
            is_in_use=bool(entry.get("is_in_use")),
        )
        for entry in _list(data, "file systems")
    ]


def images(data: Any) -> list[Image]:
    return [
        Image(
            id=_word(entry, "id"),
            family=str(entry.get("family") or ""),
            name=str(entry.get("name") or ""),
            region=str((entry.get("region") or {}).get("name") or ""),
        )
        for entry in _list(data, "images")
    ]


def instance_ids(data: Any) -> list[str]:
    """From the answer to a launch; at least one."""
    ids = _mapping(data, "launch").get("instance_ids")
    if not isinstance(ids, list) or not ids or not all(isinstance(i, str) and i for i in ids):
        raise Malformed("the answer to the launch names no instance")
    return ids


def _list(data: Any, what: str) -> list[Mapping[str, Any]]:
    if not isinstance(data, list):
        raise Malformed(f"the list of {what} is no list")
    return [_mapping(entry, what) for entry in data]


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Malformed(f"{what}: expected an object, got {type(value).__name__}")
    return value


def _word(value: Mapping[str, Any], key: str) -> str:
    word = value.get(key)
    if not isinstance(word, str) or not word:
        raise Malformed(f"an entry without {key!r}")
    return word


def _whole(value: Mapping[str, Any], key: str) -> int:
    number = value.get(key)
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise Malformed(f"{key} is {number!r}, not a price")
    return number

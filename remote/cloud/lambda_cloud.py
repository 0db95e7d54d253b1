"""A typed client for Lambda Cloud's API.

Guarantees: every request waits for its turn in the pace that all consoles share; every request has a time limit; a GET and
a termination are tried again after "too many requests" and trouble of the server, a launch never is; an answer that is not
the API's (a proxy, a login page) is never read as an empty list or as "gone"; the key goes into one header and nowhere else.
Does not guarantee: that a launch or termination that was answered is done. `remote.cloud.instances` looks.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from remote.cloud import cloud_models as models
from remote.cloud.api_key import ApiKey
from remote.cloud.cloud_errors import (
    Ambiguous,
    CloudError,
    RateLimited,
    Refused,
    ServerTrouble,
    Unreachable,
    from_answer,
)
from remote.cloud.pace import Pace

T = TypeVar("T")

BASE_URL = "https://cloud.lambda.ai"

# A launch has been seen to take most of a minute; everything else answers within a second or two.
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_LAUNCH_TIMEOUT = httpx.Timeout(90.0, connect=10.0)

# Waits between tries of what is safe to try again. The sum stays under a minute: a screen is waiting.
_RETRY_S = (2.0, 5.0, 10.0, 20.0)

# The request did not leave this machine, so nothing can have happened.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


@dataclass(frozen=True)
class _Call:
    method: str
    path: str
    what: str
    """How an error names it: "launch of a100"."""
    body: dict[str, Any] | None = None
    is_launch: bool = False
    is_repeatable: bool = True


class LambdaCloud:
    """One account, seen through one key."""

    def __init__(
        self,
        key: ApiKey,
        pace: Pace,
        base_url: str = BASE_URL,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        _require_safe(base_url)
        self._pace = pace
        self._sleep = sleep
        self.account = key.fingerprint
        """Tells accounts apart: "absent" is no proof for an instance that another key launched."""
        self.base_url = base_url
        self.clock_ahead_s = 0.0
        """By how much this computer's clock is ahead of the provider's, as the last answer showed."""
        self._http = httpx.Client(
            base_url=base_url,
            headers={"Authorization": f"Bearer {key.reveal()}", "Accept": "application/json"},
            timeout=_TIMEOUT,
            follow_redirects=False,
        )

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> LambdaCloud:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def instance_types(self) -> list[models.InstanceType]:
        return self._get("/api/v1/instance-types", "instance types", models.instance_types)

    def instances(self) -> list[models.Instance]:
        return self._get("/api/v1/instances", "list of instances", models.instances)

    def instance(self, instance_id: str) -> models.Instance:
        """One instance; `Absent` if the provider says that there is none."""
        return self._get(f"/api/v1/instances/{_segment(instance_id)}", f"instance {instance_id}", models.instance)

    def ssh_keys(self) -> list[models.SshKey]:
        return self._get("/api/v1/ssh-keys", "SSH keys", models.ssh_keys)

    def file_systems(self) -> list[models.FileSystem]:
        return self._get("/api/v1/file-systems", "file systems", models.file_systems)

    def images(self) -> list[models.Image]:
        return self._get("/api/v1/images", "images", models.images)

    def launch(self, order: models.LaunchOrder) -> list[str]:
        """Ask for one instance, once. `Ambiguous` if the answer does not say whether there is one now."""
        what = f"launch of {order.type_name} in {order.region}"
        path = "/api/v1/instance-operations/launch"
        call = _Call("POST", path, what, order.to_json(), is_launch=True, is_repeatable=False)
        try:
            return models.instance_ids(self._once(call))
        except (ServerTrouble, models.Malformed) as error:
            raise _ambiguous(what, error) from None

    def terminate(self, instance_id: str) -> None:
        """Ask for the end; only a later look tells whether it came."""
        self._operate("terminate", instance_id)

    def restart(self, instance_id: str) -> None:
        self._operate("restart", instance_id)

    def rename(self, instance_id: str, name: str) -> None:
        path = f"/api/v1/instances/{_segment(instance_id)}"
        self._call(_Call("POST", path, f"rename of {instance_id}", {"name": name}))

    def add_ssh_key(self, name: str, public_key: str) -> models.SshKey:
        body = {"name": name, "public_key": public_key}
        call = _Call("POST", "/api/v1/ssh-keys", f"SSH key {name}", body, is_repeatable=False)
        return models.ssh_keys([self._call(call)])[0]

    def create_file_system(self, name: str, region: str) -> models.FileSystem:
        body = {"name": name, "region": region}
        call = _Call("POST", "/api/v1/filesystems", f"file system {name}", body, is_repeatable=False)
        return models.file_systems([self._call(call)])[0]

    def _operate(self, verb: str, instance_id: str) -> None:
        path = f"/api/v1/instance-operations/{verb}"
        # A second restart would restart again; a second termination ends what is ending.
        safe = verb == "terminate"
        what = f"{verb} of {instance_id}"
        self._call(_Call("POST", path, what, {"instance_ids": [instance_id]}, is_repeatable=safe))

    def _get(self, path: str, what: str, parse: Callable[[Any], T]) -> T:
        data = self._call(_Call("GET", path, what))
        try:
            return parse(data)
        except (models.Malformed, AttributeError, TypeError, ValueError) as error:
            raise ServerTrouble(f"{what}: the answer is not what the API promises ({error})", "look again") from None

    def _call(self, call: _Call) -> Any:
        waits = _RETRY_S if call.is_repeatable else ()
        for wait_s in waits:
            try:
                return self._once(call)
            except (RateLimited, ServerTrouble):
                self._sleep(wait_s)
        return self._once(call)

    def _once(self, call: _Call) -> Any:
        self._pace.wait(launch=call.is_launch)
        response = self._send(call)
        self.clock_ahead_s = self._pace.now() - _date(response, self._pace.now())
        body = _json(response)
        if response.is_success and isinstance(body, dict) and "data" in body:
            return body["data"]
        if response.is_success:
            raise ServerTrouble(
                f"{call.what}: an answer that is not from Lambda's API",
                "is there a proxy or a login page between this machine and the provider?",
            )
        error = from_answer(call.what, response.status_code, body)
        if isinstance(error, RateLimited):
            self._pace.hold_off(_retry_after(response))
        raise error

    def _send(self, call: _Call) -> httpx.Response:
        timeout = _LAUNCH_TIMEOUT if call.is_launch else _TIMEOUT
        try:
            return self._http.request(call.method, call.path, json=call.body, timeout=timeout)
        except _NOT_SENT as error:
            raise Unreachable(
                f"{call.what}: {self._http.base_url.host} can't be reached ({_reason(error)})",
                "nothing was sent: check the network and try again",
            ) from None
        except httpx.TransportError as error:
            if call.method == "GET":
                raise Unreachable(f"{call.what}: no answer ({_reason(error)})", "check the network") from None
            raise _ambiguous(call.what, error) from None


def _ambiguous(what: str, cause: Exception) -> Ambiguous:
    reason = cause.message if isinstance(cause, CloudError) else _reason(cause)
    return Ambiguous(
        f"{what}: it may have happened, the answer does not say ({reason})",
        "it is not repeated; `fractal-console instances sweep` compares the account with the ledger",
    )


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        return None


def _date(response: httpx.Response, otherwise: float) -> float:
    try:
        return parsedate_to_datetime(response.headers["Date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return otherwise


def _retry_after(response: httpx.Response) -> float:
    """Seconds to hold off: the header's if there is one (it is not documented), else two."""
    try:
        return min(max(float(response.headers.get("Retry-After", "2")), 1.0), 60.0)
    except ValueError:
        return 2.0


def _segment(instance_id: str) -> str:
    """An id that can stand in a path; an empty one would list everything."""
    if not instance_id or not instance_id.replace("-", "").replace("_", "").isalnum():
        raise Refused(f"{instance_id!r} is no instance id", "look with `fractal-console instances list`")
    return instance_id


def _require_safe(base_url: str) -> None:
    """The key must not travel in the clear, except to a fake server on this machine."""
    parts = urlsplit(base_url)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise Refused(f"{base_url} would send the API key unencrypted", "use https://")

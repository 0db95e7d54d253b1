"""What can go wrong with the provider, named by what the caller does next.

    CloudError
    ├── TryLater        wait and ask again: the answer is unknown, never "gone"
    │   ├── RateLimited
    │   ├── ServerTrouble
    │   └── Unreachable     nothing was sent
    ├── TryElsewhere    another region or type may do
    ├── AskPerson       key, account, quota: only a person can mend it
    ├── Refused         the request itself is wrong
    ├── Absent          the provider says that this thing does not exist (the only proof of "gone")
    └── Ambiguous       it may have happened: look, never repeat blindly

The message says what happened to what; `hint` is what to do next. Neither ever holds the API key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class CloudError(Exception):
    """Anything that the provider, or the way to it, did not do."""

    def __init__(self, message: str, hint: str = "", code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code

    def __str__(self) -> str:
        return f"{self.message} — {self.hint}" if self.hint else self.message


class TryLater(CloudError):
    pass


class RateLimited(TryLater):
    pass


class ServerTrouble(TryLater):
    pass


class Unreachable(TryLater):
    pass


class TryElsewhere(CloudError):
    pass


class AskPerson(CloudError):
    pass


class Refused(CloudError):
    pass


class Absent(CloudError):
    pass


class Ambiguous(CloudError):
    pass


@dataclass(frozen=True)
class _Meaning:
    kind: type[CloudError]
    hint: str


_KEYS_PAGE = "https://cloud.lambda.ai/api-keys"

_MEANINGS: dict[str, _Meaning] = {
    "global/invalid-api-key": _Meaning(
        AskPerson,
        f"make a key at {_KEYS_PAGE}, then put it into LAMBDA_API_KEY or the 0600 file that `instances key` names",
    ),
    "global/account-inactive": _Meaning(AskPerson, "finish the account's set-up at https://cloud.lambda.ai"),
    "global/invalid-address": _Meaning(AskPerson, "correct the billing address at https://cloud.lambda.ai/settings"),
    "global/quota-exceeded": _Meaning(
        AskPerson,
        "terminate something (`fractal-console instances list`) or ask for more at https://support.lambda.ai",
    ),
    "global/forbidden": _Meaning(AskPerson, f"use a key of a member who may do this: {_KEYS_PAGE}"),
    "global/invalid-parameters": _Meaning(Refused, "correct the value that the message names"),
    "global/duplicate": _Meaning(Refused, "choose another name"),
    "global/conflict": _Meaning(Refused, "another action is under way: look with `fractal-console instances list`"),
    "global/object-does-not-exist": _Meaning(Absent, "look with `fractal-console instances list`"),
    "global/not-found": _Meaning(Refused, "the address is not the API's: check the base URL"),
    "global/internal-error": _Meaning(ServerTrouble, "wait a minute and look again"),
    "global/unknown": _Meaning(ServerTrouble, "wait a minute and look again"),
    "instance-operations/launch/insufficient-capacity": _Meaning(
        TryElsewhere, "`fractal-console instances types` shows which regions have capacity now"
    ),
    "instance-operations/launch/file-system-in-wrong-region": _Meaning(
        TryElsewhere, "launch in the file system's own region, or without it"
    ),
    "ssh-keys/key-in-use": _Meaning(Refused, "an instance still uses this key"),
    "filesystems/filesystem-in-use": _Meaning(Refused, "an instance still mounts this file system"),
    "firewall-rulesets/firewall-ruleset-in-use": _Meaning(Refused, "an instance still uses this rule set"),
}


def from_answer(what: str, status: int, body: Any, retry_after: str | None = None) -> CloudError:
    """The error that an answer with a status other than 2xx means; `body` is its JSON or None."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return _without_code(what, status)
    code = str(error.get("code") or "")
    said = str(error.get("message") or code or f"HTTP {status}")
    meaning = _meaning(code, status)
    suggestion = error.get("suggestion")
    hint = meaning.hint if not suggestion else f"{suggestion} ({meaning.hint})" if meaning.hint else str(suggestion)
    return meaning.kind(f"{what}: {said} [{code}]" if code else f"{what}: {said}", hint, code)


def _meaning(code: str, status: int) -> _Meaning:
    if status == 429:
        return _Meaning(RateLimited, "every console of this account shares one request a second: it is tried again")
    if code.startswith("provider/"):
        return _Meaning(ServerTrouble, "the provider's own trouble: wait a minute and look again")
    if code in _MEANINGS:
        return _MEANINGS[code]
    return _Meaning(ServerTrouble if status >= 500 else Refused, "")


def _without_code(what: str, status: int) -> CloudError:
    """An answer that is not the API's: a proxy, a login page of a hotel's network, a gateway."""
    if status == 429:
        return RateLimited(f"{what}: too many requests (HTTP 429)", "it is tried again")
    if status == 401:
        return AskPerson(f"{what}: HTTP 401", f"check the API key: {_KEYS_PAGE}")
    if status >= 500:
        return ServerTrouble(f"{what}: HTTP {status} without a reason", "wait a minute and look again")
    return ServerTrouble(
        f"{what}: HTTP {status}, and not from Lambda's API",
        "is there a proxy or a login page between this machine and https://cloud.lambda.ai?",
    )

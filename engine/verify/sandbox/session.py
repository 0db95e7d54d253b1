"""A conversation with one child: what is asked, what comes back, and the stand-ins for a candidate's functions.

Everything that a child says is checked for shape here; whatever is no answer ends the conversation with a reason (`Stopped`).
"""

from __future__ import annotations

import collections
from typing import Any

from engine.verify.sandbox import codec, frames
from engine.verify.sandbox.fingerprint import fingerprint
from engine.verify.sandbox.link import Child
from engine.verify.sandbox.verdict import FAIL, TIMEOUT, SandboxBroken

_SYNTAX = ("SyntaxError", "IndentationError", "TabError")


class Stopped(BaseException):
    """The conversation is over, with a reason. Not an Exception: test code's `except Exception` must not eat it."""

    def __init__(self, verdict: str, reason: str) -> None:
        self.verdict = verdict
        self.reason = reason


def request(code: str, calls: list[Any], more: bool, most: int, with_typing: bool = False) -> bytes:
    return codec.dumps({"code": code, "calls": calls, "more": more, "most": most, "typing": with_typing})


def receive(child: Child, count: int, deadline: float) -> list[list[Any]]:
    """`count` answers of the right shape, or the reason why there are none."""
    try:
        said = codec.loads(child.receive(deadline))
    except frames.Late:
        raise Stopped(TIMEOUT, "wall") from None
    except frames.Closed:
        raise Stopped(FAIL, "gone") from None
    except (frames.TooLong, codec.WireError):
        raise Stopped(FAIL, "protocol") from None
    if type(said) is dict:
        raise Stopped(FAIL, "output" if "output" in said else reason_for(str(said.get("load", ""))))
    if type(said) is not list or len(said) != count or not all(_is_answer(a) for a in said):
        raise Stopped(FAIL, "protocol")
    return said


def _is_answer(answer: Any) -> bool:
    if type(answer) is not list or len(answer) not in (2, 3) or type(answer[0]) is not int:
        return False
    if answer[0] == 1:
        return type(answer[1]) is str
    return answer[0] == 0 and (len(answer) == 2 or all(type(c) is list and len(c) == 2 for c in answer[2]))


class Session:
    """Answers that were asked for ahead, and the line for further calls."""

    def __init__(self, child: Child, deadline: float) -> None:
        self.raised = ""
        self._child = child
        self._deadline = deadline
        self._held: dict[bytes, collections.deque[list[Any]]] = {}
        self._answers: list[list[Any]] = []

    def hold(self, calls: list[Any], answers: list[list[Any]]) -> None:
        self._answers = answers
        for call, answer in zip(calls, answers, strict=True):
            self._held.setdefault(codec.dumps(call), collections.deque()).append(answer)

    def fingerprints(self) -> tuple[str, ...]:
        return tuple(fingerprint_of(answer) for answer in self._answers)

    def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            wire = [name, [codec.encode(a) for a in args], {k: codec.encode(v) for k, v in kwargs.items()}]
        except codec.WireError as error:
            raise SandboxBroken(f"a test of this problem can't be judged here: {error}") from None
        key = codec.dumps(wire)
        held = self._held.get(key)
        answer = held.popleft() if held else self._live(key)
        return self._value(answer, args)

    def _live(self, payload: bytes) -> list[Any]:
        try:
            self._child.send(payload, self._deadline)
        except frames.Late:
            raise Stopped(TIMEOUT, "wall") from None
        except frames.Closed:
            raise Stopped(FAIL, "gone") from None
        answer: list[Any] = receive(self._child, 1, self._deadline)[0]
        return answer

    def _value(self, answer: list[Any], args: tuple[Any, ...]) -> Any:
        if answer[0] == 1:
            self.raised = reason_for(answer[1])
            if not self.raised.startswith("exc:"):
                raise Stopped(FAIL, self.raised)
            raise codec.exception_named(answer[1])
        self.raised = ""
        value = decoded(answer[1])
        for at, wire in answer[2] if len(answer) > 2 else ():
            _update(args, at, decoded(wire))
        return value


class Proxy:
    """A candidate's function, as test code sees it."""

    def __init__(self, name: str, session: Session) -> None:
        self.__name__ = name
        self._session = session

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._session.call(self.__name__, args, kwargs)


def _update(args: tuple[Any, ...], at: Any, now: Any) -> None:
    """The candidate changed an argument in place: so does the caller's object."""
    if type(at) is not int or not 0 <= at < len(args) or type(args[at]) is not type(now):
        raise Stopped(FAIL, "protocol")
    here = args[at]
    if type(here) in (list, bytearray):
        here[:] = now
    elif type(here) in (dict, set):
        here.clear()
        here.update(now)


def decoded(wire: Any) -> Any:
    try:
        return codec.decode(wire)
    except (codec.WireError, RecursionError, MemoryError):
        raise Stopped(FAIL, "protocol") from None


def fingerprint_of(answer: list[Any]) -> str:
    return f"!{answer[1][:40]}" if answer[0] == 1 else fingerprint(decoded(answer[1]))


def reason_for(type_name: str) -> str:
    """The reason that an exception's type stands for."""
    if type_name in _SYNTAX:
        return "syntax"
    if type_name in ("SystemExit", "KeyboardInterrupt", "GeneratorExit"):
        return "exit"
    if type_name == "MemoryError":
        return "memory"
    if type_name == "PermissionError":
        return "denied"
    return f"exc:{type_name[:80]}"

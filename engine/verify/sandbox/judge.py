"""The judge: one candidate in, one verdict out.

The rule: test text and expected values never enter the process that runs the candidate. It can send values, and only
values; PASS needs that this judge itself saw every test hold. Whatever else happens over there, exit status included, is no
pass. Errors of the sandbox are `SandboxBroken` and label nothing.
"""

from __future__ import annotations

import builtins
import collections
import math
import os
import select
import time
from dataclasses import dataclass
from typing import Any

from engine.verify.sandbox import codec, frames
from engine.verify.sandbox.child import JAIL_FAILED
from engine.verify.sandbox.fingerprint import fingerprint
from engine.verify.sandbox.link import Child, Report, Zygote
from engine.verify.sandbox.plan import Batch, Printed, Remote, plan
from engine.verify.sandbox.verdict import FAIL, PASS, TIMEOUT, Limits, Sample, SandboxBroken, Verdict

_SIGKILL = 9
_SYNTAX = ("SyntaxError", "IndentationError", "TabError")


class _Stopped(BaseException):
    """The conversation is over, with a reason. Not an Exception: test code's `except Exception` must not eat it."""

    def __init__(self, verdict: str, reason: str) -> None:
        self.verdict = verdict
        self.reason = reason


@dataclass
class _Outcome:
    verdict: str
    reason: str
    passed: int
    outputs: tuple[str, ...] = ()


class Judge:
    """Judges samples one after the other in one zygote."""

    def __init__(self, zygote: Zygote, limits: Limits, tier: str) -> None:
        self.zygote = zygote
        self.limits = limits
        self.tier = tier

    def judge(self, sample: Sample) -> Verdict:
        """What becomes of this candidate."""
        how = plan(sample.tests)
        if isinstance(how, Printed):
            return self._judge_printed(sample, how)
        deadline = time.monotonic() + self.limits.wall_s(sample.tests.cpu_s)
        child = self.zygote.start(_whole_seconds(sample.tests.cpu_s), self.limits.output_bytes + 64)
        try:
            if isinstance(how, Batch):
                outcome = self._batch(child, sample, how, deadline)
                mode, total = "batch", len(how.calls)
            else:
                outcome = self._remote(child, sample, how, deadline)
                mode, total = "remote", len(how.steps)
        finally:
            child.close()
            report = self.zygote.end()
        if outcome.reason == "gone":
            self._explain(outcome, report, sample)
        return Verdict(
            key=sample.key,
            verdict=outcome.verdict,
            reason=outcome.reason,
            passed=outcome.passed,
            total=total,
            cpu_s=report.cpu_s,
            maxrss_kb=report.maxrss_kb,
            outputs=outcome.outputs,
            mode=mode,
            tier=self.tier,
        )

    def _explain(self, outcome: _Outcome, report: Report, sample: Sample) -> None:
        """Why the child went away without its answer."""
        # The kernel kills by ticks and reports by the clock: on a shared machine the two differ by a tenth or more.
        if report.signal == _SIGKILL and report.cpu_s >= 0.75 * _whole_seconds(sample.tests.cpu_s):
            outcome.verdict, outcome.reason = TIMEOUT, "cpu"
        elif report.signal:
            outcome.reason = "signal"
        else:
            outcome.reason = "exit"
            if report.exit_code == JAIL_FAILED:  # a candidate may also choose this number
                self.confirm_works()

    def confirm_works(self) -> None:
        """A known program must give its known answer, or the sandbox is broken."""
        child = self.zygote.start(5, 1 << 16)
        try:
            child.send(_request("def f(x): return x + 1", [["f", [41], {}]], False, 1 << 16), time.monotonic() + 20)
            answer = codec.loads(child.receive(time.monotonic() + 20))
        except (frames.Closed, frames.Late, frames.TooLong, codec.WireError) as error:
            raise SandboxBroken(f"the sandbox can't run a trivial program ({type(error).__name__})") from None
        finally:
            child.close()
            self.zygote.end()
        if answer != [[0, 42]]:
            raise SandboxBroken(f"the sandbox answers {answer!r} where 42 is right")

    def _batch(self, child: Child, sample: Sample, how: Batch, deadline: float) -> _Outcome:
        try:
            answers = self._ask(child, sample.code, how.calls, False, deadline, how.with_typing)
        except _Stopped as stopped:
            return _Outcome(stopped.verdict, stopped.reason, 0)
        return _compare(answers, how)

    def _ask(
        self, child: Child, code: str, calls: list[Any], more: bool, deadline: float, with_typing: bool = False
    ) -> list[Any]:
        """Send the program and its calls; the answers, checked for shape."""
        try:
            child.send(_request(code, calls, more, self.limits.output_bytes, with_typing), deadline)
        except frames.Late:
            raise _Stopped(TIMEOUT, "wall") from None
        except frames.Closed:
            raise _Stopped(FAIL, "gone") from None
        return _receive(child, len(calls), deadline)

    def _remote(self, child: Child, sample: Sample, how: Remote, deadline: float) -> _Outcome:
        outcome = _Outcome(FAIL, "", 0)
        session = _Session(child, deadline)
        try:
            session.hold(how.calls, self._ask(child, sample.code, how.calls, True, deadline))
            outcome.outputs = session.fingerprints()
            for _ in self._steps(session, how):
                outcome.passed += 1
            outcome.verdict, outcome.reason = PASS, "ok"
        except _Stopped as stopped:
            outcome.verdict, outcome.reason = stopped.verdict, stopped.reason
        except AssertionError:
            outcome.reason = "assert"
        except SandboxBroken:
            raise
        except Exception as error:
            outcome.reason = session.raised or reason_for(type(error).__name__)
        if outcome.passed != len(how.steps) and outcome.verdict == PASS:
            raise SandboxBroken("the judge lost count of its tests")
        return outcome

    def _steps(self, session: _Session, how: Remote) -> Any:
        """Run the tests here, in a namespace whose candidate names are proxies."""
        space: dict[str, Any] = {"__builtins__": builtins, "__name__": "__tests__"}
        for code in how.before:
            exec(code, space)
        for name in how.names:
            space[name] = _Proxy(name, session)
        for code in (*how.after, *how.steps[:-1]):
            exec(code, space)
            if code in how.steps:
                yield
        exec(how.steps[-1], space)
        if how.entry_point:
            space["check"](space[how.entry_point])
        yield

    def _judge_printed(self, sample: Sample, how: Printed) -> Verdict:
        outcome = _Outcome(FAIL, "", 0)
        cpu_s, maxrss, prints = 0.0, 0, []
        for typed, expected in how.cases:
            report, printed = self._run_script(sample, typed, outcome)
            cpu_s, maxrss = cpu_s + report.cpu_s, max(maxrss, report.maxrss_kb)
            if outcome.reason:
                break
            prints.append(fingerprint(_lines(printed)))
            if _lines(printed) != _lines(expected):
                outcome.reason = "assert"
                break
            outcome.passed += 1
        if not outcome.reason and outcome.passed == len(how.cases):
            outcome.verdict, outcome.reason = PASS, "ok"
        total = len(how.cases)
        return Verdict(
            sample.key,
            outcome.verdict,
            outcome.reason,
            outcome.passed,
            total,
            cpu_s,
            maxrss,
            tuple(prints),
            "stdin",
            self.tier,
        )

    def _run_script(self, sample: Sample, typed: str, outcome: _Outcome) -> tuple[Report, str]:
        """One run of a program that reads and prints; `outcome.reason` is set when it did not end well."""
        ours, theirs = os.pipe()
        read = _file_with(typed)
        deadline = time.monotonic() + self.limits.wall_s(sample.tests.cpu_s)
        printed = b""
        try:
            child = self.zygote.start(_whole_seconds(sample.tests.cpu_s), 1 << 16, (read, theirs))
        finally:
            os.close(theirs)
            os.close(read)
        try:
            child.send(codec.dumps({"code": sample.code}), deadline)
            printed = _drain(ours, self.limits.output_bytes, deadline)
            _no_complaint(child, deadline)
        except _Stopped as stopped:
            outcome.verdict, outcome.reason = stopped.verdict, stopped.reason
        except frames.Late:
            outcome.verdict, outcome.reason = TIMEOUT, "wall"
        except frames.Closed:
            pass  # the child is gone: its status says how
        finally:
            os.close(ours)
            child.close()
            report = self.zygote.end()
        if not outcome.reason and report.exit_code != 0:
            self._explain(outcome, report, sample)
        return report, printed.decode("utf-8", "replace")


class _Session:
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
        return tuple(_fingerprint(answer) for answer in self._answers)

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
            raise _Stopped(TIMEOUT, "wall") from None
        except frames.Closed:
            raise _Stopped(FAIL, "gone") from None
        answer: list[Any] = _receive(self._child, 1, self._deadline)[0]
        return answer

    def _value(self, answer: list[Any], args: tuple[Any, ...]) -> Any:
        if answer[0] == 1:
            self.raised = reason_for(answer[1])
            if not self.raised.startswith("exc:"):
                raise _Stopped(FAIL, self.raised)
            raise codec.exception_named(answer[1])
        self.raised = ""
        value = _decoded(answer[1])
        for at, wire in answer[2] if len(answer) > 2 else ():
            _update(args, at, _decoded(wire))
        return value


class _Proxy:
    """A candidate's function, as test code sees it."""

    def __init__(self, name: str, session: _Session) -> None:
        self.__name__ = name
        self._session = session

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._session.call(self.__name__, args, kwargs)


def _update(args: tuple[Any, ...], at: Any, now: Any) -> None:
    """The candidate changed an argument in place: so does the caller's object."""
    if type(at) is not int or not 0 <= at < len(args) or type(args[at]) is not type(now):
        raise _Stopped(FAIL, "protocol")
    here = args[at]
    if type(here) in (list, bytearray):
        here[:] = now
    elif type(here) in (dict, set):
        here.clear()
        here.update(now)


def _request(code: str, calls: list[Any], more: bool, most: int, with_typing: bool = False) -> bytes:
    return codec.dumps({"code": code, "calls": calls, "more": more, "most": most, "typing": with_typing})


def _receive(child: Child, count: int, deadline: float) -> list[list[Any]]:
    """`count` answers of the right shape, or the reason why there are none."""
    try:
        said = codec.loads(child.receive(deadline))
    except frames.Late:
        raise _Stopped(TIMEOUT, "wall") from None
    except frames.Closed:
        raise _Stopped(FAIL, "gone") from None
    except (frames.TooLong, codec.WireError):
        raise _Stopped(FAIL, "protocol") from None
    if type(said) is dict:
        raise _Stopped(FAIL, "output" if "output" in said else reason_for(str(said.get("load", ""))))
    if type(said) is not list or len(said) != count or not all(_is_answer(a) for a in said):
        raise _Stopped(FAIL, "protocol")
    return said


def _is_answer(answer: Any) -> bool:
    if type(answer) is not list or len(answer) not in (2, 3) or type(answer[0]) is not int:
        return False
    if answer[0] == 1:
        return type(answer[1]) is str
    return answer[0] == 0 and (len(answer) == 2 or all(type(c) is list and len(c) == 2 for c in answer[2]))


def _compare(answers: list[list[Any]], how: Batch) -> _Outcome:
    outcome = _Outcome(FAIL, "", 0)
    prints = []
    for answer, holds in zip(answers, how.holds, strict=True):
        if answer[0] == 1:
            reason = reason_for(answer[1])
            prints.append(f"!{answer[1][:40]}")
        else:
            try:
                value = _decoded(answer[1])
            except _Stopped as stopped:
                return _Outcome(stopped.verdict, stopped.reason, outcome.passed, tuple(prints))
            prints.append(fingerprint(value))
            reason = "" if holds(value) else "assert"
        if not reason:
            outcome.passed += 1
        outcome.reason = outcome.reason or reason
    outcome.outputs = tuple(prints)
    if outcome.passed == len(how.calls):
        outcome.verdict, outcome.reason = PASS, "ok"
    return outcome


def _decoded(wire: Any) -> Any:
    try:
        return codec.decode(wire)
    except (codec.WireError, RecursionError, MemoryError):
        raise _Stopped(FAIL, "protocol") from None


def _fingerprint(answer: list[Any]) -> str:
    return f"!{answer[1][:40]}" if answer[0] == 1 else fingerprint(_decoded(answer[1]))


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


def _whole_seconds(cpu_s: float) -> int:
    return max(1, math.ceil(cpu_s))


def _lines(text: str) -> list[str]:
    """Lines without their surrounding blanks; blank ones at the end don't count."""
    return [line.strip() for line in text.strip().splitlines()]


def _file_with(text: str) -> int:
    """An anonymous file that holds `text`: a program may read it by `input()`, `sys.stdin` or descriptor 0."""
    fd = os.memfd_create("stdin")
    data = memoryview(text.encode("utf-8", "surrogatepass"))
    while data:
        data = data[os.write(fd, data) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _drain(fd: int, most: int, deadline: float) -> bytes:
    """What a program prints until it ends; too much of it ends the program."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    parts, have = [], 0
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000 + 1):
            raise frames.Late
        part = os.read(fd, 1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)
        have += len(part)
        if have > most:
            raise _Stopped(FAIL, "output")


def _no_complaint(child: Child, deadline: float) -> None:
    """A script that ended badly said so before it went; one that ended well raises frames.Closed here."""
    try:
        said = codec.loads(child.receive(deadline))
    except (frames.TooLong, codec.WireError):
        raise _Stopped(FAIL, "protocol") from None
    name = said.get("load", "") if type(said) is dict else ""
    raise _Stopped(FAIL, reason_for(str(name)))

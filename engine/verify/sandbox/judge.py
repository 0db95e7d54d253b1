"""The judge: one candidate in, one verdict out.

The rule: test text and expected values never enter the process that runs the candidate. It can send values, and only
values; PASS needs that this judge itself saw every test hold. Whatever else happens over there, exit status included, is no
pass. Errors of the sandbox are `SandboxBroken` and label nothing.
"""

from __future__ import annotations

import builtins
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
from engine.verify.sandbox.session import Proxy, Session, Stopped, decoded, reason_for, receive, request
from engine.verify.sandbox.verdict import FAIL, PASS, TIMEOUT, Limits, Sample, SandboxBroken, Verdict

_SIGKILL = 9


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
            child.send(request("def f(x): return x + 1", [["f", [41], {}]], False, 1 << 16), time.monotonic() + 20)
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
        except Stopped as stopped:
            return _Outcome(stopped.verdict, stopped.reason, 0)
        return _compare(answers, how)

    def _ask(
        self, child: Child, code: str, calls: list[Any], more: bool, deadline: float, with_typing: bool = False
    ) -> list[Any]:
        """Send the program and its calls; the answers, checked for shape."""
        try:
            child.send(request(code, calls, more, self.limits.output_bytes, with_typing), deadline)
        except frames.Late:
            raise Stopped(TIMEOUT, "wall") from None
        except frames.Closed:
            raise Stopped(FAIL, "gone") from None
        return receive(child, len(calls), deadline)

    def _remote(self, child: Child, sample: Sample, how: Remote, deadline: float) -> _Outcome:
        outcome = _Outcome(FAIL, "", 0)
        session = Session(child, deadline)
        try:
            session.hold(how.calls, self._ask(child, sample.code, how.calls, True, deadline))
            outcome.outputs = session.fingerprints()
            for _ in self._steps(session, how):
                outcome.passed += 1
            outcome.verdict, outcome.reason = PASS, "ok"
        except Stopped as stopped:
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

    def _steps(self, session: Session, how: Remote) -> Any:
        """Run the tests here, in a namespace whose candidate names are proxies."""
        space: dict[str, Any] = {"__builtins__": builtins, "__name__": "__tests__"}
        for code in how.before:
            exec(code, space)
        for name in how.names:
            space[name] = Proxy(name, session)
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
        except Stopped as stopped:
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


def _compare(answers: list[list[Any]], how: Batch) -> _Outcome:
    outcome = _Outcome(FAIL, "", 0)
    prints = []
    for answer, holds in zip(answers, how.holds, strict=True):
        if answer[0] == 1:
            reason = reason_for(answer[1])
            prints.append(f"!{answer[1][:40]}")
        else:
            try:
                value = decoded(answer[1])
            except Stopped as stopped:
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
            raise Stopped(FAIL, "output")


def _no_complaint(child: Child, deadline: float) -> None:
    """A script that ended badly said so before it went; one that ended well raises frames.Closed here."""
    try:
        said = codec.loads(child.receive(deadline))
    except (frames.TooLong, codec.WireError):
        raise Stopped(FAIL, "protocol") from None
    name = said.get("load", "") if type(said) is dict else ""
    raise Stopped(FAIL, reason_for(str(name)))

"""One judge with its zygote, serving a pool over its standard input and output.

    python -m engine.verify.sandbox.worker

Both ends are ours and trusted: pickled messages. First comes the setting, then lists of samples; out go lists of verdicts,
early when judging takes long, so that the pool sees life. A `SandboxBroken` is sent as such and ends the worker.
"""

from __future__ import annotations

import os
import pickle
import resource
import signal
import sys
import time
from dataclasses import dataclass
from typing import Any

from engine.verify.sandbox import frames
from engine.verify.sandbox.judge import Judge
from engine.verify.sandbox.tier import open_zygote
from engine.verify.sandbox.verdict import Limits, Sample, SandboxBroken, Verdict

_SAY_AFTER_S = 0.2
_MAX_MESSAGE = 1 << 30
# Test code runs in here with a candidate's numbers: `[0] * f(x)` must not take the machine along.
_JUDGE_MEMORY = 6 << 30


@dataclass(frozen=True)
class Setting:
    """What a worker is told first."""

    limits: Limits
    walls: str
    unsafe: bool


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the pool's business
    into, out = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)  # test code that reads or prints must not speak on our line
    os.dup2(null, 1)
    setting: Setting = pickle.loads(frames.receive(into, _MAX_MESSAGE))
    try:
        zygote, tier = open_zygote(setting.limits, setting.walls, setting.unsafe)
        resource.setrlimit(resource.RLIMIT_AS, (_JUDGE_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
        _say(out, tier)
        _serve(into, out, Judge(zygote, setting.limits, tier))
        zygote.close()
    except SandboxBroken as error:
        _say(out, error)
    except frames.Closed:
        pass


def _serve(into: int, out: int, judge: Judge) -> None:
    while True:
        try:
            samples: list[Sample] = pickle.loads(frames.receive(into, _MAX_MESSAGE))
        except frames.Closed:
            return
        verdicts: list[Verdict] = []
        said = time.monotonic()
        for sample in samples:
            if verdicts and time.monotonic() - said > _SAY_AFTER_S:
                _say(out, verdicts)
                verdicts, said = [], time.monotonic()
            verdicts.append(judge.judge(sample))
        _say(out, verdicts)


def _say(out: int, message: Any) -> None:
    frames.send(out, pickle.dumps(message))


if __name__ == "__main__":
    sys.setrecursionlimit(2000)
    main()

"""Fifty rounds of kill -9 at random moments: no lost log byte, no doubled event, no run whose state is wrong.

The command writes numbered lines to its log and numbered events: what is there must be there once and in order, all of it
where the command itself was spared. Readers are killed too, and go on from the offset that they have written down.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from engine.protocol.durable import read_json, write_json
from engine.protocol.identity import alive
from engine.protocol.layout import Root, RunPaths
from engine.protocol.spec import Output
from engine.protocol.status import observe
from engine.supervisor.ops import launch
from tests.live import Specs, events_of, identities, kill, log_of, processes_under
from tests.polling import until

ROUNDS, AT_ONCE = 50, 5
SEED = 20261120
LINES = 40
VICTIMS = ("supervisor", "shim", "command", "supervisor shim", "supervisor command", "supervisor shim command", "")
PROJECT = Path(__file__).resolve().parents[2]

COMMAND = f"""
import os, sys, time
events = os.open(os.environ["FRACTAL_EVENTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
for n in range({LINES}):
    os.write(events, b'{{"kind":"note","n":%d}}\\n' % n)
    os.write(1, b"line %d\\n" % n)
    time.sleep(0.004)
open(os.environ["FRACTAL_RUN"] + ".txt", "w").write("done")
os._exit(int(os.environ["CODE"]))
"""

# Keeps what it has seen together with the offset in one line, so that a kill between two reads costs nothing.
READER = """
import json, os, sys, time
from pathlib import Path
from engine.protocol.events import read_events
source, kept, over = map(Path, sys.argv[1:])
fd = os.open(kept, os.O_RDWR | os.O_CREAT | os.O_APPEND)
whole = kept.read_bytes()
whole = whole[: whole.rfind(b"\\n") + 1]
os.ftruncate(fd, len(whole))
offset = json.loads(whole.splitlines()[-1])["offset"] if whole else 0
while True:
    last = over.exists()
    batch = read_events(source, offset)
    if batch.offset > offset:
        offset = batch.offset
        os.write(fd, json.dumps({"offset": offset, "seen": [e["n"] for e in batch.events]}).encode() + b"\\n")
    elif last:
        break
    time.sleep(0.003)
"""


@dataclass
class Round:
    """One run, whom it loses, and when."""

    paths: RunPaths
    output: Path
    victim: str
    code: int
    at: float
    killed: bool = False
    finals: list[str] = field(default_factory=list)
    """Every final state that was ever seen: it must be one."""

    def strike(self) -> None:
        """Kill the victims that are known by now."""
        for name, who in identities(self.paths).items():
            if name in self.victim.split():
                self.killed = self.killed or alive(who)
                kill(who)

    def at_rest(self) -> bool:
        living = any(alive(who) for who in identities(self.paths).values())
        status = observe(self.paths)
        if status.final:
            self.finals.append(status.state)
        return status.final and not living


def begin(root: Root, specs: Specs, code: Path, dice: random.Random) -> Round:
    exit_code = dice.choice([0, 7])
    spec = specs.py(COMMAND, env={"CODE": str(exit_code)}, gpus=1)
    spec.outputs.append(Output(f"{spec.run_id}.txt"))
    launch(root, spec, code)
    at = time.monotonic() + dice.choice([0.0, dice.uniform(0, 0.15), dice.uniform(0, 0.6)])
    return Round(root.run(spec.run_id), specs.folder / f"{spec.run_id}.txt", dice.choice(VICTIMS), exit_code, at)


def play(rounds: list[Round]) -> None:
    """Strike each when its moment has come; until all are at rest."""
    struck: set[str] = set()

    def over() -> bool:
        for round_ in rounds:
            if round_.paths.run_id not in struck and time.monotonic() >= round_.at:
                struck.add(round_.paths.run_id)
                round_.strike()
        return len(struck) == len(rounds) and sum(r.at_rest() for r in rounds) == len(rounds)

    until(over, "all runs of a batch to be at rest")


def check(round_: Round) -> None:
    """Nothing lost, nothing doubled, nothing untrue."""
    status = observe(round_.paths)
    where = f"{round_}\n{status}"
    assert set(round_.finals) == {status.state}, where
    lines = log_of(round_.paths).splitlines()
    assert lines == [b"line %d" % n for n in range(len(lines))], where
    seen = [e["n"] for e in events_of(round_.paths.events)]
    assert seen == list(range(len(seen))), where
    assert len(seen) - 1 <= len(lines) <= len(seen), where
    if "command" not in round_.victim:
        assert len(lines) in (0, LINES), where
    if status.state == "succeeded":
        assert (round_.code, len(lines), round_.output.read_text()) == (0, LINES, "done"), where
    elif status.state == "lost":
        assert "supervisor" in round_.victim, where
        assert not round_.paths.exit.exists(), where
    elif status.signal == "SIGKILL":
        assert "command" in round_.victim, where
    elif status.code == 127:
        assert ("shim" in round_.victim, len(lines)) == (True, 0), where
    else:
        assert (status.state, status.code, round_.code, len(lines)) == ("failed", 7, 7, LINES), where
    if not round_.killed:
        assert (status.state, status.code) == ({0: "succeeded", 7: "failed"}[round_.code], round_.code), where
        assert (read_json(round_.paths.result) or {})["code"] == round_.code, where


def test_fifty_rounds_of_kill_9_lose_nothing_and_tell_no_lie(root: Root, specs: Specs, shipped: Path) -> None:
    dice = random.Random(SEED)
    write_json(root.host_file, {"gpus": AT_ONCE})
    ends: dict[str, int] = {}
    for _ in range(ROUNDS // AT_ONCE):
        rounds = [begin(root, specs, shipped, dice) for _ in range(AT_ONCE)]
        play(rounds)
        for round_ in rounds:
            check(round_)
            state = observe(round_.paths).state
            ends[state] = ends.get(state, 0) + 1
    assert sum(ends.values()) == ROUNDS
    assert set(ends) == {"succeeded", "failed", "lost"}, "the dice must have met every end"
    until(lambda: not processes_under(root.path), "the last process")


def test_a_reader_killed_again_and_again_sees_each_event_once(root: Root, specs: Specs, shipped: Path) -> None:
    dice = random.Random(SEED)
    spec = specs.py(COMMAND.replace("0.004", "0.02"), env={"CODE": "0"})
    launch(root, spec, shipped)
    paths, kept, over = root.run(spec.run_id), specs.folder / "kept", specs.folder / "over"
    argv = [sys.executable, "-S", "-c", READER, str(paths.events), str(kept), str(over)]
    kills = 0
    while not over.exists():
        reader = subprocess.Popen(argv, cwd=PROJECT)
        moment = time.monotonic() + dice.uniform(0.03, 0.25)
        until(lambda moment=moment: time.monotonic() > moment, "the moment")  # type: ignore[misc]
        reader.kill()
        reader.wait()
        kills += 1
        if observe(paths).final:
            over.touch()
    done = subprocess.run(argv, cwd=PROJECT, check=False, timeout=60)
    assert done.returncode == 0
    assert kills >= 3
    assert [n for line in kept.read_bytes().splitlines() for n in json.loads(line)["seen"]] == list(range(LINES))

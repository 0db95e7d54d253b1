"""Every verb does what its help says, answers programs in JSON, and ends with the right exit code."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from console import cli
from console.verbs import words
from engine.protocol.layout import Root
from engine.protocol.status import observe
from tests.console.conftest import Answer, Console
from tests.polling import until

REPOSITORY = Path(cli.__file__).resolve().parent.parent


@pytest.fixture
def passed(console: Console, project: Path) -> Console:
    """The tiny project after its first phase has passed."""
    answer = console("run", "phase1-tiny")
    assert answer.code == 0, answer.out + answer.err
    return console


def with_step(project: Path, name: str, command: str, more: str = "") -> None:
    """One more phase, of one step."""
    text = f"phase: {name}\ntitle: t\ngoal: g\nsteps:\n  - step: go\n    run: {json.dumps(command)}\n{more}"
    (project / f"configs/phases/{name}.yaml").write_text(text)


# What is typed, and what its JSON must look like. Each is tried in a project whose first phase has passed.
LOOKS: dict[str, tuple[tuple[str, ...], type]] = {
    "phases": ((), dict),
    "show": (("phase1",), dict),
    "gates": (("phase1",), dict),
    "config": (("phase1",), dict),
    "runs": ((), list),
    "notes": ((), list),
    "report": (("phase1",), dict),
    "context": ((), dict),
    "compare": (("last",), dict),
    "status": (("last",), dict),
    "why": (("last",), dict),
    "queue": ((), list),
    "plans": ((), list),
    "plan": (("last",), dict),
    "models": ((), list),
    "doctor": ((), list),
    "settings": ([], dict),
}
# Verbs that act or stream: each has a test of its own below (`init` in test_adopt, those over many runs in test_many_runs).
ACTS = {
    "run",
    "logs",
    "events",
    "replay",
    "stop",
    "checkpoint",
    "resume",
    "tick",
    "override",
    "init",
    "instances",
    "sweep",
    "hosts",
    "sync",
    "pull",
    "tag",
    "note",
    "rerun",
    "delete",
}


def test_every_verb_is_tried_here() -> None:
    assert set(cli.VERBS) == set(LOOKS) | ACTS == set(words.ARGUMENTS)


def test_every_verb_that_looks_answers_people_and_programs(passed: Console) -> None:
    for verb, (typed, kind) in LOOKS.items():
        shown = passed(verb, *typed)
        assert shown.code == 0, (verb, shown)
        assert shown.out.strip(), verb
        answer = passed(verb, *typed, "--json")
        assert answer.code == 0, (verb, answer)
        assert isinstance(answer.json, kind), verb


def test_every_verb_has_help(console: Console) -> None:
    for verb, (_, about) in cli.VERBS.items():
        answer = console(verb, "--help")
        assert answer.code == 0
        assert about[1:20] in answer.out


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; import console.cli as c; c.parser().format_help(); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    for heavy in ("textual", "paramiko", "pydantic", "torch", "httpx", "numpy"):
        assert f"'{heavy}'" not in done.stdout


def test_a_phase_runs_through_its_gates(passed: Console) -> None:
    standing = passed("phases", "--json").json["phases"][0]
    assert standing["state"] == "passed"
    assert [s["state"] for s in standing["steps"]] == ["succeeded", "succeeded"]


def test_one_step_runs_alone(console: Console, project: Path) -> None:
    assert console("run", "phase1-tiny", "make").code == 0
    assert [r["step"] for r in console("runs", "--json").json] == ["make"]


def test_run_answers_programs(console: Console, project: Path) -> None:
    answer = console("run", "phase1-tiny", "make", "--json", "--detach")
    assert answer.code == 0
    assert answer.json["run"]


def test_a_dry_run_starts_nothing(console: Console, project: Path, root: Root) -> None:
    answer = console("run", "phase1-tiny", "--dry-run")
    assert answer.code == 0
    assert "would run on local" in answer.out
    assert root.run_ids() == []


def test_a_failed_step_ends_with_one_and_shows_the_end_of_its_log(console: Console, project: Path) -> None:
    with_step(project, "phase3-broken", "echo it went wrong; exit 3")
    answer = console("run", "phase3-broken")
    assert answer.code == 1
    assert "it went wrong" in answer.out
    assert "exit code 3" in answer.out


def test_a_shut_gate_ends_with_one(console: Console, project: Path) -> None:
    assert console("gates", "phase1-tiny").code == 1


def test_a_step_behind_a_shut_gate_does_not_start(console: Console, project: Path) -> None:
    answer = console("run", "phase1-tiny", "use")
    assert answer.code == 2
    assert "use can't start" in answer.line


def test_the_log_comes_as_it_was_written(console: Console, project: Path) -> None:
    with_step(project, "phase3-log", "printf 'one\\ntwo\\nthree\\n'")
    console("run", "phase3-log", "go")
    assert console("logs", "last").out == "one\ntwo\nthree\n"
    assert console("logs", "last", "-n", "2").out == "two\nthree\n"
    assert console("logs", "last", "-n", "0").out == ""
    assert console("logs", "last", "-f").out == "one\ntwo\nthree\n"


def test_events_come_one_a_line_and_by_kind(passed: Console) -> None:
    make = next(r["run_id"] for r in passed("runs", "--json").json if r["step"] == "make")
    kinds = [json.loads(line)["kind"] for line in passed("events", make).out.splitlines()]
    assert kinds.count("metric") == 2
    metrics = [json.loads(line) for line in passed("events", make, "--kind", "metric", "-f").out.splitlines()]
    assert [m["values"]["loss"] for m in metrics] == [0.9, 0.4]


def started(console: Console, project: Path, root: Root, command: str) -> str:
    """A run that goes on until it is ended."""
    with_step(project, "phase3-long", command)
    run_id: str = console("run", "phase3-long", "go", "--detach", "--json").json["run"]
    until(lambda: observe(root.run(run_id)).state == "running", "it to run")
    return run_id


def test_a_run_is_stopped_with_its_why(console: Console, project: Path, root: Root) -> None:
    run_id = started(console, project, root, "sleep 60")
    assert "SIGINT" in console("stop", run_id, "--why", "enough seen").out
    until(lambda: observe(root.run(run_id)).final, "it to end")
    status = console("status", run_id, "--json").json["status"]
    assert status["state"] == "stopped"
    assert "enough seen" in status["reason"]
    again = console("stop", run_id)
    assert again.code == 0
    assert "over already" in again.out


def test_a_checkpoint_is_asked_for(console: Console, project: Path, root: Root) -> None:
    run_id = started(console, project, root, "trap 'echo saved; exit 0' USR2; while :; do sleep 0.05; done")
    until(lambda: console("checkpoint", run_id).code == 0 or True, "the request")
    until(lambda: observe(root.run(run_id)).final, "it to end")
    assert console("logs", run_id).out == "saved\n"
    assert "nothing to checkpoint" in console("checkpoint", run_id).line


def test_the_queue_shows_who_holds_the_machine(console: Console, project: Path, root: Root) -> None:
    run_id = started(console, project, root, "sleep 60")
    assert run_id in console("queue").out
    assert [r["run_id"] for r in console("queue", "--json").json] == [run_id]
    console("stop", run_id, "--now")
    until(lambda: observe(root.run(run_id)).final, "it to end")


def test_a_plan_is_resumed_and_an_ended_one_stays_ended(passed: Console) -> None:
    before = len(passed("runs", "--json").json)
    answer = passed("resume", "last")
    assert answer.code == 0, answer.out + answer.err
    assert len(passed("runs", "--json").json) == before


def test_a_manual_check_is_ticked_and_taken_back(console: Console, project: Path) -> None:
    console("run", "phase2-judged", "say")
    assert console("tick", "phase2-judged", "read well", "--note", "seen").code == 0
    assert states(console("gates", "phase2-judged", "--json")) == ["passed", "failed"]
    assert console("tick", "phase2-judged", "read well", "--undo").code == 0
    assert states(console("gates", "phase2-judged", "--json")) == ["waiting", "failed"]


def states(answer: Answer) -> list[str]:
    return [c["state"] for c in answer.json["gates"][0]["checks"]]


def test_a_measured_check_is_not_ticked(console: Console, project: Path) -> None:
    answer = console("tick", "phase2-judged", "metric words")
    assert answer.code == 2
    assert "measured, not ticked" in answer.line


def test_a_failed_check_is_overridden_with_a_reason_only(console: Console, project: Path) -> None:
    console("run", "phase2-judged", "say")
    assert "needs a reason" in console("override", "phase2-judged", "metric words").line
    assert console("override", "phase2-judged", "metric words", "--reason", "counted by hand").code == 0
    gates = console("gates", "phase2-judged")
    assert "overridden" in gates.out
    assert "counted by hand" in gates.out


def test_a_plan_with_a_manual_check_asks_for_the_tick_first(console: Console, project: Path, root: Root) -> None:
    answer = console("run", "phase2-judged")
    assert answer.code == 2
    assert "only you can tick" in answer.line
    assert root.run_ids() == []


def test_the_version_names_the_protocol(console: Console) -> None:
    assert re.search(r"\(protocol \d+\)", console("--version").out)


def test_the_module_and_the_command_are_one(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "console", "phases", "--json"],
        env={"PATH": "/usr/bin:/bin", "HOME": str(project), "PYTHONPATH": str(REPOSITORY)},
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["phases"]) == 2


def test_instances_without_a_key_say_where_to_get_one(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAMBDA_API_KEY", raising=False)
    answer = console("instances", "types")
    assert answer.code == 2
    assert "there is no Lambda API key — make one at" in answer.err


def test_instances_are_listed_from_an_account(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    from remote.cloud.fake_lambda import DEMO_KEY, FakeLambda

    with FakeLambda() as cloud:
        monkeypatch.setenv("FRACTAL_LAMBDA_URL", cloud.url)
        monkeypatch.setenv("LAMBDA_API_KEY", DEMO_KEY)
        assert any("a100" in row["name"] for row in console("instances", "types", "--json").json)
        assert "nothing is rented" in console("instances", "list").out
        assert "nothing burns unseen" in console("sweep").out


def test_hosts_are_written_down_listed_and_forgotten(console: Console) -> None:
    assert console("hosts", "add", "gpu", "--ssh", "nowhere.invalid", "--untried").code == 0
    assert "nowhere.invalid" in console("hosts").out
    assert console("hosts", "list", "--json").json[0]["name"] == "gpu"
    assert console("hosts", "remove", "gpu").code == 0
    assert console("hosts", "list", "--json").json == []


def test_sync_to_a_host_that_is_not_there_is_one_line(console: Console) -> None:
    answer = console("sync", "gpu")
    assert answer.code == 2
    assert "fractal-console hosts add gpu --ssh" in answer.err


def test_a_run_of_this_machine_needs_no_pull(passed: Console) -> None:
    answer = passed("pull", "last")
    assert answer.code == 2
    assert "its files are here" in answer.err


def test_a_host_without_an_address_is_one_line_that_says_what_to_look_at(console: Console, project: Path) -> None:
    console("hosts", "add", "gpu", "--ssh", "nowhere.invalid", "--untried")
    answer = console("run", "phase1-tiny", "--host", "gpu")
    assert answer.code == 2
    assert "no address for 'nowhere.invalid'" in answer.err
    assert answer.err.count("\n") == 1


def test_verbs_that_act_answer_programs(passed: Console) -> None:
    assert passed("stop", "last", "--json").json["asked"] is False
    assert passed("resume", "last", "--detach", "--json").json["answer"]
    words = ("phase2-judged", "the words read well")
    assert passed("tick", *words, "--json").json["done"] == "ticked"
    assert passed("tick", *words, "--undo", "--json").json["done"] == "tick taken back"
    overridden = passed("override", "phase2-judged", "words >", "--reason", "known", "--json").json
    assert (overridden["done"], overridden["text"]) == ("overridden", "metric words > 3")

"""A run from claim to result, with real processes: how it starts, ends, and what of it is written down."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

import pytest

from engine.protocol.durable import read_json
from engine.protocol.layout import Root
from engine.protocol.spec import LogMetric, Output
from engine.supervisor.slots import holders
from remote.local_host import LocalHost
from tests.live import (
    Specs,
    events_of,
    identities,
    log_of,
    processes_under,
    wait_final,
    wait_in_log,
    wait_state,
    words_of_supervisor,
)
from tests.polling import until


def test_the_supervisor_and_the_command_live_in_sessions_of_their_own(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh("exec sleep 60")
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    wait_state(paths, "running")
    who = identities(paths)
    sessions = {os.getsid(identity.pid) for identity in who.values()}
    assert sorted(who) == ["command", "shim", "supervisor"]
    assert len(sessions) == 3
    assert os.getsid(0) not in sessions
    assert os.getpgid(who["command"].pid) == who["command"].pid


def test_the_command_gets_the_words_it_may_ask_for(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh("env", env={"MINE": "a b"}, path_prefix=["/first", "/second"])
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    wait_final(paths)
    said = dict(line.split("=", 1) for line in log_of(paths).decode().splitlines() if "=" in line)
    assert said["FRACTAL_RUN"] == spec.run_id
    assert said["FRACTAL_SPEC"] == str(paths.spec)
    assert said["FRACTAL_EVENTS"] == str(paths.events)
    assert said["FRACTAL_WORK"] == spec.work
    assert said["MINE"] == "a b"
    assert said["PATH"].startswith("/first:/second:")
    assert "CUDA_VISIBLE_DEVICES" not in said or said["CUDA_VISIBLE_DEVICES"] == os.environ.get("CUDA_VISIBLE_DEVICES")


def test_the_command_has_no_input_and_no_foreign_descriptor(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh("cat; ls -l /proc/self/fd | grep -v ' 3 ->' | sed -n 's/.* \\([0-9]*\\) -> /\\1 /p'")
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    assert wait_final(paths).state == "succeeded"
    targets = [line.split(" ", 1)[1] for line in log_of(paths).decode().splitlines()]
    allowed = ("/dev/null", "pipe:", str(paths.log), str(host.root.slots), "/proc/")
    assert [t for t in targets if not t.startswith(allowed)] == []


def test_the_command_dies_before_its_supervisor_when_memory_runs_out(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh("cat /proc/self/oom_score_adj")
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    wait_final(paths)
    assert int(log_of(paths)) > 0


@pytest.mark.parametrize(
    ("code", "state"), [(0, "succeeded"), (1, "failed"), (2, "failed"), (137, "failed"), (255, "failed")]
)
def test_the_exit_code_reaches_the_result(host: LocalHost, specs: Specs, code: int, state: str) -> None:
    spec = specs.sh(f"exit {code}")
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    status = wait_final(paths)
    assert (status.state, status.code, status.signal) == (state, code, None)
    assert (read_json(paths.exit) or {})["code"] == code
    assert (read_json(paths.result) or {})["code"] == code


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL", "SIGABRT", "SIGINT"])
def test_the_signal_that_ended_it_is_named_and_is_no_stop(host: LocalHost, specs: Specs, name: str) -> None:
    spec = specs.sh(f"kill -{name[3:]} $$; sleep 60")
    host.launch(spec)
    status = wait_final(host.root.run(spec.run_id))
    assert (status.state, status.signal) == ("failed", name)
    assert name in status.reason


def test_a_traceback_gives_the_reason(host: LocalHost, specs: Specs) -> None:
    spec = specs.py("import json; json.loads('{')")
    host.launch(spec)
    status = wait_final(host.root.run(spec.run_id))
    assert "JSONDecodeError" in status.reason
    assert "exit code 1" in status.reason


def test_a_folder_that_is_not_there_is_named(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh("true", cwd="/no/such/folder")
    host.launch(spec)
    status = wait_final(host.root.run(spec.run_id))
    assert (status.state, status.reason) == ("failed", "the folder /no/such/folder is not there")


def test_a_file_that_is_not_executable_is_named(host: LocalHost, specs: Specs) -> None:
    (specs.folder / "plain").write_text("hello")
    spec = specs.argv([str(specs.folder / "plain")])
    host.launch(spec)
    status = wait_final(host.root.run(spec.run_id))
    assert (status.state, status.reason) == ("failed", f"{specs.folder}/plain: not executable")


def test_a_missing_input_refuses_to_start_and_names_it(host: LocalHost, specs: Specs) -> None:
    (specs.folder / "there.jsonl").write_text("")
    spec = specs.sh("echo started", inputs=["there.jsonl", "absent/*.npz"])
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    status = wait_final(paths)
    assert status.state == "failed"
    assert "absent/*.npz" in status.reason
    assert "there.jsonl" not in status.reason
    assert log_of(paths) == b""
    assert until(lambda: holders(host.root) == {})


def test_a_missing_required_output_fails_a_run_that_exited_well(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh("true", outputs=[Output("model.pt"), Output("extra.txt", required=False)])
    host.launch(spec)
    status = wait_final(host.root.run(spec.run_id))
    assert (status.state, status.code) == ("failed", 0)
    assert "model.pt" in status.reason
    assert "extra.txt" not in status.reason


def test_outputs_are_recorded_with_size_hash_and_rows(host: LocalHost, specs: Specs) -> None:
    script = 'mkdir -p data; printf \'{"id":1}\\n{"id":1}\\n{"id":2}\\n\' > data/a.jsonl'
    spec = specs.sh(script, outputs=[Output("data/*.jsonl", unique=["id"])])
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    assert wait_final(paths).state == "succeeded"
    (about,) = (read_json(paths.artifacts) or {})["artifacts"]
    content = (specs.folder / "data" / "a.jsonl").read_bytes()
    assert about["path"] == "data/a.jsonl"
    assert about["sha256"] == hashlib.sha256(content).hexdigest()
    assert (about["size"], about["rows"], about["unique"]) == (len(content), 3, {"id": [3, 2]})


def test_a_file_that_was_announced_and_taken_away_is_recorded_as_missing(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh("""echo '{"kind":"artifact","path":"gone.pt","size":5}' >> "$FRACTAL_EVENTS" """)
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    wait_final(paths)
    (about,) = (read_json(paths.artifacts) or {})["artifacts"]
    assert (about["path"], about["missing"], about["required"]) == ("gone.pt", True, False)


def test_an_announcement_that_lies_about_a_file_is_put_right(host: LocalHost, specs: Specs) -> None:
    line = '{"kind":"artifact","path":"a.txt","size":999,"sha256":"feed","rows":7}'
    spec = specs.sh(f"""printf hello > a.txt; echo '{line}' >> "$FRACTAL_EVENTS" """)
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    wait_final(paths)
    (about,) = (read_json(paths.artifacts) or {})["artifacts"]
    assert (about["size"], about["sha256"]) == (5, hashlib.sha256(b"hello").hexdigest())


def test_a_broken_archive_does_not_break_the_end(host: LocalHost, specs: Specs) -> None:
    script = """
import zipfile
with zipfile.ZipFile("a.npz", "w") as z: z.writestr("x.npy", b"\\x93NUMPY\\x01\\x00\\x08\\x00{broken)")
with zipfile.ZipFile("b.npz", "w") as z: z.writestr("x.npy", b"\\x93NUMPY\\x01\\x00\\x04\\x00{}  ")
open("c.json", "w").write("[" * 100_000)
"""
    spec = specs.py(script, outputs=[Output("*.npz"), Output("c.json")])
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    assert wait_final(paths).state == "succeeded"
    assert paths.result.exists()
    assert [a["path"] for a in (read_json(paths.artifacts) or {})["artifacts"]] == ["a.npz", "b.npz", "c.json"]


def test_a_run_longer_than_its_limit_is_ended_and_failed(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh("exec sleep 60", timeout_s=0.3, grace_s=0.2)
    host.launch(spec)
    status = wait_final(host.root.run(spec.run_id))
    assert (status.state, status.signal) == ("failed", "SIGINT")
    assert "0.3 s" in status.reason


def test_processes_left_behind_end_with_the_run(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh("sleep 60 & sleep 61 & echo left; exit 0")
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    assert wait_final(paths).state == "succeeded"
    until(lambda: not processes_under(host.root.path), "what it left behind to be gone")


def test_a_left_behind_process_that_ignores_the_polite_signal_is_killed(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh("(trap '' TERM INT HUP; echo deaf; while :; do sleep 0.1; done) & sleep 0.3; exit 4")
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    assert wait_final(paths).code == 4
    until(lambda: not processes_under(host.root.path), "what it left behind to be gone")


def test_an_orphaned_grandchild_does_not_pass_for_the_command(host: LocalHost, specs: Specs) -> None:
    """Its end reaches the shim as a child's end; the run goes on until the command itself ends."""
    spec = specs.sh("(sh -c 'exit 9' &) ; sleep 0.4; exit 3")
    host.launch(spec)
    assert wait_final(host.root.run(spec.run_id)).code == 3


def test_a_shell_program_takes_part_with_events(host: LocalHost, specs: Specs) -> None:
    script = """
echo '{"kind":"metric","step":1,"values":{"loss":0.5}}' >> "$FRACTAL_EVENTS"
echo '{"kind":"fact","name":"rows","value":3}' >> "$FRACTAL_EVENTS"
"""
    spec = specs.sh(script)
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    wait_final(paths)
    assert [e["kind"] for e in events_of(paths.events)] == ["metric", "fact"]


def test_log_lines_become_metrics_by_declared_patterns(host: LocalHost, specs: Specs) -> None:
    patterns = [LogMetric(r"step (?P<step>\d+) loss (?P<value>[\d.]+)", "loss"), LogMetric(r"acc=([\d.]+)%", "acc")]
    spec = specs.sh(r"printf 'step 1 loss 0.5\nstep 2 loss 0.25 acc=87.5%%\rnothing\nacc=90%%'", log_metrics=patterns)
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    wait_final(paths)
    seen = [(e["source"], e.get("step"), e["values"]) for e in events_of(paths.log_events)]
    assert seen == [
        ("log", 1.0, {"loss": 0.5}),
        ("log", 2.0, {"loss": 0.25, "acc": 87.5}),
        ("log", 2.0, {"acc": 90.0}),
    ]


def test_no_metric_of_a_fast_log_is_lost(host: LocalHost, specs: Specs) -> None:
    """Far more than one look's worth between two looks."""
    script = "import sys; sys.stdout.write(''.join(f'loss {n} {chr(120) * 90}\\n' for n in range(25_000)))"
    spec = specs.py(script, log_metrics=[LogMetric(r"loss (\d+)", "loss")])
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    wait_final(paths)
    assert len(log_of(paths)) > 2_300_000
    assert [e["values"]["loss"] for e in events_of(paths.log_events)] == list(range(25_000))


def test_a_line_without_end_neither_blocks_nor_floods(host: LocalHost, specs: Specs) -> None:
    script = "import sys; sys.stdout.write('x' * 3_000_000 + '\\nloss 1\\n')"
    spec = specs.py(script, log_metrics=[LogMetric(r"loss (\d+)", "loss")])
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    wait_final(paths)
    assert [e["values"] for e in events_of(paths.log_events)] == [{"loss": 1.0}]


def test_a_pattern_that_is_no_regular_expression_refuses_to_start(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh("echo started", log_metrics=[LogMetric("loss (", "loss")])
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    status = wait_final(paths)
    assert status.state == "failed"
    assert "loss (" in status.reason
    assert log_of(paths) == b""


def test_a_program_with_a_package_named_engine_does_not_confuse_the_supervisor(host: LocalHost, specs: Specs) -> None:
    (specs.folder / "engine").mkdir()
    (specs.folder / "engine" / "__init__.py").write_text("raise SystemExit('the wrong engine')")
    spec = specs.sh("echo on")
    host.launch(spec)
    assert wait_final(host.root.run(spec.run_id)).state == "succeeded"


def test_the_supervisor_tells_its_story_in_order(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh("true")
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    wait_final(paths)
    until(lambda: len(words_of_supervisor(paths)) == 2, "the story")
    assert words_of_supervisor(paths) == ["started", "ended"]


def test_the_folder_is_tidy_after_the_end(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh("echo on")
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    wait_final(paths)
    until(lambda: not processes_under(host.root.path), "the supervisor's own end")
    assert [n for n in os.listdir(paths.folder) if n.startswith(".")] == []
    assert paths.supervisor_output.read_bytes() == b""
    assert (read_json(paths.status) or {})["state"] == "succeeded"


def test_ten_processes_that_launch_one_id_start_it_once(root: Root, specs: Specs) -> None:
    """From outside, as ten consoles would: each in a process of its own."""
    import subprocess

    spec = specs.sh("echo started; sleep 0.2")
    script = (
        "import json, sys\n"
        "from engine.protocol.spec import RunSpec\n"
        "from remote.local_host import LocalHost\n"
        "LocalHost().launch(RunSpec.from_json(json.loads(sys.argv[1])))\n"
    )
    argv = [sys.executable, "-c", script, json.dumps(spec.to_json())]
    here = Path(__file__).resolve().parents[2]
    consoles = [subprocess.Popen(argv, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(10)]
    for console in consoles:
        _, said = console.communicate(timeout=60)
        assert (console.returncode, said) == (0, b"")
    paths = root.run(spec.run_id)
    assert wait_final(paths).state == "succeeded"
    assert log_of(paths) == b"started\n"


def test_a_run_of_a_newer_version_is_not_touched(host: LocalHost, specs: Specs) -> None:
    from engine.protocol.version import NewerProtocol

    spec = specs.sh("echo started")
    paths = host.root.run(spec.run_id)
    paths.folder.mkdir(parents=True)
    paths.spec.write_text(json.dumps({**spec.to_json(), "v": 99}))
    with pytest.raises(NewerProtocol, match="99"):
        host.observe(spec.run_id)
    assert not paths.claim.exists()


def test_the_log_stands_while_the_run_goes_on(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh("echo early; exec sleep 60")
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    assert wait_in_log(paths, b"early") == b"early\n"
    assert not paths.result.exists()

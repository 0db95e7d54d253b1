"""The end of a large log on another host is here at once; verbs that look into a host."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest

from console.hosts.tail import lag, last_lines, show_end
from console.verbs.instances import sweep
from remote.ssh.host import SshHost
from tests.contracts.host import ended
from tests.live import Specs
from tests.polling import until

FIVE_GB = 5 << 30


@pytest.mark.parametrize(
    ("data", "lines", "end"),
    [
        (b"a\nb\nc\n", 2, b"b\nc\n"),
        (b"a\nb\nc", 2, b"b\nc"),
        (b"a\n", 5, b"a\n"),
        (b"a\nb\n", 0, b""),
        (b"", 3, b""),
        (b"\n\n\n", 1, b"\n"),
    ],
)
def test_the_last_lines(data: bytes, lines: int, end: bytes) -> None:
    assert last_lines(data, lines) == end


def test_the_end_of_five_gigabytes_is_there_without_the_rest(ssh_host: SshHost, specs: Specs) -> None:
    spec = specs.sh(f'truncate -s {FIVE_GB} "$FRACTAL_LOG"; echo; echo near the end; echo the end')
    ssh_host.launch(spec)
    ended(ssh_host, spec.run_id)
    assert lag(ssh_host, spec.run_id, 0) > FIVE_GB
    out = io.BytesIO()
    begun = time.process_time()
    show_end(ssh_host, spec.run_id, 2, False, out.write)
    assert out.getvalue() == b"near the end\nthe end\n"
    assert time.process_time() - begun < 2.0  # the whole of it would cost this process many times that


def test_what_comes_behind_the_end_is_followed_to_the_last_byte(ssh_host: SshHost, specs: Specs) -> None:
    script = f'truncate -s {FIVE_GB} "$FRACTAL_LOG"; echo; echo now; for i in 1 2 3 4 5; do sleep 0.1; echo $i; done'
    spec = specs.sh(script)
    ssh_host.launch(spec)
    until(
        lambda: ssh_host.read(spec.run_id, "log", -4).data == b"now\n" or ssh_host.observe(spec.run_id).final, "the log"
    )
    out = io.BytesIO()
    show_end(ssh_host, spec.run_id, 1, True, out.write)
    assert out.getvalue().endswith(b"5\n")
    assert b"now\n1\n2\n3\n4\n5\n".endswith(out.getvalue())  # from wherever the log had come to


def test_a_lost_connection_repeats_and_loses_nothing_of_the_end(ssh_host: SshHost, specs: Specs) -> None:
    script = "for i in $(seq 200); do echo line $i; sleep 0.01; done"
    spec = specs.sh(script)
    ssh_host.launch(spec)
    until(lambda: ssh_host.read(spec.run_id, "log").data, "the first line")
    out, cut = io.BytesIO(), []

    def write(data: bytes) -> None:
        out.write(data)
        if len(cut) < 2 and out.tell() > 400 * (len(cut) + 1):
            cut.append(True)
            ssh_host.link.session()._channel.close()

    show_end(ssh_host, spec.run_id, 1000, True, write)
    assert out.getvalue().decode().splitlines() == [f"line {i}" for i in range(1, 201)]


def test_a_look_into_a_host_shows_processes_and_gpus(ssh_host: SshHost) -> None:
    from console.rental import inside

    seen = inside.parted(ssh_host.shell(inside.SCRIPT).output)
    assert "PID" in seen.processes
    assert seen.gpus


def test_a_host_that_says_nonsense_is_no_look() -> None:
    from console.rental import inside
    from remote.host import HostError

    with pytest.raises(HostError, match="sh: ps: not found"):
        inside.parted("sh: ps: not found")


def test_sweep_by_itself_takes_what_instances_sweep_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from console.cli import parser

    words = ["sweep", "--json", "--ignore-foreign"]
    seen = {}
    monkeypatch.setattr(
        "console.verbs.instances.run_verb", lambda arguments, unverified: seen.update(vars(arguments)) or 7
    )
    assert sweep(parser(words).parse_args(words)) == 7
    assert (seen["instance_verb"], seen["json"], seen["ignore_foreign"]) == ("sweep", True, True)

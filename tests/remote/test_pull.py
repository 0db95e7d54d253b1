"""A run's files brought here: verified on both sides, resumed after a break, in place only when whole."""

from __future__ import annotations

import hashlib
import json
import os
import random
from dataclasses import replace
from pathlib import Path

import pytest

from engine.protocol.layout import Root
from engine.protocol.spec import Output, RunSpec
from remote import pull_journal
from remote.helper_link import bulk_window
from remote.pull import PullError, Wanted, pull_file, pull_run, unverified
from remote.pull_journal import Journal, Marks, Range, ranges
from remote.ssh.host import SshHost
from tests.live import Specs
from tests.polling import until
from tests.remote.box import Box
from tests.remote.delay import Proxy


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten ranges of a file that nobody writes any more."""
    monkeypatch.setattr(pull_journal, "RANGE_BYTES", 1 << 20)
    monkeypatch.setattr(ranges, "__defaults__", (1 << 20,))
    file = tmp_path / "there" / "model.bin"
    file.parent.mkdir()
    file.write_bytes(random.Random(5).randbytes(10 * (1 << 20) - 77))
    make_old(file)
    return file


def make_old(file: Path, age_s: float = 3600) -> None:
    about = file.stat()
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns - int(age_s * 1e9)))


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def leftovers(folder: Path) -> list[str]:
    return [f.name for f in folder.iterdir() if ".part" in f.name]


def test_a_file_comes_whole_and_leaves_nothing_beside_it(ssh_host: SshHost, large: Path, tmp_path: Path) -> None:
    target = tmp_path / "here" / "model.bin"
    done = pull_file(ssh_host.link, Wanted(str(large), target, sha256(large)))
    assert target.read_bytes() == large.read_bytes()
    assert (done.size, done.fetched_bytes, leftovers(target.parent)) == (large.stat().st_size, done.size, [])


def test_an_empty_file_comes_too(ssh_host: SshHost, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    make_old(tmp_path / "empty")
    pull_file(ssh_host.link, Wanted(str(tmp_path / "empty"), tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == b""


def test_a_file_that_is_here_with_its_hash_is_not_fetched_again(ssh_host: SshHost, large: Path, tmp_path: Path) -> None:
    wanted = Wanted(str(large), tmp_path / "model.bin", sha256(large))
    pull_file(ssh_host.link, wanted)
    assert pull_file(ssh_host.link, wanted).fetched_bytes == 0


def test_a_broken_pull_goes_on_where_it_was(box: Box, root: Root, large: Path, tmp_path: Path) -> None:
    """The way is cut for good in the middle; the next try fetches only what is not here yet."""
    target = tmp_path / "model.bin"
    with Proxy(box.server.port) as proxy:
        host = box.host(root.path, proxy.port, patience_s=0.5)

        def cut_at_half(done: int, total: int) -> None:
            if done > total / 2:
                proxy.refuses = True
                proxy.cut()

        with pytest.raises(Exception, match=r"lost|answer|hung up"):
            pull_file(host.link, Wanted(str(large), target), cut_at_half)
        host.close()
        assert not target.exists()
        proxy.refuses = False
        host = box.host(root.path, proxy.port)
        done = pull_file(host.link, Wanted(str(large), target, sha256(large)))
        host.close()
    assert target.read_bytes() == large.read_bytes()
    assert 0 < done.fetched_bytes < done.size * 0.6


def test_a_pull_lives_through_cuts(box: Box, root: Root, large: Path, tmp_path: Path) -> None:
    with Proxy(box.server.port) as proxy:
        host = box.host(root.path, proxy.port)
        cuts: list[int] = []

        def cut_thrice(done: int, total: int) -> None:
            if len(cuts) < 3 and done > (len(cuts) + 1) * total / 5:
                cuts.append(done)
                proxy.cut()

        pull_file(host.link, Wanted(str(large), tmp_path / "model.bin", sha256(large)), cut_thrice)
        assert len(cuts) == 3
        assert (tmp_path / "model.bin").read_bytes() == large.read_bytes()
        host.close()


def test_a_file_that_changed_between_two_tries_is_begun_anew(
    box: Box, root: Root, ssh_host: SshHost, large: Path, tmp_path: Path
) -> None:
    target = tmp_path / "model.bin"
    about = large.stat()
    journal = Journal(target)
    assert journal.begin(Marks(str(large), about.st_size, about.st_mtime_ns, about.st_ino)) == []
    journal.add(Range(0, 1 << 20, hashlib.sha256(bytes(1 << 20)).hexdigest()))
    large.write_bytes(random.Random(6).randbytes(about.st_size))
    make_old(large)
    done = pull_file(ssh_host.link, Wanted(str(large), target))
    assert done.fetched_bytes == done.size
    assert target.read_bytes() == large.read_bytes()


def test_a_part_that_lost_its_bytes_is_fetched_again(ssh_host: SshHost, large: Path, tmp_path: Path) -> None:
    """A machine that lost its power may keep the journal's line and not the data."""
    target = tmp_path / "model.bin"
    about = large.stat()
    journal = Journal(target)
    journal.begin(Marks(str(large), about.st_size, about.st_mtime_ns, about.st_ino))
    first = large.read_bytes()[: 1 << 20]
    journal.add(Range(0, 1 << 20, hashlib.sha256(first).hexdigest()))
    pull_file(ssh_host.link, Wanted(str(large), target))
    assert target.read_bytes() == large.read_bytes()


def test_a_file_that_is_not_what_the_run_recorded_is_not_put_in_place(
    ssh_host: SshHost, large: Path, tmp_path: Path
) -> None:
    target = tmp_path / "model.bin"
    with pytest.raises(PullError, match="not what the run recorded"):
        pull_file(ssh_host.link, Wanted(str(large), target, "0" * 64))
    assert not target.exists()
    assert leftovers(tmp_path) == []


def test_a_file_that_is_still_being_written_is_waited_for(ssh_host: SshHost, large: Path, tmp_path: Path) -> None:
    os.utime(large)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        with open(large, "ab") as file:
            file.write(b"more")
        make_old(large, 0 if len(slept) == 1 else 3600)

    pull_file(ssh_host.link, Wanted(str(large), tmp_path / "model.bin"), sleep=sleep)
    assert len(slept) == 2
    assert (tmp_path / "model.bin").read_bytes().endswith(b"moremore")


def test_a_file_that_is_not_there_says_so(ssh_host: SshHost, tmp_path: Path) -> None:
    with pytest.raises(PullError, match="is not there"):
        pull_file(ssh_host.link, Wanted(str(tmp_path / "nothing"), tmp_path / "copy"))


def test_a_disk_that_is_full_here_says_so_and_keeps_what_came(ssh_host: SshHost, large: Path, tmp_path: Path) -> None:
    """/dev/full stands for the disk: it takes no byte."""
    target = tmp_path / "model.bin"
    target.with_name("model.bin.part").symlink_to("/dev/full")
    about = large.stat()
    marks = {"path": str(large), "size": about.st_size, "mtime_ns": about.st_mtime_ns, "ino": about.st_ino}
    target.with_name("model.bin.part.jsonl").write_text(json.dumps(marks) + "\n")
    with pytest.raises(PullError, match="can't write here: No space left"):
        pull_file(ssh_host.link, Wanted(str(large), target))
    assert not target.exists()


def finished(host: SshHost, spec: RunSpec) -> None:
    host.launch(spec)
    until(lambda: host.observe(spec.run_id).final, "the end")


def test_a_run_s_artifacts_come_to_the_same_work_folder_here(ssh_host: SshHost, here: Root, specs: Specs) -> None:
    script = "mkdir -p out/deep; echo one > out/a.txt; echo two > out/deep/b.txt; echo three > c.txt; sleep 2.1"
    outputs = [Output("out"), Output("c.txt"), Output("optional-*", required=False)]
    spec = replace(specs.sh(script), outputs=outputs)
    finished(ssh_host, spec)
    recorded = json.loads(ssh_host.read(spec.run_id, "artifacts.json").data)["artifacts"]
    assert unverified(here, spec.run_id, recorded) == ["c.txt", "out"]
    done = pull_run(ssh_host, spec.run_id, here)
    work = here.work(spec.project, spec.phase, spec.variant)
    assert {f: (work / f).read_text() for f in ("out/a.txt", "out/deep/b.txt", "c.txt")} == {
        "out/a.txt": "one\n", "out/deep/b.txt": "two\n", "c.txt": "three\n"}  # fmt: skip
    assert done.problems == []
    assert unverified(here, spec.run_id, recorded) == []


def test_an_artifact_changed_after_the_run_is_a_problem_and_stays_unverified(
    ssh_host: SshHost, here: Root, specs: Specs
) -> None:
    spec = replace(specs.sh("echo right > c.txt"), outputs=[Output("c.txt")])
    finished(ssh_host, spec)
    recorded = json.loads(ssh_host.read(spec.run_id, "artifacts.json").data)["artifacts"]
    (Path(spec.work) / "c.txt").write_text("wrong\n")
    make_old(Path(spec.work) / "c.txt")
    done = pull_run(ssh_host, spec.run_id, here)
    assert "not what the run recorded" in done.problems[0]
    assert unverified(here, spec.run_id, recorded) == ["c.txt"]


def test_a_run_that_goes_on_has_no_artifacts_to_pull(ssh_host: SshHost, here: Root, specs: Specs) -> None:
    spec = specs.sh("exec sleep 60")
    ssh_host.launch(spec)
    with pytest.raises(PullError, match="has not ended"):
        pull_run(ssh_host, spec.run_id, here)
    ssh_host.stop(spec.run_id, "tester", grace_s=0)
    until(lambda: ssh_host.observe(spec.run_id).final, "the end")


def test_ranges_that_are_here_are_not_asked_for() -> None:
    assert ranges(10, [Range(4, 4, "x")], 4) == [Range(0, 4), Range(8, 2)]
    assert ranges(0, [], 4) == []


def test_a_torn_line_of_the_journal_is_not_believed(tmp_path: Path) -> None:
    journal, marks = Journal(tmp_path / "f"), Marks("/f", 4, 1, 2)
    journal.begin(marks)
    journal.part.write_bytes(b"abcd")
    journal.add(Range(0, 4, hashlib.sha256(b"abcd").hexdigest()))
    with open(journal.file, "ab") as file:
        file.write(b'{"at": 4, "cou')
    assert [r.at for r in journal.begin(marks)] == [0]


def test_the_window_of_a_pull_is_as_wide_as_the_way_is_long() -> None:
    assert bulk_window(0.0005) == 4 << 20
    assert bulk_window(0.050) == 12_500_000
    assert bulk_window(2.0) == 64 << 20

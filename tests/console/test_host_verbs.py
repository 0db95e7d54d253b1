"""The verbs of hosts: named, tried, forgotten; what is wrong is one line that says what to do."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console.errors import UserError
from console.hosts.actions import HostDesk, act, open_host
from console.hosts.arguments import add_hosts_arguments
from console.verbs.model_tables import Table
from engine.config.hosts import Named, load_file
from engine.protocol.durable import read_json
from remote.ssh.host import SshHost
from tests.remote.box import Box


@pytest.fixture
def desk(tmp_path: Path) -> HostDesk:
    return HostDesk(tmp_path / "own" / "hosts.yaml", tmp_path / "project" / "hosts.yaml", tmp_path / "known_hosts")


def do(desk: HostDesk, *words: str) -> Table:
    parser = argparse.ArgumentParser()
    add_hosts_arguments(parser)
    return act(parser.parse_args(words), desk)


def shared(desk: HostDesk, text: str) -> None:
    desk.shared_file.parent.mkdir(parents=True)
    desk.shared_file.write_text(text)


def test_without_hosts_there_is_this_machine_and_a_hint(desk: HostDesk) -> None:
    shown = do(desk)
    assert [row[0] for row in shown.rows] == ["local"]
    assert "hosts add" in shown.note


def test_an_added_host_is_listed_with_its_file(desk: HostDesk) -> None:
    do(desk, "add", "gpu", "--ssh", "lambda", "--root", "/nfs/x", "--untried")
    assert do(desk, "list").data == [
        {"name": "gpu", "ssh": "lambda", "root": "/nfs/x", "before": "", "workdir": "", "env": "",
         "kind": "ssh", "sbatch": "", "file": str(desk.own_file)}
    ]  # fmt: skip


def test_a_login_node_says_what_sbatch_is_told(desk: HostDesk) -> None:
    do(desk, "add", "cluster", "--ssh", "login", "--kind", "slurm", "--sbatch", "--partition='my gpus'", "--untried")
    assert desk.hosts()["cluster"].entry.stated == {"slurm": {"options": ["--partition=my gpus"]}}


def test_sbatch_options_without_slurm_are_refused(desk: HostDesk) -> None:
    with pytest.raises(UserError, match="kind: slurm"):
        do(desk, "add", "gpu", "--ssh", "x", "--sbatch=--time=1", "--untried")


def test_this_machine_can_be_a_login_node_and_stop_being_one(desk: HostDesk) -> None:
    do(desk, "add", "local", "--kind", "slurm", "--sbatch=--time=1:00:00")
    file = desk.own_file.parent / "host.json"
    assert read_json(file) == {"slurm": {"options": ["--time=1:00:00"]}}
    do(desk, "remove", "local")
    assert read_json(file) == {}
    with pytest.raises(UserError, match="nothing to forget"):
        do(desk, "remove", "local")


def test_ones_own_entry_wins_over_the_project_s(desk: HostDesk) -> None:
    shared(desk, "hosts: {gpu: {ssh: theirs}, box: {ssh: theirs}}")
    do(desk, "add", "gpu", "--ssh", "mine", "--untried")
    assert {r["name"]: r["ssh"] for r in do(desk).data} == {"gpu": "mine", "box": "theirs"}


def test_a_removed_host_is_gone_and_the_others_stay(desk: HostDesk) -> None:
    for name in ("a", "b"):
        do(desk, "add", name, "--ssh", "x", "--untried")
    do(desk, "remove", "a")
    assert list(load_file(desk.own_file).hosts) == ["b"]


def test_a_host_of_the_project_is_not_removed_here(desk: HostDesk) -> None:
    shared(desk, "hosts: {gpu: {ssh: theirs}}")
    with pytest.raises(UserError, match=r"project/hosts\.yaml.*shares"):
        do(desk, "remove", "gpu")


def test_an_unknown_host_is_answered_with_the_nearest(desk: HostDesk) -> None:
    do(desk, "add", "lambda1", "--ssh", "x", "--untried")
    with pytest.raises(UserError, match="lambda1"):
        open_host("lambda2", desk)


@pytest.mark.parametrize("name", ["local", "../x", "a b", ""])
def test_a_name_that_can_not_be_used_is_refused(desk: HostDesk, name: str) -> None:
    with pytest.raises(UserError):
        do(desk, "add", name, "--ssh", "x", "--untried")
    assert not desk.own_file.exists()


def test_an_empty_alias_is_refused_in_words(desk: HostDesk) -> None:
    with pytest.raises(UserError, match="ssh"):
        do(desk, "add", "gpu", "--ssh", " ", "--untried")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("hosts: {gpu: {shh: x}}", "ssh"),
        ("hosts: {gpu: {}}", "ssh"),
        ("hosts: [", "hosts.yaml"),
        ("gpu: {ssh: x}", "gpu"),
    ],
)
def test_a_file_that_is_wrong_names_itself_and_the_key(desk: HostDesk, text: str, word: str) -> None:
    shared(desk, text)
    with pytest.raises(UserError, match=rf"hosts\.yaml.*{word}|{word}"):
        do(desk)


def with_box(desk: HostDesk, box: Box, **more: Any) -> HostDesk:
    def enter(named: Named, desk: HostDesk) -> SshHost:
        return box.host(Path(named.entry.root))

    return replace(desk, open=enter, **more)


def test_adding_tries_the_host_and_shows_what_it_is(desk: HostDesk, box: Box, tmp_path: Path) -> None:
    shown = do(with_box(desk, box), "add", "gpu", "--ssh", "box", "--root", str(tmp_path / "root"))
    facts = {row[0]: row[1] for row in shown.rows}
    assert facts["root"] == str(tmp_path / "root")
    assert facts["memory_bytes"].endswith("GiB")
    assert "clock" not in facts
    assert list(load_file(desk.own_file).hosts) == ["gpu"]


def test_a_clock_that_is_an_hour_off_is_said(desk: HostDesk, box: Box, tmp_path: Path) -> None:
    import time

    behind = with_box(desk, box, now=lambda: time.time() - 3600)
    shown = do(behind, "add", "gpu", "--ssh", "box", "--root", str(tmp_path / "root"))
    assert {row[0]: row[1] for row in shown.rows}["clock"] == "60 min ahead"


def test_a_host_that_can_not_be_entered_is_not_written_down(desk: HostDesk, box: Box, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="root can't be used"):
        do(with_box(desk, box), "add", "gpu", "--ssh", "box", "--root", str(tmp_path / "file" / "x"))
    assert not desk.own_file.exists()

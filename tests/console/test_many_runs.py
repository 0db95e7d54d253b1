"""Verbs over many runs: asking, tagging, noting. Over run folders as a supervisor leaves them."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.protocol.layout import Root
from tests.console.conftest import Console
from tests.console.made_runs import lay_run


@pytest.fixture
def three(console: Console, project: Path, root: Root) -> Console:
    for seed, accuracy in enumerate((0.5, 0.9, 0.7)):
        lay_run(root, f"run-{seed}", {"lr": 0.1, "seed": seed}, {"eval/accuracy": [0.1, accuracy]}, at=seed)
    return console


def ids(console: Console, *typed: str) -> list[str]:
    answer = console("runs", "--json", *typed)
    assert answer.code == 0, answer
    return [line["run_id"] for line in answer.json]


def test_runs_answers_a_query_in_the_order_asked_for(three: Console) -> None:
    assert ids(three) == ["run-2", "run-1", "run-0"]
    assert ids(three, "--query", "accuracy>0.6", "--sort", "accuracy", "-r") == ["run-1", "run-2"]
    assert ids(three, "phase1", "-q", "cfg.seed<2", "-n", "1") == ["run-1"]
    shown = three("runs", "--query", "accuracy>0.6", "-n", "1").out
    assert "eval/accuracy" in shown
    assert "1 more: -n 2" in shown


def test_a_query_with_a_mistake_says_what_is_near(three: Console) -> None:
    answer = three("runs", "--query", "eval/acuracy>0.9")
    assert answer.code == 2
    assert "did you mean 'eval/accuracy'?" in answer.line
    assert "did you mean 'took'?" in three("runs", "--sort", "tok").line
    assert "no run meets this query" in three("runs", "--query", "nothing").out


def test_tags_are_put_on_and_taken_off_and_asked_for(three: Console) -> None:
    assert three("tag", "run-0", "run-1", "--add", "good", "--json").json == {"run-0": ["good"], "run-1": ["good"]}
    assert three("tag", "run-1", "--remove", "good", "--add", "late").out.split() == ["run-1", "late"]
    assert ids(three, "--query", "tag:good") == ["run-0"]
    assert "good" in three("runs").out
    assert "'two words' is no tag" in three("tag", "run-0", "--add", "two words").line
    assert "nothing to do" in three("tag", "run-0").line


def test_notes_are_written_found_withdrawn_and_exported(three: Console) -> None:
    assert three("note", "run-1", "the", "loss", "fell").out == "note 1 on run-1\n"
    assert three("note", "phase1", "warm up longer", "--learning", "--json").json["kind"] == "learning"
    assert [n["body"] for n in three("notes", "LOSS", "--json").json] == ["the loss fell"]
    assert [n["run_id"] for n in three("notes", "--run", "run-1", "--json").json] == ["run-1"]
    assert "warm up longer" in three("notes", "--phase", "phase1").out
    assert "withdrawn: note 1" in three("notes", "--withdraw", "1").out
    assert three("notes", "loss").out == "no notes hold these words\n"
    log = three("notes", "--export").out
    assert "~~the loss fell~~ (withdrawn" in log
    assert "**learning** `phase1-tiny` warm up longer" in log
    assert "note 1 was withdrawn already" in three("notes", "--withdraw", "1").line
    assert "note 9 does not exist" in three("notes", "--withdraw", "9").line


def test_a_note_on_nothing_that_exists_says_so(three: Console) -> None:
    answer = three("note", "phase9", "words")
    assert answer.code == 2
    assert "there is no phase 'phase9'" in answer.line
    assert "says nothing" in three("note", "run-0", "  ").line


def test_a_run_is_run_again_with_its_config_and_what_is_set(console: Console, project: Path, root: Root) -> None:
    assert console("run", "phase1-tiny", "make").code == 0
    first = ids(console)[0]
    answer = console("rerun", first, "--json", "--detach", "--set", "depth=2")
    assert answer.code == 0, answer
    assert answer.json["run"] != first
    assert console("rerun", "last", "--set", "depth=3").code == 0
    assert [r["variant"] for r in console("runs", "--json").json] == ["default+depth=3", "default+depth=2", "default"]


def test_what_can_not_be_run_again_says_why(three: Console, root: Root) -> None:
    lay_run(root, "gone-step", phase="phase1-tiny", step="maek", preset="default")
    lay_run(root, "gone-phase", phase="phase9-none")
    lay_run(root, "elsewhere", project="other")
    assert "has no step 'maek'; did you mean 'make'?" in three("rerun", "gone-step").line
    assert "there is no phase 'phase9-none'" in three("rerun", "gone-phase").line
    assert "open the console there" in three("rerun", "elsewhere").line
    assert "ran at preset cpu, which phase1-tiny has no more" in three("rerun", "run-0").line

"""The optional reference step: cloned at its commit, compared in an environment of its own, its failures said."""

import json
import subprocess
import sys

import pytest

from engine.coconut import corpus, fork, parity, reference
from engine.coconut.reference import (
    COMMIT,
    PINNED,
    Command,
    cloning,
    comparing,
    do,
    make_fork,
    refuse_other,
    report,
)
from engine.config.coconut import Data
from engine.data.prosqa import DataError

# Stands for the reference: the interface that the facts name, a body of our own.
CLASS = """import torch
from torch import nn


class Coconut(nn.Module):
    def __init__(self, body, thought, begin, finish, eos):
        super().__init__()
        self.body, self.thought = body, thought  # ä: bytes are not characters

    def forward(self, input_ids, attention_mask, labels, position_ids):
        x = self.body.get_input_embeddings()(input_ids)
        places = [(row == self.thought).nonzero()[:, 0].tolist() for row in input_ids]
        more = {"attention_mask": attention_mask, "position_ids": position_ids}
        for at in range(max(map(len, places))):
            said = self.body(inputs_embeds=x, output_hidden_states=True, **more)
            last = said.hidden_states[-1]
            columns = [list(row) for row in x]
            for row, where in enumerate(places):
                if len(where) > at:
                    columns[row][where[at]] = last[row, where[at] - 1]
            x = torch.stack([torch.stack(row) for row in columns])
        return self.body(inputs_embeds=x, labels=labels, **more)
"""
SCRIPT = """def main(configs, model):
    if configs.coconut:
        model = Coconut(model, 1, 2, 3, 4)
    if configs.coconut and configs.bf16:
        model.half()
    return model
"""


def git(folder, *words) -> str:
    author = ("-c", "user.name=t", "-c", "user.email=t@t")
    return subprocess.run(
        ["git", *author, *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    """A tiny repository with the two files, and a clone of it."""
    source = tmp_path / "source"
    source.mkdir()
    git(source, "init", "--quiet")
    (source / "coconut.py").write_text(CLASS)
    (source / "run.py").write_text(SCRIPT)
    git(source, "add", ".")
    git(source, "commit", "--quiet", "-m", "first")
    commit = git(source, "rev-parse", "HEAD")
    for command in cloning(tmp_path / "reference", str(source), commit):
        do(command)
    return tmp_path / "reference", commit[:7]


def test_the_patches_add_and_change_nothing_else():
    for name, text in (("coconut.py", CLASS), ("run.py", SCRIPT)):
        kept, now = text.splitlines(), fork.patched(name, text).splitlines()
        changed = [line for line in kept if line not in now]
        assert len(changed) == {"coconut.py": 2, "run.py": 1}[name]
        assert [line for line in now if line in kept] == [line for line in kept if line in now]


def test_the_run_script_gets_two_lines():
    lines = fork.patched("run.py", SCRIPT).splitlines()
    assert lines[2] == '        feedback_mode = getattr(configs, "feedback_mode", "continuous")'
    assert lines[3] == "        model = Coconut(model, 1, 2, 3, 4, feedback_mode=feedback_mode)"


def test_the_fork_agrees_with_us_in_all_three_modes(checkout, tmp_path):
    folder, _ = checkout
    make_fork(folder, tmp_path / "fork")
    theirs = parity.load_reference(tmp_path / "fork")
    assert parity.modes_of(parity.load_reference(folder)) == ("continuous",)
    for mode in parity.modes_of(theirs):
        found = parity.compare(theirs, 2, mode)
        assert found.loss < 1e-5
        assert found.gradient < 1e-5


def test_a_wrong_fork_is_found_out(checkout, tmp_path, monkeypatch):
    monkeypatch.setattr(parity, "STAGES", range(1, 3))
    folder, _ = checkout
    make_fork(folder, tmp_path / "fork")
    path = tmp_path / "fork" / "coconut.py"
    path.write_text(path.read_text().replace("where[at] - 1]", "where[at] - 2]"))
    assert parity.compare(parity.load_reference(tmp_path / "fork"), 2).loss > 1e-4
    with pytest.raises(SystemExit) as ended:
        parity.main(["--reference", str(tmp_path / "fork"), "--write", str(tmp_path / "parity.json")])
    assert ended.value.code == 1
    assert len(json.loads((tmp_path / "parity.json").read_text())) == 3 * 2


def test_the_published_folder_stays_as_it_was_and_the_fork_is_made_once(checkout, tmp_path):
    folder, commit = checkout
    for _ in range(2):
        refuse_other(folder, commit)
        make_fork(folder, tmp_path / "fork")
    assert (folder / "coconut.py").read_text() == CLASS
    assert (tmp_path / "fork" / "coconut.py").read_text() == fork.patched("coconut.py", CLASS)


def test_another_commit_is_refused(checkout):
    folder, commit = checkout
    with pytest.raises(DataError, match=rf"is at {commit}.*, not at 27273cb; move .*reference away"):
        refuse_other(folder)


def test_an_edited_checkout_is_refused(checkout):
    folder, commit = checkout
    (folder / "run.py").write_text("pass\n")
    with pytest.raises(DataError, match=r"was edited \(M run\.py\); move"):
        refuse_other(folder, commit)


def test_a_fork_that_was_edited_is_refused(checkout, tmp_path):
    folder, _ = checkout
    make_fork(folder, tmp_path / "fork")
    (tmp_path / "fork" / "run.py").write_text("pass\n")
    with pytest.raises(DataError, match=r"run\.py holds more than our patches; move .*fork away"):
        make_fork(folder, tmp_path / "fork")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("coconut.py", "class Other: ...\n", "the method __init__ of class Coconut is there 0 times"),
        ("coconut.py", CLASS.replace("last[row, where[at] - 1]", "0"), "an item that is assigned .* is there 0 times"),
        ("coconut.py", fork.patched("coconut.py", CLASS), "and no feedback_mode"),
        ("coconut.py", "def (", r"coconut\.py is no Python that can be read"),
        ("run.py", SCRIPT + SCRIPT, "an assignment of Coconut.* is there 2 times and must be there once"),
    ],
)
def test_a_file_that_is_not_the_reference_s_is_refused_by_name(name, text, said):
    with pytest.raises(DataError, match=said):
        fork.patched(name, text)


def test_a_checkout_is_of_the_named_commit(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    git(source, "init", "--quiet")
    for text in ("old", "new"):
        (source / "coconut.py").write_text(text)
        git(source, "add", ".")
        git(source, "commit", "--quiet", "-m", text)
    old = git(source, "rev-parse", "--short", "HEAD~1")
    for command in cloning(tmp_path / "copy", str(source), old):
        do(command)
    assert (tmp_path / "copy" / "coconut.py").read_text() == "old"
    assert cloning(tmp_path / "copy", str(source), old) == []


def test_the_environment_has_the_reference_s_pins_and_nothing_is_installed_here(tmp_path):
    commands = comparing(tmp_path / "ref", tmp_path / "env", sys.executable, tmp_path / "parity.json")
    assert set(PINNED) <= set(commands[1].argv)
    assert all(command.argv[0] != sys.executable for command in commands[1:])
    assert COMMIT == "27273cb"


def test_a_command_that_fails_is_said_with_its_last_words():
    words = (sys.executable, "-c", "import sys; sys.exit('no such host')")
    with pytest.raises(DataError, match=r"ended with 1: no such host \(is it reachable\?\)"):
        do(Command(words, "is it reachable?"))


def test_the_worst_difference_is_reported(tmp_path):
    batches = [
        {"mode": "continuous", "stage": 0, "loss": 1e-7, "gradient": 2e-7},
        {"mode": "frozen", "stage": 6, "loss": 5e-7, "gradient": 1e-7},
    ]
    report(tmp_path, batches, {"torch": "2.5.1+cu124"})
    found = json.loads((tmp_path / "parity.json").read_text())
    assert (found["loss"], found["gradient"], found["versions"]) == (5e-7, 2e-7, {"torch": "2.5.1+cu124"})


def test_published_data_is_taken_from_a_fetched_reference_where_no_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("FRACTAL_DATA", raising=False)
    with pytest.raises(DataError, match=r"engine\.coconut\.reference --data-only"):
        corpus.folder_of(Data(source="published"), "train", tmp_path)
    (tmp_path / "reference" / "data").mkdir(parents=True)
    assert corpus.folder_of(Data(source="published"), "train", tmp_path) == tmp_path / "reference" / "data"
    assert reference.SOURCE.startswith("https://")

"""The optional reference step: cloned at its commit, compared in an environment of its own, its failures said."""

import json
import subprocess
import sys

import pytest

from engine.coconut import corpus, reference
from engine.coconut.reference import COMMIT, PINNED, Command, cloning, comparing, do, report
from engine.config.coconut import Data
from engine.data.prosqa import DataError


def git(folder, *words) -> str:
    author = ("-c", "user.name=t", "-c", "user.email=t@t")
    return subprocess.run(
        ["git", *author, *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


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
    commands = comparing(tmp_path / "ref", tmp_path / "env", sys.executable)
    assert set(PINNED) <= set(commands[1].argv)
    assert all(command.argv[0] != sys.executable for command in commands[1:])
    assert COMMIT == "27273cb"


def test_a_command_that_fails_is_said_with_its_last_words():
    words = (sys.executable, "-c", "import sys; sys.exit('no such host')")
    with pytest.raises(DataError, match=r"ended with 1: no such host \(is it reachable\?\)"):
        do(Command(words, "is it reachable?"))


def test_the_worst_difference_is_reported(tmp_path):
    said = "stage 0: loss differs by 1.00e-07, gradients by at most 2.00e-07\n"
    said += "stage 6: loss differs by 5.00e-07, gradients by at most 1.00e-07\n"
    report(tmp_path, said, {"torch": "2.5.1"})
    found = json.loads((tmp_path / "parity.json").read_text())
    assert found == {"loss": 5e-7, "gradient": 2e-7, "versions": {"torch": "2.5.1"}}


def test_published_data_is_taken_from_a_fetched_reference_where_no_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("FRACTAL_DATA", raising=False)
    with pytest.raises(DataError, match=r"engine\.coconut\.reference --data-only"):
        corpus.folder_of(Data(source="published"), "train", tmp_path)
    (tmp_path / "reference" / "data").mkdir(parents=True)
    assert corpus.folder_of(Data(source="published"), "train", tmp_path) == tmp_path / "reference" / "data"
    assert reference.SOURCE.startswith("https://")

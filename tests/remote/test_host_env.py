"""The environment on a host: from the strictest description, made once, never half."""

from __future__ import annotations

import re
import shutil
import sys
import threading
from pathlib import Path
from typing import cast

import pytest

from engine.protocol.layout import Root
from remote.helper_link import Shelled
from remote.host_env import EnvError, ensure, recipe_for
from remote.ssh.host import SshHost
from remote.tree import Tree, TreeFile
from tests.remote.box import Box

needs_uv = pytest.mark.skipif(not shutil.which("uv"), reason="no uv here: pip install uv")


def tree_of(*names: str, digest: str = "d") -> Tree:
    return Tree(Path("/nowhere"), tuple(TreeFile(name, digest, 1, False) for name in names))


def test_a_lock_file_goes_before_everything_else() -> None:
    recipe = recipe_for(tree_of("uv.lock", "pyproject.toml", "requirements.txt"), "engine")
    assert recipe is not None
    assert "uv sync" in recipe.commands[1]
    assert "--frozen" in recipe.commands[1]
    assert recipe.commands[1].endswith("--extra engine")


def test_constraints_hold_for_a_pyproject() -> None:
    recipe = recipe_for(tree_of("constraints.txt", "pyproject.toml"), "engine")
    assert recipe is not None
    assert recipe.commands[1].endswith('-r "$TREE/pyproject.toml" --extra engine -c "$TREE/constraints.txt"')


def test_a_project_that_says_nothing_has_no_recipe() -> None:
    assert recipe_for(tree_of("train.py")) is None


def test_another_lock_is_another_environment_and_other_source_is_not() -> None:
    first, second = recipe_for(tree_of("requirements.txt")), recipe_for(tree_of("requirements.txt", digest="e"))
    more = recipe_for(tree_of("requirements.txt", "train.py"))
    assert first is not None
    assert first != second
    assert first == more


def test_an_extra_can_not_become_a_command() -> None:
    recipe = recipe_for(tree_of("pyproject.toml"), "x; rm -rf ~")
    assert recipe is not None
    assert "--extra 'x; rm -rf ~'" in recipe.commands[1]


@pytest.fixture
def with_fake_uv(box: Box, root: Root, tmp_path: Path) -> SshHost:
    """A host whose `uv` notes what it is asked for: no package index is needed to see what happens when."""
    tools = tmp_path / "tools"
    tools.mkdir()
    calls = tmp_path / "calls"
    (tools / "uv").write_text(
        f'#!/bin/sh\necho "$*" >> {calls}\necho working on "$1"\n'
        '[ "$1" = venv ] && { for last; do :; done; mkdir -p "$last/bin"; sleep 0.2; }\n'
        f"[ -e {tmp_path}/broken ] && [ \"$1\" = pip ] && {{ echo 'no such package: torhc'; exit 1; }}\nexit 0\n"
    )
    (tools / "uv").chmod(0o755)
    return box.host(root.path, before=f'HOME={tmp_path}; PATH="{tools}:$PATH"; export HOME PATH')


def calls(tmp_path: Path) -> list[str]:
    return [line.split()[0] for line in (tmp_path / "calls").read_text().splitlines()]


def test_an_environment_is_made_once_also_when_two_ask_at_once(
    with_fake_uv: SshHost, root: Root, tmp_path: Path
) -> None:
    recipe = recipe_for(tree_of("requirements.txt"))
    assert recipe is not None
    said: list[str] = []
    threads = [threading.Thread(target=ensure, args=(with_fake_uv, recipe, "/tree", said.append)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ensure(with_fake_uv, recipe, "/tree") == f"{root.path}/envs/{recipe.hash}/bin"
    assert calls(tmp_path) == ["venv", "pip"]
    assert [line for line in said if line.startswith("working")] == ["working on venv", "working on pip"]
    assert any("installing the packages" in line for line in said)
    with_fake_uv.close()


def test_an_environment_that_failed_is_made_anew(with_fake_uv: SshHost, tmp_path: Path) -> None:
    recipe = recipe_for(tree_of("requirements.txt"))
    assert recipe is not None
    (tmp_path / "broken").touch()
    with pytest.raises(EnvError, match="no such package: torhc"):
        ensure(with_fake_uv, recipe, "/tree")
    (tmp_path / "broken").unlink()
    ensure(with_fake_uv, recipe, "/tree")
    assert calls(tmp_path) == ["venv", "pip", "venv", "pip"]
    with_fake_uv.close()


def few_tools(folder: Path, pip: str) -> Path:
    """A PATH with what the helper needs, neither uv nor curl; `python3 -m pip` does as told."""
    folder.mkdir()
    for name in ("mkdir", "mv", "rm", "touch", "flock", "sh"):
        (folder / name).symlink_to(shutil.which(name) or "/bin/false")
    python = folder / "python3"
    python.write_text(f'#!/bin/sh\n[ "$1 $2" = "-m pip" ] && {{ {pip}; exit; }}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return folder


def test_a_host_without_uv_and_without_a_way_to_get_it_says_so(box: Box, root: Root, tmp_path: Path) -> None:
    tools = few_tools(tmp_path / "tools", "exit 1")
    host = box.host(root.path, before=f"HOME={tmp_path}; PATH={tools}; export HOME PATH")
    recipe = recipe_for(tree_of("requirements.txt"))
    assert recipe is not None
    with pytest.raises(EnvError, match=r"has no uv.*--env"):
        ensure(host, recipe, "/tree")
    host.close()


def test_uv_comes_by_pip_where_there_is_no_curl(box: Box, root: Root, tmp_path: Path) -> None:
    """Its python3 has a pip that brings a uv."""
    folder = tmp_path / ".local" / "bin"
    folder.mkdir(parents=True)
    brought = tmp_path / "brought"
    brought.write_text('#!/bin/sh\n[ "$1" = venv ] && { for last; do :; done; mkdir -p "$last/bin"; }\nexit 0\n')
    brought.chmod(0o755)
    tools = few_tools(tmp_path / "tools", f"mv {brought} {folder}/uv")
    host = box.host(root.path, before=f"HOME={tmp_path}; PATH={tools}; export HOME PATH")
    recipe = recipe_for(tree_of("requirements.txt"))
    assert recipe is not None
    said: list[str] = []
    ensure(host, recipe, "/tree", said.append)
    assert said[-1] == "installing the packages of the project"
    host.close()


@pytest.mark.parametrize(
    ("code", "last", "words"),
    [
        (43, "error: No interpreter found for Python 3.11", "Try there: uv python install"),
        (42, "no such package: torhc", "installing the project's packages failed: no such package"),
        (42, "failed to copy: No space left on device (os error 28)", "its disk is full"),
    ],
)
def test_each_stage_has_its_own_word(code: int, last: str, words: str) -> None:
    class Shell:
        name = "box"

        def shell(self, script: str, say: object, timeout_s: float) -> Shelled:
            return Shelled(code, last + "\n")

    recipe = recipe_for(tree_of("requirements.txt"))
    assert recipe is not None
    with pytest.raises(EnvError, match=re.escape(words)):
        ensure(cast(SshHost, Shell()), recipe, "/tree")


@needs_uv
def test_a_real_uv_makes_an_environment_that_runs(box: Box, root: Root, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "requirements.txt").touch()
    recipe = recipe_for(tree_of("requirements.txt"), python=sys.executable)
    assert recipe is not None
    host = box.host(root.path, before=f"PATH=$PATH:{Path(shutil.which('uv') or '').parent}")
    folder = ensure(host, recipe, str(source))
    assert host.shell(f'{folder}/python -c "print(6 * 7)"').output == "42\n"
    host.close()


def test_a_script_gives_its_code_and_all_it_said(ssh_host: SshHost) -> None:
    said: list[str] = []
    done = ssh_host.shell("echo one; echo two >&2; printf three; exit 3", said.append)
    assert (done.code, done.output, said) == (3, "one\ntwo\nthree\n", ["one", "two", "three"])


def test_a_script_that_takes_too_long_is_ended(ssh_host: SshHost) -> None:
    assert not ssh_host.shell("sleep 60", timeout_s=0.2).in_time

"""Where a run is put on a host: the source's snapshot, and whose python comes first.

On this machine that is the project's own environment. On another it is the one that the host's file names (`env:`), else,
where the phase needs a part of the project (`environment:`), one that `uv` makes there from the project's lock, once.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from console.errors import UserError
from console.launch.specs import Placement
from engine.protocol.layout import Root
from remote.host import Host, HostError

if TYPE_CHECKING:
    from engine.config.phase import Phase
    from remote.ssh.host import SshHost
    from remote.tree import Tree


def place_here(host: Host, tree: Tree, phase: Phase, project: Path, prefix: list[str]) -> Placement:
    """On this machine: in a snapshot, or in the project itself where the phase says so."""
    path = laid(host, tree) if phase.runs_in == "snapshot" else str(project)
    return Placement(host.name, Root(Path(host.root_path())), path, prefix)


def place_there(host: SshHost, tree: Tree, phase: Phase, project: Path, say: Callable[[str], None]) -> Placement:
    """On another machine: always in a snapshot, with its environment ready."""
    if phase.runs_in != "snapshot":
        raise UserError(
            f"{phase.phase} runs in {project}, which only this machine has. "
            f"To run it on {host.name}, write `runs_in: snapshot` in configs/phases/{phase.phase}.yaml"
        )
    try:
        path = laid(host, tree)
        return Placement(host.name, Root(Path(host.root_path())), path, _prefix(host, tree, path, phase, say))
    except HostError as error:
        raise UserError(str(error)) from error


def laid(host: Host, tree: Tree) -> str:
    """The snapshot's path on the host."""
    try:
        return host.put_tree(tree)
    except HostError as error:
        raise UserError(str(error)) from error


def _prefix(host: SshHost, tree: Tree, tree_path: str, phase: Phase, say: Callable[[str], None]) -> list[str]:
    """The folders that come first in the run's PATH."""
    if host.path_prefix or not phase.environment:
        return host.path_prefix
    from remote.host_env import ensure, recipe_for

    recipe = recipe_for(tree, phase.environment)
    if recipe is None:
        raise UserError(
            f"{phase.phase} needs the {phase.environment} part, and the project says in no uv.lock, pyproject.toml or "
            f"requirements.txt what that is. Name an environment that has it: "
            f"fractal-console hosts add {host.name} --ssh … --env FOLDER"
        )
    return [ensure(host, recipe, tree_path, say)]

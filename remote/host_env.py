"""The Python environment of a project on a host: made once per lock, by `uv`, from the files of the synced tree.

    recipe = recipe_for(tree, extra="engine")           # None: the project says nothing about its packages
    bin_folder = ensure(host, recipe, tree_path, say)   # `<root>/envs/<lock hash>/bin`, for the run's PATH

Guarantees: an environment is complete or not used; the same lock is installed once per host, also when two consoles ask at
once; what `uv` prints is told while it works.
Does not guarantee: that two installations of a project without a lock file get the same versions.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from remote.host import HostError
from remote.ssh.host import SshHost
from remote.tree import Tree

# torch and vLLM are gigabytes; a slow mirror needs its time.
_INSTALL_S = 3600.0
_PYTHON = "3.11"
_GET_UV = "https://astral.sh/uv/install.sh"


class EnvError(HostError):
    """The environment could not be made; nothing was started."""


@dataclass(frozen=True)
class Recipe:
    """How an environment is made, and the hash that names it."""

    hash: str
    commands: tuple[str, ...]
    """Of `sh`, with `$ENV` (the environment) and `$TREE` (the source): the first makes it, the others fill it."""


def recipe_for(tree: Tree, extra: str | None = None, python: str = _PYTHON) -> Recipe | None:
    """From the strictest description that the project has. Pure."""
    digests = {f.path: f.digest for f in tree.files}
    install = 'uv pip install --python "$ENV/bin/python"'
    wanted = f" --extra {shlex.quote(extra)}" if extra else ""
    if "uv.lock" in digests and "pyproject.toml" in digests:
        used = ["uv.lock", "pyproject.toml"]
        sync = f'UV_PROJECT_ENVIRONMENT="$ENV" uv sync --project "$TREE" --frozen --no-install-project{wanted}'
        steps = [sync]
    elif "pyproject.toml" in digests:
        used = [n for n in ("pyproject.toml", "constraints.txt") if n in digests]
        limits = ' -c "$TREE/constraints.txt"' if "constraints.txt" in digests else ""
        steps = [f'{install} -r "$TREE/pyproject.toml"{wanted}{limits}']
    elif "requirements.txt" in digests:
        used = ["requirements.txt"]
        steps = [f'{install} -r "$TREE/requirements.txt"']
    else:
        return None
    commands = (f'uv venv --quiet --python {shlex.quote(python)} "$ENV"', *steps)
    said = "\0".join([*commands, *(f"{n}={digests[n]}" for n in used)])
    return Recipe(hashlib.sha256(said.encode()).hexdigest()[:16], commands)


# Exit codes of the script, one per stage.
_NO_UV, _NO_PACKAGES, _NO_PYTHON = 41, 42, 43

# uv by its own script; where there is no curl or it is not reached, by pip, which Debian's python3 allows in `--user` only
# with the second form.
_UV_WAYS = (
    f"curl -LsSf {_GET_UV} | sh",
    f"wget -qO- {_GET_UV} | sh",
    "python3 -m pip install --quiet --user uv",
    "python3 -m pip install --quiet --user --break-system-packages uv",
)


def script_of(recipe: Recipe, tree_path: str) -> str:
    """What is run on the host, in its root."""
    # A venv's scripts name its own path, so it is made in place; a file that is written last says that it is whole.
    make, *fill = recipe.commands
    ways = " || ".join(f"{{ {way} && command -v uv >/dev/null; }}" for way in _UV_WAYS)
    return "\n".join(
        [
            'PATH="$HOME/.local/bin:$PATH"; export PATH',
            f'TREE={shlex.quote(tree_path)}; ENV="$PWD/envs/{recipe.hash}"; mkdir -p envs || exit {_NO_PYTHON}',
            f'if command -v flock >/dev/null; then exec 9>"envs/.lock-{recipe.hash}"; flock 9; fi',
            '[ -e "$ENV/.complete" ] && exit 0',
            f"command -v uv >/dev/null || {{ echo 'installing uv'; {ways}; }} || exit {_NO_UV}",
            f'rm -rf "$ENV"; echo "making the environment envs/{recipe.hash}"',
            f"{make} || exit {_NO_PYTHON}",
            *(f"echo 'installing the packages of the project'; {command} || exit {_NO_PACKAGES}" for command in fill),
            'touch "$ENV/.complete"',
        ]
    )


def ensure(host: SshHost, recipe: Recipe, tree_path: str, say: Callable[[str], None] = lambda line: None) -> str:
    """Have the environment there; its `bin` folder."""
    done = host.shell(script_of(recipe, tree_path), say, _INSTALL_S)
    last = next((line for line in reversed(done.output.splitlines()) if line.strip()), "it said nothing")
    if not done.in_time:
        raise EnvError(f"{host.name}: the environment was not ready after {_INSTALL_S / 60:.0f} min ({last})")
    if done.code != 0:
        raise EnvError(f"{host.name}{_problem(host.name, done.code, last)}")
    return f"{host.root_path()}/envs/{recipe.hash}/bin"


def _problem(host: str, code: int, last: str) -> str:
    """What stage failed, and what mends it."""
    if "No space left" in last or "os error 28" in last:
        return (
            f": its disk is full ({last}). Free some space there, or use a larger one: hosts add {host} … --root FOLDER"
        )
    if code == _NO_UV:
        return (
            f" has no uv and it could not be installed ({last}). "
            f"Install it there (pip install uv), or name an existing environment: hosts add {host} … --env PATH"
        )
    if code == _NO_PYTHON:
        return (
            f": uv could not make an environment with Python {_PYTHON}: {last}. Try there: uv python install {_PYTHON}"
        )
    return f": installing the project's packages failed: {last}"

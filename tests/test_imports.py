"""What each package may pull in, proved in a fresh process by `sys.modules`; and that hosts' old Pythons can read the rest."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]

HEAVY = {
    "textual",
    "rich",
    "paramiko",
    "httpx",
    "pydantic",
    "yaml",
    "numpy",
    "torch",
    "transformers",
    "datasets",
    "wandb",
}

# Run by the stock python3 of a host, before any environment exists.
ON_HOSTS = ("protocol", "supervisor", "registry")


def modules_of(folder: str) -> list[str]:
    """Every module below a package folder, by its dotted name."""
    files = sorted((PROJECT / folder).rglob("*.py"))
    names = [".".join(f.relative_to(PROJECT).with_suffix("").parts) for f in files]
    return [n.removesuffix(".__init__") for n in names if not n.endswith("__main__")]


def loaded_by(*modules: str) -> set[str]:
    """The top-level packages and our own second-level ones that importing these brings in."""
    script = f"import json, sys\nfor m in {list(modules)!r}: __import__(m)\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names = json.loads(done.stdout)
    return {n.split(".")[0] for n in names} | {".".join(n.split(".")[:2]) for n in names}


def ground() -> list[str]:
    """What the stock python3 of a host runs."""
    return [m for package in ON_HOSTS for m in modules_of(f"engine/{package}")]


def test_protocol_supervisor_and_registry_need_the_standard_library_only() -> None:
    plain = loaded_by("json")  # what an environment loads by itself (.pth files) is not ours
    strangers = {n for n in loaded_by(*ground()) - plain if "." not in n and n not in sys.stdlib_module_names}
    assert strangers == {"engine"}


def test_protocol_imports_nothing_else_of_ours() -> None:
    ours = {n for n in loaded_by(*modules_of("engine/protocol")) if n.startswith(("engine.", "console", "remote"))}
    assert ours == {"engine.protocol"}


def test_supervisor_needs_the_protocol_only() -> None:
    ours = {n for n in loaded_by(*modules_of("engine/supervisor")) if n.startswith(("engine.", "console", "remote"))}
    assert ours == {"engine.protocol", "engine.supervisor"}


def test_the_program_side_of_a_run_is_light() -> None:
    assert loaded_by("engine.runlog") & HEAVY == set()


def test_the_headless_twin_pays_for_no_heavy_package() -> None:
    if not (PROJECT / "console" / "cli.py").exists():
        pytest.skip("console/cli.py is not there yet")
    assert loaded_by("console.cli") & (HEAVY - {"rich"}) == set()


def test_the_first_screen_pays_for_no_network_and_no_numbers() -> None:
    """Each would be a third of the start: they come with the first host, the first rented machine, the first chart."""
    first = loaded_by("console.app", "console.workers", "console.screens.phases")
    assert first & {"paramiko", "httpx", "numpy", "cryptography", "torch"} == set()


@pytest.mark.parametrize("package", ["console", "remote", "engine/config"])
def test_torch_is_never_loaded_outside_training_code(package: str) -> None:
    assert loaded_by(*modules_of(package)) & {"torch", "transformers", "datasets", "wandb", "vllm"} == set()


def test_remote_knows_nothing_of_the_screen() -> None:
    assert loaded_by(*modules_of("remote")) & {"textual", "console"} == set()  # (httpx brings rich)


def sources_for_old_pythons() -> list[Path]:
    files = [file for package in ON_HOSTS for file in (PROJECT / "engine" / package).glob("*.py")]
    return sorted([*files, PROJECT / "engine" / "__init__.py"])


@pytest.mark.parametrize("path", sources_for_old_pythons(), ids=lambda p: str(p.relative_to(PROJECT)))
def test_what_hosts_run_is_python_3_10(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 10))
    newer = {"tomllib", "Self", "StrEnum", "ExceptionGroup", "UTC", "assert_never", "override"}
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= {
        alias.name for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom)) for alias in node.names
    }
    assert names & newer == set()


@pytest.mark.parametrize("folder", ["console", "engine", "remote"])
def test_packages_open_with_empty_inits(folder: str) -> None:
    assert [f for f in (PROJECT / folder).rglob("__init__.py") if f.read_bytes().strip()] == []

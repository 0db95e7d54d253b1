"""The source of phase 3 holds its code to functions of at most 60 lines; so do this phase and the optimizer."""

import ast
from pathlib import Path

import pytest

ENGINE = Path(__file__).parents[3] / "engine"
FILES = sorted([*ENGINE.glob("quietstar/**/*.py"), *ENGINE.glob("training/**/*.py")])


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ENGINE)))
def test_no_function_is_longer_than_sixty_lines(file: Path) -> None:
    tree = ast.parse(file.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    long = [f"{f.name}: {f.end_lineno - f.lineno + 1}" for f in functions if f.end_lineno - f.lineno + 1 > 60]
    assert not long


def test_there_is_something_to_look_at() -> None:
    assert len(FILES) > 6

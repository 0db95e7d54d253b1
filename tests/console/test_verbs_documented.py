"""A documented verb is there and tested, a verb that is there is documented: parser, help, docs/verbs.md and tests agree."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from console import cli

REPOSITORY = Path(cli.__file__).resolve().parent.parent
PAGE = REPOSITORY / "docs" / "verbs.md"
ROW = re.compile(r"^\| `(?P<verb>[a-z]+)` \| (?P<about>.*) \| (?P<json>yes|no) \|$", re.MULTILINE)
WITHOUT_JSON = {"logs", "events", "init"}
"""Bytes as they were written, JSON lines anyway, a file."""


def documented() -> dict[str, tuple[str, bool]]:
    rows = list(ROW.finditer(PAGE.read_text()))
    assert len({row["verb"] for row in rows}) == len(rows), "a verb stands twice in the table"
    return {row["verb"]: (row["about"], row["json"] == "yes") for row in rows}


def verbs_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    return next((dict(a.choices) for a in parser._actions if isinstance(a, argparse._SubParsersAction)), {})


def answers_programs(parser: argparse.ArgumentParser) -> bool:
    """With `--json`, or with verbs of its own that all have it."""
    if any("--json" in action.option_strings for action in parser._actions):
        return True
    below = verbs_of(parser)
    return bool(below) and all(answers_programs(sub) for sub in below.values())


PARSERS = verbs_of(cli.parser())


def test_the_page_names_every_verb_of_the_parser_and_no_other() -> None:
    assert set(documented()) == set(PARSERS) == set(cli.VERBS)


def test_the_page_says_what_the_help_says() -> None:
    assert {verb: about for verb, (about, _) in documented().items()} == {
        v: about for v, (_, about) in cli.VERBS.items()
    }


def test_every_verb_that_prints_data_answers_programs_and_the_page_says_so() -> None:
    answering = {verb for verb, parser in PARSERS.items() if answers_programs(parser)}
    assert answering == set(PARSERS) - WITHOUT_JSON
    assert answering == {verb for verb, (_, json) in documented().items() if json}


def files_that_type(verb: str) -> list[Path]:
    """Test files in which a verb is typed: the first word that is given to the console, a user or the command line."""
    typed = re.compile(
        rf"""(?:console|passed|types|start|main|parse_args)\((?:\[|\()?\s*"{verb}"|words = \(?\[?"{verb}"|^    "{verb}": \(""",
        re.M,
    )
    return [file for file in (REPOSITORY / "tests").rglob("test_*.py") if typed.search(file.read_text())]


@pytest.mark.parametrize("verb", cli.VERBS)
def test_a_test_types_every_verb(verb: str) -> None:
    assert files_that_type(verb), f"no test types `fractal-console {verb}`"


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{f.name}" for f in sorted((REPOSITORY / "docs").glob("*.md")))])
def test_a_verb_that_a_page_types_is_there(page: str) -> None:
    text = (REPOSITORY / page).read_text()
    typed = set(re.findall(r"fractal-console ((?:[a-z]+)(?= |$|`))", text, re.MULTILINE))
    prose = {"console", "has", "is", "in", "itself", "over", "and", "with"}
    assert typed - prose <= set(PARSERS), typed - set(PARSERS)

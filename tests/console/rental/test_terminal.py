"""The verbs as a person meets them, with the real key, files and clock, against the fake server."""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.hosts import person
from console.hosts.person import agree
from console.rental.arguments import add_arguments
from console.rental.terminal import run_verb
from remote.cloud.fake_account import DEMO_KEY, FakeAccount
from remote.cloud.fake_lambda import FakeLambda


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAccount]:
    with FakeLambda() as fake:
        monkeypatch.setenv("FRACTAL_LAMBDA_URL", fake.url)
        monkeypatch.setenv("FRACTAL_ROOT", str(tmp_path))
        monkeypatch.setenv("LAMBDA_API_KEY", DEMO_KEY)
        yield fake.account


def typed(line: str) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run_verb(parser.parse_args(line.split()), lambda entry: [])


def test_types_are_a_table_and_with_json_a_list(account: FakeAccount, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("types a100") == 0
    assert "gpu_1x_a100_sxm4" in capsys.readouterr().out
    assert typed("types a100 --json") == 0
    assert json.loads(capsys.readouterr().out)[0]["price_cents_per_h"] == 129


def test_without_a_person_a_launch_is_not_agreed_to(account: FakeAccount, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("launch a100") == 1
    assert "nobody to ask: no" in capsys.readouterr().err
    assert account.machines == {}


@pytest.mark.parametrize(("answer", "yes"), [("y", True), ("yes", True), ("", False), ("no", False), ("launch", False)])
def test_only_yes_is_yes(monkeypatch: pytest.MonkeyPatch, answer: str, yes: bool) -> None:
    monkeypatch.setattr(person, "is_somebody_there", lambda: True)
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer + "\n"))
    assert agree("Launch?") is yes


def test_the_end_of_input_is_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(person, "is_somebody_there", lambda: True)
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert agree("Launch?") is False


def test_a_sweep_for_cron_says_by_its_code_that_something_burns(account: FakeAccount) -> None:
    assert typed("sweep") == 0
    account.launch(
        {"instance_type_name": "gpu_1x_a10", "region_name": "us-west-1", "ssh_key_names": ["laptop"], "name": "left"}
    )
    assert typed("sweep") == 1

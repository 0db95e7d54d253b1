from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import pytest

from remote.ssh.known_hosts import judge, known_keys
from remote.ssh.pins import new_host_key

KEY, OTHER = new_host_key().public, new_host_key().public


def blob(public: str) -> bytes:
    return base64.b64decode(public.split()[1])


def kind(tmp_path: Path, text: str, name: str, key: str = KEY) -> str:
    file = tmp_path / "known_hosts"
    file.write_text(text)
    return judge(known_keys([file, tmp_path / "missing"], name), blob(key)).kind


@pytest.mark.parametrize(
    ("names", "name"),
    [
        ("box", "box"),
        ("other,box", "box"),
        ("*.example", "gpu.example"),
        ("box?", "box1"),
        ("[127.0.0.1]:2222", "[127.0.0.1]:2222"),
        ("BOX", "box"),
    ],
)
def test_a_listed_key_is_known(tmp_path: Path, names: str, name: str) -> None:
    assert kind(tmp_path, f"{names} {KEY} comment\n", name) == "known"


@pytest.mark.parametrize(
    ("names", "name"), [("box", "box2"), ("*.example,!gpu.example", "gpu.example"), ("[127.0.0.1]:2222", "1")]
)
def test_a_key_of_another_name_says_nothing(tmp_path: Path, names: str, name: str) -> None:
    assert kind(tmp_path, f"{names} {KEY}\n", name) == "unknown"


def test_another_key_under_the_name_is_a_change(tmp_path: Path) -> None:
    assert kind(tmp_path, f"# a comment\n\nbox {OTHER}\n", "box") == "changed"


def test_one_of_two_keys_is_enough(tmp_path: Path) -> None:
    assert kind(tmp_path, f"box {OTHER}\nbox {KEY}\n", "box") == "known"


def test_a_revoked_key_stays_revoked(tmp_path: Path) -> None:
    assert kind(tmp_path, f"box {KEY}\n@revoked box {KEY}\n", "box") == "revoked"


def test_an_authority_says_nothing_about_a_plain_key(tmp_path: Path) -> None:
    assert kind(tmp_path, f"@cert-authority box {KEY}\n", "box") == "unknown"


def test_lines_that_are_damaged_are_passed_over(tmp_path: Path) -> None:
    assert kind(tmp_path, f"box ssh-ed25519 %%%\nbox\n|1|x|y {KEY}\n|1| {KEY}\nbox {KEY}\n", "box") == "known"


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="no ssh-keygen here")
def test_names_that_openssh_hashed_are_found(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"gpu.example {KEY}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(file)], check=True, capture_output=True)
    assert kind(tmp_path, file.read_text(), "gpu.example") == "known"
    assert kind(tmp_path, file.read_text(), "gpu2.example") == "unknown"

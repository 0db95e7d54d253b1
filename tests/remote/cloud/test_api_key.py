from __future__ import annotations

from pathlib import Path

import pytest

from remote.cloud.api_key import ApiKey, find_key
from remote.cloud.cloud_errors import AskPerson

SECRET = "secret_fractal_0123456789abcdef"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    assert find_key(tmp_path / "none", {"LAMBDA_API_KEY": f" {SECRET}\n"}).reveal() == SECRET


def test_a_closed_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(SECRET + "\n")
    file.chmod(0o600)
    assert find_key(file, {}).reveal() == SECRET


def test_a_file_that_others_can_read_is_refused_with_the_command_that_mends_it(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(SECRET)
    file.chmod(0o644)
    with pytest.raises(AskPerson, match=f"chmod 600 {file}"):
        find_key(file, {})


def test_no_key_says_where_to_make_one_and_where_to_put_it(tmp_path: Path) -> None:
    with pytest.raises(AskPerson, match=r"cloud\.lambda\.ai/api-keys.*umask 077"):
        find_key(tmp_path / "key", {})


@pytest.mark.parametrize("text", ["two words here", "line\nbreak-in-key", "naïve-key-xx", "short", "\x7f" * 20])
def test_a_key_that_no_header_takes_is_refused_without_printing_it(text: str) -> None:
    with pytest.raises(AskPerson) as caught:
        ApiKey(text, "LAMBDA_API_KEY")
    assert text not in str(caught.value)


def test_a_key_does_not_print_itself() -> None:
    key = ApiKey(SECRET, "test")
    assert SECRET not in f"{key} {key!r} {[key]}"

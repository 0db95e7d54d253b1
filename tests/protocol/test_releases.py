from __future__ import annotations

import itertools

import pytest

from engine.protocol.releases import release

# Each comes before the next.
RISING = (
    *("1.9", "2.13.dev3", "2.13.0a1.dev2", "2.13.0a1", "2.13a2", "2.13.0b1", "2.13.0rc1", "2.13.0rc2", "2.13.0"),
    *("2.13.0.post1.dev1", "2.13.0.post1", "2.13.1rc1", "2.13.1", "2.13.1.1", "2.100", "10.0", "1!0.1"),
)


@pytest.mark.parametrize(("earlier", "later"), itertools.pairwise(RISING))
def test_releases_are_ordered_as_installers_order_them(earlier: str, later: str) -> None:
    first, second = release(earlier), release(later)
    assert first is not None
    assert second is not None
    assert first < second


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2.13", "2.13.0"),
        ("2.13.0+cpu", "2.13.0"),
        ("2.13.0+cu128.local-1", "2.13"),
        ("v1.0", "1"),
        ("1.0-rc.1", "1.0rc1"),
        ("1.0alpha", "1.0a0"),
        ("1.0-1", "1.0.post1"),
        ("1.0c2", "1.0RC2"),
        ("0", "0.0.0"),
    ],
)
def test_spellings_of_one_release_are_equal(one: str, other: str) -> None:
    assert release(one) == release(other)


@pytest.mark.parametrize("text", ["", "main", "2.13.x", "2..1", "unknown", "2.13 beta", "abc1234", "+cpu"])
def test_what_is_no_version_is_not_guessed(text: str) -> None:
    assert release(text) is None

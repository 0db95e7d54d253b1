"""known_hosts files: which keys are known under a name, and what a presented key means. Pure, but for reading the files.

Understands hashed names, patterns, negation, `[host]:port` and `@revoked`. Lines with `@cert-authority` say nothing about a
plain key and are passed over.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class KnownKey:
    """One line that speaks of the name."""

    key_type: str
    blob: bytes
    file: Path
    line: int
    is_revoked: bool = False
    comment: str = ""


@dataclass(frozen=True)
class Verdict:
    """What a presented key is."""

    kind: str
    """known, unknown, changed, revoked"""
    because: KnownKey | None = None


def known_keys(files: Iterable[Path], name: str) -> list[KnownKey]:
    """Every key that the files hold for the name; files that are missing or closed hold none."""
    return [key for file in files for key in _in_file(file, name)]


def judge(known: Sequence[KnownKey], blob: bytes) -> Verdict:
    """Revoked beats everything; a key of another type than the known ones is a change too."""
    for key in known:
        if key.is_revoked and key.blob == blob:
            return Verdict("revoked", key)
    valid = [key for key in known if not key.is_revoked]
    for key in valid:
        if key.blob == blob:
            return Verdict("known", key)
    return Verdict("changed", valid[0]) if valid else Verdict("unknown")


def fingerprint(blob: bytes) -> str:
    """As OpenSSH shows it: `SHA256:…`."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _in_file(file: Path, name: str) -> list[KnownKey]:
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return []
    found = (_parse(line, name, file, number) for number, line in enumerate(lines, 1))
    return [key for key in found if key is not None]


def _parse(line: str, name: str, file: Path, number: int) -> KnownKey | None:
    words = line.split()
    if not words or words[0].startswith("#"):
        return None
    marker = words.pop(0) if words[0].startswith("@") else ""
    if marker not in ("", "@revoked") or len(words) < 3 or not _matches(words[0], name):
        return None
    try:
        blob = base64.b64decode(words[2], validate=True)
    except binascii.Error:
        return None
    return KnownKey(words[1], blob, file, number, marker == "@revoked", " ".join(words[3:]))


def _matches(patterns: str, name: str) -> bool:
    if patterns.startswith("|1|"):
        return _matches_hash(patterns, name)
    parts = patterns.lower().split(",")
    if any(p.startswith("!") and _fits(p[1:], name) for p in parts):
        return False
    return any(not p.startswith("!") and _fits(p, name) for p in parts)


def _fits(pattern: str, name: str) -> bool:
    # `[host]:port` holds brackets, which fnmatch would read as a set of characters.
    return fnmatch.fnmatchcase(name.lower(), pattern.replace("[", "[[]"))


def _matches_hash(text: str, name: str) -> bool:
    try:
        salt, digest = (base64.b64decode(part) for part in text.split("|")[2:4])
    except (ValueError, binascii.Error):
        return False
    return hmac.compare_digest(hmac.new(salt, name.lower().encode(), hashlib.sha1).digest(), digest)
